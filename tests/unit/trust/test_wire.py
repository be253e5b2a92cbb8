"""The bounds of every document that the trust room reads, met exactly and passed by one (signatures.md rule 6)."""

from __future__ import annotations

import pytest

from ocisource.trust.wire import RefusedError, decode_object

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
