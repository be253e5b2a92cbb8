"""How much of a layer is taken in before it is refused (flux-compat J7)."""

from __future__ import annotations

from dataclasses import dataclass

from ocisource.domain.errors import LayerError

MIB = 1 << 20

# Text compresses 4 to 20 times, a run of equal bytes 1,000 times. Small layers may be made of anything, so the
# ratio is only asked once the content is larger than this many bytes.
RATIO_FLOOR = 64 * MIB


@dataclass(frozen=True)
class Limits:
    """Bounds on one layer. The defaults are far above what configuration needs (the largest Git monorepos pack
    to a few hundred MiB) and far below what hurts a node: the unpacked content lies on disk for a moment, an entry
    costs about 300 bytes of memory.

    `blob` and `unpacked` are bytes, `ratio` is unpacked to blob, `entries` counts files and folders.
    """

    blob: int = 1024 * MIB
    unpacked: int = 2048 * MIB
    entries: int = 200_000
    ratio: int = 200

    def admit_blob(self, size: int) -> None:
        """Raises LayerError if a blob of `size` bytes is too large to be fetched."""
        if size > self.blob:
            raise LayerError(
                f"layer is {_size(size)}, more than the limit of {_size(self.blob)} (raise it with --max-blob-size)"
            )

    def admit_unpacked(self, size: int, blob: int) -> None:
        """Raises LayerError if `size` bytes out of a blob of `blob` bytes are too many."""
        if size > self.unpacked:
            raise LayerError(
                f"layer unpacks to more than the limit of {_size(self.unpacked)} (raise it with --max-unpacked-size)"
            )
        if size > RATIO_FLOOR and size > self.ratio * blob:
            raise LayerError(
                f"layer unpacks to more than {self.ratio} times its size of {_size(blob)} "
                "(raise the limit with --max-ratio)"
            )

    def admit_entries(self, count: int) -> None:
        """Raises LayerError if `count` files and folders are too many."""
        if count > self.entries:
            raise LayerError(
                f"layer has more than {self.entries} files and folders (raise the limit with --max-entries)"
            )


def _size(count: int) -> str:
    """Bytes for a reader: the largest unit that leaves a whole number or one decimal."""
    for unit, step in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= step:
            return f"{count / step:.1f}".removesuffix(".0") + f" {unit}"
    return f"{count} bytes"
