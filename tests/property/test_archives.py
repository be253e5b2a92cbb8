"""For any layer: what goes in comes out, in one form, or a LayerError says why not (flux-compat F2, F6)."""

from __future__ import annotations

import gzip
import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.errors import LayerError
from ocisource.domain.ignore import IgnoreRules
from ocisource.storage import sourceignore
from ocisource.storage.archive import Gzip, write_archive
from ocisource.storage.limits import Limits
from ocisource.storage.spool import Spool
from ocisource.storage.tree import plant
from ocisource.storage.unpacking import Unpacked, unpack

EVERYTHING = IgnoreRules.of("!.none-is-excluded")
SMALL = Limits(blob=1 << 20, unpacked=1 << 20, entries=500)

PARTS = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda part: part not in (".", "..") and not part.endswith("..") and len(part.encode()) <= 200
)
# Folders begin with `+` and files do not, so that no path is both.
NAMES = st.builds(
    lambda folders, file: "/".join("+" + folder for folder in folders) + "/" * bool(folders) + "-" + file,
    st.lists(PARTS, max_size=5),
    PARTS,
)
TREES = st.dictionaries(
    NAMES, st.tuples(st.sampled_from((0o644, 0o755, 0o600, 0o001)), st.binary(max_size=1500)), max_size=12
)
FORMATS = st.sampled_from((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT))


def tar(members, form: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for name, (mode, content) in members:
            info = tarfile.TarInfo(name)
            info.mode, info.size = mode, len(content)
            out.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def archive(blob: bytes, spec_ignore: str | None = None) -> bytes:
    """The tarball made of the layer; without what stays out if `spec_ignore` is given."""
    with tempfile.TemporaryFile() as file:
        spool, stream = Spool(tempfile.gettempdir(), len(blob)), Unpacked(tempfile.gettempdir(), SMALL, len(blob))
        try:
            spool.write(blob)
            unpack(spool.source(), stream, SMALL, lambda: None)
            out = Gzip(file.fileno(), 1, lambda: None)
            tree = plant(stream, SMALL, lambda: None)
            rules = EVERYTHING if spec_ignore is None else sourceignore.rules(tree, stream, spec_ignore)
            write_archive(tree.root, stream, rules, out)
        finally:
            stream.close()
            spool.close()
        file.seek(0)
        return file.read()


@settings(deadline=None)
@given(TREES, FORMATS)
def test_tarfile_reads_from_the_archive_what_tarfile_wrote_into_the_layer(tree, form):
    made = archive(gzip.compress(tar(tree.items(), form), 1))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(made)), errorlevel=2) as out:
        members = out.getmembers()
        files = {info.name: (info.mode, out.extractfile(info).read()) for info in members if info.isfile()}
    assert files == {name: (0o700 if mode & 0o111 else 0o600, content) for name, (mode, content) in tree.items()}
    folders = {str(folder) for name in tree for folder in Path(name).parents}
    assert {info.name: info.mode for info in members if info.isdir()} == dict.fromkeys(folders | {"."}, 0o750)
    assert all((info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 0) for info in members)


@settings(deadline=None)
@given(TREES, FORMATS, FORMATS, st.randoms(use_true_random=False))
def test_the_order_and_the_form_of_the_layer_do_not_show_in_the_archive(tree, form, other_form, random):
    """F7: self-determinism, else consumers would see a new artifact where nothing changed."""
    members = list(tree.items())
    shuffled = random.sample(members, len(members))
    assert archive(gzip.compress(tar(members, form), 1)) == archive(gzip.compress(tar(shuffled, other_form), 9))


LINES = st.lists(
    st.sampled_from(["-*", "*", "!-*", "/-a", "**/-a", "+a", "+a/", "!+a", "-a\n!-b", "#", "", "[^+]*", "+*/**"]),
    max_size=4,
).map("\n".join)
IGNORING = st.dictionaries(
    st.lists(st.sampled_from(["+a", "+b", ".git"]), max_size=3).map(
        lambda folders: "/".join([*folders, ".sourceignore"])
    ),
    LINES,
    max_size=4,
)
SMALL_TREES = st.dictionaries(
    st.builds(
        lambda folders, file: "/".join([*folders, file]),
        st.lists(st.sampled_from(["+a", "+b", ".git"]), max_size=3),
        st.sampled_from(["-a", "-b", "-logo.png"]),
    ),
    st.just((0o644, b"")),
    max_size=8,
)


@settings(deadline=None)
@given(SMALL_TREES, IGNORING, LINES, st.randoms(use_true_random=False))
def test_what_stays_out_depends_on_the_files_and_not_on_their_order(tree, ignoring, spec_ignore, random):
    """F3, F7: a .sourceignore counts wherever it is in the layer, before or after what it is about."""
    members = [*tree.items(), *((name, (0o644, text.encode())) for name, text in ignoring.items())]
    shuffled = random.sample(members, len(members))
    made = archive(gzip.compress(tar(members, tarfile.PAX_FORMAT), 1), spec_ignore)
    assert archive(gzip.compress(tar(shuffled, tarfile.PAX_FORMAT), 1), spec_ignore) == made

    counted = sorted(
        (name.split("/")[:-1], text) for name, text in ignoring.items() if ".git" not in name.split("/")[:-1]
    )
    rules = IgnoreRules.of(spec_ignore, [("/".join(folder), text) for folder, text in counted])
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(made))) as out:
        files = {info.name for info in out.getmembers() if info.isfile()}
    assert files == {name for name, _ in members if not rules.excludes(name, is_dir=False)}


def only_layer_errors(blob: bytes) -> None:
    try:
        made = archive(blob)
    except LayerError:
        return
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(made))) as out:
        for info in out.getmembers():
            assert info.isfile() or info.isdir()
            assert not info.name.startswith("/")
            assert ".." not in info.name.split("/")


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_arbitrary_bytes_as_a_layer_raise_nothing_but_layer_errors(blob):
    only_layer_errors(blob)


@settings(deadline=None)
@given(st.binary(max_size=3000))
def test_arbitrary_bytes_as_a_tar_raise_nothing_but_layer_errors(content):
    only_layer_errors(gzip.compress(content, 1))


@settings(max_examples=200, deadline=None)
@given(
    TREES,
    FORMATS,
    st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=12)), max_size=4),
    st.booleans(),
)
def test_a_damaged_tar_raises_nothing_but_layer_errors(tree, form, damages, mend):
    """Bytes overwritten anywhere; half of the time the checksums of the headers are mended, so that what they say is
    judged and not only that they are damaged."""
    content = bytearray(tar(tree.items(), form))
    for place, new in damages:
        at = place % len(content)
        content[at : at + len(new)] = new[: len(content) - at]
    if mend:
        for at in range(0, len(content) - 511, 512):
            if content[at + 257 : at + 262] == b"ustar":
                content[at + 148 : at + 156] = b" " * 8
                content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    only_layer_errors(gzip.compress(bytes(content), 1))


@settings(deadline=None)
@given(TREES, st.integers(0, 1 << 16), st.integers(0, 255))
def test_a_damaged_gzip_raises_nothing_but_layer_errors(tree, place, byte):
    blob = bytearray(gzip.compress(tar(tree.items(), tarfile.PAX_FORMAT), 1))
    blob[place % len(blob)] = byte
    only_layer_errors(bytes(blob))
    only_layer_errors(bytes(blob[: place % len(blob)]))
