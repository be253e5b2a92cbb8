"""Another try, after a while (flux-compat E10)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from time import time

from ocisource.domain.access import Access
from ocisource.domain.errors import RegistryError
from ocisource.registry.limits import Limits

STATUSES = frozenset({408, 429, 499, 500, 502, 503, 504, 522})

# As long as objects wait at most between their tries.
LONGEST_PAUSE = 900.0

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]


class Retries:
    """The tries that one operation has left, whatever they are spent on."""

    def __init__(self, limits: Limits, sleep: Sleep) -> None:
        self._delays = list(limits.retry_delays)
        self._longest = limits.max_retry_after
        self._sleep = sleep

    async def another(self, retry_after: str = "") -> bool:
        """Waits and says True, or says False where no try is left, or where the registry asks for more patience
        than a pass should have: the object's own backoff has it. `retry_after` is the header's value."""
        asked = seconds(retry_after)
        if not self._delays or asked > self._longest:
            return False
        # Objects that failed together must not come back together.
        jitter = random.uniform(1.0, 1.1)  # noqa: S311 - spreads load, keeps no secret
        await self._sleep(max(self._delays.pop(0), asked) * jitter)
        return True


class Pauses:
    """Registries that asked for more patience than a pass has: until then they are left alone by everybody who comes
    with the same access, whatever the backoff of each object says."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._longest = limits.max_retry_after
        self._clock = clock
        self._until: dict[Access, float] = {}

    def note(self, access: Access, status: int, retry_after: str) -> None:
        """The registry itself answered so."""
        asked = min(seconds(retry_after), LONGEST_PAUSE)
        if status in STATUSES and asked > self._longest:
            now = self._clock()
            self._until = {one: until for one, until in self._until.items() if until > now}
            self._until[access.to_registry] = now + asked

    def check(self, access: Access) -> None:
        """Raises RegistryError while the registry is to be left alone."""
        if self._clock() < self._until.get(access.to_registry, 0.0):
            registry = access.repository.registry
            raise RegistryError(f"429 Too Many Requests: {registry} asked to come back later (Retry-After)", 429)


def seconds(retry_after: str) -> float:
    """The seconds of a Retry-After header (RFC 9110, 10.2.3), 0 where it says nothing."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
