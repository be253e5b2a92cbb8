"""Writes the tarball: a deterministic tar stream in a deterministic gzip member (flux-compat F6)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from isal import isal_zlib

from ocisource.domain.ignore import IgnoreRules
from ocisource.storage import digests
from ocisource.storage.blocks import BLOCK
from ocisource.storage.spool import write_all
from ocisource.storage.tree import File, Folder
from ocisource.storage.unpacking import Unpacked
from ocisource.storage.ustar import file_header, folder_header

# Best ratio of igzip: about Go's size + 15 % at a quarter of its time. 0 to 3.
LEVEL = 3

# No name, no time, unknown system: nothing of the machine that made it.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_END = bytes(2 * BLOCK)
# The compressor's output depends on how its input is cut, so the cut is part of the format: changing it changes
# the digest of every artifact made anew.
_CUT = 128 << 10


class Gzip:
    """Compresses into the file `descriptor` and hashes what it writes by `algorithm`. `check` is called for every
    piece and raises to stop the work. Methods raise OSError."""

    def __init__(self, descriptor: int, level: int, check: Callable[[], None], algorithm: str = digests.SHA256) -> None:
        self.size = 0
        self._descriptor = descriptor
        self.check = check
        self._digester = digests.Digester(algorithm)
        self._deflate = isal_zlib.compressobj(level, isal_zlib.DEFLATED, -isal_zlib.MAX_WBITS)
        self._crc = 0
        self._length = 0
        self._buffer = memoryview(bytearray(_CUT))
        self._filled = 0
        self._write(_GZIP_HEADER)

    @property
    def digest(self) -> str:
        """`<algorithm>:<hex>` of the file so far."""
        return str(self._digester)

    def put(self, data: bytes) -> None:
        """Adds the data."""
        start, size = 0, len(data)
        while start < size:
            count = min(_CUT - self._filled, size - start)
            self._buffer[self._filled : self._filled + count] = data[start : start + count]
            self._advance(count)
            start += count

    def put_from(self, stream: Unpacked, offset: int, size: int) -> None:
        """Adds `size` bytes of the stream, and zeros up to a whole block."""
        end = offset + size
        while offset < end:
            count = min(_CUT - self._filled, end - offset)
            stream.read_into(offset, self._buffer[self._filled : self._filled + count])
            self._advance(count)
            offset += count
        self.put(bytes(-size % BLOCK))

    def finish(self) -> None:
        """Writes what is left, and the trailer."""
        self._compress()
        self._write(self._deflate.flush() + struct.pack("<II", self._crc, self._length & 0xFFFFFFFF))

    def _advance(self, count: int) -> None:
        self._filled += count
        if self._filled == _CUT:
            self._compress()

    def _compress(self) -> None:
        self.check()
        piece = self._buffer[: self._filled]
        self._crc = isal_zlib.crc32(piece, self._crc)
        self._length += self._filled
        self._filled = 0
        self._write(self._deflate.compress(piece))

    def _write(self, data: bytes) -> None:
        if data:
            self._digester.update(data)
            self.size += len(data)
            write_all(self._descriptor, data)


def write_archive(root: Folder, stream: Unpacked, ignore: IgnoreRules, out: Gzip) -> None:
    """Writes the tree without what the rules exclude: depth first, entries of a folder sorted by bytes."""
    out.put(folder_header(b"."))
    for path, node in walk(root):
        out.check()  # here too: nothing is written for what is excluded
        text = path.decode("utf-8", "surrogateescape")
        if isinstance(node, File):
            if not ignore.excludes(text, False):  # noqa: FBT003  # the rules' own signature
                out.put(file_header(path, node.size, executable=node.executable))
                out.put_from(stream, node.offset, node.size)
        elif not ignore.excludes(text, True):  # noqa: FBT003  # the rules' own signature
            out.put(folder_header(path))
    out.put(_END)
    out.finish()


def walk(root: Folder) -> Iterator[tuple[bytes, File | Folder]]:
    """Every path below the root, a folder before what is in it. An excluded folder is walked as well: what is in it
    may be included again (flux-compat F5)."""
    levels = [(b"", iter(sorted(root.items(), key=_name)))]
    while levels:
        prefix, nodes = levels[-1]
        for name, node in nodes:
            path = prefix + name
            yield path, node
            if isinstance(node, dict):
                levels.append((path + b"/", iter(sorted(node.items(), key=_name))))
                break
        else:
            levels.pop()


def _name(item: tuple[bytes, File | Folder]) -> bytes:
    return item[0]
