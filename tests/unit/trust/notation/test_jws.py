"""The JWS envelope is read strictly (`signature-envelope-jws.md`, RFC 7515)."""

from __future__ import annotations

import base64
import json

import pytest

from devkit.offline.notary import PREFIX
from ocisource.trust.notation.jws import read_jws
from ocisource.trust.wire import RefusedError


@pytest.fixture
def fields(desk):
    return json.loads(desk.notary.jws(desk.order))


@pytest.fixture
def protected(fields):
    return json.loads(_decode(fields["protected"]))


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _refused(value: object, word: str) -> None:
    content = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(RefusedError, match=word):
        read_jws(content)


def test_the_parts_are_those_of_the_envelope(desk, fields):
    envelope = read_jws(json.dumps(fields).encode())
    assert envelope.algorithm == "ES256"
    assert envelope.message == f"{fields['protected']}.{fields['payload']}".encode()
    assert envelope.signature == _decode(fields["signature"])
    assert envelope.payload == desk.order.payload()
    assert len(envelope.chain) == 2
    assert envelope.timestamp == b""


@pytest.mark.parametrize("member", ["payload", "protected", "header", "signature"])
def test_every_member_is_there(fields, member):
    del fields[member]
    _refused(fields, "flattened JWS")


@pytest.mark.parametrize("member", ["signatures", "extra"])
def test_there_is_no_other_member(fields, member):
    """Not even those of the general serialization (RFC 7515 section 7.2.1): one envelope, one signature."""
    _refused(fields | {member: []}, "flattened JWS")


@pytest.mark.parametrize("member", ["payload", "protected", "signature"])
@pytest.mark.parametrize("wrong", [None, 1, "", "a", "a===", "!!!!", "e30=", "e31", "e3 0", "é"])
def test_base64url_is_canonical(fields, member, wrong):
    _refused(fields | {member: wrong}, "not text|base64url")


def test_the_standard_alphabet_is_another_one(fields):
    fields["signature"] = base64.b64encode(b"\xfb\xff\xfe" * 22).decode().rstrip("=")
    _refused(fields, "signature is empty or not base64url")


def test_a_repeated_member_is_refused(desk):
    content = desk.notary.jws(desk.order).replace(b'{"payload":', b'{"header":{},"payload":', 1)
    _refused(content, "the key 'header' twice")


def test_a_repeated_protected_header_is_refused(fields):
    fields["protected"] = _encode(b'{"alg":"ES256","alg":"ES256"}')
    _refused(fields, "protected header has the key 'alg' twice")


@pytest.mark.parametrize("value", [None, 256, ["ES256"]])
def test_the_algorithm_is_text(fields, protected, value):
    fields["protected"] = _encode(json.dumps(protected | {"alg": value}).encode())
    _refused(fields, "alg is missing or not text")


@pytest.mark.parametrize(
    "value",
    [
        1750000000,
        None,
        "",
        "2025-06-15",
        "2025-06-15T15:06:40",
        "2025-06-15 15:06:40Z",
        "2025-06-15t15:06:40z",
        "2025-13-15T15:06:40Z",
        "2025-06-15T25:06:40Z",
        "2025-06-15T15:06:40+25:00",
        "2025-06-15T15:06:40+02:00:30",
        "2025-06-15T15:06:40Z\n",
        "٢٠٢٥-06-15T15:06:40Z",
    ],
)
def test_times_are_those_of_rfc_3339(fields, protected, value):
    fields["protected"] = _encode(json.dumps(protected | {PREFIX + "signingTime": value}).encode())
    _refused(fields, "is no time")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("2025-06-15T15:06:40Z", 1750000000.0),
        ("2025-06-15T17:06:40+02:00", 1750000000.0),
        ("2025-06-15T15:06:40.5Z", 1750000000.5),
        ("2025-06-15T15:06:40.123456789Z", 1750000000.123456),
        ("0001-01-01T00:00:00+14:00", -62135647200.0),
        ("9999-12-31T23:59:59-14:00", 253402351199.0),
    ],
)
def test_every_time_of_rfc_3339_is_read(fields, protected, written, seconds):
    fields["protected"] = _encode(json.dumps(protected | {PREFIX + "signingTime": written}).encode())
    assert read_jws(json.dumps(fields).encode()).attributes[PREFIX + "signingTime"] == pytest.approx(seconds, abs=1e-6)


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (None, "header is missing"),
        ([], "header is not a JSON object"),
        ({}, "x5c"),
        ({"x5c": "MAA="}, "x5c"),
        ({"x5c": [1]}, "certificate in header's x5c is not text"),
        ({"x5c": ["MAA"]}, "certificate in header's x5c is not base64"),
        ({"x5c": ["MAA="], PREFIX + "timestampSignature": "-_"}, "timestampSignature is not base64"),
        ({"x5c": ["MAA="], PREFIX + "timestampSignature": None}, "timestampSignature is missing"),
    ],
)
def test_the_unprotected_header_is_read_strictly(fields, header, word):
    _refused(fields | {"header": header}, word)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"\xff", b"{", b"[" * 5000, b" " * ((1 << 20) + 1)])
def test_what_is_no_json_object_is_refused(content):
    _refused(content, "envelope is|envelope has")
