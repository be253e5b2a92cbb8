"""What the tarball looks like (flux-compat F5 to F7)."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ocisource.domain.ignore import IgnoreRules
from ocisource.storage import archive
from ocisource.storage.draft import Abandoned
from ocisource.storage.limits import Limits
from ocisource.storage.tree import File
from ocisource.storage.unpacking import Unpacked
from ocisource.storage.ustar import file_header, folder_header
from unit.storage.layers import F7, Archive, archived, block, layer, publish

RECORDED = Path(__file__).parent / "recorded"


async def test_the_tar_of_the_known_tree_is_the_known_tar(store, tmp_path):
    """F7's vector, byte for byte what the original makes."""
    made = await archived(store, tmp_path, layer(*F7))
    assert len(made.tar) == 6144
    assert hashlib.sha256(made.tar).hexdigest() == "26dc31613781bee228debd486d20da64ede679a0fa7b5790dda96eb1a580afc0"


async def test_the_gzip_header_tells_nothing_of_the_machine(store, tmp_path):
    """F6."""
    made = await archived(store, tmp_path, layer(*F7))
    assert made.raw[:10] == bytes.fromhex("1f8b08000000000000ff")


async def test_digest_and_size_are_those_of_the_file(store, tmp_path):
    stored = await publish(store, layer(*F7))
    content = (tmp_path / stored.path).read_bytes()
    assert (stored.digest, stored.size) == (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


async def test_entries_are_sorted_by_bytes_within_their_folder(store, tmp_path):
    """F6: `a`, then `a/x`, then `a-b`, though `-` sorts before `/`."""
    names = ["a-b", "a/x", "B", "a/Z", "ä", "z", "a.txt"]
    made = await archived(store, tmp_path, layer(*((name, b"") for name in names)))
    assert made.names == [".", "B", "a", "a/Z", "a/x", "a-b", "a.txt", "z", "ä"]


async def test_modes_are_one_of_three(store, tmp_path):
    files = [("x", 0o001, b""), ("r", 0o444, b""), ("s", 0o4755, b""), ("d", 0o700, None)]
    made = await archived(store, tmp_path, layer(*files))
    assert {name: mode for name, (mode, _) in made.files.items()} == {
        ".": 0o750, "d": 0o750, "x": 0o700, "r": 0o600, "s": 0o700
    }  # fmt: skip


async def test_excluded_files_are_left_out_and_what_is_in_an_excluded_folder_may_come_back(store, tmp_path):
    """F5: an excluded folder has no entry of its own, what is included again below it has."""
    rules = "docs\n!docs/keep\n*.md\n"
    files = [("docs/keep/a", b"1"), ("docs/drop", b"2"), ("README.md", b"3"), ("b", b"4")]
    made = await archived(store, tmp_path, layer(*files), rules)
    assert made.names == [".", "b", "docs/keep", "docs/keep/a"]


async def test_without_patterns_the_defaults_apply(store, tmp_path):
    """F3, F4."""
    made = await archived(store, tmp_path, layer(("a.jpg", b""), (".git/config", b""), ("b.yaml", b"")), None)
    assert made.names == [".", "b.yaml"]


async def test_names_that_are_no_utf_8_are_kept_as_they_are(store, tmp_path):
    stored = await publish(store, gzip.compress(block(b"caf\xe9") + bytes(1024)))
    tar = gzip.decompress((tmp_path / stored.path).read_bytes())
    assert b"path=caf\xe9\n" in tar


def test_headers_are_those_of_go():
    """Recorded from Go's archive/tar (recorded/README.md): names at every boundary of ustar and PAX, huge sizes."""
    for line in (RECORDED / "headers.jsonl").read_text().splitlines():
        case = json.loads(line)
        name = bytes.fromhex(case["name"])
        ours = (
            folder_header(name) if case["folder"] else file_header(name, case["size"], executable=case["mode"] == 0o700)
        )
        assert hashlib.sha256(ours).hexdigest() == case["sha256"], name


def test_a_folder_with_very_many_levels_is_walked():
    """A walk by recursion would end at Python's limit."""
    root: dict = {}
    node = root
    for _ in range(3000):
        node[b"d"] = node = {}
    node[b"f"] = File(0, 0, executable=False)
    assert sum(1 for _ in archive.walk(root)) == 3001


async def test_levels_trade_size_for_time(store, tmp_path):
    """The level is a parameter; every level reads back the same."""
    stream = Unpacked(str(tmp_path), Limits(), 1 << 20)
    content = b"".join(b"key-%d: value\n" % (n * n) for n in range(20_000))
    stream.append(content)
    sizes = []
    for level in (0, 3):
        path = tmp_path / f"level{level}"
        with path.open("wb") as file:
            out = archive.Gzip(file.fileno(), level, lambda: None)
            archive.write_archive({b"a": File(0, len(content), executable=False)}, stream, IgnoreRules(), out)
        assert Archive(path).content("a") == content
        sizes.append(path.stat().st_size)
    assert sizes[1] < sizes[0]
    stream.close()


def test_another_process_makes_the_same_bytes(tmp_path):
    """Self-determinism (F7): hash seeds, threads and start-up leave no trace in the file."""
    program = """
import asyncio, sys, pathlib
from ocisource.storage.store import FileStore
from unit.storage.layers import layer, publish
files = [(f"d{n % 13}/f{n}", 0o644, b"%d " % n * (n * 50)) for n in range(150)]
store = FileStore(sys.argv[1])
print(asyncio.run(publish(store, layer(*files))).digest)
store.close()
"""
    paths = [str(Path(__file__).parents[3] / "operator"), str(Path(__file__).parents[2])]
    digests = set()
    for seed in ("1", "2"):
        root = tmp_path / seed
        root.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", program, str(root)],
            env={"PYTHONPATH": ":".join(paths), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def test_work_that_was_given_up_stops_also_where_nothing_is_written(tmp_path):
    """A thread that only holds excluded paths against rules would else go on after its pass has ended."""
    looked = []

    class Rules:
        def excludes(self, path, is_dir):
            looked.append(path)
            return True

    def check():
        if len(looked) == 3:
            raise Abandoned

    root = {b"f%d" % n: File(0, 0, executable=False) for n in range(100)}
    with (tmp_path / "out").open("wb") as file, pytest.raises(Abandoned):
        archive.write_archive(
            root, Unpacked(str(tmp_path), Limits(), 1 << 20), Rules(), archive.Gzip(file.fileno(), 3, check)
        )
    assert len(looked) == 3


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, (128 << 10) - 512, (128 << 10) + 1, 300_000])
async def test_content_of_every_size_is_padded_to_blocks(store, tmp_path, size):
    content = bytes(n % 251 for n in range(size))
    made = await archived(store, tmp_path, layer(("a", content), ("b", b"after")))
    assert made.content("a") == content
    assert made.content("b") == b"after"
    assert len(made.tar) == 512 * 5 + 512 + size + -size % 512
    assert made.tar.endswith(bytes(1024))
    assert io.BytesIO(made.tar).read(1) == b"."
