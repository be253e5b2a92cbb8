"""What must hold for any bytes a registry or a Secret can hold (signatures.md rules 1, 2 and 9)."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.mutation import Mutation
from devkit.offline import NOW, OfflineSigstore, Window
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.signer import Signer, signing_payload, statement, to_json
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import (
    BundleSignature,
    Evidence,
    Judgement,
    LegacySignature,
    NotationSignature,
    Subject,
    Unreadable,
)
from ocisource.domain.source import OIDCIdentity
from ocisource.ports import Policy
from ocisource.trust.identity import read_identities
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.roots import read_trusted_root
from ocisource.trust.wire import RefusedError

T = TypeVar("T")

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
    named = "secret 'pub' entry 'cosign.pub': "
    assert message == "" or message.startswith((named, f"PEM decoding failed: {named}"))


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


# Keyless and Notation: documents that are changed in their structure, however deep (devkit.mutation)

SIGSTORE = OfflineSigstore.create()
IDENTITY = SIGSTORE.identity()
NOTARY = Notary.create(Window.around(NOW))
MADE = Subject("registry.example/app", DIGEST, "application/vnd.oci.image.manifest.v1+json", 528)
ORDER = Order(MADE.media_type, DIGEST, MADE.size, NOW)
KEYLESS = read_identity_policy(read_trusted_root(SIGSTORE.trusted_root()), [])
LEGACY = IDENTITY.legacy(DIGEST)


def notation(document: bytes = trust_policy(), certificates: bytes = NOTARY.root_pem()) -> Policy:
    secret = {"trustpolicy.json": document, "ca.crt": certificates}
    return read_notation("team/notation", secret, MADE.repository, lambda: float(NOW))


def counts(policy: Policy, evidence: Evidence) -> bool:
    """Whether it does; if not, there is a reason, which is never an accident."""
    judgement = policy.judge(MADE, evidence)
    assert judgement.accepted or refused(judgement)
    assert "cannot be judged" not in judgement.reason
    return judgement.accepted


def attempt(work: Callable[[], T]) -> tuple[T | None, str]:
    """What it comes to, or what it says is wrong."""
    try:
        return work(), ""
    except (TrustError, RefusedError) as error:
        return None, str(error)


def payload_of(document: bytes) -> bytes:
    """As a careless reader has it."""
    return base64.b64decode(json.loads(document)["dsseEnvelope"]["payload"])


CHANGES = st.randoms(use_true_random=False).map(lambda random: Mutation(random).change)


@pytest.mark.parametrize("rekor", ["v1", "v2"])
@given(change=CHANGES)
def test_a_keyless_bundle_that_is_changed_anywhere_is_refused_or_means_the_same(rekor, change):
    content = change(BUNDLES[rekor])
    if counts(KEYLESS, BundleSignature("x", content)):
        assert payload_of(content) == statement(DIGEST)


BUNDLES = {rekor: IDENTITY.bundle(DIGEST, rekor) for rekor in ("v1", "v2")}


@pytest.mark.parametrize("annotation", [None, *LEGACY.annotations])
@settings(max_examples=30)
@given(change=CHANGES)
def test_a_keyless_legacy_signature_that_is_changed_anywhere_is_refused_or_means_the_same(annotation, change):
    payload, annotations = LEGACY.payload, dict(LEGACY.annotations)
    if annotation is None:
        payload = change(payload)
    else:
        annotations[annotation] = change(annotations[annotation].encode()).decode("utf-8", "surrogateescape")
    if counts(KEYLESS, LegacySignature("x", payload, annotations)):
        assert payload == LEGACY.payload


@pytest.mark.parametrize("media_type", [JWS, COSE])
@given(change=CHANGES)
def test_an_envelope_that_is_changed_anywhere_is_refused_or_means_the_same(media_type, change):
    good = NOTARY.sign(ORDER, media_type)
    content = change(good)
    if counts(notation(), NotationSignature("x", media_type, content)):
        signed = base64.urlsafe_b64encode(ORDER.payload()).rstrip(b"=") if media_type == JWS else ORDER.payload()
        assert signed in content


@given(change=CHANGES)
def test_any_trusted_root_can_be_judged_by_or_says_what_is_wrong_with_it(change):
    content = change(SIGSTORE.trusted_root())
    policy, problem = attempt(lambda: read_identity_policy(read_trusted_root(content), []))
    assert policy or problem
    for bundle in BUNDLES.values() if policy else ():
        counts(policy, BundleSignature("x", bundle))


@given(change=CHANGES, what=st.sampled_from(["policy", "certificates"]))
def test_any_secret_of_notation_can_be_judged_by_or_says_what_is_wrong_with_it(change, what):
    document, pem = trust_policy(identities=("x509.subject: C=US, ST=WA, O=wabbit-networks.io",)), NOTARY.root_pem()
    secret = (change(document), pem) if what == "policy" else (document, change(pem))
    policy, problem = attempt(lambda: notation(*secret))
    assert policy or problem
    for media_type in (JWS, COSE) if policy else ():
        counts(policy, NotationSignature("x", media_type, NOTARY.sign(ORDER, media_type)))


@given(st.binary(max_size=300) | DOCUMENTS)
def test_any_bytes_at_all_are_refused_or_a_trust_error(content):
    for policy in (KEYLESS, notation()):
        for evidence in (
            BundleSignature("x", content),
            LegacySignature("x", content, LEGACY.annotations),
            *(NotationSignature("x", kind, content) for kind in (JWS, COSE, "text/plain")),
        ):
            assert not counts(policy, evidence)
    for read in (
        read_trusted_root,
        lambda given_: notation(document=given_),
        lambda given_: notation(certificates=given_),
    ):
        with pytest.raises(TrustError):
            read(content)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_pattern_matches_or_says_what_is_wrong_with_it(issuer, subject):
    identities, problem = attempt(lambda: read_identities([OIDCIdentity(issuer, subject)]))
    if identities is None:
        assert problem.startswith("spec.verify.matchOIDCIdentity[0].")
    else:
        found, problem = attempt(lambda: identities.match("https://issuer.example", ["ci@example.com"]))
        assert found == "ci@example.com" or problem.startswith("none of the expected identities matched")
