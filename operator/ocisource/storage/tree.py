"""Judges every member of a layer and builds the tree of files that an extraction would leave, without extracting
(flux-compat F2, J8)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ocisource.domain.errors import LayerError, quoted
from ocisource.domain.ignore import IGNORE_FILE
from ocisource.storage.headers import Entry, entries
from ocisource.storage.limits import Limits
from ocisource.storage.unpacking import Unpacked

NAMED_LINKS = 10

_IGNORE_FILE = IGNORE_FILE.encode()

# What a file system takes, so what a client can extract (POSIX NAME_MAX and PATH_MAX on Linux).
_LONGEST_PART = 255
_LONGEST_NAME = 4095

# What must not stand in a name. Readers end one at a NUL, so it would be another one than the rules were held against.
_NOWHERE = (b"\\", b"../", b"\0")

# One letter for each type in the order in which Go's FileMode prints them.
_LETTERS = "dLDpSugct"
_SPECIAL = ((0o4000, "u"), (0o2000, "g"), (0o1000, "t"))


class File(NamedTuple):
    """A regular file: `size` bytes at `offset` of the unpacked layer."""

    offset: int
    size: int
    executable: bool


Folder = dict[bytes, "File | Folder"]  # by name, one part of a path


@dataclass(frozen=True)
class Tree:
    """The content of a layer. `dropped_links` are the names of the first symbolic links that were left out,
    `dropped` is how many there were. `ignoring` are the folders with a .sourceignore of their own, as their parts."""

    root: Folder
    dropped_links: tuple[str, ...]
    dropped: int
    ignoring: frozenset[tuple[bytes, ...]] = frozenset()


def shown(name: bytes) -> str:
    """A name as text for messages."""
    return name.decode("utf-8", "replace")


def plant(stream: Unpacked, limits: Limits, check: Callable[[], None]) -> Tree:
    """The tree of the layer in the stream. Raises LayerError for the first member that breaks a rule."""
    builder = _Builder(stream, limits)
    for entry in entries(stream, limits.entries, check):
        builder.add(entry)
    return Tree(builder.root, tuple(builder.dropped_links), builder.dropped, frozenset(builder.ignoring))


def _parts(name: bytes) -> list[bytes]:
    """The parts of a valid name, `.` and empty ones left out. Raises LayerError for an invalid one."""
    if not name or name[0] == 0x2F or any(part in name for part in _NOWHERE) or len(name) > _LONGEST_NAME:
        raise _invalid_name(name)
    parts = name.split(b"/")
    if b"" in parts or b"." in parts:
        parts = [part for part in parts if part not in (b"", b".")]
    if parts and parts[-1] == b"..":  # nowhere else, since that would be "../"
        if len(parts) == 1:
            raise _invalid_name(name)
        parts = parts[:-2]
    if len(name) > _LONGEST_PART and any(len(part) > _LONGEST_PART for part in parts):
        raise _invalid_name(name)
    return parts


def _invalid_name(name: bytes) -> LayerError:
    cut = name if len(name) <= 300 else name[:300] + b"..."
    return LayerError(f"tar contained invalid name error {quoted(cut.decode('utf-8', 'surrogateescape'))}")


class _Builder:
    def __init__(self, stream: Unpacked, limits: Limits) -> None:
        self.root: Folder = {}
        self.dropped_links: list[str] = []
        self.dropped = 0
        self.ignoring: set[tuple[bytes, ...]] = set()
        self._stream = stream
        self._limits = limits
        self._count = 0
        self._linked_bytes = 0
        # Members of one folder mostly follow each other.
        self._last_parts: list[bytes] = []
        self._last_folder = self.root

    def add(self, entry: Entry) -> None:
        parts = _parts(entry.name)
        if not entry.types:
            self._add_file(entry, parts)
        elif "d" in entry.types:
            self._folder(parts, entry.name)
        elif "L" in entry.types:
            self.dropped += 1
            if self.dropped <= NAMED_LINKS:
                self.dropped_links.append(shown(entry.name))
        else:
            raise LayerError(f"tar file entry {shown(entry.name)} contained unsupported file type {_mode_text(entry)}")

    def _add_file(self, entry: Entry, parts: list[bytes]) -> None:
        if not parts:
            raise LayerError(f"tar file entry {shown(entry.name)} is a file, but names the root folder")
        folder = self._folder(parts[:-1], entry.name)
        before = folder.get(parts[-1])
        if isinstance(before, dict):
            raise LayerError(f"tar file entry {shown(entry.name)} is a file, but an earlier entry made it a folder")
        if entry.link is None:
            file = File(entry.offset, entry.size, bool(entry.mode & 0o111))
        else:
            file = self._linked(entry.name, entry.link)
        if before is None:
            self._grow()
        else:  # the file was there: it keeps its mode and gets the content
            file = file._replace(executable=before.executable)
        folder[parts[-1]] = file
        if parts[-1] == _IGNORE_FILE:
            self.ignoring.add(tuple(parts[:-1]))

    def _linked(self, name: bytes, target: bytes) -> File:
        """The earlier regular file that the hard link names."""
        node: File | Folder | None = self.root
        for part in [part for part in target.split(b"/") if part != b"."]:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, File):
            raise LayerError(
                f"tar file entry {shown(name)} is a hard link to {shown(target)}, "
                "which is not an earlier regular file of the archive"
            )
        # The tarball has the content once for each link, so it counts as often.
        self._linked_bytes += node.size
        self._stream.admit(self._linked_bytes)
        return node

    def _folder(self, parts: list[bytes], name: bytes) -> Folder:
        """The folder at `parts`, made with its parents where it is not there yet."""
        if parts == self._last_parts:
            return self._last_folder
        folder = self.root
        for part in parts:
            below = folder.get(part)
            if below is None:
                self._grow()
                below = folder[part] = {}
            elif isinstance(below, File):
                raise LayerError(f"tar file entry {shown(name)} needs {shown(part)} to be a folder, but it is a file")
            folder = below
        self._last_parts, self._last_folder = parts, folder
        return folder

    def _grow(self) -> None:
        # Folders that no entry names are counted too: a few deep names would else make millions of them.
        self._count += 1
        self._limits.admit_entries(self._count)


def _mode_text(entry: Entry) -> str:
    """The mode as Go prints it: `prw-r--r--`, `Dcrw-------`."""
    letters = entry.types + "".join(letter for bit, letter in _SPECIAL if entry.mode & bit)
    kind = "".join(letter for letter in _LETTERS if letter in letters)
    bits = "".join(char if entry.mode & (256 >> i) else "-" for i, char in enumerate("rwxrwxrwx"))
    return kind + bits
