"""The real helm: charts as people make and push them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from devkit.binaries import locate

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGEST = re.compile(r"^Digest: (sha256:[0-9a-f]{64})$", re.MULTILINE)


class HelmError(Exception):
    """helm ended with an error; the message is its own."""


class Helm:
    """`folder` holds the charts and helm's own files. Plain HTTP is allowed, a cluster is never asked."""

    def __init__(self, folder: Path) -> None:
        self._binary = locate("helm")
        self._folder = folder

    def package(self, name: str, version: str, files: Mapping[str, str]) -> Path:
        """The archive `<name>-<version>.tgz` of a chart with these files beside its Chart.yaml."""
        chart = self._folder / name
        for path, text in files.items():
            (chart / path).parent.mkdir(parents=True, exist_ok=True)
            (chart / path).write_text(text)
        (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: {name}\nversion: {version}\n")
        self.run("package", str(chart), f"--destination={self._folder}")
        return self._folder / f"{name}-{version}.tgz"

    def push(self, archive: Path, parent: str) -> str:
        """Pushes the archive, and the `.prov` beside it if there is one, into the repository `<parent>/<name>`; the
        digest of the manifest. `parent` is `host:port/path`."""
        said = self.run("push", "--plain-http", str(archive), f"oci://{parent}")
        found = _DIGEST.search(said)
        if found is None:
            raise HelmError(f"helm push names no digest: {said}")
        return found[1]

    def metadata(self, archive: Path) -> dict[str, object]:
        """What helm reads as the chart's Chart.yaml. Raises HelmError if it cannot load the archive."""
        read: dict[str, object] = yaml.safe_load(self.run("show", "chart", str(archive)))
        return read

    def render(self, archive: Path) -> list[dict[str, object]]:
        """The objects that an installation with the default values would apply."""
        said = self.run("template", "release", str(archive))
        return [each for each in yaml.safe_load_all(said) if each]

    def run(self, *arguments: str) -> str:
        """What any command of helm says. Raises HelmError."""
        done = subprocess.run(
            [str(self._binary), *arguments],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "KUBECONFIG": os.devnull} | self._places(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise HelmError(f"helm {arguments[0]}: {done.stderr.strip()}")
        return done.stdout + done.stderr if arguments[0] == "push" else done.stdout

    def _places(self) -> dict[str, str]:
        kinds = ("CACHE", "CONFIG", "DATA")
        return {f"HELM_{kind}_HOME": str(self._folder / f".helm-{kind.lower()}") for kind in kinds}
