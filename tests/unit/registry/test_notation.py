"""Signatures of Notation: found by their referrers, and what they sign described (signatures.md, "Notation",
"Discovery", rules 3 and 6)."""

from __future__ import annotations

import json

import pytest

from devkit.ocicontent import BUNDLE, INDEX, MANIFEST, NOTATION, sha256
from devkit.ocifaults import answer, flipped, when
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError
from ocisource.domain.evidence import NotationSignature, Unreadable

JWS, COSE = "application/jose+json", "application/cose"
EMPTY = "application/vnd.oci.empty.v1+json"
APP = "team/app"


@pytest.fixture
def signed(registry):
    return registry.push(APP, "1", b"layer")


async def _all(client, access, digest):
    return [evidence async for evidence in client.signatures(access, digest, "notation")]


def _sign(registry, digest: str, envelope: bytes, media_type: str = JWS, **knobs) -> str:
    return registry.attach(APP, digest, envelope, **{"media_type": media_type, "artifact_type": NOTATION, **knobs})


async def test_an_unsigned_digest_has_no_evidence(registry, client, to, signed):
    assert await _all(client, to(registry), signed) == []


@pytest.mark.parametrize("media_type", [JWS, COSE, "application/other"])
async def test_an_envelope_is_found_with_its_media_type(registry, client, to, signed, media_type):
    """Which media types can be judged is the trust room's question."""
    referrer = _sign(registry, signed, b"envelope", media_type)
    expected = NotationSignature(f"signature {referrer[:19]}", media_type, b"envelope")
    assert await _all(client, to(registry), signed) == [expected]


@pytest.mark.parametrize(
    "form",
    [
        {"artifact_type": NOTATION, "config": EMPTY},
        {"artifact_type": None, "config": NOTATION},
        {"artifact_type": NOTATION, "config": NOTATION},
    ],
)
@pytest.mark.parametrize("tagged", [False, True])
async def test_both_forms_of_the_manifest_are_found_by_api_and_by_tag(registry, client, to, signed, form, tagged):
    """`signature-specification.md`: by `artifactType`, and before OCI 1.1 by the config's media type."""
    _sign(registry, signed, b"envelope", **form)
    if tagged:
        registry.tag_referrers(APP, signed)
        registry.fault = when("/referrers/", answer(404))
    (found,) = await _all(client, to(registry), signed)
    assert found.envelope == b"envelope"


@pytest.mark.parametrize("told", [EMPTY, None])
async def test_the_manifest_tells_where_the_registry_does_not(registry, client, to, signed, told):
    """Some registries name the config's type, or none, instead of the artifact's."""
    referrer = _sign(registry, signed, b"envelope")
    other = registry.attach(APP, signed, b"bundle")
    entries = [
        {"mediaType": MANIFEST, "digest": digest, "size": 1} | ({"artifactType": told} if told else {})
        for digest in (other, referrer)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    registry.fault = when("/referrers/", answer(200, index, {"Content-Type": INDEX}))
    (found,) = await _all(client, to(registry), signed)
    assert found.envelope == b"envelope"


async def test_what_cosign_signs_is_not_looked_at(registry, client, to, signed):
    registry.sign_legacy(APP, signed, [(b"one", {})])
    registry.attach(APP, signed, b"bundle")
    assert await _all(client, to(registry), signed) == []
    assert [a.path for a in registry.asked if ".sig" in a.path] == []


async def test_a_notation_signature_is_none_of_cosign(registry, client, to, signed):
    _sign(registry, signed, b"envelope")
    assert [one async for one in client.signatures(to(registry), signed, "cosign")] == []


async def test_nothing_is_fetched_before_it_is_asked_for(registry, client, to, signed):
    for number in range(3):
        _sign(registry, signed, b"%d" % number)
    found = client.signatures(to(registry), signed, "notation")
    assert isinstance(await anext(found), NotationSignature)
    assert sum("/blobs/" in a.path for a in registry.asked) == 1
    await found.aclose()


@pytest.mark.parametrize("fault", [flipped(), answer(404), answer(403)])
async def test_an_envelope_that_cannot_be_read_hides_no_other(registry, client, to, signed, fault):
    _sign(registry, signed, b"bad")
    _sign(registry, signed, b"good")
    registry.fault = when(f"/blobs/{sha256(b'bad')}", fault)
    found = await _all(client, to(registry), signed)
    assert sorted(type(one).__name__ for one in found) == ["NotationSignature", "Unreadable"]
    assert next(one for one in found if isinstance(one, NotationSignature)).envelope == b"good"


def _referrer(registry, subject: str | None, layers: int, artifact_type: str = NOTATION) -> str:
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact_type,
        "config": registry.descriptor(APP, b"{}", EMPTY),
        "layers": [registry.descriptor(APP, b"%d" % number, JWS) for number in range(layers)],
    }
    if subject:
        document["subject"] = {"mediaType": MANIFEST, "digest": subject, "size": 1}
    return registry.manifest(APP, "", document)


def _lists(registry, *digests: str) -> None:
    entries = [{"mediaType": MANIFEST, "digest": each, "size": 1, "artifactType": NOTATION} for each in digests]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    registry.fault = when("/referrers/", answer(200, index, {"Content-Type": INDEX}))


@pytest.mark.parametrize(
    ("layers", "artifact_type", "reason"),
    [
        (0, NOTATION, "it has 0 layers instead of one"),
        (2, NOTATION, "it has 2 layers instead of one"),
        (1, BUNDLE, f"its manifest is not of the type {NOTATION}"),
    ],
)
async def test_a_referrer_is_what_it_is_listed_as(registry, client, to, signed, layers, artifact_type, reason):
    good = _sign(registry, signed, b"good")
    bad = _referrer(registry, signed, layers, artifact_type)
    _lists(registry, bad, good)
    unreadable, found = await _all(client, to(registry), signed)
    assert unreadable == Unreadable(f"signature {bad[:19]}", reason)
    assert found.envelope == b"good"


@pytest.mark.parametrize("subject", [None, "sha256:" + "0" * 64])
async def test_what_a_signature_refers_to_is_for_its_payload_to_say(registry, client, to, signed, subject):
    """As in the original: nothing of the manifest is signed."""
    _lists(registry, _referrer(registry, subject, 1))
    (found,) = await _all(client, to(registry), signed)
    assert found.envelope == b"0"


async def test_no_more_than_64_signatures_are_looked_at(registry, client, to, signed):
    for number in range(70):
        _sign(registry, signed, b"%d" % number)
    found = await _all(client, to(registry), signed)
    assert sum(isinstance(one, NotationSignature) for one in found) == 64
    assert found[-1] == Unreadable("signatures", "only the first 64 referrers were looked at")


async def test_referrers_of_other_types_use_up_no_place(registry, client, to, signed):
    for number in range(70):
        registry.attach(APP, signed, b"%d" % number, artifact_type="application/spdx+json")
    _sign(registry, signed, b"envelope")
    (found,) = await _all(client, to(registry), signed)
    assert found.envelope == b"envelope"


async def test_an_envelope_has_at_most_a_mebibyte(registry, client, to, signed):
    _sign(registry, signed, b"x" * (1024 * 1024 + 1))
    (found,) = await _all(client, to(registry), signed)
    assert isinstance(found, Unreadable)
    assert "1048577 bytes are more than the 1048576" in found.reason
    assert not any("/blobs/" in a.path for a in registry.asked)


async def test_a_registry_that_does_not_answer_is_told_apart(registry, client, to, signed):
    _sign(registry, signed, b"envelope")
    registry.fault = when("/blobs/", answer(503))
    (found,) = await _all(client, to(registry), signed)
    assert isinstance(found, Unreadable)
    assert found.unanswered


# What a signature is about.


async def test_a_manifest_is_described_as_it_is(registry, client, to, signed):
    media_type, content = registry.found(APP).manifests[signed]
    assert await client.describe(to(registry), signed) == Descriptor(media_type, signed, len(content))


async def test_an_index_is_described_itself_not_its_child(registry, client, to, signed):
    index = registry.index(APP, "all", [{"mediaType": MANIFEST, "digest": signed, "size": 1}])
    content = registry.found(APP).manifests[index][1]
    assert await client.describe(to(registry), index) == Descriptor(INDEX, index, len(content))


async def test_a_manifest_that_does_not_say_its_type_has_the_one_that_the_registry_says(registry, client, to):
    document = {"schemaVersion": 2, "config": registry.descriptor(APP, b"{}", EMPTY), "layers": []}
    digest = registry.manifest(APP, "", document)
    assert (await client.describe(to(registry), digest)).media_type == MANIFEST


@pytest.mark.parametrize("fault", [flipped(), answer(404), answer(500)])
async def test_what_does_not_have_the_digest_is_not_described(registry, client, to, signed, fault):
    registry.fault = when("/manifests/", fault)
    with pytest.raises(RegistryError):
        await client.describe(to(registry), signed)


async def test_only_digests_are_described(registry, client, to):
    with pytest.raises(RegistryError):
        await client.describe(to(registry), "latest")
    assert registry.asked == []
