"""Notation's parsers, whatever the bytes: only our own failures come out (signatures.md rule 2)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import suppress

import cbor2
from hypothesis import example, given
from hypothesis import strategies as st

from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.offline.windows import NOW, Window
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import NotationSignature, Subject
from ocisource.trust.notation.chain import read_chain
from ocisource.trust.notation.cose import read_cose
from ocisource.trust.notation.document import applicable, read_document
from ocisource.trust.notation.envelope import read_attributes
from ocisource.trust.notation.identities import parse_name
from ocisource.trust.notation.jws import read_jws
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.notation.store import read_certificates
from ocisource.trust.wire import RefusedError

NOTARY = Notary.create(Window.around(NOW))
SUBJECT = Subject("registry.example/app", "sha256:" + "a" * 64, "application/vnd.oci.image.manifest.v1+json", 1)
ORDER = Order(SUBJECT.media_type, SUBJECT.digest, SUBJECT.size, NOW - 60, expiry=NOW + 60)
POLICY = read_notation(
    "team/trust",
    {"trustpolicy.json": trust_policy(), "root.crt": NOTARY.root_pem()},
    SUBJECT.repository,
    lambda: float(NOW),
)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
json_scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    json_scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
names = st.sampled_from(
    ["alg", "cty", "crit", "x5c", *(f"io.cncf.notary.{name}" for name in ("signingScheme", "signingTime", "expiry"))]
)
labels = st.sampled_from([1, 2, 3, 33]) | st.integers() | st.text() | names
cbor_values = st.recursive(
    scalars | st.builds(cbor2.CBORTag, st.integers(0, 2**64 - 1), scalars),
    lambda inner: st.lists(inner) | st.dictionaries(labels, inner),
    max_leaves=8,
)


def _read_jws(content: bytes) -> None:
    with suppress(RefusedError):
        read_attributes(read_jws(content))


def _read_cose(content: bytes) -> None:
    with suppress(RefusedError):
        read_attributes(read_cose(content))


def _told(reading: Callable[[], object]) -> str:
    """What the reading fails with, "" where it does not fail."""
    try:
        reading()
    except TrustError as error:
        return str(error)
    return ""


def _mutated(envelope: bytes) -> st.SearchStrategy[bytes]:
    """One piece of a good envelope replaced."""

    def replaced(place: int, length: int, by: bytes) -> bytes:
        return envelope[:place] + by + envelope[place + length :]

    return st.builds(replaced, st.integers(0, len(envelope)), st.integers(0, 64), st.binary(max_size=8))


@given(st.binary())
@example(b"\xc1" * 1000)
@example(b"\xd9\xd9\xf7" * 100)
def test_any_bytes_are_an_envelope_or_refused(content):
    _read_jws(content)
    _read_cose(content)


@given(st.dictionaries(names, json_values), st.dictionaries(names, json_values), json_values)
def test_any_json_in_a_jws_is_read_or_refused(protected, header, payload):
    envelope = json.loads(NOTARY.jws(ORDER))
    encoded = base64.urlsafe_b64encode(json.dumps(protected).encode()).decode().rstrip("=")
    _read_jws(json.dumps(envelope | {"protected": encoded, "header": header, "payload": payload}).encode())


@given(st.dictionaries(labels, cbor_values), st.dictionaries(labels, cbor_values), cbor_values)
def test_any_cbor_in_a_cose_envelope_is_read_or_refused(protected, unprotected, payload):
    parts = [cbor2.dumps(protected), unprotected, payload, b"signature"]
    _read_cose(cbor2.dumps(cbor2.CBORTag(18, parts)))


@given(_mutated(NOTARY.jws(ORDER)), _mutated(NOTARY.cose(ORDER)))
def test_a_judgement_comes_of_every_envelope(jws, cose):
    for media_type, envelope in ((JWS, jws), (COSE, cose)):
        judgement = POLICY.judge(SUBJECT, NotationSignature("signature", media_type, envelope))
        assert judgement.accepted != bool(judgement.reason)
        assert "cannot be judged" not in judgement.reason


@given(st.lists(st.binary() | st.sampled_from([b"0\x00", b"0\x82\x01\x00"]), max_size=3))
def test_any_bytes_are_a_chain_or_refused(ders):
    with suppress(RefusedError):
        read_chain(ders)


@given(
    st.binary()
    | st.builds(lambda inner: b"-----BEGIN CERTIFICATE-----\n" + inner + b"\n-----END CERTIFICATE-----", st.binary())
)
def test_any_bytes_are_certificates_or_named(content):
    said = _told(lambda: read_certificates("team/trust", {"a.crt": content}))
    assert not said or "'a.crt'" in said


statement = st.fixed_dictionaries(
    {},
    optional={
        "name": json_values | st.just("one"),
        "registryScopes": json_values | st.lists(st.text() | st.just("*")),
        "signatureVerification": json_values
        | st.fixed_dictionaries(
            {"level": st.sampled_from(["strict", "permissive", "audit", "skip", ""]) | json_values},
            optional={"override": json_values | st.dictionaries(st.sampled_from(["expiry", "integrity"]), st.text())},
        ),
        "trustStores": json_values | st.lists(st.text() | st.just("ca:one")),
        "trustedIdentities": json_values | st.lists(st.text() | st.just("x509.subject: C=US, ST=WA, O=x")),
    },
)


@given(st.binary() | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_document_or_refused(content):
    _told(lambda: read_document(content))


@given(st.lists(statement | json_values, max_size=3))
def test_any_statements_are_read_or_refused(statements):
    content = json.dumps({"version": "1.0", "trustPolicies": statements}).encode()
    assert _told(lambda: applicable(read_document(content), "registry.example/app")).isprintable()


@given(st.text())
@example("C=US, ST=WA, O=" + "\\" * 101)
def test_any_text_is_a_name_or_none(text):
    for candidate in (text, f"C=US, ST=WA, O={text}"):
        try:
            name = parse_name(candidate)
        except ValueError:
            continue
        assert {"C", "ST", "O"} <= name.keys()


@given(st.dictionaries(st.sampled_from(["CN", "OU", "L", "STREET"]), st.text(st.characters(codec="utf-8"))))
def test_a_name_that_is_escaped_is_read_back(attributes):
    """RFC 4514 section 2.4: every special character may be written as two hex digits a byte."""
    hexed = {kind: "".join(f"\\{byte:02x}" for byte in value.encode()) for kind, value in attributes.items()}
    text = ", ".join(["C=US", "ST=WA", "O=x", *(f"{kind}={value}" for kind, value in hexed.items())])
    if len(text) <= 1000:
        assert parse_name(text) == {"C": "US", "ST": "WA", "O": "x"} | attributes
