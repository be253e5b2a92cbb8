"""Names that lead into the operator's own network (flux-compat E10): judged by the addresses that they resolve to."""

from __future__ import annotations

import asyncio
import os
import socket
import threading

import pytest

from devkit.ocifaults import redirect, when
from devkit.ocihttp import RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.errors import RegistryError
from ocisource.registry.errors import NoWay
from ocisource.registry.names import Names
from ocisource.registry.neighbourhood import Neighbourhood, Resolver

PUBLIC, PRIVATE, OTHER_PRIVATE = "8.8.8.8", "10.0.0.5", "192.168.1.6"
LOOPBACK, METADATA = "127.0.0.1", "169.254.169.254"
NEVER = (
    LOOPBACK,
    "127.0.0.2",
    METADATA,
    "0.0.0.0",
    "::1",
    "::",
    "fe80::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "224.0.0.1",
)


def seen_at(*sightings: set[str]) -> Neighbourhood:
    found = Neighbourhood("registry.example.com")
    for addresses in sightings:
        found.saw(frozenset(addresses))
    return found


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "64:ff9b::808:808"])
def test_the_public_is_open_to_everybody(address):
    for one in (seen_at(), seen_at({PUBLIC}), seen_at({PRIVATE}), Neighbourhood(LOOPBACK)):
        assert one.admits(address)


@pytest.mark.parametrize("address", [PRIVATE, OTHER_PRIVATE, "fd00::1", "100.64.0.1", "64:ff9b::a00:1", "2002:a00:1::"])
def test_a_private_network_is_open_to_those_who_are_in_one(address):
    assert seen_at({PRIVATE}).admits(address)
    assert seen_at({PRIVATE}, {OTHER_PRIVATE}).admits(address)
    assert Neighbourhood("10.0.0.5").admits(address)
    for one in (seen_at(), seen_at({PUBLIC}), seen_at({METADATA}), Neighbourhood(PUBLIC), Neighbourhood(LOOPBACK)):
        assert not one.admits(address)


def test_who_was_seen_in_public_is_not_believed_to_be_in_private():
    assert not seen_at({PUBLIC, PRIVATE}).admits(OTHER_PRIVATE)
    assert not seen_at({PUBLIC}, {PRIVATE}).admits(OTHER_PRIVATE)
    assert not seen_at({PRIVATE}, {PUBLIC}, {PRIVATE}).admits(OTHER_PRIVATE)


@pytest.mark.parametrize("address", NEVER)
def test_this_machine_and_its_link_are_open_to_nobody_else(address):
    for one in (seen_at(), seen_at({PUBLIC}), seen_at({PRIVATE}), seen_at({"127.0.0.9"})):
        assert not one.admits(address)


def test_the_registrys_own_address_is_open_under_any_name():
    assert seen_at({LOOPBACK}).admits(LOOPBACK)
    assert Neighbourhood(LOOPBACK).admits(LOOPBACK)
    assert seen_at({PUBLIC}, {PRIVATE}).admits(PRIVATE)


def test_a_machine_has_two_loopback_addresses_and_its_name_may_have_both():
    for one in (Neighbourhood(LOOPBACK), Neighbourhood("::1"), seen_at({LOOPBACK}), seen_at({"::1"})):
        assert one.admits(LOOPBACK)
        assert one.admits("::1")
        assert not one.admits("127.0.0.2")


def test_what_is_no_address_is_not_admitted():
    assert not seen_at({PRIVATE}).admits("name")


@pytest.fixture
def names(monkeypatch) -> dict[str, list[str]]:
    """Names that the system's resolver knows in this test, beside the usual ones."""
    known: dict[str, list[str]] = {}
    usual = socket.getaddrinfo

    def getaddrinfo(host, port, family=0, type=0, proto=0, flags=0):  # noqa: A002
        if host not in known:
            return usual(host, port, family, type, proto, flags)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return known


async def test_a_redirect_to_a_name_of_another_machine_within_is_refused(client, to, names):
    names.update({"registry.test": [LOOPBACK], "inside.test": ["127.0.0.2"], "mixed.test": [PUBLIC, METADATA]})
    async with RegistryServer() as registry:
        registry.push("team/app", "1", b"layer")
        port = registry.address.rpartition(":")[2]
        access = to(f"registry.test:{port}", insecure=True)
        assert await client.tags(access) == ("1",)
        for name, address in (("inside.test", "127.0.0.2"), ("mixed.test", METADATA)):
            registry.fault = when("/team/", redirect(f"http://{name}:{port}/x"))
            with pytest.raises(RegistryError) as caught:
                await client.tags(access)
            said = f"dial tcp: host '{name}' resolves to the private or link-local address {address}: refused"
            assert str(caught.value) == f'Get "http://{name}:{port}/x": {said}'


async def test_a_public_registry_with_storage_in_a_private_network_is_told_what_to_do(names):
    """J17."""
    names["storage.test"] = [PRIVATE]
    resolver = Resolver(Names(), seen_at({PUBLIC}), guarded=True)
    with pytest.raises(NoWay) as caught:
        await resolver.resolve("storage.test", 443)
    assert str(caught.value) == (
        f"dial tcp: host 'storage.test' resolves to the private or link-local address {PRIVATE}: refused, since the "
        "registry is at no private address itself (a proxy in spec.proxySecretRef may lead there)"
    )
    assert not caught.value.temporary
    await resolver.close()


async def test_a_redirect_to_another_name_of_the_registrys_machine_is_followed(client, to, names):
    names.update({"registry.test": [LOOPBACK], "storage.test": [LOOPBACK]})
    async with RegistryServer() as registry, RegistryServer() as storage:
        digest = storage.push("team/app", "1", b"layer")
        port = registry.address.rpartition(":")[2]
        registry.fault = when("/team/", redirect(f"http://storage.test:{storage.address.rpartition(':')[2]}{{path}}"))
        assert await client.resolve(to(f"registry.test:{port}", insecure=True), "1") == digest


async def test_names_that_nobody_answers_for_hold_up_nobody_else(registry, client, to, names, monkeypatch):
    """J6: neither another registry, nor whatever else is done beside the loop. A system gives up after half a
    minute."""
    gate, begun, usual = threading.Event(), set(), socket.getaddrinfo
    names["registry.test"] = [LOOPBACK]
    dead = [asyncio.create_task(client.tags(to(f"dead{number}.test:443"))) for number in range(64)]

    def getaddrinfo(host, port, **more):
        if host.startswith("dead"):
            begun.add(host)
            gate.wait(30)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return usual(host, port, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    registry.push("team/app", "1", b"layer")
    port = registry.address.rpartition(":")[2]
    try:
        async with asyncio.timeout(10):
            shared = min(32, (os.cpu_count() or 1) + 4)  # threads of a loop's own executor
            while len(begun) < shared:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(lambda: None)
            assert await client.tags(to(f"registry.test:{port}", insecure=True)) == ("1",)
    finally:
        gate.set()
    told = await asyncio.gather(*dead, return_exceptions=True)
    assert {str(error).partition(": ")[2] for error in told} == {
        f"dial tcp: lookup dead{number}.test: no such host" for number in range(64)
    }


async def test_credentials_go_to_no_token_server_whose_name_leads_within(client, to, names):
    names.update({"registry.test": [LOOPBACK], "auth.test": ["127.0.0.2"]})
    async with RegistryServer(auth="bearer", users={"u": "p"}) as registry:
        port = registry.address.rpartition(":")[2]
        registry.realm = f"http://auth.test:{port}/token"
        with pytest.raises(RegistryError, match=r"host 'auth\.test' resolves to the private or link-local address"):
            await client.resolve(to(f"registry.test:{port}", insecure=True, credentials=Credentials("u", "p")), "1")
        assert {one.authorization for one in registry.asked} == {""}
