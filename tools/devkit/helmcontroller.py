"""helm-controller, unmodified: the client that takes a chart from a source (`chartRef`, flux-compat I7)."""

from __future__ import annotations

from typing import Any

from devkit import manifests
from devkit.binaries import BINARIES, module_folder
from devkit.fluxcontroller import FluxController, lenient_kind

_MODULE = "github.com/fluxcd/helm-controller"
_KIND = "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml"


class HelmController(FluxController):
    """HelmRelease is served as its own release of it defines it."""

    name = "helm-controller"

    def kinds(self) -> list[dict[str, Any]]:
        releases = manifests.load(module_folder(BINARIES[self.name], _MODULE) / _KIND)
        return [*releases, lenient_kind("source.toolkit.fluxcd.io", "HelmChart", "helmcharts")]
