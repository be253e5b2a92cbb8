"""The tarballs on disk (flux-compat G1, G4). Fits ports.Store."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import threading
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ocisource.domain.content import StoredFile
from ocisource.domain.errors import StoreError
from ocisource.storage import archive, digests, paths, retention, sourceignore
from ocisource.storage.draft import Draft, create, make_folder, place_link, sync_folder, temporary_in
from ocisource.storage.integrity import Ledger, regular
from ocisource.storage.limits import Limits
from ocisource.storage.refusal import refusal
from ocisource.storage.retention import Retention
from ocisource.storage.spool import Source, Spool, write_all
from ocisource.storage.tree import plant
from ocisource.storage.unpacking import Unpacked, unpack

Result = TypeVar("Result")

# Writes a file for the path into the draft; what it wrote, and the open file.
Write = Callable[[str, Draft, Source], tuple[StoredFile, int]]

_NOT_ARCHIVED = "unable to archive artifact to storage"
_NOT_COPIED = "unable to copy artifact to storage"
# Reasons for which a file cannot have another name here; it is then made again.
_NO_LINK = {errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENOTSUP, errno.ENOSYS, errno.ENOENT}


class FileStore:
    """Tarballs below the folder `root`, which must exist and be writable. Their digests are by `algorithm` (one of
    `digests`); one that a status tells is checked by its own.

    Unpacking, compressing and hashing run in threads, as many at a time as there are cores; short disk work in a few
    more. A caller that is cancelled does not wait for them, and nothing it asked for is published afterwards.

    The constructor deletes temporary files that a killed process left, so only one process may use a root. It raises
    StoreError where the folder cannot be used.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        limits: Limits | None = None,
        keep: Retention | None = None,
        level: int = archive.LEVEL,
        algorithm: str = digests.SHA256,
    ) -> None:
        self._root = Path(root).absolute()
        self._limits = limits or Limits()
        self._keep = keep or Retention()
        self._level = level
        self._algorithm = algorithm
        self._ledger = Ledger()
        # Folders (and their current file) in which retention has nothing to do until something is stored there.
        self._tidy: dict[Path, str] = {}
        _prepare(self._root)
        cores = os.cpu_count() or 1
        self._cores = threading.BoundedSemaphore(cores)
        # More threads than cores: one that waits for the disk leaves its core to another.
        self._makers = ThreadPoolExecutor(cores + 4, "archive")
        self._clerks = ThreadPoolExecutor(4, "storage")

    def close(self) -> None:
        """Ends the threads; work that has begun is waited for."""
        self._makers.shutdown(cancel_futures=True)
        self._clerks.shutdown(cancel_futures=True)

    def path(self, namespace: str, name: str, digest: str, /) -> str:
        """`ocirepository/<namespace>/<name>/sha256:<hex>.tar.gz`."""
        return paths.tarball(namespace, name, digest)

    def latest_path(self, namespace: str, name: str, /) -> str:
        """`ocirepository/<namespace>/<name>/latest.tar.gz`."""
        return paths.latest(namespace, name)

    def spool(self, size: int, /) -> Spool:
        """A Spool for a blob of `size` bytes. Raises LayerError if that is above the limit (flux-compat J7)."""
        self._limits.admit_blob(size)
        return Spool(str(self._root), size)

    async def publish(self, namespace: str, name: str, digest: str, spool: Spool, ignore: str | None, /) -> StoredFile:
        """Archives the layer in the spool as the tarball of revision digest `digest`, whole or not at all, without
        what its .sourceignore files and `ignore` (the text of spec.ignore) exclude. The spool may be closed as soon as
        this returns or raises. Raises LayerError, IgnoreError, StoreError."""

        def write(path: str, draft: Draft, source: Source) -> tuple[StoredFile, int]:
            return self._archive(path, draft, source, ignore)

        return await self._published(paths.tarball(namespace, name, digest), spool, write, _NOT_ARCHIVED)

    async def copy(self, namespace: str, name: str, digest: str, spool: Spool, /) -> StoredFile:
        """Stores the layer in the spool, byte for byte, as the tarball of revision digest `digest`, whole or not at
        all (flux-compat F8). The spool may be closed as soon as this returns or raises. Raises StoreError."""
        return await self._published(paths.tarball(namespace, name, digest), spool, self._copy, _NOT_COPIED)

    async def link(self, namespace: str, name: str, digest: str, source: StoredFile, /) -> StoredFile | None:
        """The tarball `source` under another object's path, as a hard link; None if the source is gone or changed
        since it was written, or cannot be linked."""
        path = paths.tarball(namespace, name, digest)
        return await self._in_thread(self._clerks, lambda: self._link(path, source))

    async def damage(self, namespace: str, name: str, digest: str, file_digest: str, size: int, /) -> str | None:
        """What is wrong with the stored tarball: "" if it is not there, a sentence if it is broken (the file is then
        removed), None if it is whole (flux-compat C2, J10). A `size` of 0 is not compared."""
        path = self._root / paths.tarball(namespace, name, digest)
        with refusal("StatOperationFailed", "failed to stat artifact"):
            # One lstat, here and now: a thread would cost twenty times as much, for every object in every pass.
            status = regular(path)
        if status is None:
            return ""
        problem = digests.problem(file_digest)
        if problem is None and (not size or status.st_size == size):
            if self._ledger.holds(status, file_digest):
                return None
            if await self._in_thread(self._makers, lambda: self._read(path, file_digest)) == file_digest:
                return None
        await self._in_thread(self._clerks, lambda: self._remove_damaged(path))
        return problem or f"computed digest doesn't match '{file_digest}'"

    async def retain(self, namespace: str, name: str, digest: str, /) -> int:
        """Deletes tarballs that are older than the TTL or beyond the number of records, never that of `digest`; how
        many (flux-compat G4)."""
        current = self._root / paths.tarball(namespace, name, digest)
        if self._tidy.get(current.parent) == current.name:
            return 0
        return await self._in_thread(self._clerks, lambda: self._retain(current.parent, current.name))

    async def remove(self, namespace: str, name: str, /) -> bool:
        """Deletes everything stored for the object; whether there was anything (flux-compat B20)."""
        folder = self._root / paths.folder(namespace, name)
        return await self._in_thread(self._clerks, lambda: self._remove(folder))

    async def sweep(self, known: AbstractSet[tuple[str, str]], /) -> int:
        """Deletes the folders of objects (namespace, name) that are not known; how many. Folders that changed within
        the last minutes stay: their object may be younger than the list."""
        objects = frozenset(known)
        return await self._in_thread(self._clerks, lambda: self._sweep(objects))

    async def _published(self, path: str, spool: Spool, write: Write, refused: str) -> StoredFile:
        """What `write` makes of the spool, at its place."""
        draft = Draft(self._root, self._root / path)
        source = spool.source()
        try:
            return await self._in_thread(
                self._makers, lambda: self._make(path, draft, source, write, refused), lambda _: source.close()
            )
        except asyncio.CancelledError:
            draft.abandon()
            raise

    async def _in_thread(
        self,
        executor: ThreadPoolExecutor,
        work: Callable[[], Result],
        after: Callable[[Future[Result]], object] | None = None,
    ) -> Result:
        """The work's result. `after` runs once it has ended, or will never begin."""
        future = executor.submit(work)
        if after:
            future.add_done_callback(after)
        return await asyncio.wrap_future(future)

    def _make(self, path: str, draft: Draft, source: Source, write: Write, refused: str) -> StoredFile:
        target = self._root / path
        try:
            with refusal("ArchiveOperationFailed", refused):
                with self._cores:
                    stored, descriptor = write(path, draft, source)
                self._ledger.forget(target)
                self._ledger.record(draft.publish(descriptor), stored.digest)
        finally:
            draft.close()
        return self._placed(stored)

    def _archive(self, path: str, draft: Draft, source: Source, ignore: str | None) -> tuple[StoredFile, int]:
        """Writes the archive into the draft; what it is, and the open file."""
        draft.check()
        stream = Unpacked(str(self._root), self._limits, source.size)
        try:
            unpack(source, stream, self._limits, draft.check)
            tree = plant(stream, self._limits, draft.check)
            rules = sourceignore.rules(tree, stream, ignore)
            descriptor = draft.open()
            out = archive.Gzip(descriptor, self._level, draft.check, self._algorithm)
            archive.write_archive(tree.root, stream, rules, out)
        finally:
            stream.close()
        return StoredFile(path, out.digest, out.size, tree.dropped_links, tree.dropped), descriptor

    def _copy(self, path: str, draft: Draft, source: Source) -> tuple[StoredFile, int]:
        """Writes the blob into the draft as it is; what it is, and the open file."""
        descriptor = draft.open()
        digester = digests.Digester(self._algorithm)
        for chunk in source.chunks():
            draft.check()
            digester.update(chunk)
            write_all(descriptor, chunk)
        return StoredFile(path, str(digester), source.size), descriptor

    def _placed(self, stored: StoredFile) -> StoredFile:
        """What is told of a tarball that has just come to lie at its path."""
        target = self._root / stored.path
        self._tidy.pop(target.parent, None)
        return replace(stored, link_problem=place_link(target))

    def _link(self, path: str, source: StoredFile) -> StoredFile | None:
        target = self._root / path
        temporary = temporary_in(target.parent)
        with refusal("ArchiveOperationFailed", _NOT_ARCHIVED):
            make_folder(self._root, target.parent)
            try:
                os.link(self._root / source.path, temporary, follow_symlinks=False)
                status = regular(temporary)
                if status is None or not self._ledger.holds(status, source.digest):
                    return None
                self._ledger.forget(target)
                temporary.replace(target)
                sync_folder(target.parent)
            except OSError as error:
                if error.errno in _NO_LINK:
                    return None
                raise
            finally:
                # Also after the replacement: between two names of one file it does nothing.
                with suppress(OSError):
                    temporary.unlink()
        return self._placed(replace(source, path=path))

    def _read(self, path: Path, like: str) -> str:
        """The digest of the file, by the algorithm of another one."""
        with refusal("StatOperationFailed", "failed to read artifact"), self._cores:
            return self._ledger.read(path, digests.algorithm_of(like))

    def _remove_damaged(self, path: Path) -> None:
        # A failure here has no condition of its own in the API, hence no reason.
        with refusal("", "failed to remove artifact after digest mismatch"):
            self._ledger.forget(path)
            path.unlink(missing_ok=True)

    def _retain(self, folder: Path, current: str) -> int:
        with refusal("GarbageCollectionFailed", "failed to collect garbage"):
            try:
                found = retention.garbage(str(folder), current, self._keep, time.time())
            except FileNotFoundError:
                return 0
            for name in (*found.tarballs, *found.leftovers):
                self._ledger.forget(folder / name)
                (folder / name).unlink(missing_ok=True)
        if not found.pending:
            self._tidy[folder] = current
        return len(found.tarballs)

    def _remove(self, folder: Path) -> bool:
        self._tidy.pop(folder, None)
        with refusal("GarbageCollectionFailed", "garbage collection for deleted resource failed"):
            try:
                if folder.is_symlink() or not folder.is_dir():  # put there by another hand; where it leads is not ours
                    folder.unlink()
                    return True
                for path in folder.iterdir():
                    self._ledger.forget(path)
                shutil.rmtree(folder)
            except (FileNotFoundError, NotADirectoryError):
                return False
        return True

    def _sweep(self, known: frozenset[tuple[str, str]]) -> int:
        with refusal("GarbageCollectionFailed", "failed to look for folders of deleted objects"):
            unknown = retention.unknown(str(self._root), known, time.time())
        return sum(self._remove(Path(folder)) for folder in unknown)


def _prepare(root: Path) -> None:
    """Checks the storage folder and clears it of what a killed process left. Raises StoreError."""
    if not root.is_dir():
        raise StoreError("InvalidPath", f"--storage-path: {root} is not a directory; create it or name another one")
    with refusal("InvalidPath", f"--storage-path: {root} cannot be used"):
        os.close(create(temporary_in(root)))
        retention.remove_strays(str(root))
