"""helm-controller, unmodified: the client that takes a chart from a source (`chartRef`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from devkit import manifests
from devkit.applier import lenient_kind
from devkit.binaries import BINARIES, locate, module_folder
from devkit.services import Service
from devkit.startup import answers, start

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane

_MODULE = "github.com/fluxcd/helm-controller"
_KIND = "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"


class HelmController(Service):
    """The process, as administrator of the control plane, while the context lasts.

    It fetches every chart from `source` (host:port), whatever the host in the artifact's URL says (flux-compat I7).
    HelmRelease is served as its own release of it defines it; OCIRepository must be there.
    """

    def __init__(self, plane: ControlPlane, source: str) -> None:
        super().__init__()
        self._plane = plane
        self._source = source

    def start(self) -> None:
        binary = locate("helm-controller")
        kinds = manifests.load(module_folder(BINARIES["helm-controller"], _MODULE) / _KIND)
        self._plane.cluster.apply_crds([*kinds, lenient_kind("source.toolkit.fluxcd.io", "HelmChart", "helmcharts")])

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
            ]

        start(
            self.keeper,
            "helm-controller",
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
        return self.keeper.log("helm-controller").read_text(errors="replace")
