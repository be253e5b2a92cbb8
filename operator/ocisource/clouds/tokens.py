"""Credentials of clouds, kept while they are good: one call to a cloud for each identity and place, whoever asks
(flux-compat E6, G8)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from ocisource.domain.access import Credentials

LONGEST = 3600.0
"""Seconds; nothing is kept longer, whatever the flag says."""


@dataclass(frozen=True)
class Token:
    """Credentials, and until when they are good in Unix seconds."""

    credentials: Credentials
    expires: float


@dataclass(frozen=True)
class Asker:
    """Everything that what a cloud answers depends on. Equal ones get the same answer, and no others do."""

    provider: str
    place: str
    namespace: str = ""
    account: str = ""
    identity: str = ""
    audience: str = ""
    proxy: str = field(default="", repr=False)


Happening = Literal["hit", "miss", "success", "failure", "eviction"]
"""What happens with tokens: one is there, or is not; a question is answered, or is not; one makes room for another."""

Note = Callable[[Happening], None]


class Tokens:
    """At most `size` tokens (0: none are kept), each for four fifths of the time that it is good, at most `longest`
    seconds. `clock` gives Unix seconds.

    A question that is on its way is not asked again. It belongs to no pass: one whose time is up just leaves, and the
    next one finds the answer.
    """

    def __init__(self, size: int, longest: float, clock: Callable[[], float], note: Note) -> None:
        self._size = size
        self._longest = min(longest, LONGEST)
        self._clock = clock
        self._note = note
        self._kept: OrderedDict[Asker, tuple[Credentials, float]] = OrderedDict()
        self._asking: dict[Asker, asyncio.Task[Credentials]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    async def get(self, asker: Asker, ask: Callable[[], Awaitable[Token]]) -> Credentials:
        """The credentials that are kept, or else those of `ask`. What that raises, everybody who waits gets."""
        found = self._kept.get(asker)
        if found is not None and self._clock() < found[1]:
            self._kept.move_to_end(asker)
            self._note("hit")
            return found[0]
        task = self._asking.get(asker)
        if task is None:
            self._note("miss")
            task = self._asking[asker] = asyncio.ensure_future(self._asked(asker, ask))
            task.add_done_callback(lambda done: self._answered(asker, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Nobody waits for an answer any more."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _asked(self, asker: Asker, ask: Callable[[], Awaitable[Token]]) -> Credentials:
        began = self._clock()
        token = await ask()
        self._keep(asker, token.credentials, began + min((token.expires - began) * 0.8, self._longest))
        return token.credentials

    def _answered(self, asker: Asker, task: asyncio.Task[Credentials]) -> None:
        del self._asking[asker]
        if not task.cancelled():
            self._note("success" if task.exception() is None else "failure")

    def _keep(self, asker: Asker, credentials: Credentials, until: float) -> None:
        self._kept.pop(asker, None)
        if not self._size:
            return
        self._kept[asker] = (credentials, until)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
            self._note("eviction")
