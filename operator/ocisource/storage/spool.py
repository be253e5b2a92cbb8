"""A place for the bytes of one blob until they are known to be whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from typing import Protocol

from ocisource.domain.errors import LayerError
from ocisource.storage.refusal import refusal

# Below this a blob is kept in memory. A few KiB is what most objects of a cluster have; with hundreds of passes in
# flight more would add up.
IN_MEMORY = 256 << 10

CHUNK = 64 << 10


class Source(Protocol):
    """A whole blob, to be read once by one thread."""

    size: int

    def chunks(self) -> Iterator[bytes | memoryview]: ...

    def close(self) -> None: ...


class Spool:
    """Fits ports.Spool. Holds a blob of `size` bytes in memory while small, else in a nameless file in `folder`,
    which vanishes with the process.

    Raises StoreError when the disk refuses, LayerError when more than `size` bytes arrive.
    """

    def __init__(self, folder: str, size: int) -> None:
        self.size = size
        self.written = 0
        self._memory = bytearray()
        self._file: int | None = None
        if size > IN_MEMORY:
            with refusal("DirectoryCreationFailed", "failed to create temporary working directory"):
                self._file = nameless(folder)

    def write(self, chunk: bytes, /) -> None:
        self.written += len(chunk)
        if self.written > self.size:
            raise LayerError(f"layer is larger than the {self.size} bytes that its descriptor says")
        if self._file is None:
            self._memory += chunk
            return
        with refusal("ArchiveOperationFailed", "unable to archive artifact to storage: the layer cannot be written"):
            write_all(self._file, chunk)

    def source(self) -> Source:
        """What was written, to be read by another thread. It stays readable when the spool is closed, so a pass
        that ran out of time may close the spool while a thread still reads."""
        if self._file is None:
            return _Memory(bytes(self._memory))
        return _File(os.dup(self._file), self.written)

    def close(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            os.close(self._file)
            self._file = None


class _Memory:
    def __init__(self, data: bytes) -> None:
        self._view = memoryview(data)
        self.size = len(data)

    def chunks(self) -> Iterator[bytes | memoryview]:
        for start in range(0, self.size, CHUNK):
            yield self._view[start : start + CHUNK]

    def close(self) -> None:
        self._view = memoryview(b"")


class _File:
    def __init__(self, descriptor: int, size: int) -> None:
        self._descriptor = descriptor
        self.size = size

    def chunks(self) -> Iterator[bytes | memoryview]:
        # pread, not mmap: mapped pages would count as resident memory of the process.
        start = 0
        while chunk := os.pread(self._descriptor, CHUNK, start):
            yield chunk
            start += len(chunk)

    def close(self) -> None:
        os.close(self._descriptor)


def nameless(folder: str) -> int:
    """A descriptor of a new file in `folder` that has no name. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        return os.dup(file.fileno())


def write_all(descriptor: int, data: bytes | bytearray | memoryview) -> None:
    """Writes every byte: one write may take fewer. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
