"""Inclusion in a Merkle tree (RFC 9162 section 2.1; the trees of RFC 6962 are the same)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HASH_SIZE = 32
MAX_PATH = 64
"""Hashes in a path: a tree of 2^63 entries, more than any index can name, has 63."""


def includes(entry: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `entry` stands at `index` of the tree with `size` entries and this root hash: RFC 9162 section
    2.1.3.2, whose names and steps these are. `index` and `size` are not negative."""
    if index >= size:
        return False
    fn, sn = index, size - 1
    r = _hash(b"\x00", entry)
    for p in path:
        if sn == 0 or len(p) != HASH_SIZE:
            return False
        if fn & 1 or fn == sn:
            r = _hash(b"\x01", p, r)
            while not fn & 1:  # ends: here fn is not 0, since sn is not
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _hash(b"\x01", r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def _hash(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()
