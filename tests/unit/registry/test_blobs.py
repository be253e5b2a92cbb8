"""Blobs: whole, of the right size and digest, or not at all (flux-compat F1, J3, J7)."""

from __future__ import annotations

import asyncio
import gzip
import os
import threading

import pytest
from aiohttp import web

from devkit.ocicontent import sha256
from devkit.ocifaults import answer, chain, endless, flipped, hang, headers, redirect, replaced, reset, truncated, when
from devkit.ocihttp import Proceed, RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import Limits

SMALL = b"some content" * 10
LARGE = os.urandom(5 * 1024 * 1024 + 17)


def _put(registry: RegistryServer, content: bytes = SMALL, **more) -> Descriptor:
    return Descriptor("x/y", registry.blob("team/app", content), len(content), **more)


@pytest.mark.parametrize("content", [b"", b"x", SMALL, LARGE])
async def test_a_blob_arrives_whole(registry, client, to, spool, content):
    await client.blob(to(registry), _put(registry, content), spool)
    assert bytes(spool.content) == content


async def test_compressed_content_is_passed_on_as_it_is(registry, client, to, spool):
    """A storage behind a registry may label a tarball with its own compression."""
    content = gzip.compress(SMALL)
    registry.fault = when("/blobs/", headers({"Content-Encoding": "gzip"}))
    await client.blob(to(registry), _put(registry, content), spool)
    assert bytes(spool.content) == content


@pytest.mark.parametrize("content", [SMALL, LARGE])
async def test_a_flipped_bit_is_found(registry, client, to, spool, content):
    registry.fault = when("/blobs/", flipped(len(content) // 2))
    wanted = _put(registry, content)
    with pytest.raises(RegistryError, match=f'error verifying sha256 checksum .*want "{wanted.digest}"'):
        await client.blob(to(registry), wanted, spool)


async def test_another_length_than_announced_is_refused_unread(registry, client, to, spool):
    registry.fault = when("/blobs/", replaced(SMALL + b"more"))
    with pytest.raises(RegistryError, match="Content-Length header 124 does not match expected size 120"):
        await client.blob(to(registry), _put(registry), spool)
    assert not spool.content


async def test_never_more_than_the_announced_size_is_kept(registry, client, to, spool):
    registry.fault = when("/blobs/", endless(SMALL, b"more" * 1000, "application/octet-stream"))
    with pytest.raises(RegistryError, match="got more than the 120 bytes announced"):
        await client.blob(to(registry), _put(registry), spool)
    assert len(spool.content) <= len(SMALL)


async def test_a_blob_over_the_limit_is_not_asked_for(registry, to, spool):
    client = OCIRegistry(Limits(max_blob_size=100))
    with pytest.raises(RegistryError, match="120 bytes, more than the limit of 100"):
        await client.blob(to(registry), _put(registry), spool)
    assert registry.asked == []


async def test_a_missing_blob_is_told_in_the_registrys_words(registry, client, to, spool):
    wanted = Descriptor("x/y", sha256(b"nothing"), 7)
    with pytest.raises(RegistryError, match=f"BLOB_UNKNOWN: blob unknown to registry; {wanted.digest}"):
        await client.blob(to(registry), wanted, spool)


@pytest.mark.parametrize("keep", [0, 1, 3_000_000])
async def test_a_broken_connection_is_resumed_where_it_broke(registry, client, to, spool, keep):
    registry.fault = when("/blobs/", truncated(keep), times=1)
    await client.blob(to(registry), _put(registry, LARGE), spool)
    assert bytes(spool.content) == LARGE
    ranges = [a.headers.get("Range") for a in registry.asked if "blobs" in a.path]
    assert len(ranges) == 2
    assert ranges[0] is None
    # what had arrived is asked for no second time (how much of it did is the network's affair)
    if keep == 3_000_000:
        assert ranges[1] is not None


async def test_a_server_without_ranges_is_resumed_by_skipping(registry, client, to, spool):
    async def whole(request: web.Request, _: Proceed) -> web.StreamResponse:
        return web.Response(body=LARGE)

    registry.fault = chain(when("/blobs/", truncated(2_000_000), times=1), when("/blobs/", whole, skip=0))
    await client.blob(to(registry), _put(registry, LARGE), spool)
    assert bytes(spool.content) == LARGE


@pytest.mark.parametrize(
    "odd",
    [
        headers({"Content-Range": f"bytes 7-{len(LARGE) - 1}/{len(LARGE)}"}),
        headers({"Content-Range": None}),
        answer(416, "no such range"),
        answer(400),
    ],
)
async def test_where_ranges_are_refused_or_wrong_the_whole_is_asked_for_again(registry, client, to, spool, odd):
    """Some registries know only some forms of a range."""
    registry.fault = when("/blobs/", chain(when("", truncated(2_000_000), times=1), when("", odd, skip=1, times=1)))
    await client.blob(to(registry), _put(registry, LARGE), spool)
    assert bytes(spool.content) == LARGE
    ranges = [a.headers.get("Range") for a in registry.asked if "/blobs/" in a.path]
    assert [asked is None for asked in ranges] == [True, False, True]
    assert ranges[1].endswith(f"-{len(LARGE) - 1}")


async def test_a_connection_that_breaks_after_the_last_byte_is_no_reason_to_ask_again(registry, client, to, spool):
    async def unfinished(request: web.Request, _: Proceed) -> web.StreamResponse:
        response = web.StreamResponse()  # in chunks: the last one never comes
        await response.prepare(request)
        await response.write(SMALL)
        request.transport.close()
        return response

    registry.fault = when("/blobs/", unfinished)
    await client.blob(to(registry), _put(registry), spool)
    assert bytes(spool.content) == SMALL
    assert registry.count("/blobs/") == 1


async def test_a_resumed_blob_that_became_another_is_found_out(registry, client, to, spool):
    registry.fault = chain(when("/blobs/", truncated(2_000_000), times=1), when("/blobs/", flipped(-1)))
    with pytest.raises(RegistryError, match="error verifying sha256 checksum"):
        await client.blob(to(registry), _put(registry, LARGE), spool)


async def test_a_part_that_nobody_asked_for_is_refused(registry, client, to, spool):
    part = answer(206, "part", {"Content-Range": "bytes 0-3/120"})
    registry.fault = when("/blobs/", part)
    with pytest.raises(RegistryError, match="not the range that was asked for"):
        await client.blob(to(registry), _put(registry), spool)


async def test_a_connection_that_keeps_breaking_is_given_up_after_three_tries(registry, client, to, spool):
    registry.fault = when("/blobs/", truncated(10))
    with pytest.raises(RegistryError, match="unexpected EOF"):
        await client.blob(to(registry), _put(registry), spool)
    assert registry.count("/blobs/") == 3


async def test_a_reset_before_the_answer_is_tried_again(registry, client, to, spool):
    registry.fault = when("/blobs/", reset(), times=2)
    await client.blob(to(registry), _put(registry), spool)
    assert bytes(spool.content) == SMALL


async def test_inline_data_needs_no_request_and_is_checked(registry, client, to, new_spool):
    """F1; image-spec: `data` must be the content that size and digest tell."""
    spool = new_spool()
    await client.blob(to(registry), Descriptor("x/y", sha256(SMALL), len(SMALL), data=SMALL), spool)
    assert bytes(spool.content) == SMALL
    for wrong in (
        Descriptor("x/y", sha256(b"other"), len(SMALL), data=SMALL),
        Descriptor("x/y", sha256(SMALL), len(SMALL) + 1, data=SMALL),
        Descriptor("x/y", sha256(SMALL), len(SMALL) - 1, data=SMALL),
    ):
        with pytest.raises(RegistryError, match="error verifying"):
            await client.blob(to(registry), wrong, new_spool())
    assert registry.asked == []


async def test_external_urls_are_asked_without_credentials_after_the_registry(client, to, spool):
    """F1."""
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry, RegistryServer() as outside:
        outside.blob("team/app", SMALL)
        broken = f"http://{outside.address}/nothing/here"
        there = f"http://{outside.address}/v2/team/app/blobs/{sha256(SMALL)}"
        wanted = Descriptor("x/y", sha256(SMALL), len(SMALL), urls=(broken, there))
        await client.blob(to(registry, credentials=Credentials("u", "p")), wanted, spool)
        assert bytes(spool.content) == SMALL
        assert registry.count("/blobs/") == 1
        assert [a.authorization for a in outside.asked] == ["", ""]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/x", "http://10.0.0.1/x", "https://[fe80::1]/x", "x", "http:///x"]
)
async def test_external_urls_lead_to_public_http_only(registry, client, to, spool, url):
    wanted = Descriptor("x/y", sha256(SMALL), len(SMALL), urls=(url,))
    with pytest.raises(RegistryError, match=r"^foreign layer URL"):
        await client.blob(to(registry), wanted, spool)


async def test_a_blob_on_another_host_is_followed_without_credentials(client, to, spool):
    async with RegistryServer(auth="basic", users={"u": "p"}) as registry, RegistryServer() as storage:
        wanted = _put(registry)
        storage.blob("team/app", SMALL)
        registry.fault = when("/blobs/", redirect(f"http://{storage.address}{{path}}?X-Signature=secret%2Fvalue"))
        await client.blob(to(registry, credentials=Credentials("u", "p")), wanted, spool)
        assert bytes(spool.content) == SMALL
        assert storage.asked[0].authorization == ""
        assert storage.asked[0].query == "X-Signature=secret/value"  # the signed address arrives as it was sent


async def test_a_cancelled_download_leaves_the_spool_alone(registry, client, to, spool):
    """When it is over, no thread writes any more: the spool may be closed at once."""
    gate, writing = threading.Event(), threading.Event()
    under_way = 0
    honest = spool.write

    def slow(chunk: bytes) -> None:
        nonlocal under_way
        under_way += 1
        writing.set()
        gate.wait(5)
        honest(chunk)
        under_way -= 1

    spool.write = slow
    loop = asyncio.get_running_loop()
    task = asyncio.create_task(client.blob(to(registry), _put(registry, LARGE), spool))
    await loop.run_in_executor(None, writing.wait)
    await asyncio.sleep(0.02)  # so that it waits for the thread; less would test less, and fail nothing
    task.cancel()
    loop.call_later(0.05, gate.set)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert under_way == 0


async def test_what_the_spool_raises_is_passed_on(registry, client, to, spool):
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    spool.write = full
    for content in (SMALL, LARGE):
        with pytest.raises(OSError, match="No space left on device"):
            await client.blob(to(registry), _put(registry, content), spool)
    assert registry.count("/blobs/") == 2  # and is no reason to ask the registry again


async def test_a_blob_that_never_comes_can_be_left(registry, client, to, spool):
    wanted = _put(registry)
    registry.fault = when("/blobs/", hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.blob(to(registry), wanted, spool)
