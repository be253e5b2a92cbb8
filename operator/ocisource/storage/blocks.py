"""One header block of a tar stream and the numbers in it (POSIX pax, "ustar Interchange Format"; GNU tar manual, "Basic
Tar Format").

The texts of errors are those that clients of this API know (flux-compat C15).
"""

from __future__ import annotations

import re
import struct
import zlib
from functools import lru_cache
from typing import NamedTuple

from ocisource.domain.errors import LayerError

BLOCK = 512
ZEROS = bytes(BLOCK)

# name, mode, uid, gid, size, mtime, checksum, type, link name, magic, (owner and group), devices, prefix, trailer
_HEADER = struct.Struct("100s8s8s8s12s12s8sB100s8s64x8s8s155s12s")
_USTAR, _GNU, _STAR = b"ustar\0", b"ustar  \0", b"tar\0"
_INTEGER = re.compile(rb"[+-]?[0-9]{1,30}")
_LARGEST = (1 << 63) - 1


class Header(NamedTuple):
    """What a header block says. `mode` and `size` may be negative: what that means is for the reader to judge."""

    name: bytes
    mode: int
    size: int
    kind: int
    link: bytes
    gnu: bool


def invalid(what: str = "archive/tar: invalid tar header") -> LayerError:
    """The failure of a stream that is no tar."""
    return LayerError(f"tar error: {what}")


def header(buffer: bytes | bytearray, at: int) -> Header:
    """The header in the block that begins at `at`. Raises LayerError unless all of it is well-formed, also what nobody
    needs: a block with a right checksum and a wrong owner is no header but something that looks like one."""
    fields = _HEADER.unpack_from(buffer, at)
    name, mode, uid, gid, size, mtime, checksum, kind, link, magic, major, minor, prefix, trailer = fields
    _verify(buffer, at, checksum)
    name = text(name)
    number(uid), number(gid), number(mtime)
    if magic[:6] == _USTAR or magic == _GNU:
        number(major), number(minor)
    if magic[:6] == _USTAR and prefix[0]:
        if trailer[8:] == _STAR:  # an older format that uses the end of the prefix for times
            number(prefix[131:143]), number(prefix[143:])
            prefix = prefix[:131]
        name = text(prefix) + b"/" + name
    return Header(name, number(mode), number(size), kind, text(link), magic == _GNU)


def text(field: bytes) -> bytes:
    """The field up to its first NUL."""
    return field.partition(b"\0")[0]


def _verify(buffer: bytes | bytearray, at: int, checksum: bytes) -> None:
    """Raises LayerError unless the header's checksum is the sum of its bytes, its own field taken as spaces."""
    block = memoryview(buffer)[at : at + BLOCK]
    # Adler-32 keeps 1 + the sum of the bytes in its lower half, exact up to 256 bytes, ten times as fast as sum().
    total = (zlib.adler32(block[:256]) & 0xFFFF) + (zlib.adler32(block[256:]) & 0xFFFF) - 2
    total += 8 * 32 - sum(checksum)
    said = _octal(checksum)
    if said == total:
        return
    # Some old writers summed signed bytes.
    high = sum(1 for byte in block if byte > 127) - sum(1 for byte in checksum if byte > 127)
    if said != total - 256 * high:
        raise invalid()


def _octal(field: bytes) -> int:
    digits = text(field.strip(b" \0"))
    if not digits:
        return 0
    if not digits.isdigit():  # int() would also take signs, underscores and 0o
        raise invalid()
    try:
        return int(digits, 8)
    except ValueError:
        raise invalid() from None


@lru_cache(maxsize=4096)  # the members of an archive mostly have the same owner, and often mode and time
def number(field: bytes) -> int:
    """An octal number, or one in base 256 if the first bit is set, which may be negative. Raises LayerError."""
    if field[0] < 0x80:
        return _octal(field)
    value = int.from_bytes(field, "big", signed=True)
    if not field[0] & 0x40:
        value = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    if not -_LARGEST - 1 <= value <= _LARGEST:
        raise invalid()
    return value


def integer(digits: bytes) -> int:
    """A decimal number of 64 bits with its sign, as PAX records have it. Raises LayerError."""
    if not _INTEGER.fullmatch(digits):
        raise invalid()
    value = int(digits)
    if not -_LARGEST - 1 <= value <= _LARGEST:
        raise invalid()
    return value
