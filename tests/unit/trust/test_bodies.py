"""Bodies of log entries are about one signature: signatures.md, "Sigstore bundles": the entry of another
signature spliced in. Every thing that a body repeats is changed once, in every kind."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from devkit.offline import OfflineSigstore, bodies
from devkit.offline.windows import base64_text
from ocisource.trust.bodies import check_body
from ocisource.trust.logs import Signed
from ocisource.trust.wire import RefusedError

SIGSTORE = OfflineSigstore.create()
SIGNING = SIGSTORE.identity()
ENVELOPE, BLOB = SIGNING.seal(b'{"a":1}'), SIGNING.seal(b"payload", None)
KINDS = {
    ("hashedrekord", "0.0.1"): (bodies.hashedrekord, BLOB),
    ("dsse", "0.0.1"): (bodies.dsse, ENVELOPE),
    ("intoto", "0.0.2"): (bodies.intoto, ENVELOPE),
    ("hashedrekord", "0.0.2"): (bodies.hashedrekord_v2, ENVELOPE),
    ("dsse", "0.0.2"): (bodies.dsse_v2, ENVELOPE),
}
HASHES = {
    ("hashedrekord", "0.0.1"): ("data", "hash"),
    ("dsse", "0.0.1"): ("payloadHash",),
    ("intoto", "0.0.2"): ("content", "payloadHash"),
    ("hashedrekord", "0.0.2"): ("hashedRekordV002", "data"),
    ("dsse", "0.0.2"): ("dsseV002", "payloadHash"),
}
LISTS = {
    ("dsse", "0.0.1"): (),
    ("intoto", "0.0.2"): ("content", "envelope"),
    ("dsse", "0.0.2"): ("dsseV002",),
}


@pytest.fixture(params=KINDS, ids=" ".join)
def kind(request):
    return request.param


def about(sealed) -> Signed:
    return Signed(sealed.message, sealed.payload, sealed.signature, sealed.certificate, sealed.payload_type is not None)


def refusal(body: bytes, signed: Signed) -> str:
    with pytest.raises(RefusedError) as refused:
        check_body(body, signed)
    return str(refused.value)


def spec_of(kind):
    make, sealed = KINDS[kind]
    body = json.loads(make(sealed))
    return body, body["spec"], about(sealed)


def inner(spec, path):
    for step in path:
        spec = spec[step]
    return spec


def test_a_body_about_the_signature_counts(kind):
    make, sealed = KINDS[kind]
    assert check_body(make(sealed), about(sealed)) == kind


@pytest.mark.parametrize("key", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_the_hash_of_every_key_counts(kind, key):
    """SHA-384 and SHA-512 go with larger curves, in Rekor v2 SHA-512 with Ed25519."""
    make, sealed = KINDS[kind]
    signed = SIGSTORE.identity(key=key).seal(sealed.payload, sealed.payload_type)
    assert check_body(make(signed), about(signed)) == kind


def test_a_body_about_another_payload_is_refused(kind):
    make, sealed = KINDS[kind]
    other = replace(sealed, payload=b"another")
    assert refusal(make(other), about(sealed)) == "log entry is for another payload"


def test_a_body_about_another_signature_is_refused(kind):
    """Even one over the same payload by the same key."""
    make, sealed = KINDS[kind]
    other = replace(sealed, signature=SIGNING.key.sign(sealed.message))
    assert refusal(make(other), about(sealed)) == "log entry is for another signature"


def test_a_body_about_another_certificate_is_refused(kind):
    """Even one for the same key."""
    make, sealed = KINDS[kind]
    again = SIGSTORE.identity(subject="somebody@example.com", key=SIGNING.key).seal(b"").certificate
    assert refusal(make(replace(sealed, certificate=again)), about(sealed)) == "log entry is for another certificate"


def test_a_body_of_one_form_does_not_speak_for_the_other(kind):
    make, sealed = KINDS[kind]
    signed = replace(about(sealed), dsse=sealed.payload_type is None)
    name, version = kind
    assert refusal(make(sealed), signed) == (
        f"log entry's kind '{name}' '{version}' is not one for this form of signature"
    )


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("hashedrekord", "0.0.3"),
        ("rekord", "0.0.1"),
        ("intoto", "0.0.1"),
        (None, "0.0.1"),
        (["dsse"], "0.0.1"),
        ("dsse", 1),
    ],
)
def test_other_kinds_are_refused(kind, version):
    body = json.dumps({"kind": kind, "apiVersion": version, "spec": {}}).encode()
    assert "is not one for this form of signature" in refusal(body, about(ENVELOPE))


def test_a_body_has_one_meaning():
    good = bodies.dsse(ENVELOPE)
    twice = good.replace(b'"kind":', b'"kind":"dsse","kind":')
    assert refusal(twice, about(ENVELOPE)) == "log entry's body has the key 'kind' twice"
    assert refusal(b"[]", about(ENVELOPE)) == "log entry's body is not a JSON object"
    assert refusal(good.replace(b'"spec":', b'"specs":'), about(ENVELOPE)) == "log entry's spec is missing"


@pytest.mark.parametrize("algorithm", ["sha1", "SHA2_224", "md5", None, 1, ["sha256"]])
def test_a_weak_or_unknown_hash_is_refused(kind, algorithm):
    body, spec, signed = spec_of(kind)
    inner(spec, HASHES[kind])["algorithm"] = algorithm
    assert refusal(json.dumps(body).encode(), signed).startswith("log entry's hash algorithm ")


def test_a_hash_that_is_missing_is_refused(kind):
    for name in ("value", "digest"):
        body, spec, signed = spec_of(kind)
        if inner(spec, HASHES[kind]).pop(name, None):
            assert refusal(json.dumps(body).encode(), signed) == "log entry is for another payload"
    body, spec, signed = spec_of(kind)
    *path, last = HASHES[kind]
    del inner(spec, path)[last]
    assert refusal(json.dumps(body).encode(), signed) == f"log entry's {last} is missing"


@pytest.mark.parametrize("kind", LISTS, ids=" ".join)
def test_a_body_holds_exactly_one_signature(kind):
    body, spec, signed = spec_of(kind)
    holder = inner(spec, LISTS[kind])
    good = holder["signatures"]
    for wrong in ([], [good[0], good[0]], good[0], None, ["x"], "x"):
        holder["signatures"] = wrong
        assert refusal(json.dumps(body).encode(), signed) == "log entry does not hold exactly one signature"


def with_pem(text: bytes) -> bytes:
    body = json.loads(bodies.dsse(ENVELOPE))
    body["spec"]["signatures"][0]["verifier"] = base64_text(text)
    return json.dumps(body).encode()


PEM = base64.b64decode(json.loads(bodies.dsse(ENVELOPE))["spec"]["signatures"][0]["verifier"])


@pytest.mark.parametrize("text", [PEM, PEM.strip(), b"\n" + PEM + b"\n", PEM.replace(b"\n", b"\r\n")])
def test_white_space_around_and_in_pem_means_nothing(text):
    assert check_body(with_pem(text), about(ENVELOPE)) == ("dsse", "0.0.1")


@pytest.mark.parametrize(
    "text",
    [
        PEM + PEM,
        PEM[:-5],
        PEM.replace(b"CERTIFICATE", b"PUBLIC KEY"),
        PEM.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        b"x" + PEM,
        PEM + b"x",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        ENVELOPE.certificate,
        PEM.replace(b"-----\nM", b"-----\nMIIB\nM"),
    ],
)
def test_a_verifier_that_is_not_the_one_certificate_is_refused(text):
    assert refusal(with_pem(text), about(ENVELOPE)) == "log entry is for another certificate"


def test_a_verifier_that_is_not_base64_is_refused():
    body = json.loads(bodies.dsse(ENVELOPE))
    body["spec"]["signatures"][0]["verifier"] = "?"
    assert refusal(json.dumps(body).encode(), about(ENVELOPE)) == "log entry's certificate is not base64"
