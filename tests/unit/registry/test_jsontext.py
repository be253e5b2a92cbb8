"""JSON as clients of this API read it. Every expected text is what Go's encoding/json says of the same bytes."""

from __future__ import annotations

import pytest

from ocisource.domain.errors import RegistryError
from ocisource.registry.jsontext import first_value


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", "EOF"),
        (b" \n", "EOF"),
        (b"{", "unexpected EOF"),
        (b'{"a', "unexpected EOF"),
        (b'{"a":', "unexpected EOF"),
        (b"[1", "unexpected EOF"),
        (b"tru", "unexpected EOF"),
        (b"<html>", "invalid character '<' looking for beginning of value"),
        (b"hello", "invalid character 'h' looking for beginning of value"),
        (b"nope", "invalid character 'o' in literal null (expecting 'u')"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
        (b'{"a":-Infinity}', "invalid character 'I' in numeric literal"),
        (b"\xef\xbb\xbf{}", "invalid character '\u00ef' looking for beginning of value"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":[1] "b"}', "invalid character '\"' after object key:value pair"),
        (b'{"a":["]",1 2]}', "invalid character '2' after array element"),
        (b'["\xc3\xa9" x]', "invalid character 'x' after array element"),
        (b'["a\x01"]', "invalid character '\\x01' in string literal"),
        (b'["a\n"]', "invalid character '\\n' in string literal"),
        (rb'["\q"]', "invalid character 'q' in string escape code"),
        (rb'["\u00g0"]', r"invalid character 'g' in \u hexadecimal character escape"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_is_no_json_is_refused_in_the_words_of_go(body: bytes, fault: str) -> None:
    with pytest.raises(RegistryError) as caught:
        first_value(body)
    assert str(caught.value) == fault


@pytest.mark.parametrize("body", [b"[" * 200_000, b"9" * 5_000])
def test_what_is_no_json_within_reason_is_refused(body: bytes) -> None:
    with pytest.raises(RegistryError, match=r"^invalid JSON: "):
        first_value(body)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a":1} and more', {"a": 1}),
        (b'"caf\xe9 \xe2\x82"', "caf\N{REPLACEMENT CHARACTER} \N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"null", None),
    ],
)
def test_the_value_that_a_body_begins_with_is_read(body: bytes, value: object) -> None:
    assert first_value(body) == value
