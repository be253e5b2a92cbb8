"""The COSE envelope is read strictly (`signature-envelope-cose.md`, RFC 9052, RFC 8949)."""

from __future__ import annotations

from dataclasses import replace

import cbor2
import pytest

from devkit.offline.authority import to_der
from devkit.offline.notary import PREFIX
from ocisource.trust.notation.cose import MAX_DEPTH, MAX_ENVELOPE, read_cose
from ocisource.trust.wire import RefusedError


@pytest.fixture
def parts(desk):
    head, unprotected, payload, signature = cbor2.loads(desk.notary.cose(desk.order)).value
    return [head, dict(unprotected), payload, signature]


@pytest.fixture
def protected(parts):
    return _raw(parts[0])


def _raw(content: bytes) -> dict:
    """The protected header with its times as they are tagged, not as Python's."""
    return {
        key: cbor2.CBORTag(1, int(value.timestamp())) if hasattr(value, "timestamp") else value
        for key, value in cbor2.loads(content).items()
    }


def _tagged(parts, number: int = 18) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(number, list(parts)))


def _refused(content: bytes, word: str) -> None:
    with pytest.raises(RefusedError, match=word):
        read_cose(content)


def test_the_parts_are_those_of_the_envelope(desk, parts):
    envelope = read_cose(_tagged(parts))
    assert envelope.algorithm == "ES256"
    assert envelope.payload == desk.order.payload()
    assert envelope.chain == tuple(map(to_der, desk.notary.chain))
    assert envelope.attributes[PREFIX + "signingTime"] == desk.order.at
    # RFC 9052 section 4.4, written out: an array of four, the context, the header, no external data, the payload.
    head = b"\x84\x6aSignature1" + cbor2.dumps(parts[0]) + b"\x40" + cbor2.dumps(parts[2])
    assert envelope.message == head


@pytest.mark.parametrize("number", [17, 19, 98])
def test_only_a_tagged_sign1_is_an_envelope(parts, number):
    _refused(_tagged(parts, number), "no COSE_Sign1")


def test_an_untagged_one_is_none(parts):
    _refused(cbor2.dumps(list(parts)), "no COSE_Sign1")


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("wrong", [None, 1, "text", []])
def test_each_part_has_its_type(parts, place, wrong):
    """A payload that is null would be a detached one."""
    parts = list(parts)
    parts[place] = wrong
    _refused(_tagged(parts), "no COSE_Sign1 with a payload")


def test_there_are_four_parts(parts):
    _refused(_tagged([*parts, b""]), "no COSE_Sign1")
    _refused(_tagged(parts[:3]), "no COSE_Sign1")


def test_nothing_follows_the_envelope(parts):
    _refused(_tagged(parts) + b"\x00", "bytes after its end")


def test_nothing_follows_the_protected_header(parts):
    _refused(_tagged([parts[0] + b"\x00", *parts[1:]]), "protected header has bytes after its end")


@pytest.mark.parametrize(
    ("header", "word"),
    [
        (b"", "protected header is no strict CBOR"),
        (b"\x80", "protected header is no map"),
        (cbor2.dumps({b"bytes": 1}), "no map of labels"),
        (cbor2.dumps({True: 1}), "no map of labels"),
        (cbor2.dumps({1.0: -7}), "no map of labels"),
        (cbor2.dumps({}), "algorithm .1. is missing"),
        (cbor2.dumps({1: "ES256"}), "algorithm .1. is missing or not supported"),
        (cbor2.dumps({1: -8}), "algorithm .1. is missing or not supported"),
        (cbor2.dumps({1: -7.0}), "algorithm .1. is missing or not supported"),
        (b"\xa2\x01\x26\x01\x26", "protected header is no strict CBOR: .*Duplicate"),
        (b"\xa2\x01\x26\x18\x01\x26", "protected header is no strict CBOR: .*Duplicate"),
        (b"\xbf\x01\x26\xff", "protected header is no strict CBOR: .*indefinite"),
    ],
)
def test_the_protected_header_is_read_strictly(parts, header, word):
    _refused(_tagged([header, *parts[1:]]), word)


@pytest.mark.parametrize(
    "time",
    [
        1750000000,
        "2025-06-15T15:06:40Z",
        cbor2.CBORTag(0, "2025-06-15T15:06:40Z"),
        cbor2.CBORTag(1, 1.5),
        cbor2.CBORTag(1004, 1750000000),
    ],
)
def test_times_are_tagged_whole_seconds(parts, protected, time):
    header = cbor2.dumps(protected | {PREFIX + "signingTime": time})
    _refused(_tagged([header, *parts[1:]]), "signingTime is no time")


def test_a_time_that_is_true_is_none(parts, protected):
    header = cbor2.dumps(protected | {PREFIX + "signingTime": cbor2.CBORTag(1, True)})
    _refused(_tagged([header, *parts[1:]]), "signingTime is no time")


@pytest.mark.parametrize("chain", [None, b"one", [], [1], ["text"], {}])
def test_the_chain_is_a_list_of_byte_strings(desk, parts, chain):
    content = _tagged([parts[0], parts[1] | {33: chain}, *parts[2:]])
    if chain == []:
        assert read_cose(content).chain == ()  # how many there must be is the chain's own question
    else:
        _refused(content, "x5chain")


def test_a_chain_is_there(parts):
    _refused(_tagged([parts[0], {}, *parts[2:]]), "x5chain")


def test_a_timestamp_is_a_byte_string(parts):
    key = PREFIX + "timestampSignature"
    assert read_cose(_tagged([parts[0], parts[1] | {key: b"token"}, *parts[2:]])).timestamp == b"token"
    _refused(_tagged([parts[0], parts[1] | {key: "token"}, *parts[2:]]), "timestampSignature is no byte string")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"\x9f\xff",
        b"\x5f\x41\x00\xff",
        b"\xd2" * 100_000,
        b"\x81" * 100_000,
        b"\x9b" + b"\xff" * 8,
        b"\x5b" + b"\xff" * 8,
        b"\xbb" + b"\xff" * 8,
        b"\x62\xff\xff",
        b"\xd8\x23\x69(a+)+$",
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xa1\x81\x80\x01",
    ],
)
def test_what_is_no_strict_cbor_is_refused(content):
    """Among them: no length, no end, no bottom, a pattern that takes long, a list that holds itself."""
    _refused(content, "envelope is no")


def test_tags_that_mean_something_elsewhere_mean_nothing_here(desk, parts):
    """Time of day, big numbers, patterns, references: read as a tag and what it is on."""
    odd = {f"odd{tag}": cbor2.CBORTag(tag, value) for tag, value in ((2, b"\x01"), (35, "("), (29, 5), (0, "x"))}
    assert read_cose(_tagged([parts[0], parts[1] | odd, *parts[2:]])).payload == desk.order.payload()


def test_no_more_than_16_levels_are_read(parts):
    """The envelope's own are three: tag, list, map."""

    def nested(levels: int) -> bytes:
        value: object = 0
        for _ in range(levels):
            value = [value]
        return _tagged([parts[0], parts[1] | {"deep": value}, *parts[2:]])

    assert MAX_DEPTH == 16
    assert read_cose(nested(MAX_DEPTH - 3)).chain
    _refused(nested(MAX_DEPTH - 2), "nesting depth")


def test_no_more_than_128_kib_are_read(parts):
    filled = [parts[0], parts[1] | {"fill": b""}, *parts[2:]]
    filled[1]["fill"] = b"x" * (MAX_ENVELOPE - len(_tagged(filled)) - 4)
    content = _tagged(filled)
    assert len(content) == MAX_ENVELOPE
    assert read_cose(content).chain
    filled[1]["fill"] += b"x"
    _refused(_tagged(filled), "larger than 131072 bytes")


def test_unsigned_attributes_are_not_taken_for_signed_ones(desk, parts, protected):
    """A scheme in the unprotected header is nobody's word."""
    key = PREFIX + "signingScheme"
    scheme = protected.pop(key)
    content = _tagged([cbor2.dumps(protected), parts[1] | {key: scheme}, *parts[2:]])
    assert key not in read_cose(content).attributes


def test_a_label_that_is_a_number_can_be_critical_and_is_not_known(desk):
    judgement = desk.judge(replace(desk.order, more={99: "x"}, mark=(99,)), "application/cose")
    assert "critical attribute '99' is not supported" in judgement.reason
