"""A node of which the API server can ask what containers wrote, and nothing else: for clients that read logs."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from devkit.certificates import Authority

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.cluster import Cluster, Manifest


class LogNode:
    """A Node while the context lasts. Nothing runs on it: what its containers write is what stands in `log`."""

    def __init__(self, cluster: Cluster, log: Path) -> None:
        self._cluster = cluster
        self._log = log
        self._made: list[Manifest] = []

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _answering(self._log))
        self._server.socket = Authority().server_context().wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        status = {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._server.server_port}},
        }
        node: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "devkit"}}
        self._make(node)
        self._cluster.patch(node, {"status": status}, "status")
        return self

    def __exit__(self, *_: object) -> None:
        for each in reversed(self._made):
            self._cluster.delete(each)
        self._server.shutdown()
        self._server.server_close()

    def place(self, deployment: Manifest) -> None:
        """A Pod of the Deployment is on this node."""
        template, metadata = deployment["spec"]["template"], deployment["metadata"]
        named = {"name": f"{metadata['name']}-0", "namespace": metadata["namespace"]}
        spec = {**template["spec"], "nodeName": "devkit", "terminationGracePeriodSeconds": 0}
        self._make({"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], **named}, "spec": spec})

    def _make(self, manifest: Manifest) -> None:
        self._cluster.apply(manifest)
        self._made.append(manifest)


def _answering(log: Path) -> type[BaseHTTPRequestHandler]:
    class Kubelet(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = log.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    return Kubelet
