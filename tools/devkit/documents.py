"""Documents as trees: JSON, base64, PEM, DER, CBOR and signed notes, written as they were read.

For tests that change documents (`devkit.mutation`). Readers are lenient, so that what was changed can be changed again;
nothing here is fit to judge anything.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Node:
    """One value: a container of `children`, or a leaf with `content`. `head` is what its format writes before it."""

    head: Any
    children: list[Node] = field(default_factory=list)
    content: bytes = b""
    leaf: bool = True

    @classmethod
    def of(cls, head: Any, children: list[Node]) -> Node:
        return cls(head, children, leaf=False)

    def copy(self) -> Node:
        """All the way down."""
        return Node(self.head, [child.copy() for child in self.children], self.content, self.leaf)


@dataclass(frozen=True)
class Format:
    """`read` raises ValueError where bytes are of another format; `write` takes any tree. `odd` are leaves that
    readers stumble over."""

    read: Callable[[bytes], Node]
    write: Callable[[Node], bytes]
    odd: tuple[Node, ...] = ()


class _Pairs(list[tuple[str, Any]]):
    """The members of an object in their order, a name twice where it stands there twice."""


def _read_json(content: bytes) -> Node:
    value = json.loads(content.decode("utf-8"), object_pairs_hook=_Pairs)
    if not isinstance(value, list):
        raise ValueError
    return _json_node(value)


def _json_node(value: Any) -> Node:
    if isinstance(value, _Pairs):
        return Node.of("{}", [Node.of(":", [_json_node(name), _json_node(member)]) for name, member in value])
    if isinstance(value, list):
        return Node.of("[]", [_json_node(one) for one in value])
    if isinstance(value, str):
        return Node('"', content=value.encode("utf-8", "surrogatepass"))
    return Node("", content=json.dumps(value).encode())


def _write_json(node: Node) -> bytes:
    if node.leaf:
        if node.head != '"':
            return node.content
        return json.dumps(node.content.decode("utf-8", "replace"), ensure_ascii=False).encode("utf-8", "surrogatepass")
    inner = [_write_json(child) for child in node.children]
    if node.head == ":":
        return b":".join(inner)
    opening, closing = (b"[", b"]") if node.head == "[]" else (b"{", b"}")
    return opening + b",".join(inner) + closing


_DEEP = 100
_ODD_JSON = tuple(
    Node("", content=text)
    for text in (
        *(b"null", b"true", b"0", b"-1", b"-0", b"1.5", b"1e999", b"NaN", b'""', b"[]", b"{}", b"[null]", b'{"":{}}'),
        *(b"9007199254740991", b"9007199254740992", b"18446744073709551616", b'"9007199254740991"', b"1" * 400),
        *(b'"\\ud800"', b'"\\u0000"', b'"\\u202e"', b'"' + b"A" * 400 + b'"', b'"0001-01-01T00:00:00+23:59"'),
        *(b"[" * _DEEP + b"]" * _DEEP, b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
    )
)


def _read_base64(content: bytes) -> Node:
    """Either alphabet, padded or not; eight characters at least, since any word is base64."""
    url = b"-" in content or b"_" in content
    text = content.translate(bytes.maketrans(b"-_", b"+/")) if url else content
    decoded = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if len(content) < 8 or content.isdigit() or (not url and len(content) % 4 and not content.isalnum()):
        raise binascii.Error
    return Node((url, content.endswith(b"=") or not len(content) % 4), content=decoded)


def _write_base64(node: Node) -> bytes:
    url, padded = node.head
    encoded = base64.urlsafe_b64encode(node.content) if url else base64.b64encode(node.content)
    return encoded if padded else encoded.rstrip(b"=")


_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\n([^-]+)-----END \1-----\n?")


def _read_pem(content: bytes) -> Node:
    blocks = list(_BLOCK.finditer(content))
    if not blocks:
        raise ValueError
    return Node.of(b"", [Node(one[1], content=base64.b64decode(b"".join(one[2].split()))) for one in blocks])


def _write_pem(node: Node) -> bytes:
    written = [base64.encodebytes(child.content) for child in node.children]
    return b"".join(
        b"-----BEGIN %b-----\n%b-----END %b-----\n" % (child.head, body, child.head)
        for child, body in zip(node.children, written, strict=True)
    )


def _read_note(content: bytes) -> Node:
    """A signed note: lines of words."""
    if "\n\n\u2014 ".encode() not in content:
        raise ValueError
    lines = content.split(b"\n")
    return Node.of("\n", [Node.of(" ", [Node("", content=word) for word in line.split(b" ")]) for line in lines])


def _write_note(node: Node) -> bytes:
    if node.leaf:
        return node.content
    return str(node.head).encode().join(_write_note(child) for child in node.children)


_NESTING = {0x03: 1, 0x04: 0}  # BIT STRING, behind the count of unused bits, and OCTET STRING: may hold DER again


def _read_der(content: bytes) -> Node:
    nodes = _der_nodes(content)
    if len(nodes) != 1 or nodes[0].leaf:
        raise ValueError
    return nodes[0]


def _der_nodes(content: bytes) -> list[Node]:
    found, position = [], 0
    while position < len(content):
        tag, length = content[position], content[position + 1 : position + 2]
        body = position + 2
        if not length:
            raise ValueError
        size = length[0]
        if size & 0x80:
            body += size & 0x7F
            size = int.from_bytes(content[position + 2 : body], "big")
        position = body + size
        if position > len(content):
            raise ValueError
        found.append(_der_node(tag, content[body:position]))
    return found


def _der_node(tag: int, content: bytes) -> Node:
    skipped = _NESTING.get(tag)
    if tag & 0x20:
        return Node.of((tag, b""), _der_nodes(content))
    if skipped is not None and len(content) > skipped + 1:
        try:
            return Node.of((tag, content[:skipped]), [_read_der(content[skipped:])])
        except ValueError:
            pass
    return Node((tag, b""), content=content)


def _write_der(node: Node) -> bytes:
    tag, before = node.head
    content = node.content if node.leaf else before + b"".join(map(_write_der, node.children))
    size = len(content)
    more = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, size] if size < 0x80 else [tag, 0x80 | len(more), *more]) + content


_ODD_DER = tuple(
    Node((tag, b""), content=content)
    for tag, content in (
        *((0x02, b""), (0x02, b"\x80"), (0x02, b"\0\0"), (0x02, b"\x7f" * 30), (0x01, b""), (0x01, b"\1"), (0x05, b"")),
        *((0x06, b""), (0x06, b"\x80"), (0x06, b"\xff" * 20), (0x0C, b"\xff\xfe"), (0x18, b"00000101000000Z")),
        *((0x18, b"99991231235960Z"), (0x17, b"500101000000Z"), (0x16, b"\xff"), (0x82, b""), (0xA0, b""), (0x30, b"")),
    )
)


def _read_cbor(content: bytes) -> Node:
    """Definite lengths only (RFC 8949 section 3), which is all that signers write."""
    node, end = _cbor_node(content, 0)
    if end != len(content) or node.leaf:
        raise ValueError
    return node


def _cbor_node(content: bytes, start: int) -> tuple[Node, int]:
    if start >= len(content):
        raise ValueError
    major, short = content[start] >> 5, content[start] & 0x1F
    position = start + 1
    if short > 27:
        raise ValueError
    size = 1 << (short - 24) if short > 23 else 0
    argument = int.from_bytes(content[position : position + size], "big") if size else short
    position += size
    if major in (2, 3):
        end = position + argument
        if end > len(content):
            raise ValueError
        return Node(major, content=content[position:end]), end
    if major not in (4, 5, 6):
        return Node(None, content=content[start:position]), position
    count = {4: argument, 5: 2 * argument, 6: 1}[major]
    children = []
    for _ in range(count):
        child, position = _cbor_node(content, position)
        children.append(child)
    return Node.of((major, argument), children), position


def _write_cbor(node: Node) -> bytes:
    if node.leaf:
        major = node.head[0] if isinstance(node.head, tuple) else node.head
        return node.content if major is None else _cbor_head(major, len(node.content)) + node.content
    major, argument = node.head if isinstance(node.head, tuple) else (4, 0)
    count = {4: len(node.children), 5: len(node.children) // 2, 6: argument}[major]
    return _cbor_head(major, count) + b"".join(map(_write_cbor, node.children))


def _cbor_head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    power = next(power for power in range(4) if argument < 1 << (8 << power))
    return bytes([major << 5 | 24 + power]) + argument.to_bytes(1 << power, "big")


_ODD_CBOR = tuple(
    Node(None, content=content)
    for content in (
        *(b"\x00", b"\x20", b"\x1b" + b"\xff" * 8, b"\x3b" + b"\xff" * 8, b"\xc1\x00", b"\xc1\xfb\x7f\xf8" + b"\0" * 6),
        *(b"\xc2\x49" + b"\xff" * 9, b"\xf4", b"\xf6", b"\xf7", b"\xf9\x7e\x00", b"\xfb\x7f\xf0" + b"\0" * 6, b"\x40"),
        *(b"\x60", b"\x61\xff", b"\x80", b"\xa0", b"\x9f\xff", b"\xa1\x80\x00", b"\xd8\x1d\x00", b"\x5b" + b"\x7f" * 8),
        *(b"\x81" * 12 + b"\x00", b"\x81" * 100 + b"\x00", b"\xc1" * 100 + b"\x00"),
    )
)

JSON = Format(_read_json, _write_json, _ODD_JSON)
DER = Format(_read_der, _write_der, _ODD_DER)
CBOR = Format(_read_cbor, _write_cbor, _ODD_CBOR)

FORMATS = (
    JSON,
    Format(_read_pem, _write_pem),
    Format(_read_base64, _write_base64),
    Format(_read_note, _write_note),
    DER,
    CBOR,
)
"""Each with its own way to recognize a document, in the order in which to ask."""
