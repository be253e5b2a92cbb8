"""What is served, and what is not (flux-compat G5 to G7, J12)."""

from __future__ import annotations

import asyncio
import hashlib
import os
import select
import socket
import threading
import urllib.error
import urllib.request

import aiohttp
import pytest
from yarl import URL

from ocisource.storage.listeners import AddressError, bound, listen
from ocisource.storage.server import Servers, artifacts, debug, health, metrics
from unit.storage.layers import DIGEST, OTHER, layer, publish

FOLDER = "/ocirepository/default/app"
PATH = f"{FOLDER}/{DIGEST}.tar.gz"


@pytest.fixture(autouse=True)
def _nothing_unhandled(caplog):
    """The server logs what it did not expect, and answers all the same: such a line fails the test."""
    yield
    assert [record.getMessage() for record in caplog.records if record.name == "aiohttp.server"] == []


@pytest.fixture
async def servers():
    servers = Servers()
    await servers.start()
    yield servers
    await servers.stop()


@pytest.fixture
async def client():
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


@pytest.fixture
async def base(servers, store, tmp_path):
    await publish(store, layer(("a", os.urandom(3000))))
    return "http://" + await servers.add("--storage-addr", "127.0.0.1:0", artifacts(tmp_path))


@pytest.fixture
def content(base, tmp_path):
    return (tmp_path / PATH[1:]).read_bytes()


async def test_a_tarball_is_served_as_it_lies_on_disk(client, base, content):
    """G5, G6: whole, with its length and type, and never with a Content-Encoding."""
    async with client.get(base + PATH, headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        assert await answer.read() == content
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Content-Type"] == "application/gzip"
        assert "Content-Encoding" not in answer.headers
        assert answer.headers["Accept-Ranges"] == "bytes"


async def test_a_connection_serves_one_download_after_the_other(base, content):
    opened = []

    async def count(*_):
        opened.append(1)

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_end.append(count)
    async with aiohttp.ClientSession(trace_configs=[tracing], auto_decompress=False) as session:
        for _ in range(3):
            async with session.get(base + PATH) as answer:
                assert await answer.read() == content
    assert len(opened) == 1


async def test_the_colon_of_the_name_may_be_escaped(client, base, content):
    """G5."""
    async with client.get(URL(base + PATH.replace(":", "%3A"), encoded=True)) as answer:
        assert await answer.read() == content


async def test_latest_is_the_newest_tarball(client, base, store, tmp_path):
    stored = await publish(store, layer(("a", b"newer")), digest=OTHER)
    async with client.get(f"{base}{FOLDER}/latest.tar.gz") as answer:
        assert hashlib.sha256(await answer.read()).hexdigest() == stored.digest.removeprefix("sha256:")


async def test_head_tells_all_but_the_content(client, base, content):
    async with client.head(base + PATH) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Length"] == str(len(content))
        assert await answer.read() == b""
    async with client.head(base + "/") as answer:
        assert answer.status == 200


async def test_the_root_answers_for_the_readiness_probe(client, base):
    """G5: the stock deployment probes GET / on the artifact port."""
    async with client.get(base + "/") as answer:
        assert answer.status == 200
        assert "ocirepository" not in await answer.text()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_refused(client, base, method):
    """J12."""
    for path in (PATH, "/", "/nothing"):
        async with client.request(method, base + path, data=None if method == "OPTIONS" else b"x") as answer:
            assert answer.status == 405
            assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD"}


async def test_ranges_are_served(client, base, content):
    for asked, told, expected in (
        ("bytes=10-19", f"bytes 10-19/{len(content)}", content[10:20]),
        ("bytes=-5", f"bytes {len(content) - 5}-{len(content) - 1}/{len(content)}", content[-5:]),
        ("bytes=100-", f"bytes 100-{len(content) - 1}/{len(content)}", content[100:]),
    ):
        async with client.get(base + PATH, headers={"Range": asked}) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (206, told)
            assert await answer.read() == expected
    async with client.get(base + PATH, headers={"Range": f"bytes={len(content)}-"}) as answer:
        assert answer.status == 416


async def test_who_has_the_content_is_not_sent_it_again(client, base):
    async with client.get(base + PATH) as answer:
        etag, modified = answer.headers["ETag"], answer.headers["Last-Modified"]
    assert not etag.startswith("W/")
    for condition in ({"If-None-Match": etag}, {"If-Modified-Since": modified}):
        async with client.get(base + PATH, headers=condition) as answer:
            assert answer.status == 304
    async with client.get(base + PATH, headers={"If-None-Match": '"other"'}) as answer:
        assert answer.status == 200


async def test_a_range_of_another_content_is_not_continued(client, base, content):
    """RFC 9110, 13.1.5: with If-Range, a part is sent only of the very same content."""
    async with client.get(base + PATH) as answer:
        here = answer.headers["ETag"], answer.headers["Last-Modified"]
    others = '"other"', "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37 GMT"
    for conditions, status, expected in ((here, 206, content[5:]), (others, 200, content)):
        for condition in conditions:
            async with client.get(base + PATH, headers={"Range": "bytes=5-", "If-Range": condition}) as answer:
                assert (answer.status, await answer.read()) == (status, expected)


@pytest.mark.parametrize("several", ["bytes=0-1,5-6", "bytes=0-1,", "bytes= 0-4", "bytes=-0", "lines=1-2", "bytes=a-b"])
async def test_what_is_not_one_range_is_answered_with_all(client, base, content, several):
    """RFC 9110, 14.2: a range may be ignored, and one of an unknown unit must be. An error would end a download."""
    async with client.get(base + PATH, headers={"Range": several}) as answer:
        assert (answer.status, await answer.read()) == (200, content)


@pytest.mark.parametrize(
    "written", [f"/{PATH}", PATH.replace("/app", "//app"), f"{FOLDER}/../app/./{DIGEST}.tar.gz", f"{PATH}/"]
)
async def test_a_path_that_could_be_shorter_leads_to_the_short_one(client, base, content, written):
    """G5: as the file server of Go does."""
    url = URL(base + written, encoded=True)
    async with client.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (301, PATH)
    async with client.get(url) as answer:
        assert await answer.read() == content


@pytest.mark.parametrize(
    "path",
    [
        "/ocirepository",
        "/ocirepository/",
        "/ocirepository/default/",
        FOLDER,
        FOLDER + "/",
        f"{FOLDER}/{OTHER}.tar.gz",
        f"{FOLDER}/.tmp-0123456789abcdef",
        f"{FOLDER}/{DIGEST}.tar.gz.lock",
        f"{FOLDER}/secret.tar.gz",
        f"{FOLDER}/sub/{DIGEST}.tar.gz",
        "/secret.tar.gz",
        f"{FOLDER}/../../../secret.tar.gz",
        "/..%2fsecret.tar.gz",
        f"/ocirepository/default/..%2f..%2f{DIGEST}.tar.gz",
        f"/ocirepository/%2e%2e/%2e%2e/{DIGEST}.tar.gz",
        f"{FOLDER}/%00",
        f"{FOLDER}/..\\x",
        f"{FOLDER}/linked/latest.tar.gz",
    ],
)
async def test_nothing_but_tarballs_is_shown(client, base, tmp_path, path):
    """J12: no listings, no leftovers, nothing outside."""
    for name in (".tmp-0123456789abcdef", f"{DIGEST}.tar.gz.lock", "secret.tar.gz"):
        (tmp_path / FOLDER[1:] / name).write_bytes(b"secret")
    (tmp_path / "secret.tar.gz").write_bytes(b"secret")
    (tmp_path / f"{DIGEST}.tar.gz").write_bytes(b"secret")
    async with client.get(URL(base + path, encoded=True), allow_redirects=False) as answer:
        assert answer.status == 404
        assert b"secret" not in await answer.read()


async def test_links_do_not_lead_out_of_the_folder(client, base, tmp_path):
    outside = tmp_path / f"{OTHER}.tar.gz"
    outside.write_bytes(b"secret")
    folder = tmp_path / FOLDER[1:]
    (folder / "latest.tar.gz").unlink()
    (folder / "latest.tar.gz").symlink_to(outside)
    (folder / f"{OTHER}.tar.gz").symlink_to(outside)
    for name in ("latest", OTHER):
        async with client.get(f"{base}{FOLDER}/{name}.tar.gz") as answer:
            assert answer.status == 404


async def test_a_volume_mounted_elsewhere_is_served_all_the_same(client, base, content, tmp_path):
    """The link's target is absolute (G1): only its last part counts."""
    link = tmp_path / FOLDER[1:] / "latest.tar.gz"
    link.unlink()
    link.symlink_to(f"/data{PATH}")
    async with client.get(f"{base}{FOLDER}/latest.tar.gz") as answer:
        assert await answer.read() == content


async def test_downloads_go_on_while_the_main_loop_is_busy(base, content):
    """The servers have a thread of their own."""
    # Blocks the main loop until the answer is there.
    assert _raw(base, f"GET {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").endswith(content)


def _raw(base: str, request: str) -> bytes:
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


async def test_a_request_line_that_climbs_is_not_followed(base, tmp_path):
    (tmp_path / "secret.tar.gz").write_bytes(b"content")
    for target in ("/ocirepository/../secret.tar.gz", "../secret.tar.gz", "/./secret.tar.gz"):
        answer = _raw(base, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer.split()[1] in (b"404", b"400")
        assert b"content" not in answer.partition(b"\r\n\r\n")[2]


async def test_a_client_that_does_not_read_is_cut_off(servers, tmp_path):
    """Nor does it pin memory: the kernel sends from the file."""
    path = tmp_path / PATH[1:]
    path.parent.mkdir(parents=True)
    with path.open("wb") as file:
        file.truncate(64 << 20)
    address = await servers.add("--storage-addr", "127.0.0.1:0", artifacts(tmp_path, patience=0.3 - 1024))
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        poll = select.poll()
        poll.register(connection, 0)  # tells of the connection's end, not of data
        assert poll.poll(10_000), "the server still waits for the client"


async def test_a_file_removed_meanwhile_is_not_found(client, base, tmp_path):
    (tmp_path / PATH[1:]).unlink()
    for name in (DIGEST, "latest"):
        async with client.get(f"{base}{FOLDER}/{name}.tar.gz") as answer:
            assert answer.status == 404


@pytest.mark.parametrize("fate", ["replaced", "collected"])
async def test_a_download_under_way_is_of_one_file_whatever_becomes_of_its_name(client, base, tmp_path, fate):
    """A pass replaces tarballs and collects them (G1, G4) without asking who reads."""
    path = tmp_path / PATH[1:]
    before = os.urandom(8 << 20)
    path.write_bytes(before)
    async with client.get(base + PATH) as answer:
        begun = await answer.content.readexactly(1000)
        path.unlink()
        if fate == "replaced":
            path.write_bytes(b"after")
        assert begun + await answer.read() == before
    async with client.get(base + PATH) as answer:
        assert answer.status == (200 if fate == "replaced" else 404)


# --- health and metrics


async def test_health_and_readiness_say_what_they_are_told(client, servers):
    """G7."""
    state = {"alive": True, "ready": False}
    application = health(lambda: state["alive"], lambda: state["ready"])
    base = "http://" + await servers.add("--health-addr", "127.0.0.1:0", application)
    for alive, ready in ((True, False), (True, True), (False, True)):
        state.update(alive=alive, ready=ready)
        for path, good in (("/healthz", alive), ("/readyz", ready)):
            async with client.get(base + path) as answer:
                assert answer.status == (200 if good else 503)


async def test_metrics_are_rendered_for_each_scrape(client, servers):
    """G7."""
    numbers = iter((1, 2))
    base = "http://" + await servers.add("--metrics-addr", "127.0.0.1:0", metrics(lambda: f"seen {next(numbers)}\n"))
    for expected in ("seen 1\n", "seen 2\n"):
        async with client.get(base + "/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert await answer.text() == expected


# --- standing by, and what the operator is at


async def test_who_stands_by_is_ready_and_serves_no_artifact(client, servers, store, tmp_path):
    """G5: what lies on its disk may be old; a client that is asked to comes again."""
    await publish(store, layer(("a", b"1")))
    leading = [False]
    application = artifacts(tmp_path, leads=lambda: leading[0])
    base = "http://" + await servers.add("--storage-addr", "127.0.0.1:0", application)
    for path in (PATH, PATH.rpartition("/")[0] + "/latest.tar.gz", "/nothing"):
        async with client.get(base + path) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert "stands by" in await answer.text()
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        # Read to its end: on the same connection a client behind a Service would come back to this replica.
        assert b"503" in b"".join(iter(lambda: connection.recv(65536), b""))
    async with client.get(base + "/") as answer:
        assert answer.status == 200
    leading[0] = True
    async with client.get(base + PATH) as answer:
        assert answer.status == 200


async def test_pages_are_made_on_the_loop_that_they_tell_of(client, servers):
    def page():
        return {"thread": threading.get_ident(), "task": asyncio.current_task().get_name()}

    base = "http://" + await servers.add("--debug-addr", "127.0.0.1:0", debug({"queue": page}))
    async with client.get(base + "/debug/queue") as answer:
        assert answer.content_type == "application/json"
        assert (await answer.json())["thread"] == threading.get_ident()
    for path in ("/debug/other", "/debug/", "/"):
        async with client.get(base + path) as answer:
            assert answer.status == 404


async def test_a_loop_that_stands_still_is_told_as_such(servers):
    application = debug({"queue": dict}, patience=0.2)
    base = "http://" + await servers.add("--debug-addr", "127.0.0.1:0", application)
    with pytest.raises(urllib.error.HTTPError, match="504"):
        urllib.request.urlopen(base + "/debug/queue", timeout=5)  # which is what stops it


# --- addresses


async def test_a_stopped_server_is_gone(client, store, tmp_path):
    servers = Servers()
    await servers.start()
    address = await servers.add("--storage-addr", "127.0.0.1:0", artifacts(tmp_path))
    await servers.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.get(f"http://{address}/")
    await servers.stop()


async def test_a_port_in_use_is_told_by_the_name_of_the_flag(servers, base, tmp_path):
    address = base.removeprefix("http://")
    with pytest.raises(AddressError) as caught:
        await servers.add("--storage-addr", address, artifacts(tmp_path))
    text = f"--storage-addr: cannot listen on {address}: address already in use; free the port or name another one"
    assert str(caught.value) == text


@pytest.mark.parametrize("address", ["9090", "host", ":x", ":70000", "::1:9090", "[::1]", "", ":-1"])
def test_an_address_that_is_none_is_told_by_the_name_of_the_flag(address):
    with pytest.raises(AddressError, match=r"--metrics-addr: .* is not host:port"):
        listen("--metrics-addr", address)


@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_an_address_without_a_host_is_every_interface(address):
    listener = listen("--storage-addr", address)
    port = bound(listener).rsplit(":", 1)[1]
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        pass
    listener.close()


def test_a_name_is_resolved():
    listener = listen("--storage-addr", "localhost:0")
    assert bound(listener).startswith(("127.0.0.1:", "[::1]:"))
    listener.close()
