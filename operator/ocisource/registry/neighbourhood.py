"""Names may resolve to anywhere: addresses are judged as they are connected to (flux-compat E10).

A registry may send us elsewhere, by a redirect or to its token server, and what it names is often not its own. Such a
name must not lead into the network that the operator stands in, unless the registry itself is there.
"""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from ocisource.registry import places
from ocisource.registry.errors import NoWay
from ocisource.registry.names import Names

# Two addresses of one place: a name of this machine often has both.
_HERE = frozenset({"127.0.0.1", "::1"})


class Neighbourhood:
    """Where the registry of one host is, by the addresses that it was seen at."""

    def __init__(self, host: str) -> None:
        literal = places.literal(host)
        self._addresses = frozenset() if literal is None else _all(frozenset({str(literal)}))
        self._private = literal is not None and places.is_private_address(literal)
        self._seen = literal is not None

    def saw(self, addresses: frozenset[str]) -> None:
        """The host resolves to these. One that was ever seen in public is not in private for that it says so now."""
        self._addresses = _all(addresses)
        private = all(
            (found := places.literal(one)) is not None and places.is_private_address(found) for one in addresses
        )
        self._private = private and (self._private or not self._seen)
        self._seen = True

    def admits(self, address: str) -> bool:
        """Whether another name may lead there: to the public, to the registry's own addresses, and within a private
        network if the registry is in one. Never to loopback and link-local addresses that are not the registry's."""
        found = places.literal(address)
        if found is None:
            return False
        if places.is_public_address(found) or str(found) in self._addresses:
            return True
        return self._private and places.is_private_address(found)


def _hint(address: str) -> str:
    """What to do about a private address; nothing can be done about the others (flux-compat J17)."""
    found = places.literal(address)
    if found is None or not places.is_private_address(found):
        return ""
    return ", since the registry is at no private address itself (a proxy in spec.proxySecretRef may lead there)"


def _all(addresses: frozenset[str]) -> frozenset[str]:
    return addresses | _HERE if addresses & _HERE else addresses


class Resolver(AbstractResolver):
    """Looks `names` up. With `guarded` only addresses that the neighbourhood admits are given, and
    without, what is found is where the registry is."""

    def __init__(self, names: Names, neighbourhood: Neighbourhood, *, guarded: bool) -> None:
        self._names = names
        self._neighbourhood = neighbourhood
        self._guarded = guarded

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises NoWay where a name leads to addresses that are not admitted, only or among others."""
        found = await self._names.resolve(host, port, family)
        addresses = frozenset(one["host"].partition("%")[0] for one in found)
        if not self._guarded:
            self._neighbourhood.saw(addresses)
            return found
        refused = sorted(one for one in addresses if not self._neighbourhood.admits(one))
        if refused:
            told = f"dial tcp: host {host!r} resolves to the private or link-local address {refused[0]}: refused"
            raise NoWay(told + _hint(refused[0]), temporary=False)
        return found

    async def close(self) -> None:
        """The names are everybody's."""
