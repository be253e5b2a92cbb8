"""Controllers of Flux, unmodified, as clients of the artifacts of a source controller."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from devkit.binaries import locate
from devkit.services import Service
from devkit.startup import answers, start

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane


class FluxController(Service):
    """The process called `name`, as administrator of the control plane, while the context lasts.

    It fetches every artifact from `source` (host:port), whatever the host in the artifact's URL says (flux-compat
    I6). The kinds that it watches and nobody here serves are made on entering; OCIRepository must be there.
    """

    name: str
    flags: tuple[str, ...] = ()
    """Those that not all of these controllers have."""

    def __init__(self, plane: ControlPlane, source: str) -> None:
        super().__init__()
        self._plane = plane
        self._source = source

    def kinds(self) -> list[dict[str, Any]]:
        """The CustomResourceDefinitions that it needs beside OCIRepository."""
        raise NotImplementedError

    def start(self) -> None:
        binary = locate(self.name)
        self._plane.cluster.apply_crds(self.kinds())

        def command(ports: list[int]) -> list[str]:
            metrics, health = ports
            return [
                str(binary),
                f"--metrics-addr=127.0.0.1:{metrics}",
                f"--health-addr=127.0.0.1:{health}",
                "--watch-all-namespaces=true",
                "--enable-leader-election=false",
                "--http-retry=2",
                "--requeue-dependency=2s",
                "--interval-jitter-percentage=0",
                *self.flags,
            ]

        start(
            self.keeper,
            self.name,
            command,
            ports=2,
            ready=lambda ports: answers(f"http://127.0.0.1:{ports[1]}/readyz"),
            timeout=60,
            environment={
                "KUBECONFIG": str(self._plane.kubeconfig),
                "SOURCE_CONTROLLER_LOCALHOST": self._source,
                "RUNTIME_NAMESPACE": "flux-system",
                "TMPDIR": str(self.keeper.folder),
                "HOME": str(self.keeper.folder),
                "NO_PROXY": ",".join(filter(None, ("127.0.0.1", os.environ.get("NO_PROXY")))),
            },
        )

    def said(self) -> str:
        """Its log so far."""
        return self.keeper.log(self.name).read_text(errors="replace")


def lenient_kind(group: str, kind: str, plural: str) -> dict[str, Any]:
    """A kind that keeps whatever it is given: the controller reads and writes it, we do not judge it."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
                    },
                }
            ],
        },
    }
