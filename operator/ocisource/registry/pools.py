"""Connections, pooled for each credentials: what one user opened, no other one uses (flux-compat J13)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import aiohttp

from ocisource.domain.access import Credentials
from ocisource.registry.limits import Limits

_READ_BUFFER = 256 * 1024
_KEEP_ALIVE_SECONDS = 60.0
_HEADER_BYTES = 32 * 1024

# Credentials that nobody showed for so long were replaced; their last request ended long ago.
FORGOTTEN_AFTER = 3600.0


@dataclass
class _Pool:
    session: aiohttp.ClientSession
    used: float


class Pools:
    """One session for each credentials (None: anonymous), opened in the running loop when first needed."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._pools: dict[Credentials | None, _Pool] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def session(self, credentials: Credentials | None) -> aiohttp.ClientSession:
        """The session to send a request on that shows these credentials."""
        now = self._clock()
        pool = self._pools.get(credentials)
        if pool is None:
            self._forget(now)
            pool = self._pools[credentials] = _Pool(self._opened(), now)
        pool.used = now
        return pool.session

    async def close(self) -> None:
        """Ends every connection."""
        pools, self._pools = self._pools, {}
        await asyncio.gather(*(pool.session.close() for pool in pools.values()), *self._closing)

    def _forget(self, now: float) -> None:
        over = [credentials for credentials, pool in self._pools.items() if now - pool.used > FORGOTTEN_AFTER]
        for credentials in over:
            task = asyncio.ensure_future(self._pools.pop(credentials).session.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _opened(self) -> aiohttp.ClientSession:
        limits = self._limits
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, limit_per_host=limits.connections_per_host, keepalive_timeout=_KEEP_ALIVE_SECONDS
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_seconds),
            # Digests are of the bytes as stored: nothing may be compressed on the way or unpacked on arrival.
            headers={"User-Agent": limits.user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=_READ_BUFFER,
            max_line_size=_HEADER_BYTES,
            max_field_size=_HEADER_BYTES,
        )
