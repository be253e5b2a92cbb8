"""Answers that are packed though nobody asked for it. The original unpacks them, whatever they are."""

from __future__ import annotations

import gzip

import pytest
from aiohttp import web

from devkit.ocicontent import sha256
from devkit.ocifaults import chain, headers, replaced, when
from devkit.ocihttp import Proceed
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError

PACKED = headers({"Content-Encoding": "gzip"})


async def packed(request: web.Request, proceed: Proceed) -> web.StreamResponse:
    """The honest answer in gzip; HEAD only says so."""
    response = await proceed()
    assert isinstance(response, web.Response)
    body = b"" if request.method == "HEAD" else gzip.compress(response.body or b"")
    kept = {name: value for name, value in response.headers.items() if name.lower() != "content-length"}
    return web.Response(status=response.status, body=body, headers=kept | {"Content-Encoding": "gzip"})


async def test_tags_and_manifests_are_unpacked(registry, client, to):
    digest = registry.push("team/app", "1.0.0", b"layer")
    registry.fault = when("/v2/team", packed)
    assert await client.tags(to(registry)) == ("1.0.0",)
    assert await client.resolve(to(registry), "1.0.0") == digest
    assert (await client.manifest(to(registry), digest)).layers[0].digest == sha256(b"layer")


async def test_the_text_of_an_error_is_unpacked(registry, client, to):
    registry.push("team/app", "1.0.0", b"layer")
    registry.fault = when("/manifests/", packed)
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN: manifest unknown"):
        await client.resolve(to(registry), "2")


async def test_a_blob_is_unpacked(registry, client, to, spool):
    content = bytes(3 << 20)  # unpacked piece by piece
    wanted = Descriptor("x/y", registry.blob("team/app", content), len(content))
    registry.fault = when("/blobs/", packed)
    await client.blob(to(registry), wanted, spool)
    assert bytes(spool.content) == content


async def test_more_than_announced_is_not_unpacked(registry, client, to, spool):
    wanted = Descriptor("x/y", registry.blob("team/app", b"small"), 5)
    registry.fault = when("/blobs/", chain(PACKED, replaced(gzip.compress(bytes(64 << 20)))))
    with pytest.raises(RegistryError, match="error verifying size; got more than the 5 bytes announced"):
        await client.blob(to(registry), wanted, spool)
    assert not spool.content


@pytest.mark.parametrize(
    ("body", "said"), [(b"no gzip at all", "^gzip: invalid header$"), (gzip.compress(b"{}")[:-9], "^unexpected EOF$")]
)
async def test_what_only_says_that_it_is_packed_is_refused(registry, client, to, body, said):
    registry.push("team/app", "1.0.0", b"layer")
    registry.fault = when("/tags/list", chain(PACKED, replaced(body)))
    with pytest.raises(RegistryError, match=said):
        await client.tags(to(registry))


async def test_several_members_are_one_content(registry, client, to):
    """RFC 1952, 2.2; what follows and is none is as wrong as if it came first."""
    registry.push("team/app", "1.0.0", b"layer")
    members = gzip.compress(b'{"tags":["1.') + gzip.compress(b'0.0"]}')
    registry.fault = when("/tags/list", chain(PACKED, replaced(members)))
    assert await client.tags(to(registry)) == ("1.0.0",)
    registry.fault = when("/tags/list", chain(PACKED, replaced(members + b"more")))
    with pytest.raises(RegistryError, match=r"^gzip: invalid header$"):
        await client.tags(to(registry))
