"""From a gzip blob to the bytes of its tar stream: in memory while small, else in a nameless file."""

from __future__ import annotations

import os
from collections.abc import Callable

from isal import igzip_lib

from ocisource.domain.errors import LayerError
from ocisource.storage.limits import Limits
from ocisource.storage.spool import Source, nameless, write_all

# Beyond this the tar stream goes to a file, so that memory does not grow with the layer.
IN_MEMORY = 1 << 20

_PIECE = 256 << 10
# Headers are read from a file through a window of this size: a few headers of small files, little waste on large.
_WINDOW = 16 << 10
_MAGIC = b"\x1f\x8b\x08"


class Unpacked:
    """The tar stream of a layer, readable at any offset. `size` is in bytes."""

    def __init__(self, folder: str) -> None:
        self.size = 0
        self._folder = folder
        self._memory = bytearray()
        self._file: int | None = None
        self._window = b""
        self._window_at = 0

    def append(self, piece: bytes) -> None:
        """Adds bytes at the end. Raises OSError."""
        self.size += len(piece)
        if self._file is None and self.size <= IN_MEMORY:
            self._memory += piece
            return
        if self._file is None:
            self._file = nameless(self._folder)
            write_all(self._file, self._memory)
            self._memory = bytearray()
        write_all(self._file, piece)

    def at(self, offset: int, length: int) -> tuple[bytes | bytearray, int]:
        """A buffer and the index in it where the `length` bytes at `offset` begin. They must lie within `size`."""
        if self._file is None:
            return self._memory, offset
        start = offset - self._window_at
        if start < 0 or start + length > len(self._window):
            self._window = os.pread(self._file, max(length, _WINDOW), offset)
            self._window_at, start = offset, 0
        return self._window, start

    def read(self, offset: int, length: int) -> bytes:
        """The `length` bytes at `offset`; fewer where the stream ends."""
        if self._file is None:
            return bytes(self._memory[offset : offset + length])
        return os.pread(self._file, length, offset)

    def read_into(self, offset: int, target: memoryview) -> None:
        """Fills `target` with the bytes at `offset`, which must lie within `size`. Raises OSError."""
        if self._file is None:
            target[:] = memoryview(self._memory)[offset : offset + len(target)]
            return
        while target:
            count = os.preadv(self._file, [target], offset)
            if not count:
                raise OSError(5, "temporary file is shorter than what was written to it")
            target = target[count:]
            offset += count

    def close(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            os.close(self._file)
            self._file = None


def unpack(source: Source, into: Unpacked, limits: Limits, check: Callable[[], None]) -> None:
    """Inflates the blob (RFC 1952, any number of members, zero bytes after the last) within the limits.

    `check` is called for every piece and raises to stop the work. Raises LayerError (flux-compat C15), OSError.
    """
    members = _Members(source.size, into, limits)
    first = True
    for chunk in source.chunks():
        check()
        if first:
            _require_gzip(chunk)
            first = False
        members.feed(bytes(chunk))
    if first:
        raise LayerError("requires gzip-compressed body: EOF")
    members.finish()


def _require_gzip(head: bytes | memoryview) -> None:
    if len(head) < 10:
        raise LayerError("requires gzip-compressed body: unexpected EOF")
    if head[:3] != _MAGIC:
        raise LayerError("requires gzip-compressed body: gzip: invalid header")


class _Members:
    """The members of one gzip stream, one after the other."""

    def __init__(self, blob: int, into: Unpacked, limits: Limits) -> None:
        self._blob = blob
        self._into = into
        self._limits = limits
        self._member: igzip_lib.IgzipDecompressor | None = None
        self._head = b""
        # Formats with an index make a member or two a file. More of them are work without content.
        self._left = 2 * limits.entries + 1024

    def feed(self, data: bytes) -> None:
        while data:
            if self._member is None:
                data = self._next(data)
                continue
            self._inflate(self._member, data)
            if not self._member.eof:
                return
            data = self._member.unused_data
            self._member = None

    def finish(self) -> None:
        if self._member is not None or self._head:
            raise LayerError("tar error: unexpected EOF")

    def _next(self, data: bytes) -> bytes:
        """Begins the next member; the data that belongs to it."""
        data = self._head + data
        self._head = b""
        data = data.lstrip(b"\0")
        if not data:
            return b""
        if not data.startswith(_MAGIC[: len(data)]):
            raise LayerError("tar error: gzip: invalid header")
        if len(data) < len(_MAGIC):
            self._head = data
            return b""
        self._left -= 1
        if self._left < 0:
            raise LayerError("tar error: gzip: too many members")
        self._member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
        return data

    def _inflate(self, member: igzip_lib.IgzipDecompressor, data: bytes) -> None:
        try:
            self._keep(member.decompress(data, _PIECE))
            while not member.needs_input and not member.eof:
                self._keep(member.decompress(b"", _PIECE))
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub says instance, it is a class
            what = "invalid checksum" if "checksum" in str(error).lower() else "corrupt input"
            raise LayerError(f"tar error: gzip: {what}") from error

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._limits.admit_unpacked(self._into.size + len(piece), self._blob)
            self._into.append(piece)
