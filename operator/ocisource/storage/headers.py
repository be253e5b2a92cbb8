"""Reads the members of a tar stream: ustar and its prefix, PAX, GNU long names, sparse files (POSIX pax, "ustar
Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format").

The texts of errors are those that clients of this API know (flux-compat C15).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ocisource.domain.errors import LayerError
from ocisource.storage import extensions, sparse
from ocisource.storage.blocks import BLOCK, ZEROS, Header, header, integer, invalid
from ocisource.storage.extensions import Extension
from ocisource.storage.unpacking import Unpacked

_UNTYPED, _LINK, _SYMLINK, _CHARACTER, _BLOCK_DEVICE, _FOLDER, _FIFO = b"\x00123456"
_NO_CONTENT = frozenset((_LINK, _SYMLINK, _CHARACTER, _BLOCK_DEVICE, _FOLDER, _FIFO))

# Type bits of Unix modes that some writers leave in the mode field, and the letters that Go prints for them.
_MODE_TYPES = {0o040000: "d", 0o010000: "p", 0o120000: "L", 0o060000: "D", 0o020000: "Dc", 0o140000: "S"}
_FLAG_TYPES = {_SYMLINK: "L", _CHARACTER: "Dc", _BLOCK_DEVICE: "D", _FOLDER: "d", _FIFO: "p"}


class Entry(NamedTuple):
    """One member of the archive. `types` are the letters of its kind, "" for a regular file, and `link` is None
    unless it is a hard link. Content is `size` bytes at `offset` of the stream."""

    name: bytes
    mode: int
    types: str
    link: bytes | None
    offset: int
    size: int


def entries(stream: Unpacked, most: int, check: Callable[[], None]) -> Iterator[Entry]:
    """The members in the order of the stream. What follows the end-of-archive mark is ignored, unless it
    cannot even be unpacked.

    `most` bounds the number of members (their extended headers come on top). Raises LayerError.
    """
    offset = 0
    extension = Extension()
    left = 4 * most + 4
    while offset < stream.size:
        left -= 1
        if left < 0:
            raise invalid("too many headers (raise the limit with --max-entries)")
        if not left & 0xFF:
            check()
        found = _header(stream, offset)
        if found is None:
            break
        offset += BLOCK
        if found.kind in extensions.KINDS:
            check()  # one may take as long as many members
            extension.merge(found.kind, _content(stream, offset, found.size))
            offset += found.size + -found.size % BLOCK
            continue
        entry, end = _member(stream, extension, found, offset, check)
        yield entry
        if end > stream.size:
            raise stream.short("error copying buffer")
        extension = Extension()
        offset = end + -end % BLOCK
    else:
        if stream.damage:
            raise stream.short()
    if stream.broken:
        raise LayerError(stream.damage)


def _content(stream: Unpacked, offset: int, size: int) -> bytes:
    """The content of an extended header."""
    if size > extensions.SIZE:
        raise invalid("archive/tar: header field too long")
    if offset + size > stream.size:
        raise stream.short()
    return stream.read(offset, size)


def _header(stream: Unpacked, offset: int) -> Header | None:
    """The header at `offset`; None at the end-of-archive mark."""
    if offset + BLOCK > stream.size:
        raise stream.short()
    buffer, at = stream.at(offset, BLOCK)
    if not buffer[at] and buffer[at : at + BLOCK] == ZEROS:
        _end(stream, offset + BLOCK)
        return None
    found = header(buffer, at)
    if found.size < 0 and found.kind not in _NO_CONTENT:
        raise invalid()
    return found


def _end(stream: Unpacked, offset: int) -> None:
    """Judges what follows a block of zeros: another one, or the end of the stream."""
    if offset == stream.size and not stream.damage:
        return
    if offset + BLOCK > stream.size:
        raise stream.short()
    if stream.read(offset, BLOCK) != ZEROS:
        raise invalid()


def _member(
    stream: Unpacked, extension: Extension, found: Header, offset: int, check: Callable[[], None]
) -> tuple[Entry, int]:
    """The member that a header and what preceded it describe, and where it ends. Its content begins at `offset`."""
    pax, kind = extension.pax, found.kind
    extensions.judge(pax)
    name = extension.name or pax.get(b"path", found.name)
    link = extension.link or pax.get(b"linkpath", found.link)
    if kind == _UNTYPED and name.endswith(b"/"):
        kind = _FOLDER  # how archives older than ustar name folders
    size = 0 if kind in _NO_CONTENT else integer(pax[b"size"]) if b"size" in pax else found.size
    if size < 0:
        raise invalid()
    end = offset + size
    if pax or kind == sparse.OLD:
        unfolded = sparse.unfolded(stream, found._replace(size=size), pax, offset, check)
        if unfolded is not None:
            if kind in _NO_CONTENT:
                raise invalid()
            name = pax.get(b"GNU.sparse.name", name) if kind != sparse.OLD else name
            offset, size, end = unfolded
    return Entry(
        name, found.mode & 0o7777, _types(found.mode, kind), link if kind == _LINK else None, offset, size
    ), end


def _types(mode: int, kind: int) -> str:
    """The letters of what the mode and the type of a header make of it."""
    types = _MODE_TYPES.get(mode & 0xFFFFF000, "") if not 0 <= mode <= 0o7777 else ""
    return "".join(dict.fromkeys(types + _FLAG_TYPES.get(kind, "")))
