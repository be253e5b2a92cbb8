"""Makes tar headers as Go's archive/tar does: USTAR where it fits, else a PAX header before it (flux-compat F6).

Owner, group and times are always zero, names of both empty.
"""

from __future__ import annotations

import posixpath
import struct

from ocisource.storage.blocks import BLOCK

FOLDER_MODE = 0o750
FILE_MODE = 0o600
EXECUTABLE_MODE = 0o700

_NAME_SIZE = 100
_PREFIX_SIZE = 155
_OCTAL_SIZE = 1 << 33  # the first size that eleven octal digits cannot tell

# name, mode, uid, gid, size, mtime, checksum, type, link name, magic and version, owner, group, devices, prefix
_BLOCK = struct.Struct("100s8s8s8s12s12s8s1s100s8s32s32s16s155s12x")
_ID = b"0000000"
_TIME = b"00000000000"
_DEVICES = b"0000000\x000000000\x00"
_MAGIC = b"ustar\x0000"


def folder_header(name: bytes) -> bytes:
    """The header of a folder; `name` has no trailing slash."""
    return _header(name, FOLDER_MODE, 0, b"5")


def file_header(name: bytes, size: int, *, executable: bool) -> bytes:
    """The header of a regular file of `size` bytes."""
    return _header(name, EXECUTABLE_MODE if executable else FILE_MODE, size, b"0")


def _header(name: bytes, mode: int, size: int, kind: bytes) -> bytes:
    if len(name) <= _NAME_SIZE and size < _OCTAL_SIZE and name.isascii():
        return _pack(name, mode, size, kind)
    records = {}
    prefix = b""
    if len(name) > _NAME_SIZE or not name.isascii():
        split = _split(name)
        if split and size < _OCTAL_SIZE:
            prefix, name = split
            return _pack(name, mode, size, kind, prefix=prefix)
        records[b"path"] = name
    if size >= _OCTAL_SIZE:
        records[b"size"] = b"%d" % size
    data = b"".join(_record(key, records[key]) for key in sorted(records))
    main = _pack(_cut(_ascii(name)), mode, size if size < _OCTAL_SIZE else 0, kind)
    return _extended(name, data) + main


def _extended(name: bytes, data: bytes) -> bytes:
    """The PAX header with the records `data` for the member `name`."""
    folder, _, file = name.rpartition(b"/")
    path = posixpath.normpath(posixpath.join(folder, b"PaxHeaders.0", file))
    short = _ascii(path)[:_NAME_SIZE].rstrip(b"/")
    header = _pack(short, 0, len(data), b"x", devices=b"")
    return header + data + bytes(-len(data) % BLOCK)


def _pack(name: bytes, mode: int, size: int, kind: bytes, *, prefix: bytes = b"", devices: bytes = _DEVICES) -> bytes:
    octal_mode, octal_size = b"%07o" % mode, b"%011o" % size
    total = sum(name) + sum(prefix) + sum(octal_mode) + sum(octal_size) + kind[0] + sum(devices) + _REST
    return _BLOCK.pack(
        name, octal_mode, _ID, _ID, octal_size, _TIME, b"%06o\0 " % total, kind, b"", _MAGIC, b"", b"", devices, prefix
    )


# The part of the checksum that is the same in every header; the checksum's own field counts as eight spaces.
_REST = 2 * sum(_ID) + sum(_TIME) + sum(_MAGIC) + 8 * 32


def _split(name: bytes) -> tuple[bytes, bytes] | None:
    """A long ASCII name as ustar prefix and name, or None if no slash is at the right place."""
    if len(name) <= _NAME_SIZE or not name.isascii():
        return None
    prefix, _, rest = name[: _PREFIX_SIZE + 1].rpartition(b"/")
    rest = name[len(prefix) + 1 :]
    if not prefix or not rest or len(rest) > _NAME_SIZE:
        return None
    return prefix, rest


def _ascii(name: bytes) -> bytes:
    """The name without what is not ASCII, for readers that do not know PAX."""
    return name if name.isascii() else bytes(byte for byte in name if byte < 0x80)


def _cut(name: bytes) -> bytes:
    """The start of the name that fits its field, no slash at its end: old readers take that for a folder."""
    if len(name) <= _NAME_SIZE:
        return name
    short = name[:_NAME_SIZE]
    return short[:-1].rstrip(b"/") if short.endswith(b"/") else short


def _record(key: bytes, value: bytes) -> bytes:
    """`<length> <key>=<value>\\n`, where the length counts its own digits."""
    size = len(key) + len(value) + 3
    length = size + len(str(size))
    length = size + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)
