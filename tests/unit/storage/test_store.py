"""Tarballs on disk: published whole or not at all, checked, shared, kept and removed (flux-compat G1, G4, J10)."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import stat
import threading
import time
from pathlib import Path

import blake3
import pytest

from ocisource.domain.errors import LayerError, StoreError
from ocisource.storage import paths
from ocisource.storage.limits import Limits
from ocisource.storage.retention import Retention
from ocisource.storage.spool import IN_MEMORY, Spool
from ocisource.storage.store import FileStore
from unit.storage.layers import DIGEST, EVERYTHING, OTHER, Archive, copy, layer, publish

BLOB = layer(("a", b"1"))
FOLDER = "ocirepository/default/app"


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() and not path.is_symlink()
    )


def age(path: Path, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then), follow_symlinks=False)


async def test_a_tarball_lies_where_clients_look_for_it(store, tmp_path):
    """G1: the path includes `sha256:`."""
    stored = await publish(store, BLOB)
    assert stored.path == f"{FOLDER}/{DIGEST}.tar.gz" == store.path("default", "app", DIGEST)
    assert files(tmp_path) == [stored.path]


async def test_files_and_folders_are_private(store, tmp_path):
    """G1: 0600 and 0700."""
    stored = await publish(store, BLOB)
    assert stat.S_IMODE((tmp_path / stored.path).stat().st_mode) == 0o600
    for folder in (Path(stored.path).parent, *list(Path(stored.path).parents)[1:3]):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


async def test_latest_points_at_the_newest_tarball(store, tmp_path):
    """G1: the target is absolute."""
    for digest in (DIGEST, OTHER):
        stored = await publish(store, BLOB, digest=digest)
        assert (tmp_path / FOLDER / "latest.tar.gz").readlink() == tmp_path / stored.path


async def test_a_latest_link_that_cannot_be_made_is_told_and_no_failure(store, tmp_path):
    """C20."""
    (tmp_path / FOLDER / "latest.tar.gz").mkdir(parents=True)
    stored = await publish(store, BLOB)
    assert stored.link_problem == "failed to update status URL symlink: is a directory"
    assert files(tmp_path) == [stored.path]


@pytest.mark.parametrize(
    ("namespace", "name", "digest"),
    [
        ("..", "app", DIGEST),
        ("default", "..", DIGEST),
        ("default", "a/b", DIGEST),
        ("", "app", DIGEST),
        ("default", "", DIGEST),
        ("Default", "app", DIGEST),
        ("default", "app\n", DIGEST),
        ("default", "a..b", DIGEST),
        ("default", "a" * 254, DIGEST),
        ("a" * 64, "app", DIGEST),
        ("default", "app", "sha256:../../x"),
        ("default", "app", "sha256:" + "A" * 64),
        ("default", "app", "sha512:" + "a" * 128),
    ],
)
def test_no_name_leads_out_of_the_objects_folder(store, namespace, name, digest):
    with pytest.raises(StoreError) as caught:
        store.path(namespace, name, digest)
    assert caught.value.reason == "InvalidPath"


def test_names_with_dots_are_names(store):
    assert (
        store.path("kube-system", "app.v1.example", DIGEST)
        == f"ocirepository/kube-system/app.v1.example/{DIGEST}.tar.gz"
    )


async def test_a_layer_that_is_refused_leaves_no_trace(store, tmp_path):
    with pytest.raises(LayerError):
        await publish(store, BLOB[:-9])
    assert files(tmp_path) == []


async def test_more_bytes_than_announced_are_refused(store):
    spool = store.spool(3)
    with pytest.raises(LayerError, match="larger than the 3 bytes"):
        spool.write(b"1234")
    spool.close()


async def test_the_spool_may_be_closed_while_a_thread_still_reads_it(store, tmp_path):
    for content in (b"small", os.urandom(1 << 20)):
        blob = layer(("a", content))
        spool = store.spool(len(blob))
        spool.write(blob)
        task = asyncio.ensure_future(store.publish("default", "app", DIGEST, spool, EVERYTHING))
        await asyncio.sleep(0)
        spool.close()
        stored = await task
        assert Archive(tmp_path / stored.path).content("a") == content


class Gate(Limits):
    """Limits that hold the archiving thread at each entry of an archive until they are let go; open at first."""

    reached, open = threading.Event(), threading.Event()

    def __init__(self) -> None:
        super().__init__()
        vars(self).update(reached=threading.Event(), open=threading.Event())
        self.open.set()

    def admit_entries(self, count: int) -> None:
        if not self.open.is_set():
            self.reached.set()
            assert self.open.wait(10)


async def test_work_whose_caller_is_gone_is_never_published(tmp_path):
    """A pass that ran into its timeout must not change what is served."""
    gate = Gate()
    store = FileStore(tmp_path, limits=gate)
    before = await publish(store, layer(("a", b"before")))
    gate.open.clear()
    task = asyncio.ensure_future(publish(store, layer(("a", b"after"))))
    await asyncio.to_thread(gate.reached.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open.set()
    await asyncio.to_thread(store.close)  # waits for the thread
    assert Archive(tmp_path / before.path).content("a") == b"before"
    assert files(tmp_path) == [before.path]


async def test_work_that_has_not_begun_is_dropped_with_its_caller(tmp_path):
    gate = Gate()
    store = FileStore(tmp_path, limits=gate)
    gate.open.clear()
    cores = os.cpu_count() or 1
    busy = [asyncio.ensure_future(publish(store, BLOB, name=f"busy-{n}")) for n in range(cores + 4)]
    await asyncio.to_thread(gate.reached.wait)
    late = asyncio.ensure_future(publish(store, BLOB, name="late"))
    await asyncio.sleep(0)
    late.cancel()
    with pytest.raises(asyncio.CancelledError):
        await late
    gate.open.set()
    await asyncio.gather(*busy)
    await asyncio.to_thread(store.close)
    assert not (tmp_path / "ocirepository/default/late").exists()


# --- sharing


async def test_the_same_tarball_for_another_object_is_the_same_file(store, tmp_path):
    first = await publish(store, BLOB)
    second = await store.link("default", "other", DIGEST, first)
    assert second.path == f"ocirepository/default/other/{DIGEST}.tar.gz"
    assert (second.digest, second.size) == (first.digest, first.size)
    assert (tmp_path / second.path).samefile(tmp_path / first.path)
    assert await store.damage("default", "other", DIGEST, second.digest, second.size) is None
    assert files(tmp_path) == [first.path, second.path]
    assert (tmp_path / "ocirepository/default/other/latest.tar.gz").resolve() == tmp_path / second.path


async def test_linking_again_over_the_same_file_leaves_no_temporary_name(store, tmp_path):
    first = await publish(store, BLOB)
    for _ in range(2):
        second = await store.link("default", "other", DIGEST, first)
    assert files(tmp_path) == [first.path, second.path]


async def test_a_source_that_is_gone_or_changed_is_not_linked(store, tmp_path):
    first = await publish(store, BLOB)
    path = tmp_path / first.path
    age(path, 5)
    assert await store.link("default", "other", DIGEST, first) is None
    path.unlink()
    assert await store.link("default", "other", DIGEST, first) is None
    assert files(tmp_path) == []


async def test_what_is_linked_outlives_its_source(store, tmp_path):
    first = await publish(store, BLOB)
    second = await store.link("default", "other", DIGEST, first)
    await store.remove("default", "app")
    assert await store.damage("default", "other", DIGEST, second.digest, second.size) is None
    assert await store.link("default", "third", DIGEST, second) is not None


# --- integrity


async def test_a_whole_tarball_is_whole(store):
    stored = await publish(store, BLOB)
    assert await store.damage("default", "app", DIGEST, stored.digest, stored.size) is None


async def test_a_tarball_that_is_not_there_is_told_from_a_broken_one(store):
    assert await store.damage("default", "app", DIGEST, DIGEST, 1) == ""


async def test_a_changed_tarball_is_found_and_removed(store, tmp_path):
    """C2, J10: a change moves the mtime, or the size, or the inode."""
    stored = await publish(store, BLOB)
    path = tmp_path / stored.path
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    text = await store.damage("default", "app", DIGEST, stored.digest, stored.size)
    assert text == f"computed digest doesn't match '{stored.digest}'"
    assert not path.exists()


async def test_a_truncated_tarball_is_broken_by_its_size_alone(store, tmp_path):
    stored = await publish(store, BLOB)
    os.truncate(tmp_path / stored.path, 5)
    assert "computed digest" in await store.damage("default", "app", DIGEST, stored.digest, stored.size)


async def test_a_touched_tarball_is_read_again_and_found_whole(store, tmp_path):
    stored = await publish(store, BLOB)
    age(tmp_path / stored.path, 30)
    assert await store.damage("default", "app", DIGEST, stored.digest, stored.size) is None


async def test_after_a_start_the_content_is_read_whatever_the_times_say(store, tmp_path):
    """J10: a change behind the back of the process, with size and mtime put back."""
    stored = await publish(store, BLOB)
    path = tmp_path / stored.path
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.close()
    fresh = FileStore(tmp_path)
    assert "computed digest" in await fresh.damage("default", "app", DIGEST, stored.digest, stored.size)
    fresh.close()


async def test_after_a_start_a_whole_tarball_is_read_once(store, tmp_path):
    stored = await publish(store, BLOB)
    fresh = FileStore(tmp_path)
    assert await fresh.damage("default", "app", DIGEST, stored.digest, stored.size) is None
    before = (tmp_path / stored.path).stat()
    (tmp_path / stored.path).write_bytes(b"x" * stored.size)
    os.utime(tmp_path / stored.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await fresh.damage("default", "app", DIGEST, stored.digest, stored.size) is None
    assert await fresh.link("default", "other", DIGEST, stored) is not None
    fresh.close()


@pytest.mark.parametrize(
    ("digest", "text"),
    [
        ("", "artifact has no digest"),
        ("nonsense", "failed to parse artifact digest 'nonsense': invalid checksum digest format"),
        ("md5:abc", "failed to parse artifact digest 'md5:abc': unsupported digest algorithm"),
        ("sha512:" + "a" * 64, f"failed to parse artifact digest 'sha512:{'a' * 64}': invalid checksum digest length"),
        ("sha1:" + "g" * 40, f"failed to parse artifact digest 'sha1:{'g' * 40}': invalid checksum digest format"),
        ("sha256:" + "A" * 64, f"failed to parse artifact digest 'sha256:{'A' * 64}': invalid checksum digest format"),
        ("sha256:abc", "failed to parse artifact digest 'sha256:abc': invalid checksum digest length"),
    ],
)
async def test_a_digest_that_says_nothing_counts_as_damage(store, tmp_path, digest, text):
    """C2."""
    stored = await publish(store, BLOB)
    assert await store.damage("default", "app", DIGEST, digest, stored.size) == text
    assert files(tmp_path) == []


async def test_a_damaged_tarball_that_cannot_be_removed_is_told(store, tmp_path, monkeypatch):
    """C2: without a reason, since the API has no condition for it."""
    stored = await publish(store, BLOB)
    (tmp_path / stored.path).write_bytes(b"something else")

    def kept(path, **_):
        raise OSError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "unlink", kept)
    with pytest.raises(StoreError) as told:
        await store.damage("default", "app", DIGEST, stored.digest, stored.size)
    assert str(told.value).startswith("failed to remove artifact after digest mismatch: ")
    assert told.value.reason == ""


ALGORITHMS = ["sha256", "sha384", "sha512", "blake3", "sha1"]


@pytest.mark.parametrize("copied", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_the_digest_is_by_the_algorithm_that_was_asked_for(tmp_path, algorithm, copied):
    """F9."""
    store = FileStore(tmp_path, algorithm=algorithm)
    stored = await (copy if copied else publish)(store, BLOB)
    content = (tmp_path / stored.path).read_bytes()
    hashed = blake3.blake3(content) if algorithm == "blake3" else hashlib.new(algorithm, content)
    assert stored.digest == f"{algorithm}:{hashed.hexdigest()}"
    assert await store.damage("default", "app", DIGEST, stored.digest, stored.size) is None
    assert (await store.link("default", "other", DIGEST, stored)).digest == stored.digest
    store.close()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_tarball_is_checked_by_the_algorithm_of_its_own_digest(store, tmp_path, algorithm):
    """C2: also after a start with another algorithm; and a change is found by it."""
    with_other = FileStore(tmp_path, algorithm=algorithm)
    stored = await publish(with_other, BLOB)
    with_other.close()
    assert await store.damage("default", "app", DIGEST, stored.digest, stored.size) is None
    path = tmp_path / stored.path
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert "computed digest doesn't match" in await store.damage("default", "app", DIGEST, stored.digest, stored.size)


# --- copies


@pytest.mark.parametrize("size", [0, 1, 1000, (256 << 10) + 1, 1_000_000])
async def test_a_copy_is_the_blob_byte_for_byte(store, tmp_path, size):
    """F8: from memory and from a file."""
    blob = bytes(n % 251 for n in range(size))
    stored = await copy(store, blob)
    path = tmp_path / stored.path
    assert path.read_bytes() == blob
    assert (stored.size, stored.dropped, stored.link_problem) == (size, 0, "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / FOLDER / "latest.tar.gz").readlink() == path
    assert await store.damage("default", "app", DIGEST, stored.digest, size) is None


async def test_a_copy_replaces_an_archive_and_the_other_way_round(store, tmp_path):
    """B8: at one path, whole at any time."""
    archived = await publish(store, BLOB)
    copied = await copy(store, BLOB)
    assert (tmp_path / copied.path).read_bytes() == BLOB
    assert await store.link("default", "other", DIGEST, archived) is None  # what lies there is another file now
    again = await publish(store, BLOB)
    assert again.digest == archived.digest
    assert files(tmp_path) == [again.path]


async def test_a_copy_whose_caller_is_gone_is_never_published(store, tmp_path, monkeypatch):
    before = await publish(store, layer(("a", b"before")))
    reached, may_go_on, write = threading.Event(), threading.Event(), os.write

    def held(*arguments):
        reached.set()
        assert may_go_on.wait(10)
        return write(*arguments)

    monkeypatch.setattr(os, "write", held)
    task = asyncio.ensure_future(copy(store, b"after"))
    await asyncio.to_thread(reached.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_go_on.set()
    await asyncio.to_thread(store.close)  # waits for the thread
    assert Archive(tmp_path / before.path).content("a") == b"before"
    assert files(tmp_path) == [before.path]


async def test_a_disk_that_refuses_a_copy_is_told(store, tmp_path, monkeypatch):
    """C17."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError) as caught:
        await copy(store, BLOB)
    assert caught.value.reason == "ArchiveOperationFailed"
    assert str(caught.value) == "unable to copy artifact to storage: no space left on device"
    assert files(tmp_path) == []


async def test_a_symbolic_link_in_place_of_the_tarball_is_no_tarball(store, tmp_path):
    stored = await publish(store, BLOB)
    path = tmp_path / stored.path
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert await store.damage("default", "app", DIGEST, stored.digest, stored.size) == ""


# --- retention


def put(root: Path, filename: str, old: float) -> Path:
    path = root / FOLDER / filename
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    age(path, old)
    return path


def tarball(letter: str) -> str:
    return f"sha256:{letter * 64}.tar.gz"


async def test_old_tarballs_go_and_the_current_one_never(store, tmp_path):
    """G4: TTL one minute."""
    put(tmp_path, tarball("a"), 5000)
    put(tmp_path, tarball("b"), 90)
    put(tmp_path, tarball("c"), 30)
    assert await store.retain("default", "app", DIGEST) == 1
    assert files(tmp_path) == [f"{FOLDER}/{tarball('a')}", f"{FOLDER}/{tarball('c')}"]


async def test_no_more_than_the_number_of_records_stay(store, tmp_path):
    """G4: two, the oldest go first."""
    put(tmp_path, tarball("a"), 50)
    for seconds, letter in ((40, "b"), (30, "c"), (20, "d")):
        put(tmp_path, tarball(letter), seconds)
    assert await store.retain("default", "app", DIGEST) == 2
    assert files(tmp_path) == [f"{FOLDER}/{tarball('a')}", f"{FOLDER}/{tarball('d')}"]


async def test_the_last_record_is_the_current_one_whatever_the_settings(tmp_path):
    put(tmp_path, tarball("a"), 50)
    put(tmp_path, tarball("b"), 1)
    store = FileStore(tmp_path, keep=Retention(ttl=1000, records=0))
    assert await store.retain("default", "app", DIGEST) == 1
    assert files(tmp_path) == [f"{FOLDER}/{tarball('a')}"]
    store.close()


async def test_a_tarball_within_its_time_goes_when_its_time_has_come(store, tmp_path):
    """Not only when something new is stored."""
    await publish(store, BLOB, digest=OTHER)
    current = await publish(store, BLOB)
    assert await store.retain("default", "app", DIGEST) == 0
    age(tmp_path / FOLDER / f"{OTHER}.tar.gz", 61)
    assert await store.retain("default", "app", DIGEST) == 1
    assert files(tmp_path) == [current.path]


async def test_a_folder_with_nothing_to_collect_is_not_read_in_every_pass(store, tmp_path):
    await publish(store, BLOB)
    assert await store.retain("default", "app", DIGEST) == 0
    put(tmp_path, tarball("c"), 500)  # behind the store's back
    assert await store.retain("default", "app", DIGEST) == 0
    await publish(store, BLOB)
    assert await store.retain("default", "app", DIGEST) == 1


async def test_stray_temporary_files_and_foreign_locks_are_collected_and_not_counted(store, tmp_path):
    put(tmp_path, ".tmp-0123", 3600)
    young = put(tmp_path, ".tmp-4567", 60)
    put(tmp_path, f"{tarball('a')}.lock", 5)
    assert await store.retain("default", "app", DIGEST) == 0
    assert files(tmp_path) == [f"{FOLDER}/{young.name}"]


async def test_retention_of_an_object_that_stores_nothing_is_no_failure(store):
    assert await store.retain("default", "none", DIGEST) == 0


async def test_removal_takes_everything_of_the_object_and_nothing_else(store, tmp_path):
    """B20."""
    await publish(store, BLOB)
    other = await publish(store, BLOB, name="app2")
    assert await store.remove("default", "app") is True
    assert await store.remove("default", "app") is False
    assert files(tmp_path) == [other.path]


@pytest.mark.parametrize("kind", ["file", "link"])
async def test_what_another_hand_put_in_place_of_the_folder_is_removed_like_it(store, tmp_path, kind):
    """B20: a deletion does not wait for somebody to put the folder back, nor does it follow a link."""
    place, elsewhere = tmp_path / FOLDER, tmp_path / "elsewhere"
    place.parent.mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    if kind == "file":
        place.touch()
    else:
        place.symlink_to(elsewhere)
    assert await store.remove("default", "app") is True
    assert not os.path.lexists(place)
    assert (elsewhere / "file").exists()


async def test_a_file_in_place_of_the_namespace_holds_up_no_deletion(store, tmp_path):
    (tmp_path / "ocirepository").mkdir()
    (tmp_path / "ocirepository/default").touch()
    assert await store.remove("default", "app") is False


async def test_a_file_in_place_of_the_folder_is_told_as_a_folder_that_cannot_be_made(store, tmp_path):
    """C17, as the original does."""
    (tmp_path / FOLDER).parent.mkdir(parents=True)
    (tmp_path / FOLDER).touch()
    with pytest.raises(StoreError, match="failed to create artifact directory: not a directory") as caught:
        await publish(store, BLOB)
    assert caught.value.reason == "DirectoryCreationFailed"


async def test_a_sweep_removes_the_folders_of_objects_that_are_no_more(store, tmp_path):
    for name in ("gone", "kept", "new"):
        await publish(store, BLOB, name=name)
    for name in ("gone", "kept"):
        age(tmp_path / "ocirepository/default" / name, 3600)
    assert await store.sweep({("default", "kept")}) == 1
    assert sorted(path.name for path in (tmp_path / "ocirepository/default").iterdir()) == ["kept", "new"]


# --- start


def test_a_start_clears_what_a_killed_process_left(tmp_path):
    stray = put(tmp_path, ".tmp-0123", 0)
    kept = put(tmp_path, tarball("a"), 0)
    (tmp_path / ".tmp-root").write_bytes(b"")
    FileStore(tmp_path).close()
    assert not stray.exists()
    assert files(tmp_path) == [str(kept.relative_to(tmp_path))]


def test_a_storage_path_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"--storage-path: .*/missing is not a directory"):
        FileStore(tmp_path / "missing")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_storage_path_that_cannot_be_written_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(StoreError, match=r"--storage-path: .* cannot be used: permission denied"):
        FileStore(tmp_path)


# --- the disk refuses


async def test_a_disk_that_refuses_is_told_with_its_reason(store, tmp_path):
    """C17."""
    (tmp_path / "ocirepository").write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError) as caught:
        await publish(store, BLOB)
    assert (caught.value.reason, str(caught.value)) == (
        "DirectoryCreationFailed",
        "failed to create artifact directory: not a directory",
    )


async def test_a_disk_that_has_no_room_for_a_layer_is_told(tmp_path, monkeypatch):
    """C1, C17: a large layer lies on the disk while it arrives, also before it is a tarball."""
    with pytest.raises(StoreError) as caught:
        Spool(str(tmp_path / "gone"), IN_MEMORY + 1)
    assert caught.value.reason == "DirectoryCreationFailed"
    assert str(caught.value) == "failed to create temporary working directory: no such file or directory"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    arriving = Spool(str(tmp_path), IN_MEMORY + 1)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError) as caught:
        arriving.write(b"content")
    arriving.close()
    assert caught.value.reason == "ArchiveOperationFailed"
    text = "unable to archive artifact to storage: the layer cannot be written: no space left on device"
    assert str(caught.value) == text


async def test_a_folder_in_place_of_the_tarball_fails_to_archive(store, tmp_path):
    (tmp_path / store.path("default", "app", DIGEST)).mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        await publish(store, BLOB)
    assert caught.value.reason == "ArchiveOperationFailed"
    assert str(caught.value) == "unable to archive artifact to storage: is a directory"
    assert files(tmp_path) == []


class Killed(BaseException):
    """The process ends here: nothing after it happens, no cleanup either."""


def kill_at(monkeypatch, number: int) -> list[str]:
    """Lets the given call to the file system, and every later one, end the process."""
    calls: list[str] = []
    for name in ("open", "mkdir", "write", "fsync", "replace", "symlink", "unlink", "rename", "link"):
        real = getattr(os, name)

        def call(*args, _real=real, _name=name, **kwargs):
            if threading.current_thread() is not threading.main_thread():
                calls.append(_name)
                if len(calls) >= number:
                    raise Killed
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)
    return calls


@pytest.mark.parametrize("first", [True, False], ids=["nothing stored yet", "over an older tarball"])
async def test_a_crash_at_any_point_leaves_the_old_tarball_or_the_new_one_whole(tmp_path, first):
    blob, number = layer(("a", b"new" * 100_000)), 0
    while True:
        number += 1
        root = tmp_path / str(number)
        root.mkdir()
        store = FileStore(root)
        if not first:
            await publish(store, layer(("a", b"old")))
        with pytest.MonkeyPatch.context() as patch:
            calls = kill_at(patch, number)
            try:
                await publish(store, blob)
            except Killed:
                pass
            else:
                break
            finally:
                store.close()
        restarted = FileStore(root)
        found = [path for path in files(root) if not path.endswith("/latest.tar.gz")]
        allowed = [b"new" * 100_000] if first else [b"old", b"new" * 100_000]
        assert all(paths.is_tarball(path.rsplit("/", 1)[1]) for path in found), found
        assert all(Archive(root / path).content("a") in allowed for path in found)
        assert first or len(found) == 1
        restarted.close()
    assert {"open", "write", "fsync", "replace"} <= set(calls)
    assert ("symlink" in calls) == first
    assert number > 8


async def test_content_is_on_disk_before_its_name_is(store, monkeypatch):
    """Content first, then the name, then whoever is told: fsync, rename, fsync of the folder."""
    order = []
    for name in ("fsync", "rename", "replace"):
        real = getattr(os, name)

        def call(*args, _real=real, _name=name, **kwargs):
            if _name == "fsync":
                order.append("fsync folder" if stat.S_ISDIR(os.fstat(args[0]).st_mode) else "fsync file")
            elif not str(args[1]).endswith("latest.tar.gz"):
                order.append("rename")
            return _real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)
    await publish(store, BLOB)
    assert order[-3:] == ["fsync file", "rename", "fsync folder"]
