"""The little of DER (ITU-T X.690) that writing timestamps and odd certificates needs. Nothing here reads."""

from __future__ import annotations

import datetime
from functools import reduce


def tlv(tag: int, *contents: bytes) -> bytes:
    """Tag, length and the contents one after the other."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def sequence(*members: bytes) -> bytes:
    return tlv(0x30, *members)


def set_of(*members: bytes) -> bytes:
    """SET OF, whose members DER sorts."""
    return tlv(0x31, *sorted(members))


def explicit(number: int, *contents: bytes) -> bytes:
    """A constructed context-specific tag."""
    return tlv(0xA0 | number, *contents)


def integer(value: int) -> bytes:
    return tlv(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octets(content: bytes) -> bytes:
    return tlv(0x04, content)


def null() -> bytes:
    return tlv(0x05)


def utf8(text: str) -> bytes:
    return tlv(0x0C, text.encode("utf-8"))


def boolean(*, value: bool) -> bytes:
    return tlv(0x01, b"\xff" if value else b"\x00")


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(part) for part in dotted.split("."))
    return tlv(0x06, b"".join(_base128(part) for part in (first * 40 + second, *rest)))


def generalized_time(seconds: float) -> bytes:
    """Whole Unix seconds as `YYYYMMDDHHMMSSZ`, as RFC 3161 wants it."""
    moment = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC)
    return tlv(0x18, moment.strftime("%Y%m%d%H%M%SZ").encode("ascii"))


def _base128(value: int) -> bytes:
    """Seven bits a byte, most significant first, the high bit on all but the last."""
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return reduce(lambda done, group: bytes([group | (0x80 if done else 0)]) + done, groups, b"")
