"""What is taken from a layer, and what is refused (flux-compat F2, C15, J7, J8)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ocisource.domain.errors import LayerError
from ocisource.storage import limits, spool, unpacking
from ocisource.storage.draft import Abandoned
from ocisource.storage.limits import Limits
from ocisource.storage.store import FileStore
from ocisource.storage.tree import plant
from unit.storage.layers import archived, block, layer, member, padded, publish, tar

END = bytes(1024)
ORIGINAL = (Path(__file__).parents[2] / "vectors" / "layers.jsonl").read_text().splitlines()


async def refused(store, blob: bytes) -> str:
    with pytest.raises(LayerError) as caught:
        await publish(store, blob)
    return str(caught.value)


def raw(*blocks: bytes) -> bytes:
    return gzip.compress(b"".join(blocks), 1)


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (b"", "requires gzip-compressed body: EOF"),
        (b"\x1f\x8b\x08", "requires gzip-compressed body: unexpected EOF"),
        (b"plain text, long enough", "requires gzip-compressed body: gzip: invalid header"),
        (layer(("a", b"x" * 5000))[:-30], "tar error: unexpected EOF"),
        (gzip.compress(b"x" * 100), "tar error: unexpected EOF"),
        (gzip.compress(b"x" * 1024), "tar error: archive/tar: invalid tar header"),
        (raw(block(b"a")) + b"ten bytes of garbage", "tar error: gzip: invalid header"),
        (raw(block(b"a")) + b"\x1f\x8b", "tar error: unexpected EOF"),
        (raw(block(b"a"))[:-3], "tar error: unexpected EOF"),
        (raw(block(b"a"))[:-8] + b"\0\1\2\3\4\5\6\7", "tar error: gzip: invalid checksum"),
        (raw(block(b"a", size=b"00000001000\0"))[:-8] + bytes(8), "error copying buffer: gzip: invalid checksum"),
        (raw(block(b"a")[:100]) + b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 600, "tar error: gzip: invalid header"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 511, "requires gzip-compressed body: unexpected EOF"),
        (b"\x1f\x8b\x08\x02" + bytes(8), "requires gzip-compressed body: gzip: invalid header"),
        (layer(("a", b"x"))[:-9], "unexpected EOF"),
        (layer(("a", b"x"))[:10] + b"\xff" * 50, "tar error: gzip: corrupt input"),
        (raw(tar(("a", b"x" * 2000))[:1500]), "error copying buffer: unexpected EOF"),
        (raw(bytes(512), b"x" * 512), "tar error: archive/tar: invalid tar header"),
    ],
)
async def test_a_body_that_is_no_gzipped_tar_is_refused_with_the_words_clients_know(store, blob, text):
    assert await refused(store, blob) == text


@pytest.mark.parametrize("name", ["", "/etc/passwd", "a\\b", "../evil", "a/../b", "./..", "..", "a../b", "x" * 256])
async def test_a_name_that_leads_elsewhere_is_refused(store, name):
    blob = raw(block(name.encode()[:100]) if len(name) <= 100 else tar((name, b"")), END)
    text = await refused(store, blob)
    assert text.startswith("tar contained invalid name error ")
    if name == "../evil":  # recorded: lab case tar_dotdot
        assert text == 'tar contained invalid name error "../evil"'


async def test_dots_and_doubled_slashes_are_no_part_of_a_name(store, tmp_path):
    archive = await archived(store, tmp_path, raw(block(b"./a//./b.yaml"), block(b"./", kind=b"5"), END))
    assert archive.names == [".", "a", "a/b.yaml"]


@pytest.mark.parametrize(
    ("kind", "mode", "text"),
    [
        (b"6", b"0000644\0", "prw-r--r--"),
        (b"3", b"0000600\0", "Dcrw-------"),
        (b"4", b"0004660\0", "Durw-rw----"),
        (b"0", b"0010644\0", "prw-r--r--"),  # a regular type, but the mode says fifo
        (b"0", b"0140777\0", "Srwxrwxrwx"),
    ],
)
async def test_devices_and_pipes_are_refused_with_their_mode(store, kind, mode, text):
    blob = raw(block(b"dev/x", kind=kind, o100=mode), END)
    assert await refused(store, blob) == f"tar file entry dev/x contained unsupported file type {text}"


async def test_symbolic_links_are_left_out_counted_and_the_first_named(store, tmp_path):
    """J8."""
    links = [(member(f"l{n:02}", kind=tarfile.SYMTYPE, link="a"), None) for n in range(12)]
    stored = await publish(store, layer(("a", b"1"), *links))
    assert (stored.dropped, stored.dropped_links) == (12, tuple(f"l{n:02}" for n in range(10)))


async def test_the_name_of_a_dropped_link_is_judged_too(store):
    blob = layer((member("../l", kind=tarfile.SYMTYPE, link="a"), None))
    assert await refused(store, blob) == 'tar contained invalid name error "../l"'


async def test_a_hard_link_becomes_the_content_it_names(store, tmp_path):
    """J8, where the original leaves an empty file."""
    hard = (member("b/copy", kind=tarfile.LNKTYPE, link="./a/run"), None)
    archive = await archived(store, tmp_path, layer(("a/run", 0o755, b"content"), hard, ("a/run", b"later")))
    assert archive.files["b/copy"] == (0o700, b"content")
    assert archive.files["a/run"] == (0o700, b"later")


@pytest.mark.parametrize("target", ["missing", "/a", "a/deeper", "folder", "link", "", "."])
async def test_a_hard_link_to_anything_but_an_earlier_regular_file_is_refused(store, target):
    members = [
        ("a", b"1"),
        ("folder", None),
        (member("link", kind=tarfile.SYMTYPE, link="a"), None),
        (member("h", kind=tarfile.LNKTYPE, link=target), None),
        ("missing", b"too late"),
    ]
    assert await refused(store, layer(*members)) == (
        f"tar file entry h is a hard link to {target}, which is not an earlier regular file of the archive"
    )


async def test_of_a_file_that_comes_twice_the_last_content_and_the_first_mode_stay(store, tmp_path):
    archive = await archived(store, tmp_path, layer(("a", 0o755, b"first"), ("a", 0o644, b"second")))
    assert archive.files["a"] == (0o700, b"second")


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ([("a", b"1"), ("a/b", b"2")], "tar file entry a/b needs a to be a folder, but it is a file"),
        ([("a", b"1"), ("a", None)], "tar file entry a/ needs a to be a folder, but it is a file"),
        ([("a/b", b"1"), ("a", b"2")], "tar file entry a is a file, but an earlier entry made it a folder"),
        ([("./", b"1")], "tar file entry ./ is a file, but names the root folder"),
    ],
)
async def test_a_file_and_a_folder_of_one_name_are_refused(store, members, text):
    """The original fails too, on the file system's refusal."""
    if text.startswith("tar file entry ./"):
        assert await refused(store, raw(block(b"./"), END)) == text
    else:
        assert await refused(store, layer(*members)) == text


async def test_a_global_header_is_skipped(store, tmp_path):
    """J8: neither a file of its own, nor a say over the names of others."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", pax_headers={"comment": "a commit", "path": "other"}) as out:
        out.addfile(member("a"))
    archive = await archived(store, tmp_path, gzip.compress(buffer.getvalue()))
    assert archive.names == [".", "a"]


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
async def test_long_names_are_read_in_every_format(store, tmp_path, form):
    long = "deep/" * 25 + "n" * 90
    more = [] if form == tarfile.USTAR_FORMAT else [("x" * 180 + "/" + "y" * 200, b"2"), ("ünïcödé/ß.yaml", b"3")]
    archive = await archived(store, tmp_path, layer((long, b"1"), *more, form=form))
    assert archive.content(long) == b"1"
    for name, content in more:
        assert archive.content(name) == content


async def test_long_link_targets_are_read_in_both_formats(store, tmp_path):
    long = "d/" * 80 + "target"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        archive = await archived(
            store, tmp_path, layer((long, b"1"), (member("h", kind=tarfile.LNKTYPE, link=long), None), form=form)
        )
        assert archive.content("h") == b"1"


async def test_sizes_in_base_256_and_in_pax_records_are_read(store, tmp_path):
    record = b"9 size=3\n"
    assert len(record) == 9
    blob = raw(
        block(b"a", size=b"\x80" + bytes(9) + b"\0\5"),
        padded(b"12345"),
        block(b"x", size=b"%011o\0" % len(record), kind=b"x"),
        padded(record),
        block(b"b"),
        padded(b"abc"),
        END,
    )
    archive = await archived(store, tmp_path, blob)
    assert (archive.content("a"), archive.content("b")) == (b"12345", b"abc")


@pytest.mark.parametrize(
    "size",
    [b"\xff" * 12, b"\x80" + b"\xff" * 11, b"00000000009\0", b"0000000+001\0", b"000000_0001\0", b"0o00000001\0\0"],
)
async def test_a_size_that_is_no_number_is_refused(store, size):
    assert await refused(store, raw(block(b"a", size=size), END)) == "tar error: archive/tar: invalid tar header"


@pytest.mark.parametrize(
    "records",
    [
        b"9 size=3",
        b"x size=3\n",
        b"99 path=a\n",
        b"9 size33\n",
        b"5 =a\n",
        b"3 \n",
        b"10 path=\0a\n",
        b"9 size=-\n",
        b"-9 a=b\n",
    ],
)
async def test_a_pax_header_that_does_not_parse_is_refused(store, records):
    blob = raw(block(b"x", size=b"%011o\0" % len(records), kind=b"x"), padded(records), block(b"b"), END)
    assert await refused(store, blob) == "tar error: archive/tar: invalid tar header"


async def test_unknown_pax_keys_are_ignored(store, tmp_path):
    info = member("a", comment="x", **{"SCHILY.xattr.user.k": "v", "mtime": "1.5"})
    assert (await archived(store, tmp_path, layer((info, b"1")))).names == [".", "a"]


async def test_an_extended_header_too_large_to_be_one_is_refused(store):
    blob = raw(block(b"x", size=b"%011o\0" % (2 << 20), kind=b"L"), bytes(2 << 20), END)
    assert await refused(store, blob) == "tar error: archive/tar: header field too long"


HOLES = b"\0" * 512 + b"D" * 512 + b"\0" * 1024
SPARSE = {
    "old": [block(b"big", b"%011o\0" % 512, b"S", b"ustar  \0", o386=b"%011o\0" % 512 * 2, o483=b"%011o\0" % 2048)],
    "0.0": [("size", "2048"), ("numblocks", "1"), ("offset", "512"), ("numbytes", "512")],
    "0.1": [("size", "2048"), ("numblocks", "1"), ("map", "512,512"), ("name", "big")],
    "1.0": [("major", "1"), ("minor", "0"), ("realsize", "2048"), ("name", "big")],
}


def sparse(form: str, *, size: str = "2048", content: bytes = b"D" * 512) -> bytes:
    """An archive of the file `big`: a hole, 512 bytes, a hole up to 2,048 bytes; and a file after it."""
    if form == "old":
        return raw(*SPARSE[form], padded(content), tar(("after", b"1")))
    name = "big" if form == "0.0" else "GNUSparseFile.0/x"
    pairs = [(key, size if key in ("size", "realsize") else value) for key, value in SPARSE[form]]
    records = b"".join(record(f"GNU.sparse.{key}={value}\n") for key, value in pairs)
    body = padded(b"1\n512\n512\n") + content if form == "1.0" else content
    head = block(b"x", size=b"%011o\0" % len(records), kind=b"x") + padded(records)
    return raw(head, block(name.encode(), b"%011o\0" % len(body)), padded(body), tar(("after", b"1")))


def record(text: str) -> bytes:
    length = len(text) + 1
    while length != len(f"{length} {text}"):
        length = len(f"{length} {text}")
    return f"{length} {text}".encode()


@pytest.mark.parametrize("form", SPARSE)
@pytest.mark.parametrize("in_memory", [1 << 20, 1000])
async def test_sparse_files_are_stored_with_their_holes(store, tmp_path, monkeypatch, form, in_memory):
    """F2, in each of the forms that GNU tar has had."""
    monkeypatch.setattr(unpacking, "IN_MEMORY", in_memory)
    archive = await archived(store, tmp_path, sparse(form))
    assert archive.names == [".", "after", "big"]
    assert (archive.content("big"), archive.content("after")) == (HOLES, b"1")


async def test_a_map_of_many_holes_goes_on_in_blocks_of_its_own(store, tmp_path):
    entry = [b"%011o\0" % (2 * n * 512) + b"%011o\0" % 512 for n in range(30)]
    head = block(
        b"big",
        b"%011o\0" % (30 * 512),
        b"S",
        b"ustar  \0",
        o386=b"".join(entry[:4]),
        o482=b"\1",
        o483=b"%011o\0" % 30720,
    )
    more = b"".join(entry[4:25]) + b"\1" + bytes(7), padded(b"".join(entry[25:]))
    content = b"".join(bytes([n]) * 512 for n in range(30))
    archive = await archived(store, tmp_path, raw(head, *more, content, END))
    assert archive.content("big") == b"".join(bytes([n]) * 512 + bytes(512) for n in range(30))
    assert await refused(store, raw(head)) == "tar error: unexpected EOF"


async def test_a_map_in_blocks_of_its_own_ends_at_a_mib_even_if_nothing_is_in_it(store, tmp_path):
    """The bound, and the words, are the original's."""
    head, more = block(b"big", kind=b"S", magic=b"ustar  \0", o482=b"\1"), padded(bytes(504) + b"\1")
    archive = await archived(store, tmp_path, raw(head, more * 2046, bytes(512), END))
    assert archive.content("big") == b""
    text = await refused(store, raw(head, more * 2047, bytes(512), END))
    assert text == "tar error: archive/tar: sparse map too long"


@pytest.mark.parametrize(
    ("blob", "text"),
    [
        (sparse("0.1", size="1000"), "tar error: archive/tar: invalid tar header"),
        (sparse("1.0", size="-1"), "tar error: archive/tar: invalid tar header"),
        (sparse("1.0", size="many"), "tar error: archive/tar: invalid tar header"),
        (
            sparse("1.0", content=b"D" * 100),
            "error copying buffer: archive/tar: sparse file references non-existent data",
        ),
        (
            sparse("0.0", content=b"D" * 900),
            "error copying buffer: archive/tar: sparse file contains unreferenced data",
        ),
        (raw(block(b"big", kind=b"S"), END), "tar error: archive/tar: invalid tar header"),
        (raw(*SPARSE["old"]), "error copying buffer: unexpected EOF"),
    ],
)
async def test_a_sparse_file_whose_map_is_not_that_of_its_content_is_refused(store, blob, text):
    """The words are the original's."""
    assert await refused(store, blob) == text


async def test_holes_count_as_content(tmp_path):
    """J7: a header of 512 bytes can announce any size."""
    store = FileStore(tmp_path, limits=Limits(unpacked=1 << 20))
    assert "--max-unpacked-size" in await refused(store, sparse("1.0", size=str(1 << 62)))
    store.close()


async def test_a_name_does_not_go_on_behind_a_nul(store):
    """Readers end it there: an ignore rule for `a` would be held against another name than the one they see."""
    head = record("GNU.sparse.map=0,1\n") + record("GNU.sparse.numblocks=1\n") + record("GNU.sparse.name=a\0b\n")
    blob = raw(
        block(b"x", b"%011o\0" % len(head), b"x"), padded(head), block(b"c", b"00000000001\0"), padded(b"1"), END
    )
    assert await refused(store, blob) == 'tar contained invalid name error "a\\x00b"'


@pytest.mark.parametrize("stream", [block(b"x", kind=b"x"), block(b"big", kind=b"S", magic=b"ustar  \0")])
def test_work_that_was_given_up_ends_at_the_next_extended_header_or_map(tmp_path, stream):
    """Each may be a MiB of numbers; what nobody waits for must not keep a core."""
    unpacked = unpacking.Unpacked(str(tmp_path), Limits(), len(stream))
    unpacked.append(stream)

    def check():
        raise Abandoned

    with pytest.raises(Abandoned):
        plant(unpacked, Limits(), check)
    unpacked.close()


async def test_a_header_whose_checksum_is_wrong_is_refused(store):
    good = bytearray(block(b"a"))
    good[0] = ord("b")
    assert await refused(store, raw(bytes(good), END)) == "tar error: archive/tar: invalid tar header"


async def test_a_checksum_over_signed_bytes_is_accepted(store, tmp_path):
    header = bytearray(block("ä".encode()))
    unsigned = int(header[148:154], 8)
    header[148:156] = b"%06o\0 " % (unsigned - 2 * 256)
    assert (await archived(store, tmp_path, raw(bytes(header), END))).names == [".", "ä"]


async def test_an_archive_from_before_ustar_is_read(store, tmp_path):
    blob = raw(
        block(b"d/", kind=b"\0", magic=b""), block(b"d/f", kind=b"\0", magic=b"", size=b"1\0"), padded(b"x"), END
    )
    assert (await archived(store, tmp_path, blob)).content("d/f") == b"x"


async def test_an_empty_archive_is_an_empty_folder(store, tmp_path):
    for content in (b"", bytes(512), END, bytes(10240)):
        assert (await archived(store, tmp_path, gzip.compress(content))).names == ["."]


async def test_what_follows_the_end_of_the_archive_is_not_read(store, tmp_path):
    blob = raw(tar(("a", b"1")), tar(("b", b"2")))
    assert (await archived(store, tmp_path, blob)).names == [".", "a"]


@pytest.mark.parametrize("tail", [b"garbage", bytes(300), b"\x1f\x8b", b"\x1f\x8b\x08\0", gzip.compress(b"more")[:-3]])
async def test_what_follows_the_end_of_the_archive_may_be_anything(store, tmp_path, tail):
    """The original stops reading there; some tools pad with zeros or sign behind the end."""
    assert (await archived(store, tmp_path, layer(("a", b"1")) + tail)).names == [".", "a"]


async def test_a_checksum_that_only_covers_a_whole_archive_is_not_asked(store, tmp_path):
    """The blob was held against its digest before; the original never comes to this checksum either."""
    blob = layer(("a", b"1"))[:-8] + bytes(8)
    assert (await archived(store, tmp_path, blob)).names == [".", "a"]


@pytest.mark.parametrize(
    "at", [{"o108": b"owner"}, {"o116": b"-1"}, {"o136": b"today"}, {"o329": b"x"}, {"o100": b"rw"}]
)
async def test_a_header_with_a_field_that_is_no_number_is_refused(store, at):
    """Also where the field is of no use here: what has it is no header."""
    assert await refused(store, raw(block(b"a", **at), END)) == "tar error: archive/tar: invalid tar header"


async def test_a_member_is_judged_before_what_follows_it_is_read(store):
    """As in the original, the first mistake of the archive is the one that is told."""
    blob = raw(block(b"../evil", size=b"00000010000\0"), b"short")
    assert await refused(store, blob) == 'tar contained invalid name error "../evil"'


async def test_dots_at_the_end_of_a_name_lead_to_the_folder_above(store, tmp_path):
    blob = raw(block(b"a/b/..", kind=b"5"), block(b"c/..", kind=b"5"), block(b"d"), END)
    assert (await archived(store, tmp_path, blob)).names == [".", "a", "d"]


@pytest.mark.parametrize("line", ORIGINAL)
async def test_layers_are_read_as_the_original_reads_them(store, tmp_path, line):
    """Layers of a random generator, each with the original's answer."""
    case = json.loads(line)
    blob = base64.b64decode(case["layer"])
    if "tar" in case:
        assert hashlib.sha256((await archived(store, tmp_path, blob, None)).tar).hexdigest() == case["tar"]
    else:
        text = await refused(store, blob)
        assert text == (case["error"] or text)


async def test_several_gzip_members_are_one_stream(store, tmp_path):
    content = tar(("a", b"1" * 3000), ("b", b"2"))
    blob = gzip.compress(content[:700]) + gzip.compress(b"") + gzip.compress(content[700:])
    archive = await archived(store, tmp_path, blob)
    assert archive.content("a") == b"1" * 3000
    assert archive.names == [".", "a", "b"]


async def test_a_gzip_header_with_name_time_and_comment_is_read(store, tmp_path):
    buffer = io.BytesIO()
    with gzip.GzipFile("layer.tar", "wb", fileobj=buffer, mtime=1234) as out:
        out.write(tar(("a", b"1")))
    assert (await archived(store, tmp_path, buffer.getvalue())).names == [".", "a"]


async def test_a_layer_larger_than_memory_allows_is_archived_all_the_same(store, tmp_path, monkeypatch):
    """Beyond a size the blob and the tar stream lie in files; with the size at zero a small layer shows it."""
    files = [(f"d{n % 7}/f{n}", os.urandom(n * 37)) for n in range(60)]
    whole = await archived(store, tmp_path, layer(*files))
    monkeypatch.setattr(spool, "IN_MEMORY", 0)
    monkeypatch.setattr(unpacking, "IN_MEMORY", 1000)
    spilled = await archived(store, tmp_path, layer(*files))
    assert spilled.raw == whole.raw
    assert {name: spilled.content(name) for name, _ in files} == dict(files)


@pytest.mark.parametrize(
    ("bounds", "blob", "flag"),
    [
        (Limits(unpacked=4096), layer(("a", bytes(9000))), "--max-unpacked-size"),
        (Limits(entries=5), layer(*((f"f{n}", b"") for n in range(6))), "--max-entries"),
        (Limits(entries=5), layer(("a/b/c/d/e/f", b"")), "--max-entries"),
        (Limits(entries=5), raw(*(block(b"x", kind=b"g") for _ in range(50)), END), "--max-entries"),
        (Limits(blob=10), layer(("a", b"")), "--max-blob-size"),
    ],
)
async def test_a_layer_beyond_a_limit_is_refused_by_the_name_of_its_flag(tmp_path, bounds, blob, flag):
    """J7: nothing is stored."""
    store = FileStore(tmp_path, limits=bounds)
    assert flag in await refused(store, blob)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    store.close()


@pytest.mark.parametrize("limit", ["blob", "unpacked", "entries", "ratio"])
async def test_a_layer_at_a_limit_is_taken_and_one_step_beyond_is_not(tmp_path, monkeypatch, limit):
    """J7: a limit is the most that is taken; a ratio is what the content may be times as large as the layer."""
    monkeypatch.setattr(limits, "RATIO_FLOOR", 0)
    content = tar(("a", b"x" * 100), ("b", b""))
    blob = gzip.compress(content)
    most = {"blob": len(blob), "unpacked": len(content), "entries": 2, "ratio": -(-len(content) // len(blob))}[limit]
    store, stricter = (FileStore(tmp_path, limits=replace(Limits(), **{limit: n})) for n in (most, most - 1))
    assert (await publish(store, blob)).size
    assert f"with --max-{limit}" in await refused(stricter, blob)
    store.close()
    stricter.close()


async def test_content_that_compresses_beyond_belief_is_refused_once_it_is_large(store, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "RATIO_FLOOR", 100_000)
    assert "--max-ratio" in await refused(store, layer(("zeros", bytes(1 << 20))))
    monkeypatch.setattr(limits, "RATIO_FLOOR", 2 << 20)
    assert (await archived(store, tmp_path, layer(("zeros", bytes(1 << 20))))).content("zeros") == bytes(1 << 20)


async def test_each_hard_link_counts_as_the_content_it_names(tmp_path):
    """J7, J8: the tarball holds it as often."""
    links = [(member(f"l{n}", kind=tarfile.LNKTYPE, link="a"), None) for n in range(3)]
    content = tar(("a", bytes(10_000)), *links)
    blob, most = gzip.compress(content), len(content) + 3 * 10_000
    store, stricter = (FileStore(tmp_path, limits=Limits(unpacked=n)) for n in (most, most - 1))
    assert (await publish(store, blob)).size
    assert "--max-unpacked-size" in await refused(stricter, blob)
    store.close()
    stricter.close()


async def test_members_without_content_do_not_go_on_for_ever(tmp_path):
    store = FileStore(tmp_path, limits=Limits(entries=10))
    assert await refused(store, gzip.compress(b"") * 2000) == (
        "tar error: gzip: too many members (raise the limit with --max-entries)"
    )
    store.close()
