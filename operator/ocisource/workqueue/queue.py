"""Which object is worked on next: keys wait in lanes, run one pass at a time, and come back when they are due.

A key is in exactly one of these places: nowhere, waiting in its lane, running, or scheduled (in the heap). A lane
is a registry host. At most `lane_width` passes of a lane run at once and nothing bounds the lanes together, so a
registry that does not answer holds only the objects that use it. Every operation is O(log n) or better in the
number of keys.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from typing import TYPE_CHECKING, Any

from ocisource.telemetry import about
from ocisource.workqueue.contract import Clock, Key, Meter, QueueStats, Result
from ocisource.workqueue.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)


class _Item:
    """What is known of one key. `place` names its valid lane entry, 0 is none; it waits there since `since`."""

    __slots__ = ("again", "failures", "gone", "lane", "place", "running", "since")

    def __init__(self, lane: str) -> None:
        self.lane = lane
        self.failures = 0
        self.place = 0
        self.since = 0.0
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

    def __init__(
        self,
        backoff: Callable[[int], float],
        lane_width: int = 16,
        clock: Clock | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._backoff = backoff
        self._width = lane_width
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._items: dict[Key, _Item] = {}
        self._lanes: dict[str, _Lane] = {}
        self._meter = meter
        self._schedule = Schedule(self._clock, self._ring)
        self._numbers = itertools.count(1)
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
        self._schedule.drop(key)
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
            self._delay(key, delay)

    def forget(self, key: Key) -> None:
        """The object is gone: nothing of the key is kept. A pass that runs ends, and nothing follows it unless the
        key is added again."""
        item = self._items.get(key)
        if item is None:
            return
        self._schedule.drop(key)
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
        ages = [now - started for started, _, _ in running]
        longest = max(ages, default=0.0)
        return QueueStats(self._depth, len(running), longest, sum(ages), len(self._schedule), self._crashes)

    def report(self) -> dict[str, Any]:
        """Every key and where it is, for people: in the order of waiting, of running, of coming back."""
        now = self._clock.time()
        waiting = sorted((item.place, key, item) for key, item in self._items.items() if item.place)
        running = sorted((started, key, lane) for key, (started, lane, _) in self._tasks.items())
        due = sorted((due, key) for key in self._items if (due := self._schedule.due(key)) is not None)
        return {
            "lanes": {name or "(none)": lane.running for name, lane in sorted(self._lanes.items())},
            "waiting": [
                {"object": "/".join(key), "lane": item.lane, "seconds": round(now - item.since, 3)}
                for _, key, item in waiting
            ],
            "running": [
                {"object": "/".join(key), "lane": lane, "seconds": round(now - started, 3)}
                for started, key, lane in running
            ],
            "scheduled": [
                {"object": "/".join(key), "in": round(when - now, 3), "failures": self._items[key].failures}
                for when, key in due
            ],
        }

    async def run(self, process: Callable[[Key], Awaitable[Result]]) -> None:
        """Runs passes until `stop`. What was added before waits until now."""
        self._process = process
        for lane in list(self._lanes):
            self._fill(lane)
        self._schedule.start()
        await self._stopped.wait()

    async def stop(self, grace: float) -> None:
        """Starts no pass any more, waits `grace` seconds for those that run, cancels the rest."""
        self._process = None
        self._schedule.stop()
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
        item.place, item.since = next(self._numbers), self._clock.time()
        self._depth += 1
        if self._meter:
            self._meter.added()
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
        if self._meter:
            self._meter.waited(self._clock.time() - item.since)
        task = asyncio.create_task(self._pass(key), name=f"pass {key[0]}/{key[1]}")
        self._tasks[key] = (self._clock.time(), item.lane, task)
        task.add_done_callback(lambda done: self._finish(key, item, done))

    async def _pass(self, key: Key) -> Result:
        if self._process is None:  # stopped before the task got its turn
            return Result(after=0)
        return await self._process(key)

    def _finish(self, key: Key, item: _Item, task: asyncio.Task[Result]) -> None:
        started, name, _ = self._tasks.pop(key)
        if self._meter:
            self._meter.worked(self._clock.time() - started)
        item.running = False
        self._lanes[name].running -= 1
        result = self._result(key, task)
        again, item.again = item.again, False
        if not item.gone:
            item.failures = item.failures + 1 if result.failed else 0
            after = self._backoff(item.failures) if result.failed else result.after
            if again or (after is not None and after <= 0):
                self._schedule.drop(key)
                self._enter(key, item)
            elif after is not None:
                self._delay(key, after)
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
        if not (item.running or item.place or key in self._schedule or item.failures) and self._items.get(key) is item:
            del self._items[key]

    # Time

    def _delay(self, key: Key, seconds: float) -> None:
        self._schedule.put(key, self._clock.time() + seconds)
        if self._meter:
            self._meter.delayed()

    def _ring(self, key: Key) -> None:
        item = self._items[key]
        if item.running:
            item.again = True
        else:
            self._enter(key, item)
