"""A tarball in the making: a temporary file that becomes the tarball whole, or leaves no trace."""

from __future__ import annotations

import os
import secrets
import threading
from contextlib import suppress
from pathlib import Path

from ocisource.storage import paths
from ocisource.storage.integrity import Identity
from ocisource.storage.refusal import refusal

FOLDER_MODE = 0o700
FILE_MODE = 0o600


class Abandoned(Exception):
    """The work was given up by the one who asked for it: nobody waits for the result any more."""


class Draft:
    """One attempt to put a file at `target`, in a folder below `root`. Used by one thread; `abandon` may come from
    another. Methods raise OSError, or StoreError where no folder could be made."""

    def __init__(self, root: Path, target: Path) -> None:
        self._root = root
        self._target = target
        self._temporary = temporary_in(target.parent)
        self._descriptor: int | None = None
        self._lock = threading.Lock()
        self._abandoned = False

    def abandon(self) -> None:
        """From now on nothing is published: `check` and `publish` raise Abandoned."""
        with self._lock:
            self._abandoned = True

    def check(self) -> None:
        """Raises Abandoned if the work was given up."""
        if self._abandoned:
            raise Abandoned

    def open(self) -> int:
        """The descriptor of the temporary file, in the folder of the target, which is made if need be."""
        make_folder(self._root, self._target.parent)
        self._descriptor = create(self._temporary)
        return self._descriptor

    def publish(self, descriptor: int) -> Identity:
        """Moves what was written to the target: the content is on disk before it can be seen, and the name before
        anybody is told of it."""
        os.fsync(descriptor)
        identity = Identity.of(os.fstat(descriptor))
        with self._lock:
            self.check()
            self._temporary.replace(self._target)
        sync_folder(self._target.parent)
        return identity

    def close(self) -> None:
        """Removes what is left of the attempt. Never raises."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None
            with suppress(OSError):
                self._temporary.unlink()  # gone already if it became the target


def create(path: Path) -> int:
    """The descriptor of a new, private file. Raises OSError."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)


def temporary_in(folder: Path) -> Path:
    """A name in the folder that nobody has, and that start and retention know as a leftover."""
    return folder / f"{paths.TEMPORARY}{secrets.token_hex(8)}"


def make_folder(root: Path, folder: Path) -> None:
    """Makes the folder and its parents below the root, private, and lasting. Raises StoreError."""
    if folder.is_dir():
        return
    with refusal("DirectoryCreationFailed", "failed to create artifact directory"):
        path = root
        for part in folder.relative_to(root).parts:
            path = path / part
            with suppress(FileExistsError):
                path.mkdir(FOLDER_MODE)
                sync_folder(path.parent)
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))  # what was there may be a file


def sync_folder(folder: Path) -> None:
    """Makes the names in the folder last through a crash. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place_link(target: Path) -> str:
    """Points `latest.tar.gz` beside the target at it, atomically. What went wrong, or "": the tarball is stored all
    the same (flux-compat C20)."""
    link = target.with_name(paths.LATEST)
    with suppress(OSError):
        if str(link.readlink()) == str(target):
            return ""
    temporary = temporary_in(target.parent)
    try:
        temporary.symlink_to(target)
        temporary.replace(link)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        return f"failed to update status URL symlink: {(error.strerror or str(error)).lower()}"
    return ""
