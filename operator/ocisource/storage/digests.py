"""Digests of stored files, as `status.artifact.digest` tells them (flux-compat F9, C2)."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import blake3

SHA256 = "sha256"
BLAKE3 = "blake3"

# Hex digits of each algorithm.
_DIGITS = {SHA256: 64, "sha384": 96, "sha512": 128, BLAKE3: 64, "sha1": 40}
_HEX = re.compile(r"[0-9a-f]+")


class Digester:
    """Hashes what `update` is given by one of the algorithms above; as text it is the digest so far:
    `<algorithm>:<hex>`."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm
        self._hash = _blake3() if algorithm == BLAKE3 else hashlib.new(algorithm)
        self.update = self._hash.update

    def __str__(self) -> str:
        return f"{self._algorithm}:{self._hash.hexdigest()}"


def _blake3() -> blake3.blake3:
    import blake3  # noqa: PLC0415 - a process pays for what it uses

    return blake3.blake3()


def algorithm_of(digest: str) -> str:
    """The algorithm of a digest in which there is no `problem`."""
    return digest.partition(":")[0]


def problem(digest: str) -> str | None:
    """What is wrong with the digest that a status tells, None if nothing is (flux-compat C2)."""
    if not digest:
        return "artifact has no digest"
    algorithm, _, value = digest.partition(":")
    if value and algorithm not in _DIGITS:
        what = "unsupported digest algorithm"
    elif value and len(value) != _DIGITS[algorithm]:
        what = "invalid checksum digest length"
    elif not _HEX.fullmatch(value):
        what = "invalid checksum digest format"
    else:
        return None
    return f"failed to parse artifact digest '{digest}': {what}"
