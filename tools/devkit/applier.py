"""kustomize-controller, unmodified: the client that a source controller works for."""

from __future__ import annotations

from typing import Any

from devkit.fluxcontroller import FluxController, lenient_kind

_WATCHED = (
    ("kustomize.toolkit.fluxcd.io", "Kustomization", "kustomizations"),
    ("source.toolkit.fluxcd.io", "GitRepository", "gitrepositories"),
    ("source.toolkit.fluxcd.io", "Bucket", "buckets"),
)


class KustomizeController(FluxController):
    """What it watches is taken as it is given."""

    name = "kustomize-controller"
    flags = ("--no-remote-bases=true",)

    def kinds(self) -> list[dict[str, Any]]:
        return [lenient_kind(*each) for each in _WATCHED]
