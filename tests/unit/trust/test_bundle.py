"""Sigstore bundles, keyed (signatures.md "Sigstore bundles" and rule 4)."""

from __future__ import annotations

import base64
import json

import pytest

from devkit.signer import statement, to_json
from ocisource.domain.evidence import BundleSignature
from ocisource.trust.bundle import open_bundle


def judge(bench, content: bytes, signer=None):
    return bench.judge(bench.ring(signer or bench.signer()), BundleSignature("referrer 1", content))


def changed(bench, **changes) -> bytes:
    """A good bundle with other values at dotted paths; `...` removes."""
    bundle = json.loads(bench.signer().bundle(bench.digest))
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = bundle
        for parent in parents:
            place = place[parent]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    return to_json(bundle)


def signed_statement(bench, **changes) -> bytes:
    """A bundle by our key around a statement with other values."""
    return bench.signer().bundle_over(to_json(json.loads(statement(bench.digest)) | changes))


@pytest.mark.parametrize("always_sha256", [False, True], ids=["own hash", "SHA-256"])
@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_a_bundle_by_our_key_counts(bench, kind, always_sha256):
    signer = bench.signer(kind, 0, always_sha256)
    judgement = judge(bench, signer.bundle(bench.digest), signer)
    assert judgement.signer == f"key '0.pub' (SHA256:{signer.hint})"


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_a_bundle_by_another_key_does_not_count_and_its_hint_is_shown(bench, kind):
    stranger = bench.signer(kind, 1)
    judgement = judge(bench, stranger.bundle(bench.digest), bench.signer(kind))
    assert not judgement.accepted
    assert judgement.reason.startswith(f"signed by another key (SHA256:{stranger.hint})")


def test_a_bundle_counts_only_for_the_digest_that_it_names(bench):
    judgement = judge(bench, bench.signer().bundle(bench.other_digest))
    assert judgement.reason == f"signature is for another digest '{bench.other_digest}'"


def test_the_hint_is_not_proof(bench):
    """It is not signed: a stranger may write ours."""
    bundle = json.loads(bench.signer("p256", 1).bundle(bench.digest))
    bundle["verificationMaterial"]["publicKey"]["hint"] = bench.signer().hint
    judgement = judge(bench, to_json(bundle))
    assert judgement.reason == f"signature does not hold, though it names the key SHA256:{bench.signer().hint}"


@pytest.mark.parametrize("hint", [..., None, "", "cosign.pub", "\x1b[31m", 5, "A" * 10_000, "A" * 43 + "=A"])
def test_any_hint_or_none_will_do(bench, hint):
    content = changed(bench, verificationMaterial__publicKey__hint=hint)
    assert judge(bench, content).accepted
    other = judge(bench, content, bench.signer("p256", 1))
    assert other.reason == "signed by another key"


@pytest.mark.parametrize(
    "predicate",
    [
        "https://slsa.dev/provenance/v1",
        "https://spdx.dev/Document",
        "https://sigstore.dev/cosign/sign/v1/",
        "",
        None,
        7,
    ],
)
def test_only_the_signature_predicate_is_a_signature(bench, predicate):
    """signatures.md rule 4: provenance that our key signed does not say "deploy this"."""
    reason = judge(bench, signed_statement(bench, predicateType=predicate)).reason
    assert reason.startswith("an attestation")
    assert reason.endswith(", not a signature")


@pytest.mark.parametrize("kind", ["https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"])
def test_both_versions_of_the_statement_are_read(bench, kind):
    assert judge(bench, signed_statement(bench, _type=kind)).accepted


def test_another_type_of_statement_is_refused(bench):
    assert "statement's _type" in judge(bench, signed_statement(bench, _type="https://in-toto.io/Statement/v2")).reason


def test_one_of_several_subjects_may_be_ours(bench):
    other, ours = bench.other_digest[7:], bench.digest[7:]
    subjects = [{"digest": {"sha256": other}}, {"name": "x", "digest": {"sha512": "00", "sha256": ours}}]
    assert judge(bench, signed_statement(bench, subject=subjects)).accepted


@pytest.mark.parametrize(
    "subject",
    [
        [],
        None,
        {},
        "text",
        [None],
        [{}],
        [{"digest": None}],
        [{"digest": {"sha512": "DIGEST"}}],
        [{"digest": {"sha256": ["DIGEST"]}}],
        [{"digest": {"sha256": "sha256:DIGEST"}}],
        [{"digest": {"sha256": "UPPER"}}],
        [{"name": "sha256:DIGEST", "digest": {}}],
    ],
)
def test_without_our_digest_among_the_subjects_it_is_another_artifact(bench, subject):
    text = json.dumps(subject).replace("DIGEST", bench.digest[7:]).replace("UPPER", bench.digest[7:].upper())
    reason = judge(bench, signed_statement(bench, subject=json.loads(text))).reason
    assert reason.startswith("signature is for another digest")


@pytest.mark.parametrize(
    ("subjects", "named"),
    [
        ([{"digest": {"sha512": "x"}}, {"digest": {"sha256": "x"}}, {"digest": {"sha256": "y"}}], "'sha256:x'"),
        ([{"digest": {"sha256": 5}}], "(none)"),
        ([], "(none)"),
    ],
)
def test_the_first_digest_that_another_artifact_has_is_named(bench, subjects, named):
    reason = judge(bench, signed_statement(bench, subject=subjects)).reason
    assert reason == f"signature is for another digest {named}"


def test_another_payload_type_is_refused_though_signed(bench):
    content = bench.signer().bundle_over(statement(bench.digest), "application/json")
    assert judge(bench, content).reason.startswith("envelope's payloadType is 'application/json'")


def test_the_payload_type_is_part_of_what_is_signed(bench):
    """Signed under another type, then relabelled."""
    bundle = json.loads(bench.signer().bundle_over(statement(bench.digest), "application/json"))
    bundle["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto+json"
    assert "does not hold" in judge(bench, to_json(bundle)).reason


def test_a_signature_over_the_bare_payload_does_not_count(bench):
    """DSSE signs the pre-authentication encoding."""
    bare = base64.b64encode(bench.signer().sign(statement(bench.digest))).decode()
    assert "does not hold" in judge(bench, changed(bench, dsseEnvelope__signatures=[{"sig": bare}])).reason


def test_the_envelope_holds_exactly_one_signature(bench):
    """With several, tools differ on which one counts."""
    bundle = json.loads(bench.signer().bundle(bench.digest))
    good = bundle["dsseEnvelope"]["signatures"][0]
    for signatures in ([], [good, good], [good, {"sig": "AAAA"}], None, good, ["x"]):
        reason = judge(bench, changed(bench, dsseEnvelope__signatures=signatures)).reason
        assert reason == "envelope does not hold exactly one signature"


@pytest.mark.parametrize("field", ["certificate", "x509CertificateChain"])
def test_a_bundle_with_a_certificate_is_not_a_keyed_one(bench, field):
    reason = "bundle holds a certificate (keyless), not a key"
    assert judge(bench, changed(bench, verificationMaterial={field: {"rawBytes": "AA=="}})).reason == reason
    both = {field: {"rawBytes": "AA=="}, "publicKey": {"hint": ""}}
    assert judge(bench, changed(bench, verificationMaterial=both)).reason == reason


def test_a_bundle_about_a_bare_file_is_not_a_signature_of_an_artifact(bench):
    message = {"messageDigest": {"algorithm": "SHA2_256", "digest": "AA=="}, "signature": "AA=="}
    assert "messageSignature" in judge(bench, changed(bench, dsseEnvelope=..., messageSignature=message)).reason
    assert "messageSignature" in judge(bench, changed(bench, messageSignature=message)).reason


@pytest.mark.parametrize(
    ("media_type", "version"),
    [
        ("application/vnd.dev.sigstore.bundle+json;version=0.1", "0.1"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.2", "0.2"),
        ("application/vnd.dev.sigstore.bundle+json;version=0.3", "0.3"),
        ("application/vnd.dev.sigstore.bundle.v0.3+json", "0.3"),
        *((f"application/vnd.dev.sigstore.bundle+json;version={late}", late) for late in ("0.9", "0.10", "0.95")),
        *((f"application/vnd.dev.sigstore.bundle.v{late}+json", late) for late in ("0.9", "0.10", "0.95")),
    ],
)
def test_all_versions_in_use_are_read(bench, media_type, version):
    assert judge(bench, changed(bench, mediaType=media_type)).accepted
    assert open_bundle(changed(bench, mediaType=media_type)).version == version


@pytest.mark.parametrize(
    "media_type",
    [
        ...,
        None,
        "",
        3,
        [],
        "application/json",
        "application/vnd.dev.sigstore.bundle.v1.0+json",
        "application/vnd.dev.sigstore.bundle.v0.3+json;x",
        *(f"application/vnd.dev.sigstore.bundle.v{version}+json" for version in ("0.0", "0.01", "0.100", "013")),
        *(f"application/vnd.dev.sigstore.bundle+json;version={version}" for version in ("0.0", "0.01", "0.100", "013")),
        "application/vndxdev.sigstore.bundle.v0.3+json",
        "application/vnd.devxsigstore.bundle.v0.3+json",
        "application/vnd.dev.sigstorexbundle.v0.3+json",
        "application/vnd.dev.sigstore.bundlexv0.3+json",
        "x\n" * 500,
    ],
)
def test_another_media_type_is_refused(bench, media_type):
    reason = judge(bench, changed(bench, mediaType=media_type)).reason
    assert reason.startswith("bundle's mediaType")
    assert len(reason) < 140


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"verificationMaterial": ...}, "bundle's verificationMaterial is missing"),
        ({"verificationMaterial": []}, "bundle's verificationMaterial is not a JSON object"),
        ({"verificationMaterial": {}}, "bundle's publicKey is missing"),
        ({"dsseEnvelope": ...}, "bundle's dsseEnvelope is missing"),
        ({"dsseEnvelope": None}, "bundle's dsseEnvelope is missing"),
        ({"dsseEnvelope__payload": ...}, "envelope's payload is missing"),
        ({"dsseEnvelope__payload": "e30"}, "envelope's payload is not base64"),
        ({"dsseEnvelope__payload": "e30=\n"}, "envelope's payload is not base64"),
        ({"dsseEnvelope__signatures": [{}]}, "envelope's signature is missing"),
        ({"dsseEnvelope__signatures": [{"sig": "_-8="}]}, "envelope's signature is not base64"),
    ],
)
def test_what_is_missing_or_odd_is_named(bench, change, reason):
    assert judge(bench, changed(bench, **change)).reason == reason


def test_fields_that_do_not_concern_a_key_may_be_there(bench):
    """Log entries and timestamps are not needed with a key, whatever they hold."""
    material = {"publicKey": {"hint": ""}, "tlogEntries": [{"logIndex": "0"}], "timestampVerificationData": {}}
    assert judge(bench, changed(bench, verificationMaterial=material)).accepted
    unset = {"publicKey": {"hint": ""}, "certificate": None, "x509CertificateChain": None}
    assert judge(bench, changed(bench, verificationMaterial=unset, messageSignature=None)).accepted


def test_a_key_twice_in_bundle_or_statement_is_refused(bench):
    content = bench.signer().bundle(bench.digest)
    outer = content.replace(b'"dsseEnvelope":', b'"dsseEnvelope":{},"dsseEnvelope":')
    assert judge(bench, outer).reason == "bundle has the key 'dsseEnvelope' twice"
    inner = statement(bench.digest).replace(b'"subject":', b'"subject":[],"subject":')
    assert judge(bench, bench.signer().bundle_over(inner)).reason == "statement has the key 'subject' twice"


def test_a_key_spelled_with_an_escape_is_the_same_key(bench):
    content = bench.signer().bundle(bench.digest).replace(b'{"mediaType"', rb'{"media\u0054ype":"","mediaType"')
    assert judge(bench, content).reason == "bundle has the key 'mediaType' twice"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "bundle is not JSON"),
        (b"null", "bundle is not a JSON object"),
        (b"\xff", "bundle is not UTF-8"),
        (b'{"a":' * 9_000, "bundle is not JSON"),
        (b'{"a":' * 20_000, "bundle has more than 10000 objects and arrays"),
        (b'{"a":"' + b"x" * (1 << 20) + b'"}', "bundle is larger than 1 MiB"),
        (b'{"a":' + b"9" * 100_000 + b"}", "bundle is not JSON"),
    ],
)
def test_what_is_no_bundle_at_all_is_refused(bench, content, reason):
    assert judge(bench, content).reason == reason


def test_truncated_bundles_never_count(bench):
    content = bench.signer().bundle(bench.digest)
    for length in range(len(content)):
        assert not judge(bench, content[:length]).accepted
