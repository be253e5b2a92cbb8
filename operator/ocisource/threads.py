"""Blocking work beside the loop, for what knows no other and may take long: it holds no one else's."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

V = TypeVar("V")


class Threads:
    """At most `most` pieces of work at a time, each in a thread of its own, called `name`: one that is not answered
    holds no one else's, and the process ends without it."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._places = asyncio.Semaphore(most)

    async def run(self, work: Callable[[], V]) -> V:
        """What the work returns or raises. Whoever is cancelled just leaves: a thread ends when it ends."""
        await self._places.acquire()
        outcome: Future[V] = Future()
        outcome.set_running_or_notify_cancel()
        done = asyncio.wrap_future(outcome)
        done.add_done_callback(self._ended)
        try:
            threading.Thread(target=_settle, args=(outcome, work), name=self._name, daemon=True).start()
        except RuntimeError as error:  # the system has no thread left: that is this work's end, not the place's
            outcome.set_exception(error)
        return await asyncio.shield(done)

    def _ended(self, done: asyncio.Future[V]) -> None:
        self._places.release()
        if not done.cancelled():
            done.exception()  # seen: nobody may be waiting any more


def _settle(outcome: Future[V], work: Callable[[], V]) -> None:
    try:
        outcome.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited, whatever it is
        outcome.set_exception(error)
