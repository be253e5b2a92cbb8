"""What claims to sign a digest: found, bounded, never in each other's way (signatures.md, discovery, rules 3 and 6)."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from devkit.ocicontent import BUNDLE, INDEX, MANIFEST, SIMPLE_SIGNING, sha256
from devkit.ocifaults import answer, chain, endless, flipped, headers, reset, truncated, when
from devkit.ocihttp import Proceed, RegistryServer
from ocisource.domain.evidence import BundleSignature, LegacySignature, Unreadable

PREDICATE = "dev.sigstore.bundle.predicateType"


@pytest.fixture
def signed(registry):
    return registry.push("team/app", "1", b"layer")


async def _all(client, access, digest):
    return [evidence async for evidence in client.signatures(access, digest, "cosign")]


def _paths(registry: RegistryServer) -> list[str]:
    return [a.path.removeprefix("/v2/team/app/").partition("/")[0] for a in registry.asked if "/team/" in a.path]


async def test_an_unsigned_digest_has_no_evidence(registry, client, to, signed):
    assert await _all(client, to(registry), signed) == []


async def test_legacy_comes_first_and_bundles_are_looked_for_only_then(registry, client, to, signed):
    registry.sign_legacy("team/app", signed, [(b"one", {"a": "1"}), (b"two", {"a": "2"})])
    registry.attach("team/app", signed, b"bundle")
    found = client.signatures(to(registry), signed, "cosign")
    assert await anext(found) == LegacySignature("legacy signature 1", b"one", {"a": "1"})
    assert _paths(registry) == ["manifests", "blobs"]  # nothing is fetched before it is asked for
    assert await anext(found) == LegacySignature("legacy signature 2", b"two", {"a": "2"})
    bundle = await anext(found)
    assert isinstance(bundle, BundleSignature)
    assert bundle.content == b"bundle"
    assert [one async for one in found] == []


async def test_signatures_that_share_a_payload_are_all_told_and_it_is_fetched_once(registry, client, to, signed):
    registry.sign_legacy("team/app", signed, [(b"same", {"a": str(n)}) for n in range(3)])
    found = await _all(client, to(registry), signed)
    assert [(one.payload, one.annotations["a"]) for one in found] == [(b"same", "0"), (b"same", "1"), (b"same", "2")]
    assert _paths(registry).count("blobs") == 1


async def test_layers_of_other_types_are_no_signatures(registry, client, to, signed):
    layers = [
        registry.descriptor("team/app", b"x", "text/plain"),
        registry.descriptor("team/app", b"y", SIMPLE_SIGNING),
    ]
    registry.manifest("team/app", signed.replace(":", "-") + ".sig", {"schemaVersion": 2, "layers": layers})
    assert await _all(client, to(registry), signed) == [LegacySignature("legacy signature 1", b"y", {})]


@pytest.mark.parametrize("fault", [flipped(), answer(404), answer(403)])
async def test_a_signature_that_cannot_be_read_hides_no_other(registry, client, to, signed, fault):
    registry.sign_legacy("team/app", signed, [(b"bad", {}), (b"good", {})])
    registry.attach("team/app", signed, b"bundle")
    registry.fault = when(f"/blobs/{sha256(b'bad')}", fault)
    bad, good, bundle = await _all(client, to(registry), signed)
    assert isinstance(bad, Unreadable)
    assert bad.name == "legacy signature 1"
    assert bad.reason
    assert good == LegacySignature("legacy signature 2", b"good", {})
    assert isinstance(bundle, BundleSignature)


@pytest.mark.parametrize(
    "fault",
    [
        answer(403, "forbidden"),
        answer(500),
        answer(200, "<html>", {"Content-Type": "text/html"}),
        answer(200, json.dumps({"layers": 5})),
        endless(b"{", b" " * 65536, MANIFEST),
    ],
)
async def test_where_one_format_cannot_be_looked_for_the_other_is(registry, client, to, signed, fault):
    registry.attach("team/app", signed, b"bundle")
    registry.fault = when(".sig", fault)
    legacy, bundle = await _all(client, to(registry), signed)
    assert isinstance(legacy, Unreadable)
    assert legacy.name == "legacy signatures"
    assert isinstance(bundle, BundleSignature)

    registry.sign_legacy("team/app", signed, [(b"one", {})])
    registry.fault = when("/referrers/", answer(500, "trouble"))
    good, trouble = await _all(client, to(registry), signed)
    assert isinstance(good, LegacySignature)
    assert isinstance(trouble, Unreadable)
    assert trouble.name == "referrers"
    assert "500 Internal Server Error: trouble" in trouble.reason


@pytest.mark.parametrize("path", ["/sha256-", "/referrers/", "/blobs/"], ids=["tags", "referrers", "blobs"])
@pytest.mark.parametrize(
    ("fault", "unanswered"),
    [
        (answer(500), True),
        (answer(503), True),
        (answer(429), True),
        (answer(403), True),
        (answer(401), True),
        (reset(), True),
        (truncated(), True),
        (flipped(), False),
        (answer(404), False),
    ],
    ids=["500", "503", "429", "403", "401", "reset", "truncated", "flipped", "404"],
)
async def test_where_the_registry_gave_no_answer_the_evidence_says_so(
    registry, client, to, signed, path, fault, unanswered
):
    """Nobody knows then what stands there: that is no verdict."""
    registry.sign_legacy("team/app", signed, [(b"one", {})])
    registry.attach("team/app", signed, b"bundle")
    registry.fault = when(path, fault)

    found = await _all(client, to(registry), signed)

    assert any(isinstance(one, Unreadable) and one.unanswered for one in found) == unanswered


async def test_no_more_than_64_legacy_signatures_are_looked_at(registry, client, to, signed):
    registry.sign_legacy("team/app", signed, [(b"same", {"n": str(n)}) for n in range(70)])
    found = await _all(client, to(registry), signed)
    assert sum(isinstance(one, LegacySignature) for one in found) == 64
    assert found[-1] == Unreadable("legacy signatures", "only the first 64 of 70 were looked at")


async def test_no_more_than_64_bundles_are_looked_at(registry, client, to, signed):
    for n in range(70):
        registry.attach("team/app", signed, str(n).encode())
    found = await _all(client, to(registry), signed)
    assert sum(isinstance(one, BundleSignature) for one in found) == 64
    assert found[-1] == Unreadable("bundles", "only the first 64 referrers were looked at")


async def test_more_than_a_mebibyte_is_not_fetched(registry, client, to, signed):
    big = b"x" * (1024 * 1024 + 1)
    registry.sign_legacy("team/app", signed, [(big, {}), (b"small", {})])
    registry.attach("team/app", signed, big)
    payload, small, bundle = await _all(client, to(registry), signed)
    for one in (payload, bundle):
        assert isinstance(one, Unreadable)
        assert one.reason == "1048577 bytes are more than the 1048576 a signature may have"
    assert isinstance(small, LegacySignature)
    assert registry.count(sha256(big)) == 0


async def test_bundles_are_found_by_the_tag_where_the_api_is_missing(registry, client, to, signed):
    registry.attach("team/app", signed, b"bundle")
    registry.tag_referrers("team/app", signed)
    for status in (404, 405, 400, 406, 501):
        registry.fault = when("/referrers/", answer(status))
        (found,) = await _all(client, to(registry), signed)
        assert isinstance(found, BundleSignature)


async def test_what_the_api_does_not_list_is_found_by_the_tag(registry, client, to, signed):
    """signatures.md rule 3: by the API, then by the tag. Who pushed for the one need not be seen by the other."""
    registry.attach("team/app", signed, b"listed")
    listed = registry.referrers("team/app", signed)
    registry.attach("team/app", signed, b"tagged")
    registry.tag_referrers("team/app", signed)
    body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed})
    registry.fault = when("/referrers/", answer(200, body, {"Content-Type": INDEX}))
    assert [one.content for one in await _all(client, to(registry), signed)] == [b"listed", b"tagged"]


SHA512 = {"mediaType": MANIFEST, "digest": "sha512:" + "0" * 128, "size": 1}


@pytest.mark.parametrize("place", ["referrers", "tag"])
async def test_an_entry_that_cannot_be_read_hides_no_other_of_the_list(registry, client, to, signed, place):
    """signatures.md rule 3: a registry may list what is addressed in ways that we do not know."""
    registry.attach("team/app", signed, b"bundle")
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [SHA512, *registry.referrers("team/app", signed)]}
    if place == "referrers":
        registry.fault = when("/referrers/", answer(200, json.dumps(document), {"Content-Type": INDEX}))
    else:
        registry.manifest("team/app", signed.replace(":", "-"), document, INDEX)
        registry.fault = when("/referrers/", answer(404))
    found, broken = await _all(client, to(registry), signed)
    assert found.content == b"bundle"
    assert broken.reason.startswith("1 of them cannot be read: ")
    assert "sha512" in broken.reason


async def test_a_legacy_layer_that_cannot_be_read_hides_no_other(registry, client, to, signed):
    """signatures.md rule 3."""
    tag = registry.sign_legacy("team/app", signed, [(b"payload", {})])
    document = json.loads(registry.repositories["team/app"].manifests[tag][1])
    document["layers"].insert(0, {**SHA512, "mediaType": document["layers"][0]["mediaType"]})
    registry.manifest("team/app", signed.replace(":", "-") + ".sig", document)
    broken, found = await _all(client, to(registry), signed)
    assert found.payload == b"payload"
    assert broken.reason.startswith("1 of them cannot be read: ")
    assert not broken.unanswered


@pytest.mark.parametrize("subject", [None, {"mediaType": MANIFEST, "digest": sha256(b"other"), "size": 1}])
async def test_what_a_bundle_refers_to_is_for_its_statement_to_say(registry, client, to, signed, subject):
    """As in the original: nothing of the manifest is signed, and where there is no API it may say nothing."""
    attached = registry.attach("team/app", signed, b"bundle")
    document = json.loads(registry.repositories["team/app"].manifests.pop(attached)[1])
    other = registry.manifest("team/app", "", {**document, "subject": subject})
    registry.index("team/app", signed.replace(":", "-"), [{"mediaType": MANIFEST, "digest": other, "size": 1}])
    registry.fault = when("/referrers/", answer(404))
    (found,) = await _all(client, to(registry), signed)
    assert found.content == b"bundle"


@pytest.mark.parametrize(
    "body", ["<html>", "{}", '{"schemaVersion": 2, "layers": []}', '{"errors": []}', "[]", '{"manifests": 5}']
)
async def test_an_api_that_answers_something_else_counts_as_missing(registry, client, to, signed, body):
    registry.attach("team/app", signed, b"bundle")
    registry.tag_referrers("team/app", signed)
    registry.fault = when("/referrers/", answer(200, body))
    (found,) = await _all(client, to(registry), signed)
    assert isinstance(found, BundleSignature)


async def test_every_page_of_the_referrers_is_read(registry, client, to, signed):
    registry.attach("team/app", signed, b"first")
    registry.attach("team/app", signed, b"second")
    entries = registry.referrers("team/app", signed)

    async def paged(request: web.Request, _: Proceed) -> web.StreamResponse:
        page = int(request.query.get("page", "0"))
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entries[page]]})
        link = {} if page else {"Link": f'<{request.path}?page=1>; rel="next"'}
        return web.Response(text=body, headers={"Content-Type": INDEX, **link})

    registry.fault = when("/referrers/", paged)
    assert [one.content for one in await _all(client, to(registry), signed)] == [b"first", b"second"]


async def test_pages_without_an_end_end(registry, client, to, signed):
    registry.fault = when("/referrers/", headers({"Link": "<?again>; rel=next"}))
    assert await _all(client, to(registry), signed) == [
        Unreadable("referrers", "only the first 16 pages were looked at")
    ]


async def test_other_referrers_are_passed_over_unread(registry, client, to, signed):
    registry.attach(
        "team/app", signed, b"sbom", media_type="application/spdx+json", artifact_type="application/spdx+json"
    )
    assert await _all(client, to(registry), signed) == []
    assert _paths(registry) == ["manifests", "referrers", "manifests"]  # both tags, and nothing of the referrer


async def test_attestations_are_named_but_not_read(registry, client, to, signed):
    """An annotation is unsigned: it may be used to skip, never to trust."""
    registry.attach("team/app", signed, b"slsa", annotations={PREDICATE: "https://slsa.dev/provenance/v1"})
    registry.attach("team/app", signed, b"good", annotations={PREDICATE: "https://sigstore.dev/cosign/sign/v1"})
    good, rest = await _all(client, to(registry), signed)
    assert good.content == b"good"
    assert rest == Unreadable("attestations", "1 found, which are not signatures")


async def test_a_referrer_whose_type_is_not_told_is_looked_into(registry, client, to, signed):
    """distribution-spec: without artifactType it is the config's media type."""
    registry.attach("team/app", signed, b"bundle", artifact_type=None)  # told as application/vnd.oci.empty.v1+json
    registry.attach("team/app", signed, b"sbom", media_type="text/spdx", artifact_type=None)
    image = "application/vnd.oci.image.config.v1+json"
    registry.attach("team/app", signed, b"with the config of an image", artifact_type=None, config=image)
    found = await _all(client, to(registry), signed)
    assert [one.content for one in found] == [b"bundle", b"with the config of an image"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"layers": []}, "it has 0 bundle layers instead of one"),
        ({"layers": "twice"}, "it has 2 bundle layers instead of one"),
        ({"layers": "broken"}, "field layers[0].size must be a number of bytes"),
    ],
)
async def test_a_bundle_that_is_put_together_wrong_is_told_and_hides_no_other(
    registry, client, to, signed, change, reason
):
    attached = registry.attach("team/app", signed, b"bundle")
    document = json.loads(registry.repositories["team/app"].manifests[attached][1])
    if change.get("layers") == "twice":
        change = {"layers": document["layers"] * 2}
    elif change.get("layers") == "broken":
        change = {"layers": [{**document["layers"][0], "size": None}]}
    wrong = registry.manifest("team/app", "", {**document, **change})
    entry = {"mediaType": MANIFEST, "digest": wrong, "size": 1, "artifactType": BUNDLE}
    entries = [entry, *(one for one in registry.referrers("team/app", signed) if one["digest"] == attached)]

    async def listed(_: web.Request, __: Proceed) -> web.StreamResponse:
        body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
        return web.Response(text=body, headers={"Content-Type": INDEX})

    registry.fault = when("/referrers/", listed)
    bad, good = await _all(client, to(registry), signed)
    assert bad == Unreadable(f"bundle {wrong[:19]}", reason)
    assert isinstance(good, BundleSignature)


async def test_a_registry_that_changes_bytes_on_the_way_is_found_out(registry, client, to, signed):
    attached = registry.attach("team/app", signed, b"bundle")
    registry.fault = when(f"/manifests/{attached}", flipped())
    (found,) = await _all(client, to(registry), signed)
    assert found == Unreadable(f"bundle {attached[:19]}", "the manifest does not match its digest")
    registry.fault = when("/blobs/", flipped())
    (found,) = await _all(client, to(registry), signed)
    assert isinstance(found, Unreadable)
    assert "error verifying sha256 checksum" in found.reason


async def test_a_registry_that_is_gone_is_the_reason_for_each_format(client, to):
    digest = sha256(b"x")
    found = await _all(client, to("127.0.0.1:1"), digest)
    assert [type(one) for one in found] == [Unreadable] * 3
    assert all("connection refused" in one.reason for one in found)


async def test_the_search_can_be_left_in_the_middle(registry, client, to, signed):
    registry.sign_legacy("team/app", signed, [(b"one", {}), (b"two", {})])
    registry.fault = chain()
    async for evidence in client.signatures(to(registry), signed, "cosign"):
        assert isinstance(evidence, LegacySignature)
        break
    assert _paths(registry) == ["manifests", "blobs"]
