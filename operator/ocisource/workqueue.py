"""Which object is worked on next: keys wait in lanes, run one pass at a time, and come back when they are due.

A key is in exactly one of these places: nowhere, waiting in its lane, running, or scheduled (in the heap). A lane
is a registry host. At most `lane_width` passes of a lane run at once and nothing bounds the lanes together, so a
registry that does not answer holds only the objects that use it. Every operation is O(log n) or better in the
number of keys.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ocisource.telemetry import about

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

Key = tuple[str, str]
"""Namespace and name of an object."""

COMPACT_FROM = 64
"""Below this many heap entries it is not worth to look for outdated ones."""


@dataclass(frozen=True)
class Result:
    """How a pass ended. `after` is in seconds: when the key is due again, None for not before something happens.
    A failed pass comes back by backoff and `after` is not looked at; any other pass clears the failures. `stalled`
    tells those that count why this one does not come back."""

    after: float | None = None
    failed: bool = False
    stalled: bool = False


@dataclass(frozen=True)
class QueueStats:
    """What metrics tell of the queue. `depth` keys wait for their lane, `running` passes run, the longest of them
    for `longest_running` seconds; `scheduled` keys wait for their time; `crashes` passes ended in an exception."""

    depth: int
    running: int
    longest_running: float
    scheduled: int
    crashes: int


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """Monotonic seconds and a way to be called at one; an asyncio event loop is one."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> Timer: ...


class Queue(Protocol):
    """What the controller needs of a work queue."""

    def add(self, key: Key, lane: str, /) -> None: ...

    def add_after(self, key: Key, lane: str, delay: float, /) -> None: ...

    def forget(self, key: Key, /) -> None: ...

    def failures(self, key: Key, /) -> int: ...

    def stats(self) -> QueueStats: ...

    async def run(self, process: Callable[[Key], Awaitable[Result]], /) -> None: ...

    async def stop(self, grace: float, /) -> None: ...


class _Item:
    """What is known of one key. `ticket` names its valid heap entry, `place` its valid lane entry; 0 is none."""

    __slots__ = ("again", "due", "failures", "gone", "lane", "place", "running", "ticket")

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.failures = 0
        self.due = 0.0
        self.ticket = 0
        self.place = 0
        self.running = False
        self.again = False
        self.gone = False


class _Lane:
    __slots__ = ("running", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[tuple[int, Key]] = deque()
        self.running = 0


class WorkQueue:
    """A `Queue` on the running event loop. Not thread-safe but for `stats`, which any thread may call.

    `backoff` tells the seconds to wait after that many failures in a row (from 1). `clock` is the event loop
    unless a test brings its own.
    """

    def __init__(self, backoff: Callable[[int], float], lane_width: int = 16, clock: Clock | None = None) -> None:
        self._backoff = backoff
        self._width = lane_width
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._items: dict[Key, _Item] = {}
        self._lanes: dict[str, _Lane] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._outdated = 0
        self._numbers = itertools.count(1)
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._depth = 0
        self._tasks: dict[Key, tuple[float, str, asyncio.Task[Result]]] = {}
        self._crashes = 0
        self._process: Callable[[Key], Awaitable[Result]] | None = None
        self._stopped = asyncio.Event()

    # What others ask for

    def add(self, key: Key, lane: str) -> None:
        """The key is due now. A key that waits is not added twice, one that runs is run once more afterwards.
        A waiting key that changed its lane goes to the end of the new one."""
        item = self._item(key, lane)
        self._unschedule(item)
        if item.running:
            item.again = True
        elif not item.place:
            self._enter(key, item)

    def add_after(self, key: Key, lane: str, delay: float) -> None:
        """The key is due in `delay` seconds, or earlier if it is already due earlier."""
        item = self._item(key, lane)
        if delay <= 0:
            self.add(key, lane)
        elif not item.place:
            self._schedule(key, item, self._clock.time() + delay)

    def forget(self, key: Key) -> None:
        """The object is gone: nothing of the key is kept. A pass that runs ends, and nothing follows it unless the
        key is added again."""
        item = self._items.get(key)
        if item is None:
            return
        self._unschedule(item)
        self._leave(item)
        item.failures, item.again, item.gone = 0, False, True
        self._drop_if_idle(key, item)

    def failures(self, key: Key) -> int:
        """Failed passes of the key in a row."""
        item = self._items.get(key)
        return item.failures if item else 0

    def stats(self) -> QueueStats:
        """The numbers of this moment, for any thread."""
        running = list(self._tasks.values())
        now = self._clock.time()
        longest = max((now - started for started, _, _ in running), default=0.0)
        scheduled = len(self._heap) - self._outdated
        return QueueStats(self._depth, len(running), longest, scheduled, self._crashes)

    async def run(self, process: Callable[[Key], Awaitable[Result]]) -> None:
        """Runs passes until `stop`. What was added before waits until now."""
        self._process = process
        for lane in list(self._lanes):
            self._fill(lane)
        self._arm()
        await self._stopped.wait()

    async def stop(self, grace: float) -> None:
        """Starts no pass any more, waits `grace` seconds for those that run, cancels the rest."""
        self._process = None
        if self._timer:
            self._timer.cancel()
            self._timer = None
        tasks = [task for _, _, task in self._tasks.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        self._stopped.set()

    # Lanes

    def _item(self, key: Key, lane: str) -> _Item:
        item = self._items.get(key)
        if item is None:
            item = self._items[key] = _Item(lane)
        elif item.lane != lane:
            waiting = bool(item.place)
            self._leave(item)
            item.lane = lane
            if waiting:
                self._enter(key, item)
        item.gone = False
        return item

    def _enter(self, key: Key, item: _Item) -> None:
        lane = self._lanes.get(item.lane)
        if lane is None:
            lane = self._lanes[item.lane] = _Lane()
        item.place = next(self._numbers)
        self._depth += 1
        lane.waiting.append((item.place, key))
        self._fill(item.lane)

    def _leave(self, item: _Item) -> None:
        """The entry stays in the lane and is passed over when its turn comes."""
        if item.place:
            item.place = 0
            self._depth -= 1

    def _fill(self, name: str) -> None:
        if self._process is None:
            return
        lane = self._lanes[name]
        while lane.waiting and lane.running < self._width:
            place, key = lane.waiting.popleft()
            item = self._items.get(key)
            if item is not None and item.place == place:
                self._leave(item)
                self._start(key, item, lane)
        if not lane.waiting and not lane.running:
            del self._lanes[name]

    # Passes

    def _start(self, key: Key, item: _Item, lane: _Lane) -> None:
        item.running = True
        lane.running += 1
        task = asyncio.create_task(self._pass(key), name=f"pass {key[0]}/{key[1]}")
        self._tasks[key] = (self._clock.time(), item.lane, task)
        task.add_done_callback(lambda done: self._finish(key, item, done))

    async def _pass(self, key: Key) -> Result:
        if self._process is None:  # stopped before the task got its turn
            return Result(after=0)
        return await self._process(key)

    def _finish(self, key: Key, item: _Item, task: asyncio.Task[Result]) -> None:
        _, name, _ = self._tasks.pop(key)
        item.running = False
        self._lanes[name].running -= 1
        result = self._result(key, task)
        again, item.again = item.again, False
        if not item.gone:
            item.failures = item.failures + 1 if result.failed else 0
            after = self._backoff(item.failures) if result.failed else result.after
            if again or (after is not None and after <= 0):
                self._unschedule(item)
                self._enter(key, item)
            elif after is not None:
                self._schedule(key, item, self._clock.time() + after)
        self._drop_if_idle(key, item)
        if name in self._lanes:
            self._fill(name)

    def _result(self, key: Key, task: asyncio.Task[Result]) -> Result:
        if task.cancelled():
            return Result(failed=True)
        error = task.exception()
        if error is None:
            return task.result()
        self._crashes += 1
        logger.error("the pass ended in an unexpected error; it will be retried", exc_info=error, extra=about(*key))
        return Result(failed=True)

    def _drop_if_idle(self, key: Key, item: _Item) -> None:
        if not (item.running or item.place or item.ticket or item.failures) and self._items.get(key) is item:
            del self._items[key]

    # Time

    def _schedule(self, key: Key, item: _Item, due: float) -> None:
        if item.ticket and item.due <= due:
            return
        self._unschedule(item)
        item.due, item.ticket = due, next(self._numbers)
        heapq.heappush(self._heap, (due, item.ticket, key))
        self._arm()

    def _unschedule(self, item: _Item) -> None:
        """The entry stays in the heap until its time, or until more than half of the heap is outdated."""
        if not item.ticket:
            return
        item.ticket = 0
        self._outdated += 1
        if len(self._heap) > COMPACT_FROM and self._outdated * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if self._valid(entry)]
            heapq.heapify(self._heap)
            self._outdated = 0

    def _valid(self, entry: tuple[float, int, Key]) -> bool:
        item = self._items.get(entry[2])
        return item is not None and item.ticket == entry[1]

    def _arm(self) -> None:
        """One timer, for the earliest entry."""
        if self._process is None or not self._heap:
            return
        due = self._heap[0][0]
        if self._timer:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at, self._timer = due, self._clock.call_at(due, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.time()
        while self._heap and self._heap[0][0] <= now:
            entry = heapq.heappop(self._heap)
            if not self._valid(entry):
                self._outdated -= 1
                continue
            item = self._items[entry[2]]
            item.ticket = 0
            if item.running:
                item.again = True
            else:
                self._enter(entry[2], item)
        self._arm()
