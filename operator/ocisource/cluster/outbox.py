"""A queue of things to send in the background: whoever puts something in never waits."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Outbox(Generic[T]):
    """Sends what it is given, in order, one at a time. When `size` things wait, the newest is dropped and counted.
    `what` names the things in the log."""

    def __init__(self, what: str, send: Callable[[T], Awaitable[None]], size: int) -> None:
        self._what = what
        self._send = send
        self._waiting: asyncio.Queue[T] = asyncio.Queue(size)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0

    def put(self, thing: T) -> None:
        try:
            self._waiting.put_nowait(thing)
        except asyncio.QueueFull:
            self.dropped += 1
            if self.dropped.bit_count() == 1:  # 1, 2, 4, 8…: a flood of drops is no flood of log lines
                logger.warning("%s cannot be sent as fast as they come; %d dropped", self._what, self.dropped)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"outbox of {self._what}")

    async def stop(self, within: float) -> None:
        """Sends what waits for at most `within` seconds, then gives up on the rest."""
        if self._task is None:
            return
        drained = asyncio.ensure_future(self._waiting.join())
        try:
            await asyncio.wait({drained, self._task}, timeout=within, return_when=asyncio.FIRST_COMPLETED)
        finally:
            drained.cancel()
            self._task.cancel()
            await asyncio.gather(drained, self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        while True:
            thing = await self._waiting.get()
            try:
                await self._send(thing)
            except Exception as error:  # noqa: BLE001 - what is told in the background must not end the telling
                logger.error("%s: one could not be sent: %s", self._what, error)  # noqa: TRY400 - the text is enough
            finally:
                self._waiting.task_done()
