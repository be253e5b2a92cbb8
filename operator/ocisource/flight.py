"""Work that several callers need at the same time is done once (design: shared work is shared)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Journey(Generic[Value]):
    task: asyncio.Task[Value]
    passengers: int = 0


class Flight(Generic[Key, Value]):
    """At most one piece of work per key is under way; whoever asks meanwhile waits for that one.

    The work belongs to no caller: one that is cancelled (its time is up) just leaves, and the others still get the
    answer. When the last one has left, the work is cancelled. An error reaches everybody who waits.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, _Journey[Value]] = {}

    async def join(self, key: Key, work: Callable[[], Awaitable[Value]]) -> Value:
        journey = self._under_way.get(key)
        if journey is None:
            journey = _Journey(asyncio.ensure_future(_run(work)))
            self._under_way[key] = journey
            journey.task.add_done_callback(lambda task: self._landed(key, task))
        journey.passengers += 1
        try:
            return await asyncio.shield(journey.task)
        finally:
            journey.passengers -= 1
            if journey.passengers == 0 and not journey.task.done():
                journey.task.cancel()
                self._forget(key, journey.task)

    def drop(self, key: Key) -> None:
        """What the work under way will bring is out of date: who asks from now on begins anew. Who waits already gets
        the old answer."""
        self._under_way.pop(key, None)

    def _landed(self, key: Key, task: asyncio.Task[Value]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # seen: with no passenger left nobody else would look at it

    def _forget(self, key: Key, task: asyncio.Task[Value]) -> None:
        journey = self._under_way.get(key)
        if journey is not None and journey.task is task:
            del self._under_way[key]


async def _run(work: Callable[[], Awaitable[Value]]) -> Value:
    return await work()
