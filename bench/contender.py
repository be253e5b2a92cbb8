"""A controller under measurement: its command line, its process, and what that costs."""

from __future__ import annotations

import re
import shlex
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from devkit.startup import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.keeper import Keeper

ADDRESSES = ("storage_addr", "metrics_addr", "health_addr")
_NAME = "controller"
_GOODBYE = 15.0


@dataclass(frozen=True)
class Contender:
    """`command` is a command line with {kubeconfig}, {storage} (an empty folder) and {storage_addr}, {metrics_addr},
    {health_addr} (free loopback addresses)."""

    label: str
    command: str

    @contextmanager
    def running(self, keeper: Keeper, kubeconfig: Path, storage: Path) -> Iterator[Run]:
        """The controller's process, stopped in the end."""
        places = {name: f"127.0.0.1:{port}" for name, port in zip(ADDRESSES, free_ports(3), strict=True)}
        places |= {"kubeconfig": str(kubeconfig), "storage": str(storage)}
        # Split first: a path may hold spaces.
        command = [part.format_map(places) for part in shlex.split(self.command)]
        run = Run(keeper, keeper.start(_NAME, command), time.monotonic())
        try:
            yield run
        finally:
            run.stop()


@dataclass(frozen=True)
class Run:
    """The process `pid` and its children, since `started` (monotonic seconds)."""

    keeper: Keeper
    pid: int
    started: float

    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started

    def cpu(self) -> float:
        """CPU seconds so far, user and system."""
        return sum(sum(process.cpu_times()[:2]) for process in self._processes())

    def peak_mib(self) -> float:
        """The most memory that was resident at once so far, in MiB: the kernel's own high-water mark (VmHWM)."""
        return sum(_high_water(process.pid) for process in self._processes()) / 1024

    def require_alive(self) -> None:
        """Raises RuntimeError with the end of the log if the controller has ended."""
        code = self.keeper.exit_code(_NAME)
        if code is not None:
            raise RuntimeError(f"the controller ended with exit code {code}:\n{self.log()[-2000:]}")

    def log(self) -> str:
        return self.keeper.log(_NAME).read_text(errors="replace")

    def stop(self) -> None:
        """Asks for an end, and makes one."""
        if self.keeper.exit_code(_NAME) is None:
            self.keeper.kill(_NAME, signal.SIGTERM)
        deadline = time.monotonic() + _GOODBYE
        while self.keeper.exit_code(_NAME) is None and time.monotonic() < deadline:
            time.sleep(0.05)
        self.keeper.kill(_NAME)

    def _processes(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _high_water(pid: int) -> int:
    """KiB; 0 for a process that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) if found else 0
