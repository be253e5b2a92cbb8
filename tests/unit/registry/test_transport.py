"""What applies to every request: scheme, redirects, retries (flux-compat E8, E10, J5)."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from email.utils import formatdate
from time import time

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from devkit.ocifaults import answer, chain, hang, headers, redirect, reset, when
from devkit.ocihttp import Proceed, RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.errors import RegistryError
from ocisource.registry.client import OCIRegistry
from ocisource.registry.errors import unanswered
from ocisource.registry.limits import Limits

USER = Credentials("u", "p")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> ssl.SSLContext:
    """A certificate that nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=127.0.0.1"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


async def test_no_redirect_to_another_host_carries_authorization(client, to):
    """127.0.0.1 with another port is another host."""
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry, RegistryServer() as other:
        digest = other.push("team/app", "1", b"layer")
        registry.fault = when("/manifests/", redirect(f"http://{other.address}{{path}}"))
        access = to(registry, credentials=USER)
        assert await client.resolve(access, "1") == digest
        assert [a.authorization for a in other.asked] == [""]


async def test_authorization_does_not_come_back_after_a_redirect_away(client, to):
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry, RegistryServer() as other:
        registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        assert await client.tags(access) == ("1",)  # from now on Basic is sent at once
        registry.fault = when("/team/app/manifests/", redirect(f"http://{other.address}{{path}}"))
        other.fault = redirect(f"http://{registry.address}/v2/chosen/by/other/manifests/1")
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.resolve(access, "1")
        assert {a.authorization for a in registry.asked if "chosen" in a.path} == {""}


async def test_a_redirect_within_the_registry_keeps_authorization(client, to):
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry:
        digest = registry.push("moved/app", "1", b"layer")
        registry.fault = when("/team/app/", redirect("/v2/moved/app/manifests/1", status=301))
        assert await client.resolve(to(registry, credentials=USER), "1") == digest


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_that_lead_nowhere_end_after_ten(registry, client, to, status):
    registry.fault = when("/v2/team", redirect("{path}", status))
    with pytest.raises(RegistryError, match=r'Get "http://.*": stopped after 10 redirects'):
        await client.resolve(to(registry), "1")
    assert [a.method for a in registry.asked if "team" in a.path] == ["HEAD"] * 11 + ["GET"] * 11
    with pytest.raises(RegistryError, match="stopped after 10 redirects"):
        await client.tags(to(registry))


@pytest.mark.parametrize(
    "target",
    [
        "http://10.0.0.1/x",
        "http://192.168.1.1/x",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/x",
        "http://[::ffff:10.0.0.1]/x",
        "http://[::1]:9/x",
        "http://0.0.0.0/x",
        "http://127.2/x",
        "http://2130706434/x",
        "http://0x7f.2/x",
        "http://100.100.100.200/x",
        "http://u:p@10.0.0.1/x",
    ],
)
async def test_redirects_to_private_addresses_are_refused(registry, client, to, target):
    registry.fault = when("/v2/team", redirect(target))
    with pytest.raises(
        RegistryError, match=r'SSRF protection: redirect from "127\.0\.0\.1" to private/link-local host ".*" denied'
    ):
        await client.resolve(to(registry), "1")


@pytest.mark.parametrize("target", ["ftp://example.org/x", "http://host:99999/x", "javascript:x"])
async def test_redirects_to_what_is_not_http_are_refused(registry, client, to, target):
    registry.fault = when("/v2/team", redirect(target))
    with pytest.raises(RegistryError, match=r"the redirect leads to no HTTP address|unsupported protocol scheme"):
        await client.resolve(to(registry), "1")


async def test_signed_addresses_are_not_shown_in_errors(registry, client, to):
    registry.fault = chain(
        when("/v2/team", redirect("/elsewhere?X-Amz-Signature=secret&digest=x")), when("/elsewhere", answer(403, "no"))
    )
    with pytest.raises(RegistryError) as caught:
        await client.resolve(to(registry), "1")
    expected = f"GET http://{registry.address}/elsewhere?X-Amz-Signature=REDACTED&digest=x"
    assert str(caught.value) == f"{expected}: unexpected status code 403 Forbidden: no"


@pytest.mark.parametrize("status", [408, 429, 499, 500, 502, 503, 504, 522])
async def test_trouble_that_passes_is_waited_for(registry, client, to, status):
    registry.push("team/app", "1", b"layer")
    registry.fault = when("/tags/list", answer(status), times=2)
    assert await client.tags(to(registry)) == ("1",)
    assert registry.count("/tags/list") == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 501])
async def test_what_will_not_change_is_not_asked_again(registry, client, to, status):
    registry.fault = when("/tags/list", answer(status))
    with pytest.raises(RegistryError, match=f"unexpected status code {status} ") as caught:
        await client.tags(to(registry))
    assert caught.value.status == status
    assert registry.count("/tags/list") == 1


async def test_a_connection_that_breaks_is_tried_again(registry, client, to):
    registry.push("team/app", "1", b"layer")
    # The HTTP library itself repeats a request at once where an idle connection turns out to be closed.
    registry.fault = when("/tags/list", reset(), times=3)
    assert await client.tags(to(registry)) == ("1",)


class Waits:
    """Stands in for time: notes each wait and returns at once."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)


async def test_the_waits_are_one_and_three_seconds_and_a_little_more(registry, to):
    waits = Waits()
    client = OCIRegistry(sleep=waits.sleep)
    registry.fault = when("/tags/list", answer(500))
    with pytest.raises(RegistryError):
        await client.tags(to(registry))
    await client.close()
    assert [int(seconds) for seconds in waits.seconds] == [1, 3]
    assert 1 <= waits.seconds[0] <= 1.1
    assert 3 <= waits.seconds[1] <= 3.3


@pytest.mark.parametrize(
    ("after", "waited"),
    [("7", 7), ("0", 1), ("soon", 1), ("", 1), ("-5", 1), ("31", None), ("99999999999", None)],
)
async def test_retry_after_is_honoured_within_reason(registry, to, after, waited):
    """Past 30 s the object's own backoff is the better place to wait."""
    waits = Waits()
    client = OCIRegistry(sleep=waits.sleep)
    registry.push("team/app", "1", b"layer")
    registry.fault = when("/tags/list", answer(429, "slow down", {"Retry-After": after}), times=1)
    if waited is None:
        with pytest.raises(RegistryError, match="429 Too Many Requests: slow down"):
            await client.tags(to(registry))
        assert waits.seconds == []
    else:
        assert await client.tags(to(registry)) == ("1",)
        assert [int(seconds) for seconds in waits.seconds] == [waited]
    await client.close()


async def test_retry_after_may_be_a_date(registry, to):
    waits = Waits()
    client = OCIRegistry(sleep=waits.sleep)
    registry.push("team/app", "1", b"layer")
    later = formatdate(time() + 10, usegmt=True)
    registry.fault = when("/tags/list", answer(503, headers={"Retry-After": later}), times=1)
    assert await client.tags(to(registry)) == ("1",)
    await client.close()
    assert 8 <= waits.seconds[0] <= 11


async def test_a_registry_that_asks_for_long_patience_is_left_alone_so_long(to):
    """The next pass of an object may come within a second; who comes with other credentials is somebody else."""
    now = 0.0
    client = OCIRegistry(clock=lambda: now)
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry:
        digest = registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        await client.resolve(access, "1")
        registry.fault = when("/v2/team", answer(429, "slow down", {"Retry-After": "120"}), times=1)
        with pytest.raises(RegistryError) as caught:
            await client.resolve(access, "1")
        assert caught.value.status == 429
        registry.asked.clear()
        for now in (1.0, 119.0):
            with pytest.raises(RegistryError, match=r"429 Too Many Requests: .* asked to come back later") as caught:
                await client.tags(to(registry, "team/other", USER))
            assert caught.value.status == 429
        assert registry.asked == []
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.tags(to(registry))
        now = 121.0
        assert await client.resolve(access, "1") == digest
    await client.close()


async def test_nobody_there_is_said_clearly(client, to):
    for insecure in (False, True):
        with pytest.raises(RegistryError) as caught:
            await client.tags(to("127.0.0.1:1", insecure=insecure))
        for scheme in ("https", "http"):
            said = f'Get "{scheme}://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused'
            assert said in str(caught.value)
        assert caught.value.status is None


@pytest.mark.parametrize(
    ("code", "said", "temporary"),
    [
        (socket.EAI_NONAME, "no such host", False),
        (socket.EAI_AGAIN, "temporary failure", True),
    ],
)
def test_a_name_that_does_not_resolve_is_said_clearly(code, said, temporary):
    """Without asking a resolver, which answers differently from place to place."""
    key = ConnectionKey(
        "nowhere.example", 443, is_ssl=True, ssl=True, proxy=None, proxy_auth=None, proxy_headers_hash=None
    )
    error = aiohttp.ClientConnectorDNSError(key, socket.gaierror(code, "?"))
    found = unanswered("HEAD", URL("https://nowhere.example/v2/"), error)
    assert str(found) == f'Head "https://nowhere.example/v2/": dial tcp: lookup nowhere.example: {said}'
    assert found.temporary is temporary


async def test_plain_http_where_https_was_expected_says_so(registry):
    """A registry on loopback is found by either scheme; anywhere else this is what people read."""
    url = URL(f"https://{registry.address}/v2/")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError) as caught:
            await session.get(url)
    said = str(unanswered("GET", url, caught.value))
    assert said.endswith('/v2/": http: server gave HTTP response to HTTPS client')


@pytest.mark.parametrize("registry", ["host:99999", "a" * 64 + ".example", "a..example", "[::1"])
async def test_a_registry_name_that_is_none_is_an_error(client, to, registry):
    for insecure in (False, True):
        with pytest.raises(RegistryError):
            await client.tags(to(registry, insecure=insecure))


async def test_https_comes_first_with_insecure_and_is_remembered(certificate, client, to):
    """E8: without a CA any certificate will do. One knock and one greeting, then straight on."""
    async with RegistryServer(tls=certificate) as registry:
        digest = registry.push("team/app", "1", b"layer")
        for _ in range(3):
            assert await client.resolve(to(registry, insecure=True), "1") == digest
        assert [a.path for a in registry.asked] == ["/v2/"] * 2 + ["/v2/team/app/manifests/1"] * 3


async def test_plain_http_is_found_and_remembered(registry, client, to):
    digest = registry.push("team/app", "1", b"layer")
    for insecure in (False, True):  # J5: a loopback host needs no `insecure`
        registry.asked.clear()
        for _ in range(3):
            assert await client.resolve(to(registry, insecure=insecure), "1") == digest
        assert [a.path for a in registry.asked] == ["/v2/"] * 2 + ["/v2/team/app/manifests/1"] * 3


async def test_a_registry_whose_greeting_leads_elsewhere_in_clear_speaks_plain_http(registry, client, to):
    """The original does so, seen by running it."""
    digest = registry.push("team/app", "1", b"layer")
    registry.fault = when("/v2/", redirect("/elsewhere"), times=2)
    assert await client.resolve(to(registry), "1") == digest


async def test_finding_the_scheme_shows_no_credentials(client, to):
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, credentials=USER, insecure=True), "1") == digest
        assert {a.authorization for a in registry.asked if a.path == "/v2/"} == {""}


async def test_a_certificate_that_nobody_vouches_for_is_refused_without_insecure(certificate, client, to):
    async with RegistryServer(tls=certificate) as registry:
        registry.push("team/app", "1", b"layer")
        with pytest.raises(RegistryError, match="x509: certificate signed by unknown authority"):
            await client.resolve(to(registry, credentials=USER), "1")
        assert registry.asked == []


async def test_a_registry_that_moves_to_another_scheme_is_found_again(certificate, client, to):
    async with RegistryServer() as registry:
        registry.push("team/app", "1", b"layer")
        await client.resolve(to(registry, insecure=True), "1")
        port = int(registry.address.rpartition(":")[2])
    async with RegistryServer(tls=certificate, port=port) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, insecure=True), "1") == digest


async def test_https_that_only_redirects_from_http_is_not_taken_for_http(certificate, client, to):
    """A server that sends plain HTTP away, as many do, does not speak it."""
    async with RegistryServer(fault=redirect("https://example.org/v2/", 301)) as registry:
        with pytest.raises(RegistryError, match="the server there does not speak plain HTTP"):
            await client.tags(to(registry, insecure=True))


async def test_a_port_that_accepts_and_says_nothing_lets_http_have_its_chance(client, to):
    """E8: http is tried beside https after 300 ms. Here TLS hangs, since nobody answers its hello."""

    async def honest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (line := await reader.readline()) and not line.startswith(b"\x16"):
                if line == b"\r\n":
                    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"tags":["1"]}')
            await reader.read()
        finally:
            writer.close()

    server = await asyncio.start_server(honest, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await client.tags(to(f"127.0.0.1:{port}", insecure=True)) == ("1",)
    await client.close()
    server.close()
    await server.wait_closed()


async def test_cookies_are_not_kept(registry, client, to):
    registry.push("team/app", "1", b"layer")
    registry.fault = headers({"Set-Cookie": "a=b; Path=/"})
    await client.tags(to(registry))
    await client.tags(to(registry))
    assert all("Cookie" not in a.headers for a in registry.asked)


async def test_a_slow_repository_does_not_use_up_the_connections(to):
    """Many objects may wait for one repository; another one at the same host still has its turn."""
    async with RegistryServer() as registry:
        registry.push("team/app", "1", b"layer")
        registry.fault = when("/v2/hang", hang())
        client = OCIRegistry(Limits())
        waiting = [asyncio.create_task(client.tags(to(registry, f"hang/app-{n}"))) for n in range(50)]
        while registry.count("/v2/hang") < 50:
            await asyncio.sleep(0)
        assert await client.tags(to(registry)) == ("1",)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await client.close()


async def test_an_answer_that_is_no_http_is_an_error(client, to):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"SSH-2.0-server\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RegistryError, match="malformed HTTP response"):
            await client.tags(to(f"127.0.0.1:{port}"))


async def test_an_error_in_many_parts_and_odd_details_is_printed_as_clients_know_it(registry, client, to):
    """The texts of the original's client library: Go's %v, map keys in order."""
    errors = [
        {"code": "DENIED", "message": "no", "detail": {"b": [1, 2.5, True, None], "a": {"x": "y"}}},
        {"code": "UNKNOWN"},
    ]

    async def fault(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.json_response({"errors": errors}, status=403)

    registry.fault = when("/tags/list", fault)
    with pytest.raises(RegistryError) as caught:
        await client.tags(to(registry))
    told = "multiple errors returned: DENIED: no; map[a:map[x:y] b:[1 2.5 true <nil>]]; UNKNOWN: "
    assert str(caught.value) == f"GET http://{registry.address}/v2/team/app/tags/list?n=1000: {told}"


async def test_a_long_error_page_is_cut(registry, client, to):
    registry.fault = when("/tags/list", answer(403, "x" * 100_000))
    with pytest.raises(RegistryError) as caught:
        await client.tags(to(registry))
    # As much as the original reads of it. A condition's message is shorter still (B17).
    assert str(caught.value).endswith("unexpected status code 403 Forbidden: " + "x" * 65_536)
