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
    """`ocisource run` as the ServiceAccount flux-system/source-controller, which must exist in `plane`. `keeper` ends
    it and holds its log; `storage` is made if need be; `flags` come on top.

    Started again, it keeps its storage and its `ports` (artifacts, metrics, health).
    """

    def __init__(self, keeper: Keeper, plane: ControlPlane, storage: Path, *flags: str) -> None:
        self._keeper = keeper
        self._plane = plane
        self._storage = storage
        self._flags = flags
        self.ports: list[int] = []

    @property
    def log(self) -> Path:
        return self._keeper.log(_NAME)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._keeper.exit_code(_NAME)

    def start(self) -> None:
        """Returns once it watches and serves. Raises StartError with the end of its log."""
        self._storage.mkdir(exist_ok=True)
        again = list(self.ports)

        def command(ports: list[int]) -> list[str]:
            self.ports = again or ports
            artifacts, metrics, health = self.ports
            return [
                *(sys.executable, "-m", "ocisource", "run"),
                f"--storage-path={self._storage}",
                f"--storage-addr=127.0.0.1:{artifacts}",
                f"--metrics-addr=127.0.0.1:{metrics}",
                f"--health-addr=127.0.0.1:{health}",
                *self._flags,
            ]

        account = self._plane.service_account_kubeconfig("flux-system", "source-controller")
        start(
            self._keeper,
            _NAME,
            command,
            ports=3,
            ready=lambda _: answers(f"http://127.0.0.1:{self.ports[0]}/") and _is_ready(self.ports[2]),
            timeout=30,
            environment={"KUBECONFIG": str(account), "RUNTIME_NAMESPACE": "flux-system", "PYTHONUNBUFFERED": "1"},
        )

    def kill(self, number: int) -> None:
        """Sends the signal."""
        self._keeper.kill(_NAME, number)

    def require(self) -> None:
        """Raises StartError if it has ended."""
        if self.exit_code is not None:
            raise StartError(f"the operator ended with exit code {self.exit_code}")

    def tail(self, lines: int = 15) -> str:
        """The end of its log; "" if it never wrote one."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _is_ready(port: int) -> bool:
    return answers(f"http://127.0.0.1:{port}/readyz")
