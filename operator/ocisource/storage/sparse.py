"""Files with holes, as tar stores them: what there is of their content, and a map of where it belongs (GNU tar manual,
"Storing Sparse Files": the old format, and the PAX formats 0.0, 0.1 and 1.0)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ocisource.domain.errors import LayerError
from ocisource.storage.blocks import BLOCK, Header, integer, invalid, number
from ocisource.storage.extensions import SIZE
from ocisource.storage.unpacking import Unpacked

Map = list[tuple[int, int]]
"""Offset and length of each piece of content."""

OLD = ord("S")
"""The type of a member in the old format."""

_VERSIONS = {(b"0", b"0"): False, (b"0", b"1"): False, (b"1", b"0"): True}
_ENTRY = 24
_HEADER_MAP, _HEADER_MORE, _HEADER_SIZE = 386, 482, 483  # where the old format has them in the header
_BLOCK_MORE = 504  # and in a block that goes on with the map


def unfolded(
    stream: Unpacked, header: Header, pax: Mapping[bytes, bytes], offset: int, check: Callable[[], None]
) -> tuple[int, int, int] | None:
    """Where the whole file begins, its size, and where the member ends; None if the member is not sparse. `header` says
    what is stored of it, from `offset` on. Raises LayerError, also for a file that is larger than the limits allow."""
    check()  # a map may take as long as many members
    if header.kind == OLD:
        if not header.gnu:
            raise invalid()
        pieces, size, offset = _old_map(stream, offset - BLOCK)
        end = offset + header.size
    else:
        end = offset + header.size
        mapped = _pax_map(pax, stream, offset, end)
        if mapped is None:
            return None
        pieces, offset = mapped
        size = integer(pax.get(b"GNU.sparse.size") or pax.get(b"GNU.sparse.realsize") or b"%d" % header.size)
    _judge(pieces, size)
    if end > stream.size:
        raise stream.short("error copying buffer")
    stored = sum(length for _, length in pieces)
    if stored != end - offset:
        what = "references non-existent data" if stored > end - offset else "contains unreferenced data"
        raise LayerError(f"error copying buffer: archive/tar: sparse file {what}")
    return _expand(stream, pieces, size, offset, check), size, end


def _old_map(stream: Unpacked, offset: int) -> tuple[Map, int, int]:
    """The map in the header that begins at `offset`, the size of the file, and where its content begins."""
    block = stream.read(offset, BLOCK)
    size = number(block[_HEADER_SIZE : _HEADER_SIZE + 12])
    pieces: Map = []
    entries, more = block[_HEADER_MAP:_HEADER_MORE], block[_HEADER_MORE]
    for _ in range(SIZE // BLOCK):
        for at in range(0, len(entries), _ENTRY):
            if not entries[at]:
                break
            pieces.append((number(entries[at : at + 12]), number(entries[at + 12 : at + _ENTRY])))
        offset += BLOCK
        if not more:
            return pieces, size, offset
        if offset + BLOCK > stream.size:
            raise stream.short()
        block = stream.read(offset, BLOCK)
        entries, more = block[:_BLOCK_MORE], block[_BLOCK_MORE]
    raise _too_long()


def _pax_map(pax: Mapping[bytes, bytes], stream: Unpacked, offset: int, end: int) -> tuple[Map, int] | None:
    """The map that the records announce, and where the content begins; None where they announce none. `offset` and
    `end` bound what is stored of the member."""
    version = pax.get(b"GNU.sparse.major", b""), pax.get(b"GNU.sparse.minor", b"")
    in_content = _VERSIONS.get(version)
    if in_content is None and (any(version) or b"GNU.sparse.map" not in pax):
        return None
    if in_content:
        return _read_map(stream, offset, end)
    text = pax.get(b"GNU.sparse.map")
    numbers = text.split(b",") if text else []
    if len(numbers) != 2 * integer(pax.get(b"GNU.sparse.numblocks", b"")):
        raise invalid()
    return _pairs(numbers), offset


def _read_map(stream: Unpacked, offset: int, end: int) -> tuple[Map, int]:
    """The map at the beginning of the content, one number a line, in whole blocks."""
    lines: list[bytes] = []
    rest, wanted, limit = b"", 1, offset + SIZE
    while len(lines) < wanted:
        if offset >= limit:
            raise _too_long()
        if offset + BLOCK > end:
            raise stream.short()
        *more, rest = (rest + stream.read(offset, BLOCK)).split(b"\n")
        lines += more
        offset += BLOCK
        if lines and wanted == 1:
            wanted = 1 + 2 * integer(lines[0])
            if wanted < 1:
                raise invalid()
    return _pairs(lines[1:wanted]), offset


def _too_long() -> LayerError:
    return invalid("archive/tar: sparse map too long")


def _pairs(numbers: list[bytes]) -> Map:
    values = [integer(part) for part in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def _judge(pieces: Map, size: int) -> None:
    """Raises LayerError unless the pieces follow each other within the size."""
    position = 0
    for start, length in pieces:
        if start < position or length < 0:
            raise invalid()
        position = start + length
    if position > size:
        raise invalid()


def _expand(stream: Unpacked, pieces: Map, size: int, offset: int, check: Callable[[], None]) -> int:
    """Adds the file, holes and all, to what the stream holds; where."""
    stream.admit(size)
    begin = stream.held
    for start, length in [*pieces, (size, 0)]:
        stream.add_zeros(begin + start - stream.held, check)
        stream.add_again(offset, length, check)
        offset += length
    return begin
