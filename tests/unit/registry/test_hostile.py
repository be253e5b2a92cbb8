"""Registries that lie, flood and never end, as far as signatures go (signatures.md rule 6): bounded, with a reason, and
never in the way of a good signature that is within the bounds. All over real HTTP."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import time

import pytest
from aiohttp import web

from devkit.ocicontent import BUNDLE, INDEX, MANIFEST, SIMPLE_SIGNING, sha256
from devkit.ocifaults import answer, chain, endless, headers, replaced, succession, when
from devkit.ocihttp import Proceed, RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.errors import ManifestError, RegistryError
from ocisource.domain.evidence import BundleSignature, LegacySignature, Unreadable
from ocisource.registry.manifests import read_tags

MIB = 1 << 20
APP = "team/app"


@pytest.fixture
def signed(registry):
    return registry.push(APP, "1", b"layer")


async def found(client, access, digest, form="cosign"):
    return [evidence async for evidence in client.signatures(access, digest, form)]


def good(evidence) -> list[bytes]:
    """What came out whole, whichever format it has."""
    return [one.content if isinstance(one, BundleSignature) else one.payload for one in evidence if _whole(one)]


def _whole(one) -> bool:
    return isinstance(one, BundleSignature | LegacySignature)


def told(evidence) -> dict[str, str]:
    return {one.name: one.reason for one in evidence if isinstance(one, Unreadable)}


def listing(*entries, **more):
    """The page of a referrers API that holds these."""
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **more})
    return answer(200, body, {"Content-Type": INDEX})


def entry(number: int, artifact_type: str = BUNDLE):
    return {"mediaType": MANIFEST, "digest": sha256(str(number).encode()), "size": 1, "artifactType": artifact_type}


# Thousands


@pytest.mark.parametrize(("count", "remark"), [(64, {}), (65, "65"), (4000, "4000")])
async def test_64_layers_of_a_signature_image_are_fetched_however_many_there_are(
    registry, client, to, signed, count, remark
):
    registry.sign_legacy(APP, signed, [(b"%d" % number, {}) for number in range(count)])
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"%d" % number for number in range(64)]
    assert told(evidence) == (remark and {"legacy signatures": f"only the first 64 of {remark} were looked at"})
    assert registry.count("/blobs/") == 64


async def test_layers_of_other_types_use_up_no_place(registry, client, to, signed):
    layers = [registry.descriptor(APP, b"%d" % number, "text/plain") for number in range(3000)]
    layers.append(registry.descriptor(APP, b"good", SIMPLE_SIGNING))
    registry.manifest(APP, signed.replace(":", "-") + ".sig", {"schemaVersion": 2, "layers": layers})
    assert good(await found(client, to(registry), signed)) == [b"good"]
    assert registry.count("/blobs/") == 1


async def test_a_signature_image_of_more_than_a_mebibyte_is_not_read_to_its_end(registry, client, to, signed):
    registry.attach(APP, signed, b"bundle")
    registry.sign_legacy(APP, signed, [(b"%d" % number, {"a": "x" * 64}) for number in range(5000)])
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"bundle"]
    assert told(evidence)["legacy signatures"].endswith("the answer is larger than 1048576 bytes")


@pytest.mark.parametrize(("count", "remark"), [(64, {}), (65, "64"), (4000, "64")])
async def test_64_referrers_are_looked_at_however_many_there_are(registry, client, to, signed, count, remark):
    """Each one that is listed and not there costs a request."""
    registry.fault = when("/referrers/", listing(*(entry(number) for number in range(count))))
    evidence = await found(client, to(registry), signed)
    reasons = told(evidence)
    assert reasons.pop("bundles", {}) == (remark and f"only the first {remark} referrers were looked at")
    assert len(reasons) == 64
    assert registry.count("/manifests/sha256:") == 64


async def test_thousands_of_referrers_of_other_types_hide_no_signature(registry, client, to, signed):
    registry.attach(APP, signed, b"bundle")
    others = [entry(number, "application/spdx+json") for number in range(4000)]
    registry.fault = when("/referrers/", listing(*others, *registry.referrers(APP, signed)))
    evidence = await found(client, to(registry), signed)
    assert (good(evidence), told(evidence)) == ([b"bundle"], {})
    assert registry.count("/manifests/sha256:") == 1


@pytest.mark.parametrize(("size", "fits"), [(MIB, True), (MIB + 1, False)])
async def test_a_payload_or_bundle_of_a_mebibyte_is_fetched_and_a_byte_more_is_not(
    registry, client, to, signed, size, fits
):
    content = b"x" * size
    registry.sign_legacy(APP, signed, [(content, {})])
    registry.attach(APP, signed, content)
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == ([content, content] if fits else [])
    reason = "1048577 bytes are more than the 1048576 a signature may have"
    assert list(told(evidence).values()) == ([] if fits else [reason, reason])
    assert registry.count(sha256(content)) == (2 if fits else 0)


# Without an end


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (".sig", "legacy signatures"),
        ("/blobs/", "legacy signature 1"),
        ("/referrers/", "referrers"),
        ("/manifests/sha256:", "bundle sha256:"),
    ],
)
@pytest.mark.parametrize("status", [200, 404, 500])
async def test_an_answer_without_an_end_is_left(registry, client, to, signed, path, name, status):
    """Of an error only its start is read, and it may as well have no end."""
    registry.sign_legacy(APP, signed, [(b"payload", {})])
    registry.attach(APP, signed, b"bundle")
    registry.fault = when(path, endless(b"{", b" " * 65536, MANIFEST, status))
    evidence = await asyncio.wait_for(found(client, to(registry), signed), 20)
    expected = path != ".sig" or status != 404  # there is no legacy signature, then
    assert any(one.startswith(name) for one in told(evidence)) == (expected and (path, status) != ("/referrers/", 404))
    assert len(good(evidence)) == (0 if path == "/blobs/" else 1)


async def test_an_index_without_an_end_at_the_referrers_tag_is_left(registry, client, to, signed):
    registry.attach(APP, signed, b"bundle")
    registry.referrers_api = False
    registry.fault = when(f"/manifests/{signed.replace(':', '-')}", endless(b"{", b" " * 65536, INDEX))
    (first, second) = await found(client, to(registry), signed)  # the .sig tag begins alike
    assert first.reason.endswith("the answer is larger than 1048576 bytes")
    assert second.reason.endswith("the answer is larger than 4194304 bytes")


# JSON that costs more than it weighs


DEEP = [b"[" * 40_000, b'{"a":' * 40_000, b'{"layers":' + b"[" * 40_000 + b"]" * 40_000 + b"}"]
WIDE = [b'{"a":[' + b"{}," * 60_000 + b"{}]}", b"[" * 100_000, b'{"a":' * 100_000]


@pytest.mark.parametrize("path", [".sig", "/referrers/", "/manifests/sha256:"])
@pytest.mark.parametrize(
    ("body", "reason"),
    [(body, "invalid JSON: nested too deeply") for body in DEEP]
    + [(body, "invalid JSON: more than 50000 objects and arrays") for body in WIDE]
    + [(b'{"a":' + b"9" * 5000 + b"}", "invalid JSON: Exceeds the limit")],
    ids=lambda value: str(value)[:20],
)
async def test_json_that_is_deep_or_wide_is_refused_quickly(registry, client, to, signed, path, body, reason):
    registry.attach(APP, signed, b"bundle")
    registry.tag_referrers(APP, signed)
    registry.sign_legacy(APP, signed, [(b"payload", {})])
    lying = [{**one, "digest": sha256(body), "size": len(body)} for one in registry.referrers(APP, signed)]
    registry.manifest(APP, "", body)
    faults = {
        ".sig": when(".sig", replaced(body)),
        "/referrers/": when("/referrers/", replaced(body)),
        "/manifests/sha256:": when("/referrers/", listing(*lying)),
    }
    registry.fault = faults[path]
    started = time.process_time()
    evidence = await found(client, to(registry), signed)
    assert time.process_time() - started < 2
    # Of the referrers the tag tells as well.
    assert good(evidence) == ([b"bundle"] if path == ".sig" else [b"payload", b"bundle"])
    if path != "/referrers/":  # what is no index is no referrers API
        assert any(one.startswith(reason) for one in told(evidence).values())


async def test_the_manifest_of_the_artifact_has_the_same_bounds(registry, client, to):
    for body, reason in [(DEEP[0], "nested too deeply"), (WIDE[0], "more than 50000 objects and arrays")]:
        digest = registry.manifest(APP, "1", body)
        with pytest.raises(ManifestError, match=reason):
            await client.manifest(to(registry), digest)


async def test_a_manifest_of_fifty_thousand_objects_is_read_beside_the_loop(registry, client, to):
    """A large document takes its time, and nobody else waits for it."""
    layer = {"mediaType": "x", "digest": sha256(b""), "size": 0}
    digest = registry.manifest(APP, "1", {"layers": [layer] * 24_000, "annotations": {}})
    asked = asyncio.ensure_future(client.manifest(to(registry), digest))
    gaps, last = [], time.perf_counter()
    while not asked.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        gaps.append(now - last)
        last = now
    assert len((await asked).layers) == 24_000
    assert len(gaps) > 3


async def test_a_large_page_of_tags_is_read_beside_the_loop(monkeypatch):
    """A page may have 16 MiB, which take a second."""
    reading, usual = [], json.JSONDecoder.raw_decode

    def raw_decode(*arguments, **more):
        reading.append(threading.current_thread() is threading.main_thread())
        return usual(*arguments, **more)

    monkeypatch.setattr(json.JSONDecoder, "raw_decode", raw_decode)
    tags = [f"1.0.{number}" for number in range(10_000)]
    assert await read_tags(json.dumps({"tags": tags}).encode()) == tags
    assert await read_tags(json.dumps({"tags": tags[:9]}).encode()) == tags[:9]
    assert reading == [False, True]


# Lies


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ({"size": 6}, "Content-Length header 7 does not match expected size 6"),
        ({"size": 8}, "Content-Length header 7 does not match expected size 8"),
        ({"size": 0}, "Content-Length header 7 does not match expected size 0"),
        ({"size": 1 << 62}, "4611686018427387904 bytes are more than the 1048576 a signature may have"),
        ({"digest": sha256(b"another")}, "blob unknown to registry"),
        ({"data": "YW5vdGhlcg=="}, "error verifying sha256 checksum after reading 7 bytes"),
        ({"data": "YW5vdGhlciBvbmU="}, "error verifying size; got more than the 7 bytes announced"),
        ({"data": "YW4="}, "error verifying size; got 2, want 7"),
    ],
)
async def test_a_descriptor_that_lies_is_found_out_and_hides_no_other(registry, client, to, signed, lie, reason):
    honest = registry.descriptor(APP, b"payload", SIMPLE_SIGNING)
    layers = [{**honest, **lie}, registry.descriptor(APP, b"good", SIMPLE_SIGNING)]
    registry.manifest(APP, signed.replace(":", "-") + ".sig", {"schemaVersion": 2, "layers": layers})
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"good"]
    assert reason in told(evidence)["legacy signature 1"]


@pytest.mark.parametrize("length", ["3", "8", "1000000"])
async def test_a_length_that_lies_is_found_out(registry, client, to, signed, length):
    registry.sign_legacy(APP, signed, [(b"payload", {})])

    async def lying(request: web.Request, _: Proceed) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": length})
        await response.prepare(request)
        await response.write(b"payload"[: int(length)])
        request.transport.abort()
        return response

    registry.fault = when("/blobs/", lying)
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == []
    assert told(evidence)["legacy signature 1"]


async def test_a_digest_that_the_header_tells_is_not_that_of_the_bytes(registry, client, to, signed):
    """`resolve` may believe a header: whoever asks for the digest then is told the truth."""
    other = registry.push(APP, "2", b"other")
    registry.fault = when("/manifests/1", headers({"Docker-Content-Digest": other}), method="HEAD")
    digest = await client.resolve(to(registry), "1")
    assert digest == other
    registry.fault = when(f"/manifests/{other}", replaced(registry.repositories[APP].manifests[signed][1]))
    with pytest.raises(RegistryError, match="does not match requested digest"):
        await client.manifest(to(registry), digest)


async def test_a_packed_answer_is_unpacked_within_the_bounds_and_hides_no_other(registry, client, to, signed):
    """D3, and rule 6: a kilobyte is never a gigabyte."""
    registry.attach(APP, signed, b"bundle")
    packed = gzip.compress(b" " * (32 << 20))

    async def bomb(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": MANIFEST})

    registry.fault = when(".sig", bomb)
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"bundle"]
    assert told(evidence)["legacy signatures"].endswith("the answer is larger than 1048576 bytes")


# A referrers API that is none


@pytest.mark.parametrize(("pages", "remark"), [(16, {}), (17, "only the first 16 pages were looked at")])
async def test_16_pages_of_referrers_are_read(registry, client, to, signed, pages, remark):
    registry.attach(APP, signed, b"bundle")
    last = registry.referrers(APP, signed)

    async def paged(request: web.Request, _: Proceed) -> web.StreamResponse:
        page = int(request.query.get("page", "1"))
        body = json.dumps({"schemaVersion": 2, "manifests": last if page == 16 else [entry(page, "text/spdx")]})
        link = {"Link": f'<{request.path}?page={page + 1}>; rel="next"'} if page < pages else {}
        return web.Response(text=body, headers={"Content-Type": INDEX, **link})

    registry.fault = when("/referrers/", paged)
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"bundle"]
    assert told(evidence) == (remark and {"referrers": remark})
    assert registry.count("/referrers/") == 16


async def test_a_page_that_leads_to_itself_ends_with_the_bound(registry, client, to, signed):
    registry.attach(APP, signed, b"bundle")
    registry.fault = when("/referrers/", headers({"Link": f'</v2/{APP}/referrers/{signed}>; rel="next"'}))
    evidence = await found(client, to(registry), signed)
    assert set(good(evidence)) == {b"bundle"}
    assert told(evidence) == {"referrers": "only the first 16 pages were looked at"}


async def test_a_page_on_another_host_is_not_asked_for(registry, client, to, signed):
    """It would be asked with the credentials of this one. What the first page lists counts all the same."""
    async with RegistryServer() as elsewhere:
        registry.attach(APP, signed, b"bundle")
        registry.fault = when("/referrers/", headers({"Link": f'<{elsewhere.url}/v2/{APP}/referrers/x>; rel="next"'}))
        evidence = await found(client, to(registry, credentials=Credentials("user", "pass")), signed)
        assert elsewhere.asked == []
    assert told(evidence)["referrers"].endswith("the link to the next page leads to another host")
    assert set(good(evidence)) == {b"bundle"}


@pytest.mark.parametrize(
    "fault",
    [answer(500), answer(404), answer(405), answer(200, "<html>"), listing(5), endless(b"{", b" " * 65536, INDEX)],
)
async def test_a_second_page_that_fails_loses_nothing_of_the_first(registry, client, to, signed, fault):
    registry.attach(APP, signed, b"bundle")
    page = chain(when("/referrers/", headers({"Link": "<?page=2>; rel=next"})))
    registry.fault = when("/referrers/", succession(page, fault))
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"bundle"]


@pytest.mark.parametrize("broken", [5, {}, {"digest": "sha256:x", "size": 1}, {"digest": sha256(b""), "size": -1}])
async def test_a_broken_entry_hides_nothing_that_the_tag_tells(registry, client, to, signed, broken):
    registry.attach(APP, signed, b"bundle")
    registry.tag_referrers(APP, signed)
    registry.fault = when("/referrers/", listing(broken))
    assert good(await found(client, to(registry), signed)) == [b"bundle"]


async def test_a_listing_that_mixes_everything_yields_what_is_a_signature(registry, client, to, signed):
    registry.attach(APP, signed, b"bundle")
    registry.attach(APP, signed, b"sbom", media_type="text/spdx", artifact_type=None)
    registry.attach(APP, signed, b"slsa", annotations={"dev.sigstore.bundle.predicateType": "https://slsa.dev"})
    nested = registry.index(APP, "", [])
    other = registry.push(APP, "2", b"an artifact of its own")
    entries = [
        {"mediaType": INDEX, "digest": nested, "size": 1, "artifactType": BUNDLE},
        {"mediaType": MANIFEST, "digest": other, "size": 1, "artifactType": BUNDLE},
        entry(1),
        *registry.referrers(APP, signed),
    ]
    registry.fault = when("/referrers/", listing(*entries))
    evidence = await found(client, to(registry), signed)
    assert good(evidence) == [b"bundle"]
    assert told(evidence)[f"bundle {other[:19]}"] == "it has 0 bundle layers instead of one"
    assert told(evidence)[f"bundle {nested[:19]}"] == "it has 0 bundle layers instead of one"
    assert told(evidence)["attestations"] == "1 found, which are not signatures"
