"""JSON of a registry, read as clients of this API read it, who are Go programs: the same texts are taken, and those
that are not are refused in the same words (flux-compat C10, C14)."""

from __future__ import annotations

import json
import re
from typing import Any

from ocisource.domain.errors import RegistryError, quoted

_SPACE = " \t\r\n"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_LITERALS = {word[0]: word for word in ("true", "false", "null")}


def lenient(body: bytes) -> str:
    """The text of the body. Every byte that is no UTF-8 is one replacement character."""
    return whole(body.decode("utf-8", "surrogateescape"))


def whole(text: str) -> str:
    """The text with a replacement character for what is no character by itself."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)


def first_value(body: bytes) -> Any:
    """The JSON value that the body begins with; what follows it does not count. Raises RegistryError."""
    try:
        return _begun(lenient(body))
    except json.JSONDecodeError:
        pass
    try:
        # Once more with a character for each byte: it is bytes that the message is about.
        return _begun(text := body.decode("latin-1"))
    except json.JSONDecodeError as error:
        raise RegistryError(_fault(text, error)) from None


def _begun(text: str) -> Any:
    start = len(text) - len(text.lstrip(_SPACE))
    if start == len(text):
        raise RegistryError("EOF")
    try:
        return _DECODER.raw_decode(text, start)[0]
    except RecursionError:
        raise RegistryError("invalid JSON: nested too deeply") from None
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise RegistryError(f"invalid JSON: {error}") from None


def _constant(name: str) -> Any:
    """Of the constants that Python adds to JSON there is none."""
    where = "in numeric literal" if name[0] == "-" else "looking for beginning of value"
    raise RegistryError(_invalid(name.lstrip("-")[0], where))


_DECODER = json.JSONDecoder(parse_constant=_constant)


def _fault(text: str, error: json.JSONDecodeError) -> str:
    """What is wrong, and the character by which it shows."""
    if error.msg.startswith("Unterminated string"):
        return _ENDS
    if (judge := _IN_STRINGS.get(error.msg)) is not None:
        return judge(text, error.pos)
    at = error.pos + error.msg.startswith("Illegal trailing comma")
    at += len(text) - at - len(text[at:].lstrip(_SPACE))
    return _ENDS if at == len(text) else _BETWEEN.get(error.msg, _value)(text, at)


def _invalid(char: str, where: str) -> str:
    """The character as Go's %q writes one; "" stands for the end."""
    shown = {"'": "\\'", '"': '"'}.get(char) or quoted(char)[1:-1]
    return f"invalid character '{shown}' {where}" if char else _ENDS


def _value(text: str, at: int) -> str:
    word = _LITERALS.get(text[at], "")
    for offset, expected in enumerate(word):
        if (found := text[at + offset : at + offset + 1]) != expected:
            return _invalid(found, f"in literal {word} (expecting '{expected}')")
    if text[at] == "-":
        return _invalid(text[at + 1 : at + 2], "in numeric literal")
    return _invalid(text[at], "looking for beginning of value")


def _delimiter(text: str, at: int) -> str:
    open_ones: list[str] = []
    for char in _STRING.sub("", text[:at]):
        if char in "{[":
            open_ones.append(char)
        elif char in "}]":
            open_ones.pop()
    return _invalid(text[at], "after object key:value pair" if open_ones[-1] == "{" else "after array element")


def _key(text: str, at: int) -> str:
    return _invalid(text[at], "looking for beginning of object key string")


def _colon(text: str, at: int) -> str:
    return _invalid(text[at], "after object key")


def _control(text: str, at: int) -> str:
    return _invalid(text[at], "in string literal")


def _escape(text: str, at: int) -> str:
    return _invalid(text[at + 1 : at + 2], "in string escape code")


def _hexadecimal(text: str, at: int) -> str:
    digits = _HEXADECIMAL.match(text, text.rindex("\\u", 0, at + 2) + 2)
    end = digits.end() if digits else at
    return _invalid(text[end : end + 1], "in \\u hexadecimal character escape")


_ENDS = "unexpected EOF"
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{0,4}")
_IN_STRINGS = {
    "Invalid control character at": _control,
    "Invalid \\escape": _escape,
    "Invalid \\uXXXX escape": _hexadecimal,
}
_BETWEEN = {
    "Expecting property name enclosed in double quotes": _key,
    "Illegal trailing comma before end of object": _key,
    "Expecting ':' delimiter": _colon,
    "Expecting ',' delimiter": _delimiter,
}
