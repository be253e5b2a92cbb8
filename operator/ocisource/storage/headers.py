"""Reads the headers of a tar stream: ustar and its prefix, PAX, GNU long names, base-256 numbers
(POSIX pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format").

The texts of errors are those that clients of this API know (flux-compat C15).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ocisource.domain.errors import LayerError
from ocisource.storage.unpacking import Unpacked

BLOCK = 512

# name, mode, (uid, gid), size, (mtime), checksum, type, link name, magic, (owner, device), prefix, trailer
_HEADER = struct.Struct("100s8s16x12s12x8sB100s8s80x155s12s")
_ZEROS = bytes(BLOCK)
_EXTENSION_SIZE = 1 << 20  # the most that a PAX header or a long name may take, as in other readers
_UNTYPED, _LINK, _SYMLINK, _CHARACTER, _BLOCK_DEVICE, _FOLDER, _FIFO = b"\x00123456"
_NO_CONTENT = frozenset((_LINK, _SYMLINK, _CHARACTER, _BLOCK_DEVICE, _FOLDER, _FIFO))
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _SPARSE = b"xgLKS"
_EXTENSIONS = frozenset((_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK))

# Type bits of Unix modes that some writers leave in the mode field, and the letters that Go prints for them.
_MODE_TYPES = {0o040000: "d", 0o010000: "p", 0o120000: "L", 0o060000: "D", 0o020000: "Dc", 0o140000: "S"}
_FLAG_TYPES = {_SYMLINK: "L", _CHARACTER: "Dc", _BLOCK_DEVICE: "D", _FOLDER: "d", _FIFO: "p"}


_Fields = tuple[bytes, int, int, int, bytes]  # name, mode, size, type, link name


class Entry(NamedTuple):
    """One member of the archive. `types` are the letters of its kind, "" for a regular file, and `link` is None
    unless it is a hard link. Content is `size` bytes at `offset` of the stream."""

    name: bytes
    mode: int
    types: str
    link: bytes | None
    offset: int
    size: int


def invalid(what: str = "archive/tar: invalid tar header") -> LayerError:
    """The failure of a stream that is no tar."""
    return LayerError(f"tar error: {what}")


class _Extension:
    """What extended headers say about the member that follows them."""

    def __init__(self) -> None:
        self.pax: dict[bytes, bytes] = {}
        self.name = b""
        self.link = b""

    def merge(self, kind: int, content: bytes) -> None:
        if kind == _PAX:
            self.pax = pax_records(content)
        elif kind == _LONG_NAME:
            self.name = content.partition(b"\0")[0]
        elif kind == _LONG_LINK:
            self.link = content.partition(b"\0")[0]


def entries(stream: Unpacked, most: int, check: Callable[[], None]) -> Iterator[Entry]:
    """The members in the order of the stream. Whatever follows the end-of-archive mark is ignored.

    `most` bounds the number of members (their extended headers come on top). Raises LayerError.
    """
    offset = 0
    extension = _Extension()
    left = 4 * most + 4
    while offset < stream.size:
        left -= 1
        if left < 0:
            raise invalid("too many headers (raise the limit with --max-entries)")
        if not left & 0xFF:
            check()
        fields = _fields(stream, offset)
        if fields is None:
            return
        offset += BLOCK
        _, _, size, kind, _ = fields
        if kind in _EXTENSIONS:
            if size > _EXTENSION_SIZE:
                raise invalid("archive/tar: header field too long")
            content = _content(stream, offset, size)
            if kind == _PAX_GLOBAL:  # says nothing that is kept (flux-compat J8), and ends what was said before it
                extension = _Extension()
            extension.merge(kind, content)
            offset += size + -size % BLOCK
            continue
        entry = _entry(extension, fields, offset)
        if offset + entry.size > stream.size:
            raise LayerError("error copying buffer: unexpected EOF")
        yield entry
        extension = _Extension()
        offset += entry.size + -entry.size % BLOCK


def _content(stream: Unpacked, offset: int, size: int) -> bytes:
    if offset + size > stream.size:
        raise invalid("unexpected EOF")
    return stream.read(offset, size)


def _fields(stream: Unpacked, offset: int) -> _Fields | None:
    """Name, mode, size, type and link name of the header at `offset`; None at the end-of-archive mark."""
    if offset + BLOCK > stream.size:
        raise invalid("unexpected EOF")
    buffer, at = stream.at(offset, BLOCK)
    name, mode, size, checksum, kind, link, magic, prefix, trailer = _HEADER.unpack_from(buffer, at)
    if not name[0] and buffer[at : at + BLOCK] == _ZEROS:
        _end(stream, offset + BLOCK)
        return None
    _verify(buffer, at, checksum)
    name = name.partition(b"\0")[0]
    if magic[:6] == b"ustar\0" and prefix[0]:
        if trailer[8:] == b"tar\0":  # the older star format uses the end of the prefix for times
            prefix = prefix[:131]
        name = prefix.partition(b"\0")[0] + b"/" + name
    return name, _number(mode), _number(size), kind, link.partition(b"\0")[0]


def _end(stream: Unpacked, offset: int) -> None:
    """Judges what follows a block of zeros: another one, or the end of the stream."""
    if offset == stream.size:
        return
    if stream.read(offset, BLOCK) != _ZEROS:
        raise invalid("unexpected EOF" if offset + BLOCK > stream.size else "archive/tar: invalid tar header")


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
    digits = field.strip(b" \0").partition(b"\0")[0]
    if not digits:
        return 0
    if not digits.isdigit():  # int() would also take signs, underscores and 0o
        raise invalid()
    try:
        return int(digits, 8)
    except ValueError:
        raise invalid() from None


def _number(field: bytes) -> int:
    """An octal number, or a base-256 one if the first bit is set. Never negative."""
    if field[0] < 0x80:
        return _octal(field)
    if field[0] & 0x40:
        raise invalid()
    value = int.from_bytes(bytes((field[0] & 0x7F,)) + field[1:], "big")
    if value >= 1 << 63:
        raise invalid()
    return value


def pax_records(data: bytes) -> dict[bytes, bytes]:
    """The records of an extended header by keyword; the last of equal ones stands. Raises LayerError."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 9)
        if space < 0 or not data[at:space].isdigit():
            raise invalid()
        end = at + int(data[at:space])
        if not space + 1 < end <= len(data) or data[end - 1] != 0x0A:
            raise invalid()
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in key or (b"\0" in value and key in (b"path", b"linkpath")):
            raise invalid()
        records[key] = value
        at = end
    return records


def _entry(ext: _Extension, fields: _Fields, offset: int) -> Entry:
    """The member that the header and what preceded it describe."""
    name, mode, size, kind, link = fields
    if ext.pax:
        if any(key.startswith(b"GNU.sparse.") for key in ext.pax):
            raise _unsupported_sparse(ext.pax.get(b"GNU.sparse.name") or ext.pax.get(b"path") or name)
        name = ext.pax.get(b"path") or name
        link = ext.pax.get(b"linkpath") or link
        size = _decimal(ext.pax.get(b"size") or b"%d" % size)
    name = ext.name or name
    if kind == _SPARSE:
        raise _unsupported_sparse(name)
    if kind == _UNTYPED and name.endswith(b"/"):
        kind = _FOLDER  # how archives older than ustar name folders
    types = _MODE_TYPES.get(mode & ~0o7777, "") if mode > 0o7777 else ""
    types = "".join(dict.fromkeys(types + _FLAG_TYPES.get(kind, "")))
    return Entry(
        name,
        mode & 0o7777,
        types,
        (ext.link or link) if kind == _LINK else None,
        offset,
        0 if kind in _NO_CONTENT else size,
    )


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 18:
        raise invalid()
    return int(digits)


def _unsupported_sparse(name: bytes) -> LayerError:
    shown = name.decode("utf-8", "replace")
    return LayerError(
        f"tar file entry {shown} is stored as a sparse file, which is not supported: pack it without --sparse"
    )
