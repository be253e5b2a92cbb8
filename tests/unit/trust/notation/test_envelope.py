"""What an envelope must say, in both formats (`signature-specification.md`, "Signed Attributes", "Payload")."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from devkit.offline.keys import key_pair
from devkit.offline.notary import COSE, JWS, PREFIX, Notary
from ocisource.domain.evidence import BundleSignature, Subject, Unreadable

FORMATS = pytest.mark.parametrize("form", [JWS, COSE])
SCHEME, TIME, AUTHENTIC, EXPIRY = (
    PREFIX + name for name in ("signingScheme", "signingTime", "authenticSigningTime", "expiry")
)
AUTHORITY = {"scheme": "notary.x509.signingAuthority"}
INTEGRITY = ["format", "certificates", "signature", "digest"]


def _refused(judgement, check: str, *words: str) -> None:
    assert not judgement.accepted
    assert not judgement.ignored
    assert judgement.checks[-1].name == check
    assert judgement.checks[-1].passed is False
    assert judgement.checks[-1].detail == judgement.reason
    for word in words:
        assert word in judgement.reason


@FORMATS
@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096"])
def test_each_kind_of_key_signs_in_both_formats(desk, form, kind):
    judgement = desk.judge(media_type=form, notary=desk.notary_of(kind=kind))
    assert judgement.reason == ""
    assert judgement.accepted


@FORMATS
def test_a_success_says_who_signed_and_what_was_checked(desk, form):
    """signatures.md rule 8."""
    judgement = desk.judge(media_type=form)
    thumbprint = desk.notary.chain[0].fingerprint(SHA256()).hex()
    name = "CN=secure builder,O=wabbit-networks.io,ST=WA,C=US"
    assert judgement.signer == f"certificate '{name}' (sha256:{thumbprint})"
    names = [*INTEGRITY, "authenticity", "expiry", "timestamp", "revocation"]
    assert [(check.name, check.passed) for check in judgement.checks] == [(name, True) for name in names]
    assert judgement.checks[2].detail == "ES256"


@FORMATS
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"digest": "sha256:" + "b" * 64}, "another digest 'sha256:bbb"),
        ({"media_type": "application/vnd.oci.image.index.v1+json"}, "another media type"),
        ({"size": 1235}, "another size"),
    ],
)
def test_digest_media_type_and_size_are_all_those_of_the_artifact(desk, form, change, word):
    """signatures.md rule 1."""
    _refused(desk.judge(replace(desk.order, **change), form), "digest", word)


@pytest.mark.parametrize("size", ["1234", 1234.0, True, None])
def test_the_signed_size_is_a_whole_number(desk, size):
    """True counts as 1 in Python: an artifact of one byte shows it."""
    subject = replace(desk.subject, size=1) if size is True else desk.subject
    target = {"mediaType": subject.media_type, "digest": subject.digest, "size": size}
    order = replace(desk.order, raw_payload=json.dumps({"targetArtifact": target}).encode())
    _refused(desk.judge(order, subject=subject), "digest", "another size")


def test_an_artifact_that_was_not_described_matches_no_signature(desk):
    order = replace(desk.order, raw_payload=json.dumps({"targetArtifact": {"digest": desk.subject.digest}}).encode())
    _refused(desk.judge(order, subject=Subject(desk.subject.repository, desk.subject.digest)), "digest", "media type")


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        (b"[]", "payload is not a JSON object"),
        (b"{}", "targetArtifact is missing"),
        (b'{"targetArtifact":1}', "targetArtifact is not a JSON object"),
        (b'{"targetArtifact":{},"targetArtifact":{}}', "twice"),
    ],
)
def test_a_payload_has_one_meaning(desk, payload, word):
    _refused(desk.judge(replace(desk.order, raw_payload=payload)), "digest", word)


def test_metadata_of_the_signer_does_not_matter(desk):
    assert desk.judge(replace(desk.order, annotations={"build": "7"})).accepted


@FORMATS
@pytest.mark.parametrize("content_type", ["application/json", None])
def test_another_type_of_payload_is_refused(desk, form, content_type):
    _refused(desk.judge(replace(desk.order, content_type=content_type), form), "format", "content type is")


@FORMATS
def test_the_signature_is_by_the_key_of_the_first_certificate(desk, form):
    """A chain that is trusted, with a key that is not the chain's."""
    stranger = Notary(desk.notary.chain, key_pair("p256"))
    _refused(desk.judge(media_type=form, notary=stranger), "signature", "does not hold")


@FORMATS
@pytest.mark.parametrize("claim", [("ES384", -35), ("PS256", -37)])
def test_the_key_decides_the_algorithm_not_the_envelope(desk, form, claim):
    order = replace(desk.order, algorithm=claim[form == COSE])
    _refused(desk.judge(order, form), "signature", f"algorithm is '{claim[0]}', and the key's is ES256")


@FORMATS
@pytest.mark.parametrize("scheme", ["notary.x509.other", ""])
def test_another_signing_scheme_is_refused(desk, form, scheme):
    _refused(desk.judge(replace(desk.order, scheme=scheme), form), "format", f"signing scheme '{scheme}'")


@FORMATS
def test_an_envelope_names_its_signing_scheme(desk, form):
    _refused(desk.judge(replace(desk.order, leave_out=(SCHEME,)), form), "format", "signing scheme (none)")


@FORMATS
@pytest.mark.parametrize(
    ("order", "missing"),
    [({"leave_out": (TIME,)}, TIME), ({**AUTHORITY, "leave_out": (AUTHENTIC,)}, AUTHENTIC)],
)
def test_each_scheme_has_its_time(desk, form, order, missing):
    _refused(desk.judge(replace(desk.order, **order), form), "format", f"attribute {missing} is missing")


@FORMATS
@pytest.mark.parametrize(
    ("order", "foreign"),
    [({"more": {AUTHENTIC: 1750000000.0}}, AUTHENTIC), ({**AUTHORITY, "more": {TIME: 1750000000.0}}, TIME)],
)
def test_no_scheme_has_the_time_of_the_other(desk, form, order, foreign):
    _refused(desk.judge(replace(desk.order, **order), form), "format", f"attribute {foreign} does not belong")


@FORMATS
@pytest.mark.parametrize(
    ("order", "name"),
    [
        ({"unmark": (SCHEME,), "mark": (EXPIRY,), "expiry": 1760000000.0}, EXPIRY),
        ({"unmark": (EXPIRY,), "expiry": 1760000000.0}, EXPIRY),
        ({"unmark": (AUTHENTIC,), **AUTHORITY}, AUTHENTIC),
        ({"mark": (SCHEME,)}, SCHEME),
    ],
)
def test_what_must_be_critical_is_marked_so_once(desk, form, order, name):
    _refused(desk.judge(replace(desk.order, **order), form), "format", f"attribute {name} is not marked critical once")


@FORMATS
def test_the_signing_scheme_is_critical(desk, form):
    order = replace(desk.order, unmark=(SCHEME,), expiry=desk.now + 10)
    _refused(desk.judge(order, form), "format", f"attribute {SCHEME} is not marked critical once")


@FORMATS
def test_a_list_of_critical_attributes_is_there(desk, form):
    _refused(desk.judge(replace(desk.order, unmark=(SCHEME,)), form), "format", "crit", "missing")


@FORMATS
@pytest.mark.parametrize("mark", [(["x"],), (None,)])
def test_critical_attributes_are_named(desk, form, mark):
    _refused(desk.judge(replace(desk.order, mark=mark), form), "format", "no list of names")


@FORMATS
@pytest.mark.parametrize("unknown", ["com.example.must", TIME, EXPIRY])
def test_an_unknown_critical_attribute_is_refused(desk, form, unknown):
    order = replace(desk.order, more={"com.example.must": "be understood"}, mark=(unknown,))
    _refused(desk.judge(order, form), "format", f"critical attribute '{unknown}' is not supported")


@FORMATS
def test_an_unknown_attribute_that_is_not_critical_does_not_matter(desk, form):
    assert desk.judge(replace(desk.order, more={"com.example.may": "be understood"}), form).accepted


@FORMATS
@pytest.mark.parametrize("critical", [True, False])
def test_a_verification_plugin_is_named_and_not_supported(desk, form, critical):
    """Also where the mark is missing: whoever names a plugin wants it to be asked."""
    key = PREFIX + "verificationPlugin"
    order = replace(desk.order, more={key: "com.example.plugin"}, mark=(key,) if critical else ())
    _refused(desk.judge(order, form), "format", "plugin 'com.example.plugin', and plugins are not supported")


def test_a_minimum_version_of_a_plugin_alone_is_refused(desk):
    order = replace(desk.order, more={PREFIX + "verificationPluginMinVersion": "1.0.0"})
    _refused(desk.judge(order), "format", "plugins are not supported")


@FORMATS
@pytest.mark.parametrize("before", [0, 1])
def test_a_signature_is_older_than_its_end(desk, form, before):
    order = replace(desk.order, expiry=desk.order.at - before)
    _refused(desk.judge(order, form, level="permissive"), "format", "expires before it was signed")


@FORMATS
@pytest.mark.parametrize("knobs", [{}, AUTHORITY])
def test_times_and_schemes_that_belong_together_are_accepted(desk, form, knobs):
    order = replace(desk.order, expiry=desk.now + 1, **knobs)
    assert desk.judge(order, form, stores=["ca:x", "signingAuthority:y"]).accepted


def test_another_kind_of_envelope_is_refused(desk):
    judgement = desk.policy().judge(desk.subject, desk.evidence(desk.notary.jws(desk.order), "application/json"))
    _refused(judgement, "format", "envelope of type 'application/json' is not supported")


@FORMATS
def test_an_envelope_is_read_as_what_it_is_said_to_be(desk, form):
    other = COSE if form == JWS else JWS
    judgement = desk.policy().judge(desk.subject, desk.evidence(desk.notary.sign(desk.order, form), other))
    _refused(judgement, "format")


def test_evidence_of_other_kinds_does_not_count(desk):
    policy = desk.policy()
    assert "does not count for Notation" in policy.judge(desk.subject, BundleSignature("bundle", b"{}")).reason
    assert policy.judge(desk.subject, Unreadable("signature", "it has 2 layers")).reason == "it has 2 layers"
