"""Real proxies: HTTP in clear and by tunnel, with and without TLS of their own, SOCKS5; those of an object, and those
of the environment (flux-compat E9)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from devkit.certificates import Authority
from devkit.ocifaults import answer, chain, redirect, when
from devkit.ocihttp import RegistryServer
from devkit.proxies import ForwardProxy, SocksProxy
from ocisource.domain.access import Credentials
from ocisource.domain.certificates import parse_certificates
from ocisource.domain.errors import RegistryError
from ocisource.domain.proxies import Proxy, parse_proxy, read_environment
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import Limits

OURS = Authority("ours")
TLS = parse_certificates("team/tls", {"ca.crt": OURS.pem})
USER = Credentials("u", "p")
BOB = ("bob", "bu:ilder")
NAMES = ("registry.test", "auth.test", "storage.test")
"""Names that no resolver knows: only a proxy does."""


def through(server: ForwardProxy | SocksProxy, scheme: str = "http", user: tuple[str, str] | None = BOB) -> Proxy:
    data = {"address": f"{scheme}://127.0.0.1:{server.port}".encode()}
    if user is not None:
        data |= {"username": user[0].encode(), "password": user[1].encode()}
    return parse_proxy("team/proxy", data)


def known(registry: RegistryServer, *names: str, port: int = 443) -> dict[str, str]:
    return {f"{name}:{port}": registry.address for name in names}


@pytest.fixture
async def secure() -> AsyncIterator[RegistryServer]:
    async with RegistryServer(auth="bearer", users={"u": "p"}, tls=OURS.server_context(*NAMES)) as registry:
        registry.realm = "https://auth.test/token"
        yield registry


async def test_requests_in_clear_are_the_proxys_to_read_and_each_shows_the_password(client, to):
    async with (
        RegistryServer() as registry,
        ForwardProxy(user=BOB, hosts=known(registry, "registry.test", port=80)) as p,
    ):
        digest = registry.push("team/app", "1", b"layer")
        access = to("registry.test", insecure=True, proxy=through(p))
        assert await client.tags(access) == ("1",)
        assert await client.resolve(access, "1") == digest
    lines = [one.line for one in p.passed if one.kind != "CONNECT"]
    assert lines == [
        "GET http://registry.test/v2/ HTTP/1.1",  # which scheme it speaks
        "GET http://registry.test/v2/ HTTP/1.1",  # how it wants to be asked
        "GET http://registry.test/v2/team/app/tags/list?n=1000 HTTP/1.1",
        "HEAD http://registry.test/v2/team/app/manifests/1 HTTP/1.1",
    ]
    assert all("Proxy-Authorization" not in one.headers for one in registry.asked)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_everything_goes_through_tunnels_and_the_proxy_sees_nothing_of_it(client, secure, to, spool, scheme):
    """Tags, tokens and a blob from where the registry sends us. Names are the proxy's to resolve."""
    own = OURS.server_context() if scheme == "https" else None
    async with ForwardProxy(user=BOB, hosts=known(secure, *NAMES), tls=own) as proxy:
        digest = secure.push("team/app", "1", b"layer")
        blobs = when("/blobs/", redirect("https://storage.test/elsewhere"))
        secure.fault = chain(blobs, when("/elsewhere", answer(200, "layer")))
        access = to("registry.test", credentials=USER, tls=TLS, proxy=through(proxy, scheme))
        assert await client.tags(access) == ("1",)
        await client.blob(access, (await client.manifest(access, digest)).layers[0], spool)
        assert bytes(spool.content) == b"layer"
        assert sorted(set(proxy.let)) == [f"CONNECT {name}:443" for name in sorted(NAMES)]
        assert all("authorization" not in one.headers for one in proxy.passed)
        assert all("Proxy-Authorization" not in one.headers for one in secure.asked)
        await client.close()


async def test_an_https_proxy_reads_requests_in_clear(client, to):
    async with RegistryServer() as registry, ForwardProxy(tls=OURS.server_context()) as proxy:
        digest = registry.push("team/app", "1", b"layer")
        access = to(registry, tls=TLS, proxy=through(proxy, "https", None))
        assert await client.resolve(access, "1") == digest
        assert f"HEAD {registry.address}" in proxy.let


@pytest.mark.parametrize("user", [None, BOB])
async def test_socks_carries_both_schemes_and_resolves_the_names(client, to, secure, user):
    async with RegistryServer() as plain:
        hosts = known(secure, *NAMES) | known(plain, "plain.test", port=80)
        async with SocksProxy(user=user, hosts=hosts) as proxy:
            digest = secure.push("team/app", "1", b"layer")
            plain.push("team/app", "1", b"layer")
            way = through(proxy, "socks5", user)
            assert await client.resolve(to("registry.test", credentials=USER, tls=TLS, proxy=way), "1") == digest
            assert await client.resolve(to("plain.test", insecure=True, proxy=way), "1") == digest
            assert set(proxy.let) >= {"SOCKS registry.test:443", "SOCKS auth.test:443", "SOCKS plain.test:80"}
            await client.close()


@pytest.mark.parametrize(("server", "scheme"), [(ForwardProxy, "http"), (SocksProxy, "socks5")])
async def test_a_wrong_password_is_told_once_and_gets_nowhere(client, to, secure, server, scheme):
    async with server(user=BOB, hosts=known(secure, *NAMES)) as proxy:
        for user in (("bob", "hush"), None):
            proxy.passed.clear()
            with pytest.raises(RegistryError) as caught:
                await client.tags(to("registry.test", tls=TLS, proxy=through(proxy, scheme, user)))
            message = str(caught.value)
            assert message.startswith('Get "https://registry.test/v2/": ')
            assert "proxyconnect tcp: 407 Proxy Authentication Required" in message or "socks connect: " in message
            assert "hush" not in message
            assert len(proxy.passed) == 1
            assert proxy.let == []
    assert secure.asked == []


@pytest.mark.parametrize("password", ["hushä", "hush" * 64])
async def test_what_socks_cannot_carry_is_told_without_showing_it(client, to, password):
    access = to("registry.test", proxy=Proxy("socks5", "127.0.0.1", 1080, "bob", password))
    with pytest.raises(RegistryError) as caught:
        await client.tags(access)
    said = "the password must be ASCII, of at most 255 characters"
    assert str(caught.value) == f"socks connect: socks5://127.0.0.1:1080: {said}"


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_a_proxy_that_is_not_there_is_named(client, to, scheme):
    access = to("registry.test", proxy=Proxy(scheme, "127.0.0.1", 1, "bob", "hush"))
    with pytest.raises(RegistryError) as caught:
        await client.tags(access)
    assert str(caught.value).endswith("dial tcp 127.0.0.1:1: connect: connection refused")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https", "socks5"])
async def test_a_proxy_whose_name_leads_nowhere_is_named(client, to, scheme):
    access = to("registry.test", proxy=Proxy(scheme, "nowhere.invalid", 1080, "bob", "hush"))
    with pytest.raises(RegistryError, match=r"dial tcp: lookup nowhere\.invalid: (no such host|temporary failure)$"):
        await client.tags(access)


@pytest.mark.parametrize(("server", "scheme"), [(ForwardProxy, "http"), (SocksProxy, "socks5")])
async def test_a_registry_that_the_proxy_does_not_reach_is_tried_again(client, to, server, scheme):
    async with server(hosts={"registry.test:443": "127.0.0.1:1"}) as proxy:
        with pytest.raises(RegistryError, match=r'Get "https://registry\.test/v2/.*": (proxyconnect|socks connect)'):
            await client.tags(to("registry.test", proxy=through(proxy, scheme, None)))
        assert len(proxy.passed) == 3


async def test_a_proxys_refusal_is_not_taken_for_the_registrys_answer(client, to):
    """With `insecure`: is it https or http that the registry speaks? Neither, says who does not let us ask."""
    async with ForwardProxy(user=BOB) as proxy:
        with pytest.raises(RegistryError, match="407 Proxy Authentication Required"):
            await client.tags(to("registry.test", insecure=True, proxy=through(proxy, user=None)))


@pytest.mark.parametrize(("server", "scheme"), [(ForwardProxy, "http"), (SocksProxy, "socks5")])
async def test_the_registrys_certificate_counts_behind_a_proxy_too(client, to, secure, server, scheme):
    async with server(hosts=known(secure, "registry.test", "another.test")) as proxy:
        for name, tls in (("registry.test", None), ("another.test", TLS)):
            with pytest.raises(RegistryError, match="tls: failed to verify certificate"):
                await client.tags(to(name, tls=tls, proxy=through(proxy, scheme, None)))
    assert secure.asked == []


async def test_the_proxy_of_an_object_knows_no_exceptions(registry, to):
    """Loopback, and NO_PROXY of the environment."""
    environment = read_environment({"NO_PROXY": "*"})
    client = OCIRegistry(Limits(), environment=environment)
    async with ForwardProxy() as proxy:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, proxy=through(proxy, user=None)), "1") == digest
        assert f"HEAD {registry.address}" in proxy.let
        await client.close()


Environment = Callable[[Mapping[str, str]], OCIRegistry]


@pytest.fixture
async def within() -> AsyncIterator[Environment]:
    """within(variables): a client in that environment."""
    made: list[OCIRegistry] = []

    def client(variables: Mapping[str, str]) -> OCIRegistry:
        made.append(OCIRegistry(Limits(retry_delays=()), environment=read_environment(variables)))
        return made[-1]

    yield client
    for one in made:
        await one.close()


async def test_the_proxies_of_the_environment_are_for_those_who_have_none(within, to, secure):
    hosts = known(secure, *NAMES)
    async with ForwardProxy(user=BOB, hosts=hosts) as theirs, ForwardProxy(hosts=hosts) as own:
        client = within({"https_proxy": f"http://bob:bu%3Ailder@127.0.0.1:{theirs.port}"})
        digest = secure.push("team/app", "1", b"layer")
        assert await client.resolve(to("registry.test", credentials=USER, tls=TLS), "1") == digest
        assert sorted(set(theirs.let)) == ["CONNECT auth.test:443", "CONNECT registry.test:443"]
        theirs.passed.clear()
        access = to("registry.test", credentials=USER, tls=TLS, proxy=through(own, user=None))
        assert await client.resolve(access, "1") == digest
        assert (theirs.let, len(own.let) > 0) == ([], True)
        await client.close()


async def test_loopback_and_exceptions_go_straight(within, to, registry):
    digest = registry.push("team/app", "1", b"layer")
    client = within({"HTTP_PROXY": "http://127.0.0.1:1", "HTTPS_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": "a.test"})
    assert await client.resolve(to(registry), "1") == digest
    with pytest.raises(RegistryError, match="socks connect"):
        await client.tags(to("b.test"))
    with pytest.raises(RegistryError, match=r"lookup a\.test"):
        await client.tags(to("a.test"))


async def test_a_variable_that_names_no_proxy_fails_who_needs_it(within, to, registry):
    digest = registry.push("team/app", "1", b"layer")
    client = within({"HTTPS_PROXY": "ftp://127.0.0.1"})
    assert await client.resolve(to(registry), "1") == digest
    with pytest.raises(
        RegistryError, match=r'"https://registry\.test/v2/.*": environment variable HTTPS_PROXY: proxy URL'
    ):
        await client.tags(to("registry.test"))


async def test_an_answer_of_a_proxy_to_a_request_in_clear_is_told_as_one(client, to, registry):
    registry.fault = when("/v2/team", answer(407, "who are you?"))
    with pytest.raises(RegistryError, match="unexpected status code 407 Proxy Authentication Required: who are you"):
        await client.tags(to(registry))


async def test_many_at_once_share_the_proxy(client, to, secure):
    async with SocksProxy(hosts=known(secure, *NAMES)) as proxy:
        digest = secure.push("team/app", "1", b"layer")
        access = to("registry.test", credentials=USER, tls=TLS, proxy=through(proxy, "socks5", None))
        found = await asyncio.gather(*(client.manifest(access, digest) for _ in range(3)), client.resolve(access, "1"))
        assert found[-1] == digest
        await client.close()
