"""Signatures that cosign and OpenSSL made (recorded/README.md): expected values we had no part in."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from devkit.signer import Signer, signing_payload
from ocisource.domain.evidence import BundleSignature, LegacySignature, Subject
from ocisource.trust.keyed import read_keys

RECORDED = Path(__file__).parent / "recorded"
KINDS = ["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"]
DIGEST = "sha256:" + hashlib.sha256((RECORDED / "subject.json").read_bytes()).hexdigest()


def read(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def ring(*kinds: str):
    return read_keys("pub", {f"{kind}.pub": read(f"{kind}.pub") for kind in kinds})


def legacy(manifest: str) -> list[LegacySignature]:
    layers = json.loads(read(manifest))["layers"]
    payload = read("legacy.payload.json")
    assert {layer["digest"] for layer in layers} == {"sha256:" + hashlib.sha256(payload).hexdigest()}
    return [LegacySignature(str(n), payload, layer["annotations"]) for n, layer in enumerate(layers)]


def bundle(name: str) -> BundleSignature:
    return BundleSignature(name, read(name))


def accepted(keyring, evidence) -> list[int]:
    return [n for n, one in enumerate(evidence) if keyring.judge(Subject("reg.example/app", DIGEST), one).accepted]


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_what_cosign_signed_counts_for_its_key_only(kind):
    position = KINDS.index(kind)
    assert accepted(ring(kind), legacy("legacy.manifest.json")) == [position]
    assert accepted(ring(kind), [bundle(f"{other}.bundle.json") for other in KINDS]) == [position]


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_what_cosign_signed_counts_for_its_digest_only(kind):
    other = "sha256:" + "0" * 64
    for evidence in (legacy("legacy.manifest.json")[KINDS.index(kind)], bundle(f"{kind}.bundle.json")):
        judgement = ring(kind).judge(Subject("reg.example/app", other), evidence)
        assert judgement.reason == f"signature is for another digest '{DIGEST}'"


def test_ed25519_is_pure_and_sha256_goes_with_every_curve():
    """The three of attached.manifest.json: Ed25519, P-384 and P-521 with SHA-256."""
    evidence = legacy("attached.manifest.json")
    for position, kind in enumerate(["ed25519", "p384", "p521"]):
        assert accepted(ring(kind), evidence) == [position]
        assert accepted(ring(kind), [bundle(f"{kind}.openssl.bundle.json")]) == [0]


def test_ed25519ph_does_not_count_and_the_reason_says_so():
    """`cosign sign` makes it with an Ed25519 key; `cosign verify --key` refuses it as well."""
    for evidence in (legacy("legacy.manifest.json")[-1], bundle("ed25519.bundle.json")):
        judgement = ring("ed25519").judge(Subject("reg.example/app", DIGEST), evidence)
        assert not judgement.accepted
        assert "Ed25519ph, which is not supported" in judgement.reason


def test_an_attestation_by_our_key_is_not_a_signature():
    """signatures.md rule 4, on a real `cosign attest`."""
    judgement = ring("p256").judge(Subject("reg.example/app", DIGEST), bundle("attestation.bundle.json"))
    assert judgement.reason == "an attestation 'https://example.com/predicate/v1', not a signature"


def test_a_signature_of_a_bare_file_is_not_a_signature_of_the_artifact():
    """`cosign sign-blob` over the very bytes of the manifest."""
    judgement = ring("p256").judge(Subject("reg.example/app", DIGEST), bundle("blob.bundle.json"))
    assert "messageSignature" in judgement.reason


def test_the_signer_of_the_devkit_writes_what_cosign_writes():
    """So that a test with its signatures stands for one with cosign's."""
    assert signing_payload(DIGEST, "registry.example/app") == read("legacy.payload.json")
    made, theirs = json.loads(Signer.generate().bundle(DIGEST)), json.loads(read("p256.bundle.json"))
    statements = [json.loads(base64.b64decode(one["dsseEnvelope"].pop("payload"))) for one in (made, theirs)]
    assert statements[0] == statements[1]
    for one in (made, theirs):
        one["verificationMaterial"]["publicKey"]["hint"] = one["dsseEnvelope"]["signatures"][0]["sig"] = ""
    assert made == theirs


def test_the_signer_is_named_by_entry_and_by_the_hint_in_the_bundle():
    hint = json.loads(read("p384.bundle.json"))["verificationMaterial"]["publicKey"]["hint"]
    judgement = ring(*KINDS).judge(Subject("reg.example/app", DIGEST), bundle("p384.bundle.json"))
    assert judgement.signer == f"key 'p384.pub' (SHA256:{hint})"
