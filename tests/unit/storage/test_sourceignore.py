"""The .sourceignore files of a layer: found wherever they are, each with a say in its own folder (flux-compat F3 to
F5, C19)."""

from __future__ import annotations

import json
import random
import tarfile
from pathlib import Path

import pytest

from ocisource.domain.errors import IgnoreError
from unit.storage.layers import Archive, archived, layer, member, publish

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "sourceignore.jsonl").read_text("utf-8").splitlines()
]


def members(files: dict[str, str]):
    return [(name.rstrip("/"), None if name.endswith("/") else text.encode()) for name, text in files.items()]


async def kept(store, root, files: dict[str, str], ignore: str | None = None) -> list[str]:
    return (await archived(store, root, layer(*members(files)), ignore)).names


async def test_every_recorded_tree_is_archived_as_recorded(store, tmp_path):
    """Whatever the order in which the layer has its members: a nested file may follow what it is about."""
    assert len(VECTORS) == 300
    wrong, shuffle = [], random.Random(1)
    for vector in VECTORS:
        content = members(vector["files"])
        shuffle.shuffle(content)
        made = await archived(store, tmp_path, layer(*content), vector["ignore"])
        if made.names != vector["kept"]:
            wrong.append((vector, made.names))
    assert wrong == []


async def test_a_file_has_a_say_in_its_own_folder_alone(store, tmp_path):
    files = {"a.md": "", "docs/.sourceignore": "*.md\n/x", "docs/a.md": "", "docs/x": "", "docs/b/x": "", "x": ""}
    assert await kept(store, tmp_path, files) == [".", "a.md", "docs", "docs/.sourceignore", "docs/b", "docs/b/x", "x"]


async def test_spec_ignore_outweighs_the_files_and_inner_files_outweigh_outer_ones(store, tmp_path):
    files = {".sourceignore": "*.md", "a/.sourceignore": "!*.md", "a/b.md": "", "a/c.md": "", "d.md": ""}
    assert [name for name in await kept(store, tmp_path, files, "c.md") if name.endswith(".md")] == ["a/b.md"]


async def test_one_rule_anywhere_switches_the_default_list_off_everywhere(store, tmp_path):
    files = {"logo.png": "", ".gitignore": "", "deep/er/.sourceignore": "nothing-like-it"}
    assert await kept(store, tmp_path, files) == [".", "deep", "deep/er", "deep/er/.sourceignore", "logo.png"]


@pytest.mark.parametrize("text", ["", "# a comment\n", "\n \r\n"])
async def test_files_without_a_rule_leave_the_default_list_on(store, tmp_path, text):
    files = {"logo.png": "", "a/.sourceignore": text, ".sourceignore": text, "b": ""}
    assert await kept(store, tmp_path, files) == [".", ".sourceignore", "a", "a/.sourceignore", "b"]


async def test_a_file_in_a_folder_that_is_excluded_counts_and_one_in_dot_git_does_not(store, tmp_path):
    files = {"a/.sourceignore": "x", "b/.git/.sourceignore": "!x", "a/x": "", "b/.git/x": "", "logo.png": ""}
    assert await kept(store, tmp_path, files, "a\n!.git/\n!a/x") == [".", "a/x", "b", "b/.git", *(
        "b/.git/.sourceignore", "b/.git/x", "logo.png"
    )]  # fmt: skip
    # Nothing but the file in .git: no rule anywhere, so the default list holds.
    assert "logo.png" not in await kept(store, tmp_path, {"a/.git/.sourceignore": "x", "logo.png": ""})


async def test_the_content_that_counts_is_that_of_the_last_entry_of_the_name(store, tmp_path):
    twice = layer((".sourceignore", b"a"), ("./.sourceignore", b"b"), ("a", b""), ("b", b""))
    assert (await archived(store, tmp_path, twice)).names == [".", ".sourceignore", "a"]


async def test_a_hard_link_of_the_name_is_the_content_it_names(store, tmp_path):
    """J8."""
    link = (member("a/.sourceignore", kind=tarfile.LNKTYPE, link="rules"), None)
    made = await archived(store, tmp_path, layer(("rules", b"*.md"), link, ("a/b.md", b""), ("c.md", b"")), None)
    assert made.names == [".", "a", "a/.sourceignore", "c.md", "rules"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.DIRTYPE])
async def test_what_is_no_file_of_the_name_has_no_rules(store, tmp_path, kind):
    entry = (member(".sourceignore", kind=kind, link="rules" if kind == tarfile.SYMTYPE else ""), None)
    made = await archived(store, tmp_path, layer(("rules", b"*"), entry, ("a.png", b"")), None)
    assert "a.png" not in made.names
    assert "rules" in made.names


async def test_bytes_that_are_no_text_match_the_same_bytes_in_names(store, tmp_path):
    blob = layer((".sourceignore", b"caf\xe9\n?x\n"), (b"caf\xe9".decode("utf-8", "surrogateescape"), b""), ("b", b""))
    assert (await archived(store, tmp_path, blob)).names == [".", ".sourceignore", "b"]


# --- bounds


async def refused(store, tmp_path, *content) -> str:
    with pytest.raises(IgnoreError) as caught:
        await publish(store, layer(*content), None)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    return str(caught.value)


async def test_files_beyond_a_number_are_refused(store, tmp_path):
    files = [(f"d{n}/.sourceignore", b"x") for n in range(1000)]
    assert len((await archived(store, tmp_path, layer(*files), None)).names) == 2001
    await store.remove("default", "app")
    assert await refused(store, tmp_path, *files, (".sourceignore", b"")) == (
        "the layer has 1001 .sourceignore files, more than the 1000 that are read; put their rules into fewer files"
    )


async def test_files_beyond_a_size_are_refused_unread(store, tmp_path):
    within = [("a/.sourceignore", b"#" * (256 << 10)), ("logo.png", b"")]
    assert (await archived(store, tmp_path, layer(*within), None)).names == [".", "a", "a/.sourceignore"]
    await store.remove("default", "app")
    assert await refused(store, tmp_path, *within, ('b"/.sourceignore', b"#")) == (
        r'with "b\"/.sourceignore" the .sourceignore files of the layer are larger than the 256 KiB that are read; '
        "shorten them"
    )


async def test_rules_beyond_a_number_are_refused(store, tmp_path):
    rules = b"".join(b"f%d\n" % n for n in range(10_000))
    assert "f9999" not in (await archived(store, tmp_path, layer((".sourceignore", rules), ("f9999", b"")))).names
    await store.remove("default", "app")
    assert await refused(store, tmp_path, (".sourceignore", rules), ("a/.sourceignore", b"x")) == (
        "the .sourceignore files of the layer have 10001 rules, more than the 10000 that are kept to; "
        "write rules for folders or patterns in place of single files"
    )


async def test_the_same_files_give_the_same_bytes_in_whatever_order_they_come(store, tmp_path):
    """F7."""
    content = members({"a/.sourceignore": "*.md", "a/b.md": "x", "b/.sourceignore": "!*.md", "b/c.md": "y"})
    first = await publish(store, layer(*content), None)
    raw = Archive(tmp_path / first.path).raw
    second = await publish(store, layer(*reversed(content)), None)
    assert Archive(tmp_path / second.path).raw == raw
