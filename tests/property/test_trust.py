"""What must hold for any bytes a registry can send (signatures.md rules 1 and 2)."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.signer import Signer, signing_payload, statement, to_json
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import BundleSignature, Judgement, LegacySignature, Subject, Unreadable
from ocisource.trust.keyed import read_keys

SIGNATURE = "dev.cosignproject.cosign/signature"
DIGEST = "sha256:" + hashlib.sha256(b"the artifact").hexdigest()
SIGNERS = [Signer.generate("p256"), Signer.generate("ed25519"), Signer.generate("p384")]
RING = read_keys("pub", {f"{one.kind}.pub": one.public_pem() for one in SIGNERS})

NAMES = [
    "mediaType",
    "verificationMaterial",
    "publicKey",
    "hint",
    "certificate",
    "dsseEnvelope",
    "payload",
    "payloadType",
    "signatures",
    "sig",
    "messageSignature",
    "critical",
    "image",
    "docker-manifest-digest",
    "type",
    "_type",
    "subject",
    "digest",
    "sha256",
    "predicateType",
]
VALUES = ["application/vnd.dev.sigstore.bundle.v0.3+json", "application/vnd.in-toto+json", DIGEST, "e30=", ""]
WORDS = st.sampled_from([*NAMES, *VALUES])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS | st.text(max_size=8), inner, max_size=6),
    max_leaves=20,
)
DOCUMENTS = st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode())
EVIDENCE = (
    st.builds(LegacySignature, st.text(), DOCUMENTS, st.dictionaries(st.just(SIGNATURE) | st.text(), st.text() | WORDS))
    | st.builds(BundleSignature, st.text(), DOCUMENTS)
    | st.builds(Unreadable, st.text(), st.text())
)


def refused(judgement: Judgement) -> bool:
    reason = judgement.reason
    return not judgement.accepted and 0 < len(reason) <= 300 and reason.isascii() and reason.isprintable()


def flipped(content: bytes, position: int, bits: int) -> bytes:
    place = position % len(content)
    return content[:place] + bytes([content[place] ^ bits]) + content[place + 1 :]


@given(EVIDENCE, st.just(DIGEST) | st.text())
def test_the_judge_never_raises_and_accepts_nothing_that_was_not_signed(evidence, digest):
    assert refused(RING.judge(Subject("reg.example/app", digest), evidence))


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda one: one.kind)
@settings(max_examples=60)
@given(position=st.integers(0), bits=st.integers(1, 255), part=st.sampled_from(["payload", "signature"]))
def test_a_legacy_signature_with_any_byte_changed_is_refused(signer, position, bits, part):
    payload = signing_payload(DIGEST, "registry.example/app")
    signature = signer.sign(payload)
    if part == "payload":
        payload = flipped(payload, position, bits)
    else:
        signature = flipped(signature, position, bits)
    annotations = {SIGNATURE: base64.b64encode(signature).decode()}
    assert refused(RING.judge(Subject("reg.example/app", DIGEST), LegacySignature("x", payload, annotations)))


@pytest.mark.parametrize("signer", SIGNERS, ids=lambda one: one.kind)
@settings(max_examples=60)
@given(position=st.integers(0), bits=st.integers(1, 255), part=st.sampled_from(["payload", "sig"]))
def test_a_bundle_with_any_signed_byte_changed_is_refused(signer, position, bits, part):
    bundle = json.loads(signer.bundle(DIGEST))
    place = bundle["dsseEnvelope"] if part == "payload" else bundle["dsseEnvelope"]["signatures"][0]
    place[part] = base64.b64encode(flipped(base64.b64decode(place[part]), position, bits)).decode()
    assert refused(RING.judge(Subject("reg.example/app", DIGEST), BundleSignature("x", to_json(bundle))))


@given(position=st.integers(0), bits=st.integers(1, 255))
def test_a_bundle_with_any_byte_changed_is_refused_or_means_the_same(position, bits):
    """What may change without harm is unsigned: the hint, a log entry, white space."""
    content = flipped(SIGNERS[0].bundle(DIGEST), position, bits)
    judgement = RING.judge(Subject("reg.example/app", DIGEST), BundleSignature("x", content))
    if judgement.accepted:
        assert base64.b64decode(json.loads(content)["dsseEnvelope"]["payload"]) == statement(DIGEST)
    else:
        assert refused(judgement)


@given(
    st.binary(max_size=200)
    | DOCUMENTS.map(lambda body: b"-----BEGIN PUBLIC KEY-----\n%b\n-----END PUBLIC KEY-----" % body)
)
def test_any_entry_is_a_key_or_a_trust_error_that_names_it(content):
    try:
        message = "" if read_keys("pub", {"cosign.pub": content}).keyring.keys else "no key and no error"
    except TrustError as error:
        message = str(error)
    assert message == "" or message.startswith("secret 'pub' entry 'cosign.pub': ")


@settings(max_examples=60)
@given(position=st.integers(0), bits=st.integers(1, 255))
def test_a_key_with_any_byte_changed_never_makes_an_old_signature_count(position, bits):
    pem = SIGNERS[0].public_pem()
    content = flipped(pem, position, bits)
    try:
        ring = read_keys("pub", {"cosign.pub": content})
    except TrustError:
        return
    judgement = ring.judge(Subject("reg.example/app", DIGEST), BundleSignature("x", SIGNERS[0].bundle(DIGEST)))
    assert refused(judgement) or ring.keyring.keys[0].fingerprint == f"SHA256:{SIGNERS[0].hint}"
