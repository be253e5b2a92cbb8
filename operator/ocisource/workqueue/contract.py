"""What the work queue promises to those that use it, and what it needs of the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Key = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True)
class Result:
    """How a pass ended. `after` is in seconds: when the key is due again, None for not before something happens.
    A failed pass comes back by backoff and `after` is not looked at; any other pass clears the failures. `stalled`
    tells those that count why this one does not come back."""

    after: float | None = None
    failed: bool = False
    stalled: bool = False

    @property
    def word(self) -> str:
        """How the pass is counted (flux-compat G7)."""
        if self.failed or self.stalled:
            return "error" if self.failed else "stalled"
        return "success" if self.after is None else "requeue_after"


@dataclass(frozen=True)
class QueueStats:
    """What metrics tell of the queue. `depth` keys wait for their lane, `running` passes run, the longest of them
    for `longest_running` seconds and all of them for `unfinished` seconds together; `scheduled` keys wait for their
    time; `crashes` passes ended in an exception."""

    depth: int
    running: int
    longest_running: float
    unfinished: float
    scheduled: int
    crashes: int


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds and a way to be called at one; an asyncio event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer: ...


class Meter(Protocol):
    """What counts along, in seconds where it measures: keys that begin to wait, how long they did, how long their
    passes took, and keys that come back after a delay."""

    def added(self) -> None: ...

    def waited(self, seconds: float, /) -> None: ...

    def worked(self, seconds: float, /) -> None: ...

    def delayed(self) -> None: ...


class Queue(Protocol):
    """What the controller needs of a work queue."""

    def add(self, key: Key, lane: str, /) -> None: ...

    def add_after(self, key: Key, lane: str, delay: float, /) -> None: ...

    def forget(self, key: Key, /) -> None: ...

    def failures(self, key: Key, /) -> int: ...

    def stats(self) -> QueueStats: ...

    async def run(self, process: Callable[[Key], Awaitable[Result]], /) -> None: ...

    async def stop(self, grace: float, /) -> None: ...
