"""Connections, pooled for each access to a registry: what one user opened, no other one uses (flux-compat J13)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import aiohttp

from ocisource.domain.access import Access
from ocisource.domain.errors import RegistryError
from ocisource.registry import places
from ocisource.registry.limits import Limits
from ocisource.registry.names import Names
from ocisource.registry.neighbourhood import Neighbourhood, Resolver
from ocisource.registry.ways import Way

_READ_BUFFER = 256 * 1024
_KEEP_ALIVE_SECONDS = 60.0
_HEADER_BYTES = 32 * 1024

# An access that nobody had for so long was replaced; its last request ended long ago.
FORGOTTEN_AFTER = 3600.0


@dataclass
class _Pool:
    """The sessions of one access to a registry, one for each way that requests take."""

    neighbourhood: Neighbourhood
    used: float
    sessions: dict[Way, aiohttp.ClientSession] = field(default_factory=dict)

    async def close(self) -> None:
        await asyncio.gather(*(session.close() for session in self.sessions.values()))


class Pools:
    """Sessions for each access to a registry, opened in the running loop when first needed."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._names = Names()
        self._pools: OrderedDict[Access, _Pool] = OrderedDict()  # the one not used for longest first
        self._closing: set[asyncio.Task[None]] = set()
        self._ended = False

    def session(self, access: Access, way: Way) -> aiohttp.ClientSession:
        """The session to send a request of this access on. Raises RegistryError where the registry's name is none, and
        after `close`: who was given up then has a step or two left, and nobody would end what it opens."""
        if self._ended:
            raise RegistryError("all connections have ended")
        now = self._clock()
        registry = access.to_registry
        pool = self._pools.get(registry)
        if pool is None:
            self._forget(now)
            pool = self._pools[registry] = _Pool(Neighbourhood(places.own_host(access)), now)
        pool.used = now
        self._pools.move_to_end(registry)
        if way not in pool.sessions:
            pool.sessions[way] = self._opened(way, pool.neighbourhood)
        return pool.sessions[way]

    async def close(self) -> None:
        """Ends every connection."""
        self._ended = True
        pools = list(self._pools.values())
        self._pools.clear()
        await asyncio.gather(*(pool.close() for pool in pools), *self._closing)

    def _forget(self, now: float) -> None:
        while self._pools and now - next(iter(self._pools.values())).used > FORGOTTEN_AFTER:
            task = asyncio.ensure_future(self._pools.popitem(last=False)[1].close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _opened(self, way: Way, neighbourhood: Neighbourhood) -> aiohttp.ClientSession:
        limits = self._limits
        return aiohttp.ClientSession(
            connector=self._connector(
                way,
                neighbourhood,
                limit=0,
                limit_per_host=limits.connections_per_host,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
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

    def _connector(self, way: Way, neighbourhood: Neighbourhood, **settings: Any) -> aiohttp.TCPConnector:
        if way.is_socks and way.proxy is not None:
            from ocisource.registry import socks  # noqa: PLC0415 - a library that few need

            return socks.connector(way.proxy, **settings)
        straight = Resolver(self._names, neighbourhood, guarded=way.guarded)
        return aiohttp.TCPConnector(resolver=self._names if way.proxy else straight, **settings)
