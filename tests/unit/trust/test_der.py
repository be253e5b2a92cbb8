"""DER has one encoding for each value (ITU-T X.690); every other one is refused."""

from __future__ import annotations

import pytest
from cryptography import x509

from devkit.offline import der as writer
from ocisource.trust.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    Fields,
    elements,
    oid,
    open_sequence,
    unsigned,
)
from ocisource.trust.wire import RefusedError


@pytest.mark.parametrize("size", [0, 1, 127, 128, 255, 256, 65535, 65536])
def test_every_length_is_read(size):
    raw = writer.octets(bytes(size))
    assert elements(raw + raw, "it") == [Element(OCTET_STRING, bytes(size), raw)] * 2


@pytest.mark.parametrize(
    "raw",
    [
        "04",  # no length
        "0401",  # no content
        "040200",  # too little content
        "04800000",  # indefinite length
        "0480",
        "0481",  # a length that is cut off
        "048200",
        "048101ff",  # a long form where the short one would do
        "04817f" + "00" * 127,
        "04820080" + "00" * 128,  # a leading zero
        "0483000100" + "00" * 256,
        "04ff" + "ff" * 127,  # a length longer than anything
        "1f0100",  # a tag of the long form
        "bf8101" + "0100",
        "040100" + "04",  # something after a good one
    ],
)
def test_what_is_not_der_is_refused(raw):
    with pytest.raises(RefusedError, match=r"^it is malformed$"):
        elements(bytes.fromhex(raw), "it")


def test_nothing_holds_no_elements():
    assert elements(b"", "it") == []


@pytest.mark.parametrize("value", [0, 1, 127, 128, 255, 256, 1 << 64, (1 << 160) - 1])
def test_whole_numbers_are_read(value):
    assert unsigned(elements(writer.integer(value), "it")[0], "it") == value


@pytest.mark.parametrize("content", ["", "ff", "80", "ffff", "0000", "0001", "007f", "000080"])
def test_numbers_that_are_negative_or_padded_are_refused(content):
    content = bytes.fromhex(content)
    with pytest.raises(RefusedError, match=r"^it is malformed$"):
        unsigned(Element(INTEGER, content, content), "it")


def test_fields_are_taken_in_their_order():
    fields = open_sequence(writer.sequence(writer.integer(1), writer.octets(b"a"), writer.sequence()), "it")
    assert fields.maybe(OCTET_STRING) is None
    assert fields.take(INTEGER).content == b"\x01"
    assert fields.maybe(OCTET_STRING) == Element(OCTET_STRING, b"a", b"\x04\x01a")
    with pytest.raises(RefusedError, match=r"^it is malformed$"):
        fields.end()
    inside = fields.inside(SEQUENCE)
    fields.end()
    assert fields.maybe(INTEGER) is None
    for missing in (fields, inside):
        with pytest.raises(RefusedError, match=r"^it is malformed$"):
            missing.take(INTEGER)


def test_a_wrong_field_is_refused():
    with pytest.raises(RefusedError, match=r"^it is malformed$"):
        Fields(writer.octets(b"a"), "it").take(INTEGER)


@pytest.mark.parametrize("raw", [b"", writer.set_of(), writer.sequence() * 2])
def test_a_sequence_is_alone(raw):
    with pytest.raises(RefusedError, match=r"^it is malformed$"):
        open_sequence(raw, "it")


@pytest.mark.parametrize(
    "dotted", ["1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.2.1", "1.3.101.112", "0.4.0.2023.1.1", "2.5.29.37"]
)
def test_object_identifiers_are_written_as_cryptography_writes_them(dotted):
    """In an extension's OID, which is the first element of it."""
    value = x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), b"")
    request = x509.Extension(x509.ObjectIdentifier(dotted), critical=False, value=value)
    name = x509.Name([x509.NameAttribute(request.oid, "value")])
    attribute = open_sequence(name.public_bytes(), "it").inside(0x31).inside(SEQUENCE)
    assert attribute.take(0x06).content == oid(dotted)
