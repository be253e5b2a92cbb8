"""Rule 6 on whole signatures: what just meets a bound counts, one more does not, and the reason says so.

The bounds of a single part (a certificate, a checkpoint, a token, a Merkle path …) are tested with that part.
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from devkit.offline import NOW, Entry, OfflineSigstore, TimestampAuthority, assemble
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.signer import Signer, signing_payload, statement, to_json
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import BundleSignature, LegacySignature, NotationSignature, Subject
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.roots import read_trusted_root

MIB = 1 << 20
DIGEST = "sha256:" + "a" * 64
SUBJECT = Subject("registry.example/app", DIGEST, "application/vnd.oci.image.manifest.v1+json", 528)


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(scope="module")
def foreign() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(scope="module")
def key() -> Signer:
    return Signer.generate()


@pytest.fixture(scope="module")
def policies(sigstore, key):
    keyless = read_identity_policy(read_trusted_root(sigstore.trusted_root()), [])
    return {"key": read_keys("pub", {"a.pub": key.public_pem()}), "identity": keyless}


def verdict(policy, evidence) -> str:
    """ "" where it counts, else the reason."""
    judgement = policy.judge(SUBJECT, evidence)
    assert judgement.accepted != bool(judgement.reason)
    return judgement.reason


def padded(document: bytes, size: int) -> bytes:
    """The JSON object with a member that means nothing, to be of that size."""
    grown = document[:-1] + b',"padding":"' + b"x" * (size - len(document) - 13) + b'"}'
    assert len(grown) == size
    return grown


@pytest.mark.parametrize("who", ["key", "identity"])
def test_a_payload_may_have_a_mebibyte(policies, sigstore, key, who):
    def made(size: int) -> LegacySignature:
        payload = padded(signing_payload(DIGEST, "registry.example/app"), size)
        layer = key.legacy_over(payload) if who == "key" else sigstore.identity().legacy(DIGEST, payload=payload)
        return LegacySignature("one", layer.payload, layer.annotations)

    assert verdict(policies[who], made(MIB)) == ""
    assert verdict(policies[who], made(MIB + 1)) == "payload is larger than 1 MiB"


@pytest.mark.parametrize("who", ["key", "identity"])
def test_a_bundle_may_have_a_mebibyte(policies, sigstore, key, who):
    content = key.bundle(DIGEST) if who == "key" else sigstore.identity().bundle(DIGEST, "v2")
    assert verdict(policies[who], BundleSignature("one", padded(content, MIB))) == ""
    assert verdict(policies[who], BundleSignature("one", padded(content, MIB + 1))) == "bundle is larger than 1 MiB"


def test_a_payload_or_bundle_may_be_64_deep(policies, key):
    """What is signed too: a signer may have been careless, or made to sign."""

    def nested(document: bytes, depth: int) -> bytes:
        return document[:-1] + b',"padding":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    for depth, reason in ((64, ""), (65, " has more than 64 objects and arrays within each other")):
        payload = key.legacy_over(nested(signing_payload(DIGEST, "registry.example/app"), depth))
        told = verdict(policies["key"], LegacySignature("one", payload.payload, payload.annotations))
        assert told == (reason and f"payload{reason}")
        said = BundleSignature("one", key.bundle_over(nested(statement(DIGEST), depth)))
        assert verdict(policies["key"], said) == (reason and f"statement{reason}")
        bundle = BundleSignature("one", nested(key.bundle(DIGEST), depth))
        assert verdict(policies["key"], bundle) == (reason and f"bundle{reason}")


@pytest.mark.parametrize("rekor", ["v1", "v2"])
def test_a_bundle_may_have_32_log_entries_of_which_one_is_enough(policies, sigstore, foreign, rekor):
    """The good one stands last: each of the others was looked at."""
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    good = signing.logged(sealed, rekor)
    strange = replace(signing, rekor_v1=foreign.rekor_v1, rekor_v2=foreign.rekor_v2).logged(sealed, rekor)
    stamps = [signing.stamped(sealed)] if rekor == "v2" else []

    def made(count: int) -> BundleSignature:
        others: list[Entry] = [replace(strange, index=number) for number in range(count - 1)]
        return BundleSignature("one", assemble(sealed, [*others, good], stamps))

    assert verdict(policies["identity"], made(32)) == ""
    assert verdict(policies["identity"], made(33)) == "bundle's tlogEntries has more than 32 entries"


def test_a_bundle_may_have_32_timestamps_of_which_one_is_enough(policies, sigstore):
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    strange = TimestampAuthority.create(sigstore.tsa.window).timestamp(sealed.signature, signing.at)

    def made(count: int) -> BundleSignature:
        stamps = [*[strange] * (count - 1), signing.stamped(sealed)]
        return BundleSignature("one", assemble(sealed, [signing.logged(sealed, "v2")], stamps))

    assert verdict(policies["identity"], made(32)) == ""
    assert verdict(policies["identity"], made(33)) == "bundle's rfc3161Timestamps has more than 32 entries"


def test_a_jws_may_have_a_mebibyte_and_a_cose_envelope_an_eighth_of_it(sigstore):
    """CBOR can cost far more time a byte than JSON."""
    notary = Notary.create(sigstore.tsa.window)
    secret = {"trustpolicy.json": trust_policy(), "ca.crt": notary.root_pem()}
    policy = read_notation("team/notation", secret, SUBJECT.repository, lambda: float(NOW))
    order = Order(SUBJECT.media_type, DIGEST, SUBJECT.size, NOW)

    document = json.loads(notary.jws(order))
    document["header"]["padding"] = ""
    room = MIB - len(to_json(document))
    for more, reason in ((0, ""), (1, "envelope is larger than 1 MiB")):
        document["header"]["padding"] = "x" * (room + more)
        assert verdict(policy, NotationSignature("one", JWS, to_json(document))) == reason

    def cose(size: int) -> NotationSignature:
        payload = padded(order.payload(), 1000)
        envelope = notary.cose(replace(order, raw_payload=payload))
        payload = padded(order.payload(), 1000 + size - len(envelope) - 2)  # a longer length takes two bytes more
        return NotationSignature("one", COSE, notary.cose(replace(order, raw_payload=payload)))

    exact, longer = cose(128 << 10), cose((128 << 10) + 1)
    assert [len(one.envelope) for one in (exact, longer)] == [131072, 131073]
    assert verdict(policy, exact) == ""
    assert verdict(policy, longer) == "envelope is larger than 131072 bytes"


def test_what_a_secret_holds_may_have_a_mebibyte_too(sigstore):
    """Who may write a Secret in one namespace does not slow down the others."""
    assert read_trusted_root(padded(sigstore.trusted_root(), MIB)).logs
    with pytest.raises(TrustError, match=r"^trusted root is larger than 1 MiB$"):
        read_trusted_root(padded(sigstore.trusted_root(), MIB + 1))
    secret = {"ca.crt": Notary.create(sigstore.tsa.window).root_pem()}
    for size in (MIB, MIB + 1):
        secret["trustpolicy.json"] = padded(trust_policy(), size)
        if size == MIB:
            assert read_notation("team/notation", secret, SUBJECT.repository, float).flaw == ""
        else:
            with pytest.raises(TrustError, match=r"trustpolicy\.json: the document is larger than 1 MiB$"):
                read_notation("team/notation", secret, SUBJECT.repository, float)
