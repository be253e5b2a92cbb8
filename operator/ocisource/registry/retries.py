"""Another try, after a while (flux-compat E10)."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime
from time import time

from ocisource.registry.limits import Limits

STATUSES = frozenset({408, 429, 499, 500, 502, 503, 504, 522})

Sleep = Callable[[float], Awaitable[None]]


class Retries:
    """The tries that one operation has left, whatever they are spent on."""

    def __init__(self, limits: Limits, sleep: Sleep) -> None:
        self._delays = list(limits.retry_delays)
        self._longest = limits.max_retry_after
        self._sleep = sleep

    async def another(self, retry_after: str = "") -> bool:
        """Waits and says True, or says False where no try is left, or where the registry asks for more patience
        than a pass should have: the object's own backoff has it. `retry_after` is the header's value."""
        asked = _seconds(retry_after)
        if not self._delays or asked > self._longest:
            return False
        # Objects that failed together must not come back together.
        jitter = random.uniform(1.0, 1.1)  # noqa: S311 - spreads load, keeps no secret
        await self._sleep(max(self._delays.pop(0) * jitter, asked))
        return True


def _seconds(retry_after: str) -> float:
    """The seconds of a Retry-After header (RFC 9110, 10.2.3), 0 where it says nothing."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(parsedate_to_datetime(text).timestamp() - time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0
