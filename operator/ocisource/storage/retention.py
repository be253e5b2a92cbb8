"""What is kept of an object's folder, and what goes (flux-compat G4, B20)."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocisource.storage import paths

# A temporary file that nobody has written to for so long has no writer any more.
STRAY_AFTER = 15 * 60.0
# A folder that changed within this time may belong to an object that is younger than the list it is not on.
SWEEP_AFTER = 5 * 60.0


@dataclass(frozen=True)
class Retention:
    """How long tarballs that are no longer current stay (`ttl`, seconds), and how many tarballs stay at most."""

    ttl: float = 60.0
    records: int = 2


@dataclass(frozen=True)
class Garbage:
    """What to delete in a folder. `pending` tells that something will have to go later, without any new file."""

    tarballs: tuple[str, ...]
    leftovers: tuple[str, ...]
    pending: bool


def garbage(folder: str, current: str, retention: Retention, now: float) -> Garbage:
    """Judges the files in the folder; `current` (a file name) is never garbage. Raises OSError."""
    files: list[tuple[int, str]] = []
    leftovers: list[str] = []
    pending = False
    with os.scandir(folder) as found:
        for entry in found:
            status = entry.stat(follow_symlinks=False)
            age = now - status.st_mtime
            if entry.name.startswith(paths.TEMPORARY):
                if age > STRAY_AFTER:
                    leftovers.append(entry.name)
                pending = True
            elif stat.S_ISREG(status.st_mode) and entry.name.endswith(".lock"):
                leftovers.append(entry.name)  # of an earlier controller; we need none
            elif stat.S_ISREG(status.st_mode) and entry.name != current:
                files.append((status.st_mtime_ns, entry.name))
    files.sort()
    kept = [name for modified, name in files if now - modified / 1e9 <= retention.ttl]
    surplus = max(0, len(kept) + 1 - max(1, retention.records))
    going = [name for modified, name in files if now - modified / 1e9 > retention.ttl] + kept[:surplus]
    return Garbage(tuple(going), tuple(leftovers), pending or len(kept) > surplus)


def remove_strays(root: str) -> int:
    """Deletes the temporary files of a process that was killed; how many. Raises OSError."""
    count = 0
    for folder in [root, *folders(root)]:
        with os.scandir(folder) as found:
            strays = [Path(entry.path) for entry in found if entry.name.startswith(paths.TEMPORARY)]
        for stray in strays:
            stray.unlink(missing_ok=True)
        count += len(strays)
    return count


def unknown(root: str, known: frozenset[tuple[str, str]], now: float) -> list[str]:
    """The folders of objects that are not known, without those that changed a moment ago. Raises OSError."""
    found = []
    for folder in folders(root):
        namespace, name = folder.rsplit("/", 2)[1:]
        if (namespace, name) not in known:
            with suppress(FileNotFoundError):
                if now - os.lstat(folder).st_mtime > SWEEP_AFTER:
                    found.append(folder)
    return found


def folders(root: str) -> list[str]:
    """The folders of all objects. Symbolic links are no folders."""
    return [folder for namespace in _folders_in(f"{root}/{paths.ROOT}") for folder in _folders_in(namespace)]


def _folders_in(path: str) -> list[str]:
    try:
        with os.scandir(path) as found:
            return [entry.path for entry in found if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
