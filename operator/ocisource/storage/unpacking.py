"""From a gzip blob to the bytes of its tar stream: in memory while small, else in a nameless file."""

from __future__ import annotations

import os
from collections.abc import Callable

from isal import igzip_lib, isal_zlib

from ocisource.domain.errors import LayerError
from ocisource.storage.gzipheader import Broken, Malformed, header_size
from ocisource.storage.limits import Limits
from ocisource.storage.spool import Source, nameless, write_all

# Beyond this the tar stream goes to a file, so that memory does not grow with the layer.
IN_MEMORY = 1 << 20

_PIECE = 256 << 10
# Headers are read from a file through a window of this size: a few headers of small files, little waste on large.
_WINDOW = 16 << 10
_TRAILER = 8


class Unpacked:
    """The tar stream of a layer of `blob` bytes, readable at any offset. `size` is in bytes; what is added behind it
    (files that lie in the stream in another form) counts into `held`. `damage` says why the stream ends where it does,
    "" if that is where its writer ended it, and `broken` whether that is in the middle of compressed data."""

    def __init__(self, folder: str, limits: Limits, blob: int) -> None:
        self.size = 0
        self.held = 0
        self.damage = ""
        self.broken = False
        self._folder = folder
        self._limits = limits
        self._blob = blob
        self._memory = bytearray()
        self._file: int | None = None
        self._window = b""
        self._window_at = 0

    def admit(self, more: int) -> None:
        """Raises LayerError if so many bytes more are too many."""
        self._limits.admit_unpacked(self.held + more, self._blob)

    def append(self, piece: bytes) -> None:
        """Adds bytes at the end of the stream. Raises LayerError beyond the limits, OSError."""
        self.admit(len(piece))
        self._hold(piece)
        self.size = self.held

    def add_zeros(self, count: int, check: Callable[[], None]) -> None:
        """Adds zeros behind the stream. Raises OSError."""
        while count:
            check()
            piece = bytes(min(count, _PIECE))
            self._hold(piece)
            count -= len(piece)

    def add_again(self, offset: int, length: int, check: Callable[[], None]) -> None:
        """Adds the `length` bytes at `offset`, which must lie within `size`, behind the stream. Raises OSError."""
        while length:
            check()
            piece = self.read(offset, min(length, _PIECE))
            self._hold(piece)
            offset += len(piece)
            length -= len(piece)

    def _hold(self, piece: bytes) -> None:
        self.held += len(piece)
        if self._file is None and self.held <= IN_MEMORY:
            self._memory += piece
            return
        if self._file is None:
            self._file = nameless(self._folder)
            write_all(self._file, self._memory)
            self._memory = bytearray()
        write_all(self._file, piece)

    def short(self, where: str = "tar error") -> LayerError:
        """The failure of whoever needs more of the stream than there is."""
        return LayerError(f"{where}: {self.damage or 'unexpected EOF'}")

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
        """Fills `target` with the bytes at `offset`, which must lie within `held`. Raises OSError."""
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
    """Inflates the blob (RFC 1952, any number of members) within the limits. What is damaged ends the stream: whether
    that matters is for its reader to say, since an archive may end before.

    `check` is called for every piece and raises to stop the work. Raises LayerError for what is no gzip at all or is
    beyond a limit (flux-compat C15, J7), OSError.
    """
    members = _Members(into, 2 * limits.entries + 1024)
    try:
        for chunk in source.chunks():
            check()
            members.feed(bytes(chunk))
        members.finish()
    except Malformed as error:
        if not members.begun:
            raise LayerError(f"requires gzip-compressed body: {error}") from error
        into.damage, into.broken = str(error), isinstance(error, Broken)


class _Members:
    """The members of one gzip stream, one after the other, at most `most`: formats with an index make a member or two
    a file, more of them are work without content. Raises Malformed."""

    def __init__(self, into: Unpacked, most: int) -> None:
        self._into = into
        self._left = most
        # Of the member that is under way, once its header is known.
        self._inflater: igzip_lib.IgzipDecompressor | None = None
        self._crc = 0
        self._size = 0
        # What has come of a header or trailer that is not complete.
        self._rest = b""
        self.begun = False

    def feed(self, data: bytes) -> None:
        while data:
            if self._inflater is None:
                data = self._begin(self._rest + data)
            elif not self._inflater.eof:
                data = self._inflate(self._inflater, data)
            else:
                data = self._end(self._rest + data)

    def finish(self) -> None:
        """Judges the end of the blob."""
        if self._inflater is not None and not self._inflater.eof:
            raise Broken("unexpected EOF")
        if self._inflater is not None or self._rest:
            raise Malformed("unexpected EOF")
        if not self.begun:
            raise Malformed("EOF")

    def _begin(self, data: bytes) -> bytes:
        """Begins the next member; the data that follows its header."""
        size = header_size(data)
        if size is None:
            self._rest = data
            return b""
        self._left -= 1
        if self._left < 0:
            raise LayerError("tar error: gzip: too many members (raise the limit with --max-entries)")
        self._rest, self.begun = b"", True
        self._inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_DEFLATE)
        self._crc = self._size = 0
        return data[size:]

    def _end(self, data: bytes) -> bytes:
        """Holds the member against its trailer; the data that follows that."""
        if len(data) < _TRAILER:
            self._rest = data
            return b""
        said = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:_TRAILER], "little")
        if said != (self._crc, self._size & 0xFFFFFFFF):
            raise Malformed("gzip: invalid checksum")
        self._rest, self._inflater = b"", None
        return data[_TRAILER:]

    def _inflate(self, inflater: igzip_lib.IgzipDecompressor, data: bytes) -> bytes:
        """Takes in compressed data; what of it is none any more."""
        try:
            self._keep(inflater.decompress(data, _PIECE))
            while not inflater.needs_input and not inflater.eof:
                self._keep(inflater.decompress(b"", _PIECE))
        except igzip_lib.IsalError as error:  # type: ignore[misc]  # its stub says instance, it is a class
            raise Broken("gzip: corrupt input") from error
        return inflater.unused_data if inflater.eof else b""

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._crc = isal_zlib.crc32(piece, self._crc)
            self._size += len(piece)
            self._into.append(piece)
