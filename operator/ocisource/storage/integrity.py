"""Whether a file is still the one that was written (flux-compat C2, J10)."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from ocisource.storage.digests import Digester

_READ = 256 << 10


class Identity(NamedTuple):
    """What tells, without reading it, that a file did not change. `modified` is in nanoseconds."""

    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class Ledger:
    """Digests of the files that this process has written or read. Files under several names share an entry. Methods
    that touch the disk raise OSError."""

    def __init__(self) -> None:
        self._digests: dict[Identity, str] = {}

    def record(self, identity: Identity, digest: str) -> None:
        self._digests[identity] = digest

    def holds(self, status: os.stat_result, digest: str) -> bool:
        """Whether the file is known to have the digest, and has not changed since."""
        return self._digests.get(Identity.of(status)) == digest

    def read(self, path: Path, algorithm: str) -> str:
        """The digest of the file, by reading all of it."""
        with path.open("rb", 0) as file:
            before = Identity.of(os.fstat(file.fileno()))
            digester = Digester(algorithm)
            while chunk := file.read(_READ):
                digester.update(chunk)
            digest = str(digester)
            if Identity.of(os.fstat(file.fileno())) == before:
                self.record(before, digest)
        return digest

    def forget(self, path: Path) -> None:
        """Drops what is known of the file that is about to go, unless it has other names."""
        status = regular(path)
        if status is not None and status.st_nlink == 1:
            self._digests.pop(Identity.of(status), None)


def regular(path: Path | str) -> os.stat_result | None:
    """The status of the regular file at the path; None if there is none. Raises OSError."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None
