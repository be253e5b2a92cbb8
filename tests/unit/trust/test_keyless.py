"""Signatures by identities, in every form (signatures.md, "Legacy cosign", "Sigstore bundles"; flux-compat H4 to H6).

The signatures are those of devkit.offline, which the real cosign accepts (tests/e2e/test_offline_sigstore.py).
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from devkit.offline import NOW, OfflineSigstore, Window, assemble, layer
from devkit.offline.authority import ISSUER_V1, ISSUER_V2, Authority, extension, to_der
from devkit.offline.signing import CERTIFICATE, CHAIN, REKOR_BUNDLE, TIMESTAMP
from devkit.signer import signing_payload, statement, to_json
from ocisource.domain.evidence import BundleSignature, LegacySignature, NotationSignature, Subject, Unreadable
from ocisource.domain.source import OIDCIdentity
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.roots import read_trusted_root

ISSUER, SUBJECT = "https://issuer.example", "ci@example.com"
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
FORMS = ["legacy", "bundle v1", "bundle v2"]
IDENTITY = OIDCIdentity("^https://issuer\\.example$", "^ci@example\\.com$")


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(scope="module")
def foreign() -> OfflineSigstore:
    """The same services with keys of their own, which nobody trusts."""
    return OfflineSigstore.create()


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return request.param


def policy(sigstore, *identities, **root):
    trusted = read_trusted_root(sigstore.trusted_root(**root))
    return read_identity_policy(trusted, identities or (IDENTITY,))


def legacy(made):
    return LegacySignature("legacy signature 1", made.payload, made.annotations)


def bundle(content):
    return BundleSignature("bundle 1", content)


def sign(signing, form, digest=DIGEST, at=None):
    if form == "legacy":
        return legacy(signing.legacy(digest, at=at))
    return bundle(signing.bundle(digest, form.removeprefix("bundle "), at=at))


def judge(policy, evidence, digest=DIGEST):
    return policy.judge(Subject("registry.example/app", digest), evidence)


def refused(policy, evidence, digest=DIGEST) -> str:
    judgement = judge(policy, evidence, digest)
    assert not judgement.accepted
    assert [check.passed for check in judgement.checks[-1:]] in ([], [False])
    return judgement.reason


# Rekor v2 logs Ed25519ph, which is another algorithm than the Ed25519 that signs an envelope.
KINDS = [(form, kind) for form in FORMS for kind in ("p256", "p384", "rsa2048", "ed25519")]
KINDS.remove(("bundle v2", "ed25519"))


@pytest.mark.parametrize(("form", "kind"), KINDS)
def test_a_signature_of_the_identity_counts_and_says_whose_where_and_when(sigstore, form, kind):
    """Rule 8."""
    judgement = judge(policy(sigstore), sign(sigstore.identity(ISSUER, SUBJECT, key=kind), form))
    index = 5 if form == "bundle v2" else 1005
    assert judgement.signer == (
        f"identity 'ci@example.com' of issuer 'https://issuer.example', log index {index}, 2025-06-15T15:07:40Z"
    )
    assert all(check.passed for check in judgement.checks)


def test_every_check_is_told_in_order(sigstore, form):
    judgement = judge(policy(sigstore), sign(sigstore.identity(), form))
    assert [check.name for check in judgement.checks] == [
        "format",
        "certificate",
        "signature",
        "digest",
        "log entry",
        "time",
        "certificate chain",
        "certificate transparency",
        "identity",
    ]
    assert judgement.checks[4].detail.startswith("log index ")
    assert judgement.checks[5].detail == "2025-06-15T15:07:40Z"


def test_a_signature_counts_for_its_digest_only(sigstore, form):
    """Rule 1."""
    reason = refused(policy(sigstore), sign(sigstore.identity(), form), OTHER)
    assert reason == f"signature is for another digest '{DIGEST}'"


def test_an_attestation_is_no_signature(sigstore):
    """Rule 4."""
    made = sigstore.identity().bundle(DIGEST, predicate="https://slsa.dev/provenance/v1")
    assert "not a signature" in refused(policy(sigstore), bundle(made))


def test_a_payload_of_another_type_is_refused(sigstore):
    made = sigstore.identity().bundle(DIGEST, payload_type="application/json")
    assert "payloadType" in refused(policy(sigstore), bundle(made))


def test_a_signature_that_does_not_hold_by_its_certificate_is_refused(sigstore, form):
    one, other = sigstore.identity(), sigstore.identity()
    made = sign(replace(one, certificate=other.certificate), form)
    assert refused(policy(sigstore), made) == "signature does not hold by the key of its certificate"


def test_a_signature_with_a_key_is_not_one_of_an_identity(sigstore, bench):
    made = bench.signer().legacy(DIGEST)
    words = "made with a key, not with a certificate: keyless verification asks for one"
    assert refused(policy(sigstore), LegacySignature("x", made.payload, made.annotations)) == words
    assert refused(policy(sigstore), bundle(bench.signer().bundle(DIGEST))) == words


def test_other_evidence_does_not_count(sigstore):
    assert refused(policy(sigstore), Unreadable("x", "gone")) == "gone"
    words = "this kind of signature does not count for an identity"
    assert refused(policy(sigstore), NotationSignature("x", "application/cose", b"")) == words


# The log


def test_a_log_entry_of_another_signature_is_refused(sigstore, form):
    signing = sigstore.identity()
    if form == "legacy":
        mine, other = signing.seal(signing_payload(DIGEST, "x"), None), signing.seal(b"{}", None)
        made = legacy(layer(mine, signing.logged(other), signing.certificate, signing.chain))
    else:
        rekor = form.removeprefix("bundle ")
        mine, other = signing.seal(statement(DIGEST)), signing.seal(b"{}")
        made = bundle(assemble(mine, [signing.logged(other, rekor)], [signing.stamped(mine)]))
    judgement = judge(policy(sigstore), made)
    assert judgement.checks[-1].name == "log entry"
    assert "log entry" in judgement.reason


def test_a_signature_that_no_log_saw_is_refused(sigstore):
    signing = sigstore.identity()
    plain = layer(signing.seal(signing_payload(DIGEST, "x"), None), None, signing.certificate, signing.chain)
    assert refused(policy(sigstore), legacy(plain)) == f"no log entry: annotation {REKOR_BUNDLE} is missing"
    sealed = signing.seal(statement(DIGEST))
    made = assemble(sealed, [], [signing.stamped(sealed)])
    assert refused(policy(sigstore), bundle(made)) == "no log entry: bundle's tlogEntries is empty"


def test_the_key_of_a_log_comes_from_the_trusted_root_alone(sigstore, foreign, form):
    """Neither a log of one's own counts, nor one in the name of a trusted one."""
    signing, version = sigstore.identity(), "v2" if form == "bundle v2" else "v1"
    log = getattr(foreign, f"rekor_{version}")
    pose = replace(log, claimed=getattr(sigstore, f"rekor_{version}").log_id)
    reason = refused(policy(sigstore), sign(replace(signing, **{f"rekor_{version}": log}), form))
    assert reason == "log entry is from a log that is not in the trusted root"
    reason = refused(policy(sigstore), sign(replace(signing, **{f"rekor_{version}": pose}), form))
    assert "is not by its log" in reason or "checkpoint" in reason


def test_one_entry_that_holds_is_enough(sigstore, foreign):
    """Rule 3: one that is foreign hides no good one."""
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    strange = replace(signing, rekor_v1=foreign.rekor_v1).logged(sealed)
    for entries in ([strange, signing.logged(sealed)], [signing.logged(sealed), strange]):
        assert judge(policy(sigstore), bundle(assemble(sealed, entries))).accepted


def test_the_same_entry_twice_is_no_second_witness(sigstore):
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    entry = signing.logged(sealed)
    made = assemble(sealed, [entry, entry])
    assert refused(policy(sigstore), bundle(made)) == "bundle holds the same log entry twice"
    # Protobuf JSON has three ways to write the first entry's index.
    first = json.loads(assemble(sealed, [replace(entry, index=0)] * 2))
    for index in ("0", 0, None):
        first["verificationMaterial"]["tlogEntries"][1]["logIndex"] = index
        assert refused(policy(sigstore), bundle(to_json(first))) == "bundle holds the same log entry twice"


def test_an_entry_of_rekor_v1_may_come_without_a_proof_in_the_first_version_only(sigstore):
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    entry = replace(signing.logged(sealed), proof=None)
    old = assemble(sealed, [entry], media_type="application/vnd.dev.sigstore.bundle+json;version=0.1")
    assert judge(policy(sigstore), bundle(old)).accepted
    assert "no inclusion proof" in refused(policy(sigstore), bundle(assemble(sealed, [entry])))


# The time


def test_an_entry_of_rekor_v2_needs_a_timestamp(sigstore):
    made = sigstore.identity().bundle(DIGEST, "v2", timestamps=[])
    words = "nobody vouches for the time: neither the log nor a timestamp"
    assert refused(policy(sigstore), bundle(made)) == words


def test_a_time_that_the_log_did_not_sign_is_none(sigstore):
    """An entry of Rekor v1 with a proof and without a promise: its integratedTime is anybody's."""
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    entry = replace(signing.logged(sealed), promise=None)
    assert "nobody vouches" in refused(policy(sigstore), bundle(assemble(sealed, [entry])))
    assert judge(policy(sigstore), bundle(assemble(sealed, [entry], [signing.stamped(sealed)]))).accepted


def test_a_timestamp_of_a_foreign_authority_is_none(sigstore, foreign):
    signing = replace(sigstore.identity(), tsa=foreign.tsa)
    judgement = judge(policy(sigstore), bundle(signing.bundle(DIGEST, "v2")))
    assert not judgement.accepted
    assert judgement.checks[-1].name == "time"


def test_a_timestamp_of_another_signature_is_none(sigstore):
    signing = sigstore.identity()
    made = signing.bundle(DIGEST, "v2", timestamps=[signing.stamped(signing.seal(b"{}"))])
    judgement = judge(policy(sigstore), bundle(made))
    assert not judgement.accepted
    assert judgement.checks[-1].name == "time"


def test_a_bad_timestamp_beside_a_good_time_does_no_harm(sigstore, foreign):
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    strange = replace(signing, tsa=foreign.tsa).stamped(sealed)
    assert judge(policy(sigstore), bundle(assemble(sealed, [signing.logged(sealed)], [strange]))).accepted
    made = assemble(sealed, [signing.logged(sealed, "v2")], [strange, signing.stamped(sealed)])
    assert judge(policy(sigstore), bundle(made)).accepted


def test_of_several_bad_timestamps_the_first_one_s_reason_is_told(sigstore, foreign):
    signing = sigstore.identity()
    sealed = signing.seal(statement(DIGEST))
    strange, other = replace(signing, tsa=foreign.tsa).stamped(sealed), signing.stamped(signing.seal(b"{}"))
    for stamps, words in (([strange, other], "not by a trusted authority"), ([other, strange], "another signature")):
        assert words in refused(policy(sigstore), bundle(assemble(sealed, [signing.logged(sealed, "v2")], stamps)))


def test_a_legacy_signature_may_have_a_timestamp_too(sigstore, foreign):
    signing = sigstore.identity()
    sealed = signing.seal(signing_payload(DIGEST, "x"), None)

    def made(token):
        return legacy(layer(sealed, signing.logged(sealed), signing.certificate, signing.chain, token))

    good = judge(policy(sigstore), made(signing.stamped(sealed, NOW + 90)))
    assert good.checks[5].detail == "2025-06-15T15:07:40Z, 2025-06-15T15:08:10Z"
    assert good.signer.endswith(", 2025-06-15T15:07:40Z"), "the log's own time comes first"
    late = judge(policy(sigstore), made(signing.stamped(sealed, NOW + 7200)))
    assert late.checks[-1].name == "certificate chain", "the certificate must hold at every time that is vouched for"


@pytest.mark.parametrize("token", ["{}", "[]", "{", "\ud800", '{"SignedRFC3161Timestamp": 1}'])
def test_a_legacy_timestamp_that_cannot_be_read_is_refused(sigstore, token):
    made = sigstore.identity().legacy(DIGEST)
    reason = refused(policy(sigstore), LegacySignature("x", made.payload, {**made.annotations, TIMESTAMP: token}))
    assert reason.startswith(("timestamp annotation is not ", "SignedRFC3161Timestamp is "))


def test_the_key_of_the_log_must_hold_at_the_time(sigstore, form):
    past, version = Window(0, NOW - 60), "v2" if form == "bundle v2" else "v1"
    both = {"v1": sigstore.rekor_v1, "v2": sigstore.rekor_v2}
    both[version] = replace(both[version], window=past)
    reason = refused(policy(sigstore, logs=list(both.values())), sign(sigstore.identity(), form))
    assert "the log's key was not valid at the time" in reason


# The certificate


def test_a_certificate_of_a_foreign_authority_is_refused(sigstore, foreign, form):
    signing = replace(foreign.identity(), rekor_v1=sigstore.rekor_v1, rekor_v2=sigstore.rekor_v2, tsa=sigstore.tsa)
    judgement = judge(policy(sigstore), sign(signing, form))
    assert not judgement.accepted
    assert judgement.checks[-1].name == "certificate chain"


@pytest.mark.parametrize("at", [NOW - 60, NOW + 601])
def test_who_signs_outside_the_life_of_the_certificate_is_refused(sigstore, form, at):
    judgement = judge(policy(sigstore), sign(sigstore.identity(), form, at=at))
    assert not judgement.accepted
    assert judgement.checks[-1].name == "certificate chain"


def test_an_authority_counts_only_while_the_root_says_so(sigstore, form):
    made = sign(sigstore.identity(), form)
    for window in (Window(0, NOW), Window(NOW + 120)):
        judgement = judge(policy(sigstore, authorities=[replace(sigstore.authority, window=window)]), made)
        assert judgement.checks[-1].name == "certificate chain"


def test_an_intermediate_that_has_expired_is_refused(sigstore, form):
    long, short = Window.around(NOW), Window(NOW - 3600, NOW + 30)
    authority = Authority.create(long, windows=[long, short])
    judgement = judge(policy(sigstore, authorities=[authority]), sign(sigstore.identity(authority=authority), form))
    assert judgement.checks[-1].name == "certificate chain"


def test_an_intermediate_may_come_with_the_signature(sigstore):
    """A root that lists only its self-signed certificate."""
    bare = replace(sigstore.authority, chain=sigstore.authority.chain[-1:])
    signing = sigstore.identity()
    trusting = policy(sigstore, authorities=[bare])
    assert judge(trusting, legacy(signing.legacy(DIGEST))).accepted
    sealed = signing.seal(statement(DIGEST))
    entries, chain = [signing.logged(sealed)], [to_der(one) for one in signing.chain]
    assert judge(trusting, bundle(assemble(sealed, entries, chain=chain))).accepted
    assert not judge(trusting, bundle(assemble(sealed, entries))).accepted


def test_a_chain_may_stand_behind_the_certificate(sigstore):
    bare = replace(sigstore.authority, chain=sigstore.authority.chain[-1:])
    made = sigstore.identity().legacy(DIGEST)
    joined = {**made.annotations, CERTIFICATE: made.annotations[CERTIFICATE] + made.annotations[CHAIN], CHAIN: ""}
    assert judge(policy(sigstore, authorities=[bare]), LegacySignature("x", made.payload, joined)).accepted


def test_a_certificate_that_no_ct_log_saw_is_refused(sigstore, form):
    judgement = judge(policy(sigstore), sign(sigstore.identity(scts=[]), form))
    assert not judgement.accepted
    assert judgement.checks[-1].name == "certificate transparency"


@pytest.mark.parametrize(
    ("pem", "words"),
    [
        ("", "is not a PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----", "is not a PEM certificate"),
        ("-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----", "is not base64"),
        ("-----BEGIN CERTIFICATE-----\n\n-----END CERTIFICATE-----", "is empty"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" * 33, "more than 32 certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n" * 32, "is not base64"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN X-----", "is not a PEM certificate"),
    ],
)
def test_a_pem_annotation_that_cannot_be_read_is_refused(sigstore, pem, words):
    made = sigstore.identity().legacy(DIGEST)
    for name in (CERTIFICATE, CHAIN) if pem else (CERTIFICATE,):
        reason = refused(policy(sigstore), LegacySignature("x", made.payload, {**made.annotations, name: pem}))
        assert reason == f"annotation {name} {words}" or reason.startswith(f"annotation {name} has {words}")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (["certificate"], {}, "a certificate's rawBytes is missing"),
        (["certificate"], "x", "bundle's certificate is not a JSON object"),
        (["certificate", "rawBytes"], "!", "a certificate's rawBytes is not base64"),
        (["tlogEntries"], {}, "bundle's tlogEntries is not a list of objects"),
        (["tlogEntries"], [1], "bundle's tlogEntries is not a list of objects"),
        (["tlogEntries"], [{"logIndex": n} for n in range(33)], "bundle's tlogEntries has more than 32 entries"),
        (["tlogEntries"], None, "no log entry: bundle's tlogEntries is empty"),
        (["timestampVerificationData"], [], "bundle's timestampVerificationData is not a JSON object"),
        (
            ["timestampVerificationData"],
            {"rfc3161Timestamps": [{}] * 33},
            "bundle's rfc3161Timestamps has more than 32",
        ),
        (["timestampVerificationData"], {"rfc3161Timestamps": [{}]}, "a timestamp is missing"),
    ],
)
def test_material_that_cannot_be_read_is_refused(sigstore, path, value, words):
    """Rule 6, and protobuf JSON."""
    document = json.loads(sigstore.identity().bundle(DIGEST))
    place = document["verificationMaterial"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    assert refused(policy(sigstore), bundle(to_json(document))).startswith(words)


def test_a_chain_without_certificates_is_refused(sigstore):
    document = json.loads(sigstore.identity().bundle(DIGEST))
    material = document["verificationMaterial"]
    del material["certificate"]
    for chain, words in (
        ({}, "bundle's x509CertificateChain is empty"),
        ({"certificates": [{}]}, "a certificate's rawBytes is missing"),
        (5, "bundle's x509CertificateChain is not a JSON object"),
    ):
        material["x509CertificateChain"] = chain
        assert refused(policy(sigstore), bundle(to_json(document))) == words


def test_timestamp_data_without_timestamps_is_none(sigstore):
    document = json.loads(sigstore.identity().bundle(DIGEST))
    document["verificationMaterial"]["timestampVerificationData"] = {}
    assert judge(policy(sigstore), bundle(to_json(document))).accepted


# The identity


@pytest.mark.parametrize(
    ("identities", "accepted"),
    [
        pytest.param([(".*", ".*")], True, id="anything"),
        pytest.param([("issuer", "example")], True, id="unanchored"),
        pytest.param([("^https://issuer.example$", "^ci@example.com$")], True, id="anchored"),
        pytest.param([("^issuer", "ci")], False, id="the issuer does not match"),
        pytest.param([("issuer", "^example")], False, id="the subject does not match"),
        pytest.param([("nobody", "ci"), ("issuer", "nobody")], False, id="issuer and subject of two entries"),
        pytest.param([("nobody", "nobody"), ("issuer", "ci")], True, id="ORed"),
        pytest.param([(r"issuer\.example\z", r"\Aci")], True, id="RE2 syntax"),
        pytest.param([("ISSUER", "ci")], False, id="case counts"),
        pytest.param([("(?i)ISSUER", "ci")], True, id="but for a flag"),
    ],
)
def test_identities_are_ored_and_each_needs_issuer_and_subject(sigstore, form, identities, accepted):
    """Rule 5, in both formats (J2)."""
    trusting = policy(sigstore, *(OIDCIdentity(*one) for one in identities))
    assert judge(trusting, sign(sigstore.identity(), form)).accepted is accepted


def test_somebody_elses_signature_names_who_signed(sigstore, form):
    """H4."""
    made = sign(sigstore.identity("https://elsewhere.example", "https://ci.example/mallory"), form)
    assert refused(policy(sigstore), made) == (
        "none of the expected identities matched what was in the certificate, "
        "got subjects ['https://ci.example/mallory'] with issuer 'https://elsewhere.example'"
    )


def test_an_end_of_line_in_a_subject_does_not_end_it(sigstore, form):
    """`$` is the end of the subject, not of a line in it."""
    profile = replace(sigstore.profile(), names=(), extra=())
    profile = replace(
        profile,
        issuer=None,
        extra=(
            extension(ISSUER_V1, b"https://issuer.example\nx"),
            extension(ISSUER_V2, b"\x0c\x18https://issuer.example\nx"),
        ),
        names=sigstore.profile(ISSUER, SUBJECT).names,
    )
    made = sign(sigstore.identity(profile=profile), form)
    assert "none of the expected identities matched" in refused(policy(sigstore), made)


def test_without_identities_any_of_the_root_counts_and_the_policy_says_so(sigstore, form):
    """H5."""
    trusting = read_identity_policy(read_trusted_root(sigstore.trusted_root()), ())
    assert judge(trusting, sign(sigstore.identity("https://any.example", "any@example.com"), form)).accepted
    assert "matchOIDCIdentity is not set" in trusting.open
    assert policy(sigstore).open == ""


# What the user is told, and what a verdict depends on


def test_a_refusal_begins_with_the_words_that_clients_know(sigstore):
    """H4."""
    subject, asked = Subject("registry.example/app", DIGEST), policy(sigstore)
    mismatch = "none of the expected identities matched what was in the certificate, got subjects ['x'] with issuer 'y'"
    assert asked.refusal(subject, []) == (
        f"no signatures found: the registry holds none of 'registry.example/app@{DIGEST}'"
    )
    assert asked.refusal(subject, [("bundle 1", "broken")]) == "no matching signatures: bundle 1: broken"
    assert asked.refusal(subject, [("bundle 1", mismatch)]) == f"no matching signatures: {mismatch} (bundle 1)"
    assert asked.refusal(subject, [("bundle 1", "broken"), ("bundle 2", mismatch), ("bundle 3", mismatch)]) == (
        f"no matching signatures: {mismatch} (bundle 2); bundle 3: {mismatch}; bundle 1: broken"
    )


def test_another_identity_or_root_is_another_trust(sigstore, foreign):
    """J4."""
    one, two = OIDCIdentity("a", "bc"), OIDCIdentity("ab", "c")
    prints = [
        policy(sigstore, one).fingerprint,
        policy(sigstore, two).fingerprint,
        policy(sigstore, one, two).fingerprint,
        policy(foreign, one).fingerprint,
        policy(sigstore, one, ctlogs=[]).fingerprint,
    ]
    assert len(set(prints)) == len(prints)
    assert policy(sigstore, one).fingerprint == prints[0]


def test_text_of_a_certificate_is_quoted_safely(sigstore, form):
    """Rule 7."""
    made = sign(sigstore.identity("https://issuer.example", "https://x.example/" + "a" * 4000), form)
    reason = refused(policy(sigstore), made)
    assert len(reason) <= 300
    assert reason.isprintable()


def test_base64_of_an_entry_is_strict(sigstore):
    document = json.loads(sigstore.identity().bundle(DIGEST))
    entry = document["verificationMaterial"]["tlogEntries"][0]
    entry["canonicalizedBody"] = base64.urlsafe_b64encode(b"\xff\xfe\xfb" * 9).decode()
    assert "canonicalizedBody is not base64" in refused(policy(sigstore), bundle(to_json(document)))
