"""Names of hosts → addresses, as the system finds them.

It may take half a minute until the system gives up on a name that nobody answers for, so look-ups have threads of their
own: in those that everybody shares, a few dead names would hold up the passes of all other objects (flux-compat J6).
"""

from __future__ import annotations

import socket
from functools import partial

from aiohttp.abc import AbstractResolver, ResolveResult

from ocisource.threads import Threads

LOOKUPS = 128
"""Names that are looked up at a time."""


class Names(AbstractResolver):
    """A resolver for aiohttp that many connectors may share. It closes nothing, since it keeps nothing."""

    def __init__(self) -> None:
        self._threads = Threads("name", LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where the name leads nowhere."""
        return await self._threads.run(partial(_addresses, host, port, family))

    async def close(self) -> None:
        """Whoever waits for an answer is a pass of its own, and ends by itself."""


def _addresses(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    numeric = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    return [
        ResolveResult(
            hostname=host,
            # With the interface of a link-local address, which the address alone does not tell.
            host=socket.getnameinfo(address, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0],
            port=int(address[1]),
            family=kind,
            proto=protocol,
            flags=numeric,
        )
        for kind, _, protocol, _, address in found
    ]
