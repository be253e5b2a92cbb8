"""A queue of things to send in the background: whoever puts something in never waits."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Outbox(Generic[T]):
    """Sends what it is given, several things at a time in `lanes`: things with the same key go one after the other, in
    order. When `size` things wait in a lane, the newest is dropped and counted. `what` names the things in the log."""

    def __init__(self, what: str, send: Callable[[T], Awaitable[None]], size: int, lanes: int = 1) -> None:
        self._what = what
        self._send = send
        self._lanes: list[asyncio.Queue[T]] = [asyncio.Queue(size) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []
        self.dropped = 0

    def put(self, thing: T, key: str = "") -> None:
        lane = self._lanes[hash(key) % len(self._lanes)]
        try:
            lane.put_nowait(thing)
        except asyncio.QueueFull:
            self.dropped += 1
            if self.dropped.bit_count() == 1:  # 1, 2, 4, 8…: a flood of drops is no flood of log lines
                logger.warning("%s cannot be sent as fast as they come; %d dropped", self._what, self.dropped)

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._run(lane), name=f"outbox of {self._what}, lane {number}")
            for number, lane in enumerate(self._lanes)
        ]

    async def stop(self, within: float) -> None:
        """Sends what waits for at most `within` seconds, then gives up on the rest."""
        tasks, self._tasks = self._tasks, []
        if not tasks:
            return
        drained = asyncio.gather(*(lane.join() for lane in self._lanes))
        ends: set[asyncio.Future[Any]] = {drained, *tasks}
        try:
            await asyncio.wait(ends, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(drained, *tasks, return_exceptions=True)

    async def _run(self, lane: asyncio.Queue[T]) -> None:
        while True:
            thing = await lane.get()
            try:
                await self._send(thing)
            except Exception as error:  # noqa: BLE001 - what is told in the background must not end the telling
                logger.error("%s: one could not be sent: %s", self._what, error)  # noqa: TRY400 - the text is enough
            finally:
                lane.task_done()
