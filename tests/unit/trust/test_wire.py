"""The bounds of every document that the trust room reads, met exactly and passed by one (signatures.md rule 6)."""

from __future__ import annotations

import pytest

from ocisource.trust.wire import RefusedError, decode_base64, decode_object, quoted, reasons

MIB = 1 << 20


def reason(document: bytes) -> str:
    with pytest.raises(RefusedError) as refused:
        decode_object(document, "payload")
    return str(refused.value)


def sized(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - 8) + b'"}'


def test_a_document_of_a_mebibyte_is_read_and_a_byte_more_is_not():
    assert len(decode_object(sized(MIB), "payload")["a"]) == MIB - 8
    assert reason(sized(MIB + 1)) == "payload is larger than 1 MiB"


def test_a_document_of_ten_thousand_objects_and_arrays_is_read_and_one_more_is_not():
    def of(count: int) -> bytes:
        return b'{"a":[' + b",".join([b"[]"] * (count - 2)) + b"]}"

    assert len(decode_object(of(10_000), "payload")["a"]) == 9_998
    assert reason(of(10_001)) == "payload has more than 10000 objects and arrays"


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["arrays", "objects"])
def test_a_document_that_is_64_deep_is_read_and_one_deeper_is_not(opening, closing):
    """What is read walks a document by recursion here and there (`str`, `json.dumps`): it must not end in an
    accident that depends on how deep the caller stands."""

    def of(depth: int) -> bytes:
        return b'{"a":' + opening * (depth - 1) + (b"1" if closing == b"}" else b"") + closing * (depth - 1) + b"}"

    assert decode_object(of(64), "payload")
    for depth in (65, 500):
        assert reason(of(depth)) == "payload has more than 64 objects and arrays within each other"
    assert reason(of(5_000)) == "payload is not JSON"


def test_depth_is_of_the_deepest_place():
    assert decode_object(b'{"a":[[]],"b":' + b"[" * 63 + b"]" * 63 + b',"c":1}', "payload")
    assert reason(b'{"a":[[]],"b":[1,' + b"[" * 63 + b"]" * 63 + b'],"c":1}').endswith("within each other")


def test_the_key_that_stands_there_twice_is_named():
    assert reason(b'{"a":[{"b":1,"c":2,"b":1}]}') == "payload has the key 'b' twice"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("x" * 80, "'" + "x" * 80 + "'"),
        ("x" * 81, "'" + "x" * 77 + "...'"),
        (" ~", "' ~'"),
        ("\x1f\x7f\u202e\né", "'?????'"),
        ("", "''"),
        (None, "(none)"),
        (["a"], "(not text)"),
    ],
)
def test_what_is_quoted_is_printable_ascii_and_no_longer_than_eighty_characters(text, written):
    assert quoted(text) == written


def test_of_many_refused_signatures_the_first_eight_are_told_and_the_others_counted():
    """Rule 7."""
    refused = [(f"bundle {number}", "no") for number in range(1, 11)]
    eight = "; ".join(f"bundle {number}: no" for number in range(1, 9))
    assert reasons(refused[:7]) == eight.rpartition("; ")[0]
    assert reasons(refused[:8]) == eight
    assert reasons(refused[:9]) == f"{eight}; and 1 more"
    assert reasons(refused) == f"{eight}; and 2 more"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "missing"),
        (1, "not text"),
        ("", "empty"),
        ("QQ", "not base64"),
        ("QR==", "not base64"),
        ("QQ==\n", "not base64"),
        ("QQ==QQ==", "not base64"),
        ("_-8=", "not base64"),
        ("é", "not base64"),
    ],
)
def test_base64_has_one_way_to_be_written(value, why):
    """RFC 4648 section 3.5: no stray bits, no white space, no second alphabet, the padding where it belongs."""
    assert decode_base64("QQ==", "x") == b"A"
    with pytest.raises(RefusedError, match=f"^x is {why}$"):
        decode_base64(value, "x")
