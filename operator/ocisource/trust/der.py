"""A strict reader of DER (ITU-T X.690): one meaning or RefusedError, whatever the bytes are.

It reads what X.509 libraries keep for themselves: the CMS structure of a timestamp. Lengths are definite and minimal,
tags are of the short form (no structure we read has another), and nothing is left over. It descends only where a
caller asks, so nesting costs nothing. The order inside a SET OF is not judged: real authorities write any.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocisource.trust.wire import RefusedError

BOOLEAN = 0x01
INTEGER = 0x02
OCTET_STRING = 0x04
OBJECT_IDENTIFIER = 0x06
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31
CONTEXT = 0x80
"""Context-specific and primitive: `CONTEXT + 1` is [1] IMPLICIT of a primitive type."""
CONSTRUCTED = 0xA0
"""Context-specific and constructed: `CONSTRUCTED + 0` is [0] EXPLICIT, or IMPLICIT of a SEQUENCE or SET."""


@dataclass(frozen=True, slots=True)
class Element:
    """One value: its tag, its content, and all its bytes as they came."""

    tag: int
    content: bytes
    raw: bytes


class Fields:
    """The elements of one structure, taken in their order; `name` is how messages call the structure."""

    def __init__(self, content: bytes, name: str) -> None:
        self._elements = elements(content, name)[::-1]
        self._name = name

    def take(self, tag: int) -> Element:
        """The next element, which must be there and have this tag."""
        element = self.maybe(tag)
        if element is None:
            raise malformed(self._name)
        return element

    def maybe(self, tag: int) -> Element | None:
        """The next element if it has this tag."""
        if self._elements and self._elements[-1].tag == tag:
            return self._elements.pop()
        return None

    def inside(self, tag: int) -> Fields:
        """The fields of the next element, which must have this tag."""
        return Fields(self.take(tag).content, self._name)

    def end(self) -> None:
        """Nothing may follow."""
        if self._elements:
            raise malformed(self._name)


def open_sequence(content: bytes, name: str) -> Fields:
    """The fields of the one SEQUENCE that `content` is."""
    outer = Fields(content, name)
    inner = outer.inside(SEQUENCE)
    outer.end()
    return inner


def malformed(name: str) -> RefusedError:
    """The refusal for bytes that do not have the structure they should."""
    return RefusedError(f"{name} is malformed")


def elements(content: bytes, name: str) -> list[Element]:
    """All elements in `content`, which they fill completely."""
    found = []
    position = 0
    while position < len(content):
        element = _element(content, position, name)
        found.append(element)
        position += len(element.raw)
    return found


def unsigned(element: Element, name: str) -> int:
    """The value of an INTEGER that is not negative, also of an implicitly tagged one; minimal (X.690 section 8.3.2)."""
    value = int.from_bytes(element.content, "big")
    if element.content != value.to_bytes(value.bit_length() // 8 + 1, "big"):
        raise malformed(name)
    return value


def oid(dotted: str) -> bytes:
    """The content of an OBJECT IDENTIFIER: a constant of ours, so that comparing needs no decoding."""
    first, second, *arcs = map(int, dotted.split("."))
    return bytes([40 * first + second]) + b"".join(map(_base128, arcs))


def _base128(arc: int) -> bytes:
    groups = [arc & 0x7F]
    while arc := arc >> 7:
        groups.append(arc & 0x7F | 0x80)
    return bytes(groups[::-1])


def _element(content: bytes, start: int, name: str) -> Element:
    """X.690 sections 8.1 and 10.1."""
    header = content[start : start + 2]
    if len(header) < 2 or header[0] & 0x1F == 0x1F:
        raise malformed(name)
    body = start + 2
    length = header[1]
    if length & 0x80:
        more = content[body : body + (length & 0x7F)]
        length = int.from_bytes(more, "big")
        body += len(more)
        # Minimal: no leading zero, and the short form where it would do. The indefinite form (0x80) has length 0.
        if length < 0x80 or not more[0]:
            raise malformed(name)
    if body + length > len(content):
        raise malformed(name)
    return Element(header[0], content[body : body + length], content[start : body + length])
