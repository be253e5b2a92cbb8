"""Connections belong to whoever opened them (flux-compat J13)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ocisource.domain.access import Access, Credentials, Repository
from ocisource.domain.certificates import parse_certificates
from ocisource.domain.errors import RegistryError
from ocisource.domain.proxies import Proxy
from ocisource.registry.limits import Limits
from ocisource.registry.pools import FORGOTTEN_AFTER, Pools
from ocisource.registry.ways import Way

ALICE, BOB = Credentials("alice", "a"), Credentials("bob", "b")
STRAIGHT = Way()
ANYBODY = Access(Repository("registry.example.com", "team/app"))


def by(credentials: Credentials | None) -> Access:
    return replace(ANYBODY, credentials=credentials)


async def test_equal_access_shares_connections_whatever_the_repository():
    pools = Pools(Limits())
    elsewhere = replace(by(Credentials("alice", "a")), repository=Repository("registry.example.com", "other"))
    assert pools.session(by(ALICE), STRAIGHT) is pools.session(elsewhere, STRAIGHT)
    await pools.close()


async def test_what_differs_in_anything_else_shares_nothing():
    """Registry, credentials, certificates, proxy, and what is accepted of a server."""
    pools = Pools(Limits())
    pair = {
        "tls.crt": b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
        "tls.key": b"-----BEGIN PRIVATE KEY-----",
    }
    different = [
        ANYBODY,
        by(ALICE),
        by(BOB),
        replace(ANYBODY, insecure=True),
        replace(ANYBODY, tls=parse_certificates("team/tls", pair)),
        replace(ANYBODY, tls=parse_certificates("team/tls", pair | {"tls.key": b"-----BEGIN EC PRIVATE KEY-----"})),
        replace(ANYBODY, proxy=Proxy("http", "proxy.example.com", 3128)),
        replace(ANYBODY, proxy=Proxy("http", "proxy.example.com", 3128, "user", "one")),
        replace(ANYBODY, proxy=Proxy("http", "proxy.example.com", 3128, "user", "two")),
        replace(ANYBODY, repository=Repository("other.example.com", "team/app")),
    ]
    assert len({id(pools.session(one, STRAIGHT)) for one in different}) == len(different)
    await pools.close()


async def test_an_access_that_was_replaced_holds_no_connections_for_ever():
    now = [0.0]
    pools = Pools(Limits(), lambda: now[0])
    old, used = pools.session(by(ALICE), STRAIGHT), pools.session(ANYBODY, STRAIGHT)
    now[0] = FORGOTTEN_AFTER
    assert pools.session(ANYBODY, STRAIGHT) is used
    now[0] += 1

    pools.session(by(BOB), STRAIGHT)

    assert not used.closed
    assert pools.session(ANYBODY, STRAIGHT) is used
    assert pools.session(by(ALICE), STRAIGHT) is not old
    await pools.close()
    assert old.closed
    assert used.closed


async def test_two_users_of_one_registry_are_on_connections_of_their_own(registry, client, to):
    ports = set()

    async def note(request, proceed):
        ports.add((request.headers.get("Authorization", ""), request.transport.get_extra_info("peername")[1]))
        return await proceed()

    registry.push("team/app", "1.0.0", b"x")
    registry.auth, registry.users, registry.fault = "basic", {"alice": "a", "bob": "b"}, note
    for who in (ALICE, BOB, ALICE, BOB):
        await client.resolve(to(registry, "team/app", who), "1.0.0")
    by_port = {port: {header for header, of in ports if of == port and header} for _, port in ports}
    assert all(len(headers) <= 1 for headers in by_port.values())
    assert len({header for header, _ in ports if header}) == 2


async def test_nothing_is_opened_any_more_once_all_has_ended():
    """A task that was given up has a step or two left."""
    pools = Pools(Limits())
    opened = pools.session(ANYBODY, STRAIGHT)
    await pools.close()
    assert opened.closed
    for access in (ANYBODY, by(ALICE)):
        with pytest.raises(RegistryError, match="all connections have ended"):
            pools.session(access, STRAIGHT)
