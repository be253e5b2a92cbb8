"""Keys that wait for their time: one heap, and one timer for its earliest entry."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocisource.workqueue.contract import Clock, Key, Timer

COMPACT_FROM = 64
"""Below this many heap entries it is not worth to look for outdated ones."""


class Schedule:
    """Calls `ring(key)` for every key whose time has come, from `start` to `stop`. Each key is there at most once, and
    putting or dropping one is O(log n)."""

    def __init__(self, clock: Clock, ring: Callable[[Key], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._due: dict[Key, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._numbers = itertools.count(1)
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._running = False

    def __contains__(self, key: Key) -> bool:
        return key in self._due

    def __len__(self) -> int:
        return len(self._due)

    def due(self, key: Key) -> float | None:
        """When the key's time is, by the clock."""
        found = self._due.get(key)
        return found[0] if found else None

    def put(self, key: Key, due: float) -> None:
        """The key's time is `due`, or earlier if that was so already."""
        known = self._due.get(key)
        if known is not None and known[0] <= due:
            return
        self.drop(key)
        ticket = next(self._numbers)
        self._due[key] = due, ticket
        heapq.heappush(self._heap, (due, ticket, key))
        self._arm()

    def drop(self, key: Key) -> None:
        """The key has no time any more. Its entry stays in the heap until then, or until more than half of the heap is
        outdated."""
        if self._due.pop(key, None) is None:
            return
        if len(self._heap) > COMPACT_FROM and len(self._due) * 2 < len(self._heap):
            self._heap = [entry for entry in self._heap if self._valid(entry)]
            heapq.heapify(self._heap)

    def start(self) -> None:
        """Keys whose time came before are told now."""
        self._running = True
        self._arm()

    def stop(self) -> None:
        self._running = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _valid(self, entry: tuple[float, int, Key]) -> bool:
        found = self._due.get(entry[2])
        return found is not None and found[1] == entry[1]

    def _arm(self) -> None:
        """One timer, for the earliest entry."""
        if not self._running or not self._heap:
            return
        due = self._heap[0][0]
        if self._timer:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at, self._timer = due, self._clock.call_at(due, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self._clock.time()
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if self._valid(entry):
                del self._due[entry[2]]
                self._ring(entry[2])
        self._arm()
