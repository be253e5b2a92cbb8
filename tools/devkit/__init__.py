"""Real parts for development and tests: a Kubernetes control plane, registries, cosign and kustomize-controller.

Everything here starts on free loopback ports, and ends with the process that started it.
"""
