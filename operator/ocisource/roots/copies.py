"""Copies of a trusted root, and the one on disk that outlives the process."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

NAME = "trusted_root.json"
MAX_SIZE = 1 << 20


@dataclass(frozen=True)
class Copy:
    """A trusted root. `confirmed` is when TUF last vouched for it, or when it was shipped, in Unix seconds."""

    document: bytes = field(repr=False)
    confirmed: float
    shipped: bool = False


def load(folder: Path) -> Copy | None:
    """The copy in the folder, None if there is none. Raises OSError."""
    try:
        with (folder / NAME).open("rb") as file:
            return Copy(file.read(MAX_SIZE + 1), os.fstat(file.fileno()).st_mtime)
    except FileNotFoundError:
        return None


def save(folder: Path, copy: Copy) -> None:
    """Puts the copy into the folder in place of the one that is there: whole and lasting, or not at all. Raises
    OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=".")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(copy.document)
            file.flush()
            os.utime(file.fileno(), (copy.confirmed, copy.confirmed))
            os.fsync(file.fileno())
        Path(temporary).replace(folder / NAME)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    listed = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(listed)
    finally:
        os.close(listed)
