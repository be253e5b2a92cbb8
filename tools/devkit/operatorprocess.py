"""The operator as a process of its own, with the rights that config/ gives it and no others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from devkit.startup import StartError, answers, start

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.keeper import Keeper

_NAME = "operator"


class OperatorProcess:
    """`ocisource run` as the ServiceAccount flux-system/source-controller, which must exist in `plane`; `keeper` ends
    it. Its log and storage lie in the keeper's folder."""

    def __init__(self, keeper: Keeper, plane: ControlPlane) -> None:
        self._keeper = keeper
        self._plane = plane

    @property
    def log(self) -> Path:
        return self._keeper.log(_NAME)

    def start(self) -> None:
        """Returns once it watches and serves. Raises StartError with the end of its log."""
        storage = self._keeper.folder / "storage"
        storage.mkdir(exist_ok=True)

        def command(ports: list[int]) -> list[str]:
            artifacts, metrics, health = ports
            return [
                *(sys.executable, "-m", "ocisource", "run"),
                f"--storage-path={storage}",
                f"--storage-addr=127.0.0.1:{artifacts}",
                f"--metrics-addr=127.0.0.1:{metrics}",
                f"--health-addr=127.0.0.1:{health}",
                "--log-encoding=console",
            ]

        account = self._plane.service_account_kubeconfig("flux-system", "source-controller")
        self.ports = start(
            self._keeper,
            _NAME,
            command,
            ports=3,
            ready=lambda ports: answers(f"http://127.0.0.1:{ports[0]}/") and _is_ready(ports[2]),
            timeout=30,
            environment={"KUBECONFIG": str(account), "RUNTIME_NAMESPACE": "flux-system", "PYTHONUNBUFFERED": "1"},
        )

    def require(self) -> None:
        """Raises StartError if it has ended."""
        code = self._keeper.exit_code(_NAME)
        if code is not None:
            raise StartError(f"the operator ended with exit code {code}")

    def tail(self, lines: int = 15) -> str:
        """The end of its log; "" if it never wrote one."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _is_ready(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}/readyz")
