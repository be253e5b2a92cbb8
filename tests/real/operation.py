"""`ocisource run` as a process of its own, with the rights that config/ gives it and no others."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from devkit.keeper import Keeper
from devkit.operatorprocess import OperatorProcess

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devkit.cluster import Cluster
    from devkit.controlplane import ControlPlane

PROMPT = 5.0
"""Seconds in which an operator without passes under way has to end."""


class Operator:
    """The operator while the context lasts: `start` it, `stop` it (SIGTERM) or `kill` it (SIGKILL), and start it again
    with the same storage and the same addresses. The context ends it if it still runs.

    `address` is the host:port of the artifact server.
    """

    def __init__(self, plane: ControlPlane, storage: Path, *flags: str) -> None:
        self.storage = storage
        self._plane = plane
        self._flags = flags
        self._earlier = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        keeper = self._stack.enter_context(Keeper())
        self._process = OperatorProcess(keeper, self._plane, self.storage, *self._flags)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.ports:
            print(self.log()[-20_000:])  # pytest shows it beside a failure
        self._stack.close()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._process.ports[0]}"

    @property
    def metrics_address(self) -> str:
        return f"127.0.0.1:{self._process.ports[1]}"

    @property
    def health_address(self) -> str:
        return f"127.0.0.1:{self._process.ports[2]}"

    def start(self) -> None:
        """Returns when it watches. Raises StartError with the end of its log."""
        if self._process.ports:
            self._earlier = self.log()
        self._process.start()

    def stop(self, within: float = PROMPT) -> float:
        """SIGTERM, as a pod gets it; seconds until the process was gone. It has to end well, within the time, without a
        word that is no log line, and without asyncio's complaints about what was left open or went unheard."""
        began = time.monotonic()
        self._process.kill(signal.SIGTERM)
        await_true(lambda: self._process.exit_code is not None, within, "the end of the operator")
        elapsed = time.monotonic() - began
        assert self._process.exit_code == 0
        assert [line for line in self.lines() if "stacktrace" in line or line["logger"] == "asyncio"] == []
        return elapsed

    def kill(self) -> None:
        """SIGKILL: no chance to say or do anything more."""
        self._process.kill(signal.SIGKILL)
        await_true(lambda: self._process.exit_code is not None, PROMPT, "the end of the operator")

    def signal(self, number: int) -> None:
        """Sends the signal, and does not wait for what comes of it."""
        self._process.kill(number)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.exit_code

    def log(self) -> str:
        """All that it wrote, also before it was started again."""
        return self._earlier + self._process.log.read_text(errors="replace")

    def lines(self) -> list[dict[str, Any]]:
        """The log, line by line; each is a JSON object."""
        return [json.loads(line) for line in self.log().splitlines()]

    def passes(self, namespace: str) -> dict[str, int]:
        """Names of the namespace's objects → passes over them since the process started."""
        count = re.compile(
            r'^gotk_reconcile_duration_seconds_count\{kind="OCIRepository",name="(.+)",'
            rf'namespace="{namespace}"\}} (\d+)$',
            re.MULTILINE,
        )
        return {name: int(number) for name, number in count.findall(self.metrics())}

    def metrics(self) -> str:
        """The page behind /metrics."""
        return fetch(f"http://{self.metrics_address}/metrics").decode()


def fetch(url: str) -> bytes:
    """The body behind the URL. Raises urllib.error.HTTPError for what is not found."""
    with urllib.request.urlopen(url, timeout=10) as response:
        content: bytes = response.read()
    return content


def await_true(condition: Callable[[], object], within: float, what: str) -> None:
    """Returns once the condition holds; fails the test if it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {within:g} s"
        time.sleep(0.02)


def clear(cluster: Cluster) -> None:
    """Takes away every OCIRepository: what earlier tests left would be work for the next operator."""
    for each in cluster.get("/apis/source.toolkit.fluxcd.io/v1/ocirepositories")["items"]:
        obj = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "OCIRepository", "metadata": each["metadata"]}
        cluster.patch(obj, {"metadata": {"finalizers": None}})
        cluster.delete(obj)
