"""The real flux, the CLI that people type."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devkit.binaries import locate

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane

_DONE = "✔ "
_FAILED = "✗ "


class FluxError(Exception):
    """The command ends with an error: the message is the last that it prints, `said` all of its progress."""

    def __init__(self, message: str, said: str = "") -> None:
        super().__init__(message)
        self.said = said


@dataclass(frozen=True)
class Told:
    """What a command wrote: its result, and its progress."""

    result: str
    progress: str

    def done(self) -> list[str]:
        """The steps that are done."""
        return [line.removeprefix(_DONE) for line in self.progress.splitlines() if line.startswith(_DONE)]

    def table(self) -> list[list[str]]:
        """The result as cells of a table, without its head."""
        return [[cell.strip() for cell in line.split("\t")][:-1] for line in self.result.splitlines()[1:]]


class FluxCommand:
    """flux as administrator of the control plane; its own files lie in `folder`. It asks nobody but the API server."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._binary = locate("flux")
        self._kubeconfig = plane.kubeconfig
        self._folder = folder

    def run(self, namespace: str, *arguments: str, timeout: float = 30) -> Told:
        """`flux --namespace <namespace> <arguments>`. `timeout` is its --timeout, in seconds. Raises FluxError."""
        done = subprocess.run(
            [str(self._binary), *arguments, f"--namespace={namespace}", f"--timeout={timeout:g}s"],
            cwd=self._folder,
            env={
                **os.environ,
                "HOME": str(self._folder),
                "KUBECONFIG": str(self._kubeconfig),
                "NO_PROXY": ",".join(filter(None, ("127.0.0.1", os.environ.get("NO_PROXY")))),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout + 30,
            check=False,
        )
        if done.returncode != 0:
            raise FluxError(done.stderr.rpartition(_FAILED)[2].strip(), done.stderr)
        return Told(done.stdout, done.stderr)
