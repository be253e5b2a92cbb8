"""The header of a gzip member (RFC 1952, 2.3)."""

from __future__ import annotations

import zlib

_FIXED = 10
_MAGIC = b"\x1f\x8b\x08"
_CHECKSUM, _EXTRA, _NAME, _COMMENT = 2, 4, 8, 16
_LONGEST_TEXT = 512  # of a name or comment with the NUL at its end, as in other readers


class Malformed(Exception):
    """The bytes are no gzip, or not all of it. The text is what clients of this API know (flux-compat C15)."""


class Broken(Malformed):
    """Compressed data is damaged, or not all there."""


def header_size(data: bytes) -> int | None:
    """How many bytes of `data` the header at its beginning takes; None if more of it has to come. Raises Malformed."""
    if data[: len(_MAGIC)] != _MAGIC[: len(data)] and len(data) >= _FIXED:
        raise Malformed("gzip: invalid header")
    if len(data) < _FIXED:
        return None
    flags, end = data[3], _FIXED
    if flags & _EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_NAME, _COMMENT):
        if flags & flag:
            start, end = end, data.find(b"\0", end, end + _LONGEST_TEXT) + 1
            if not end:
                if len(data) >= start + _LONGEST_TEXT:
                    raise Malformed("gzip: invalid header")
                return None
    if flags & _CHECKSUM:
        if int.from_bytes(data[end : end + 2], "little") != zlib.crc32(data[:end]) & 0xFFFF and len(data) >= end + 2:
            raise Malformed("gzip: invalid header")
        end += 2
    return end if end <= len(data) else None
