"""What extended headers say about the member that follows them (POSIX pax, "pax Extended Header"; GNU tar manual,
"Basic Tar Format")."""

from __future__ import annotations

import re

from ocisource.storage.blocks import integer, invalid, text

SIZE = 1 << 20
"""The most bytes that one extended header may take, as in other readers."""

PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK = b"xgLK"
KINDS = frozenset((PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK))

_TIME = re.compile(rb"([+-]?[0-9]+)(?:\.[0-9]*)?")
_NAMES = frozenset((b"path", b"linkpath", b"uname", b"gname"))
_NUMBERS = frozenset((b"uid", b"gid", b"size"))
_TIMES = frozenset((b"mtime", b"atime", b"ctime"))
_MAP, _OFFSET, _LENGTH = b"GNU.sparse.map", b"GNU.sparse.offset", b"GNU.sparse.numbytes"


class Extension:
    """The records and long names that were read since the last member. Those of a global header count for nothing
    (flux-compat J8), and end what was said before it."""

    def __init__(self) -> None:
        self.pax: dict[bytes, bytes] = {}
        self.name = b""
        self.link = b""

    def merge(self, kind: int, content: bytes) -> None:
        """Takes in the content of an extended header of the kind. Raises LayerError."""
        if kind == PAX:
            self.pax = records(content)
        elif kind == PAX_GLOBAL:
            records(content)
            self.pax, self.name, self.link = {}, b"", b""
        elif kind == LONG_NAME:
            self.name = text(content)
        else:
            self.link = text(content)


def records(data: bytes) -> dict[bytes, bytes]:
    """The records of a PAX header by keyword; the last of equal ones stands, and empty ones say nothing. Those of a
    sparse map come one number at a time in its oldest form, and are joined as in the next. Raises LayerError."""
    found: dict[bytes, bytes] = {}
    numbers: list[bytes] = []
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 21)
        end = at + integer(data[at : max(space, at)])
        if not max(at + 4, space + 1) < end <= len(data) or data[end - 1] != 0x0A:
            raise invalid()
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key or b"\0" in (value if key in _NAMES else key):
            raise invalid()
        if key in (_OFFSET, _LENGTH):
            if key != (_OFFSET, _LENGTH)[len(numbers) % 2] or b"," in value:
                raise invalid()
            numbers.append(value)
        else:
            found[key] = value
        at = end
    if numbers:
        found[_MAP] = b",".join(numbers)
    return {key: value for key, value in found.items() if value}


def judge(found: dict[bytes, bytes]) -> None:
    """Raises LayerError where a record of a known keyword does not hold what that stands for."""
    for key in found.keys() & _NUMBERS:
        integer(found[key])
    for key in found.keys() & _TIMES:
        match = _TIME.fullmatch(found[key])
        if match is None:
            raise invalid()
        integer(match[1])
