"""https or http: found out once for each registry that may be reached in clear (flux-compat E8, J5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from ocisource.domain.access import Access
from ocisource.flight import Flight
from ocisource.registry.errors import Unanswered
from ocisource.registry.places import may_be_plain

# How long https has before http is tried beside it.
HEAD_START_SECONDS = 0.3

# Whether something that speaks the scheme answers at that origin; raises Unanswered where nothing does.
Knock = Callable[[Access, str], Awaitable[bool]]


class Origins:
    """Remembers `https://host` or `http://host` for each registry. Credentials are never part of finding out."""

    def __init__(self, knock: Knock) -> None:
        self._knock = knock
        self._known: dict[Access, str] = {}
        self._flight: Flight[Access, str] = Flight()

    async def of(self, access: Access) -> str:
        """The origin to talk to. Raises Unanswered where neither scheme is answered."""
        registry = access.repository.registry
        if not may_be_plain(access):
            return f"https://{registry}"
        key = _key(access)
        if key not in self._known:
            self._known[key] = await self._flight.join(key, partial(self._find, access))
        return self._known[key]

    def forget(self, access: Access) -> None:
        """The registry could not be reached: it may come back with the other scheme."""
        self._known.pop(_key(access), None)

    async def _find(self, access: Access) -> str:
        registry = access.repository.registry
        https = asyncio.ensure_future(self._answers(access, f"https://{registry}"))
        http: asyncio.Future[str] | None = None
        try:
            await asyncio.wait({https}, timeout=HEAD_START_SECONDS)
            if https.done() and https.exception() is None:
                return https.result()
            http = asyncio.ensure_future(self._answers(access, f"http://{registry}"))
            return await _first(https, http)
        finally:
            begun = [task for task in (https, http) if task is not None]
            for task in begun:
                task.cancel()
            await asyncio.gather(*begun, return_exceptions=True)  # also of one that has failed, and nobody looked

    async def _answers(self, access: Access, origin: str) -> str:
        if not await self._knock(access, origin):
            raise Unanswered(f'Get "{origin}/v2/": the server there does not speak plain HTTP', temporary=False)
        return origin


def _key(access: Access) -> Access:
    """What finding out depends on: certificates and proxies, but nobody's credentials."""
    return replace(access.to_registry, credentials=None)


async def _first(https: asyncio.Future[str], http: asyncio.Future[str]) -> str:
    """The first success; where both fail, an error that tells both reasons."""
    pending = {https, http}
    while pending:
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        for task in (https, http):
            if task in done and task.exception() is None:
                return task.result()
    errors = [https.exception(), http.exception()]
    temporary = any(isinstance(error, Unanswered) and error.temporary for error in errors)
    raise Unanswered("; ".join(str(error) for error in errors), temporary=temporary)
