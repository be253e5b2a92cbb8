"""Connections belong to whoever opened them (flux-compat J13)."""

from __future__ import annotations

from ocisource.domain.access import Credentials
from ocisource.registry.limits import Limits
from ocisource.registry.pools import FORGOTTEN_AFTER, Pools

ALICE, BOB = Credentials("alice", "a"), Credentials("bob", "b")


async def test_equal_credentials_share_connections_and_others_do_not():
    pools = Pools(Limits())
    assert pools.session(ALICE) is pools.session(Credentials("alice", "a"))
    assert len({id(pools.session(who)) for who in (ALICE, BOB, None)}) == 3
    await pools.close()


async def test_credentials_that_were_replaced_hold_no_connections_for_ever():
    now = [0.0]
    pools = Pools(Limits(), lambda: now[0])
    old, used = pools.session(ALICE), pools.session(None)
    now[0] = FORGOTTEN_AFTER
    assert pools.session(None) is used
    now[0] += 1

    pools.session(BOB)

    assert not used.closed
    assert pools.session(None) is used
    assert pools.session(ALICE) is not old
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
