"""What must hold for any ignore rules and any path (flux-compat F3 to F5)."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.ignore import IgnoreRules

RULES = settings(deadline=None, max_examples=80)

NAMES = st.sampled_from(["a", "b", "ab", "foo", "x.md", "*", "[", "]", "^", "é", " ", "#a", "!a", "-", "a\\"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
PIECES = [
    "a",
    "b",
    "foo",
    "*",
    "**",
    "?",
    "[a-c]",
    "[^a]",
    "[!a]",
    "[",
    "]",
    "\\",
    "-",
    "^",
    "/",
    "/",
    "!",
    "#",
    " ",
    "é",
]
LINES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
TEXTS = st.lists(LINES, max_size=5).map("\n".join) | st.text()
FOLDERS = st.sampled_from(["", "", "a", "a/b"])
LISTS = st.lists(st.tuples(FOLDERS, TEXTS), max_size=3)


def only(*lines: str) -> IgnoreRules:
    return IgnoreRules(tuple(("", line) for line in lines))


class TestAnyText:
    """Rules come from whoever may write an object or an artifact: any text MUST be rules, and every path MUST get an
    answer in time linear in its length."""

    @RULES
    @given(LISTS, st.text() | PATHS, st.booleans())
    def test_every_path_gets_an_answer(self, lists: list[tuple[str, str]], path: str, is_dir: bool):
        assert IgnoreRules.read(lists).excludes(path, is_dir) in {True, False}

    @RULES
    @given(st.text())
    def test_any_spec_ignore_is_rules_and_the_root_stays(self, text: str):
        assert not IgnoreRules.of(text).excludes("", is_dir=True)

    @settings(RULES, max_examples=40)
    @given(LINES.map(lambda line: line * 12), st.sampled_from(["a", "a/", "ab", "foo/", "-"]))
    def test_a_long_path_is_answered_in_time(self, line: str, piece: str):
        began = time.process_time()
        only(line).excludes(piece * 2000 + "c", is_dir=False)
        assert time.process_time() - began < 1  # it takes milliseconds; without the bound it does not end


class TestLastMatchWins:
    """The last rule that matches a path MUST decide."""

    @RULES
    @given(st.lists(LINES, max_size=4), LINES.filter(lambda line: not line.startswith("!")), PATHS, st.booleans())
    def test_a_last_rule_that_matches_decides_and_another_changes_nothing(
        self, lines: list[str], last: str, path: str, is_dir: bool
    ):
        before = only(*lines).excludes(path, is_dir)
        matches = only(last).excludes(path, is_dir)
        assert only(*lines, last).excludes(path, is_dir) == (matches or before)
        assert only(*lines, "!" + last).excludes(path, is_dir) == (before and not matches)

    @RULES
    @given(LISTS, LINES, PATHS, st.booleans())
    def test_a_rule_written_twice_counts_as_the_later(
        self, lists: list[tuple[str, str]], line: str, path: str, is_dir: bool
    ):
        rules = IgnoreRules.read(lists).rules
        once, twice = IgnoreRules((*rules, ("", line))), IgnoreRules((("", line), *rules, ("", line)))
        assert once.excludes(path, is_dir) == twice.excludes(path, is_dir)

    @RULES
    @given(LINES, PATHS, NAMES)
    def test_what_excludes_a_folder_excludes_all_in_it(self, line: str, folder: str, name: str):
        if only(line).excludes(folder, is_dir=True):
            assert only(line).excludes(f"{folder}/{name}", is_dir=False)


class TestFolders:
    """Rules of a folder MUST hold in that folder only, as the same rules hold at the root of it."""

    @RULES
    @given(LINES, PATHS, st.booleans())
    def test_a_folder_is_a_root_of_its_own(self, line: str, path: str, is_dir: bool):
        inside = IgnoreRules((("sub/dir", line),))
        assert inside.excludes(f"sub/dir/{path}", is_dir) == only(line).excludes(path, is_dir)
        assert not inside.excludes(f"sub/{path}", is_dir)
        assert not inside.excludes("sub/dir", is_dir=True)

    @RULES
    @given(LISTS, LISTS, PATHS, st.booleans())
    def test_rules_of_another_folder_change_nothing(
        self, lists: list[tuple[str, str]], others: list[tuple[str, str]], path: str, is_dir: bool
    ):
        elsewhere = [(f"else/where/{folder}".rstrip("/"), text) for folder, text in others]
        both = IgnoreRules.read([*elsewhere, *lists, *elsewhere])
        assert both.excludes(path, is_dir) == IgnoreRules.read(lists).excludes(path, is_dir)


class TestFiles:
    """The rules of an artifact: its files' and spec.ignore's MUST all count, the latter most; the default list MUST
    hold if and only if there is none of them."""

    @RULES
    @given(LISTS, TEXTS, PATHS, st.booleans())
    def test_what_spec_ignore_says_of_a_path_outweighs_the_files(
        self, lists: list[tuple[str, str]], text: str, path: str, is_dir: bool
    ):
        whole = IgnoreRules.of(text, lists)
        everything = IgnoreRules.of(f"{text}\n**", lists)
        nothing = IgnoreRules.of(f"{text}\n!**", lists)
        assert everything.excludes(path, is_dir)
        assert not nothing.excludes(path, is_dir)
        assert whole.excludes(path, is_dir) in {True, False}

    @RULES
    @given(LISTS, TEXTS)
    def test_the_default_list_holds_if_and_only_if_there_is_no_rule(self, lists: list[tuple[str, str]], text: str):
        rules = IgnoreRules.of(text, lists)
        own = IgnoreRules.read([*lists, ("", text)]).rules
        assert rules.rules[4:] == (own or IgnoreRules.of(None).rules[4:])
        assert rules.rules[:4] == IgnoreRules.of(None).rules[:4]


class TestKey:
    """Equal rules MUST be equal keys, and what differs in effect MUST differ as a key: archives are shared by it."""

    @RULES
    @given(LISTS, LISTS, PATHS, st.booleans())
    def test_equal_keys_give_equal_answers(
        self, one: list[tuple[str, str]], other: list[tuple[str, str]], path: str, is_dir: bool
    ):
        first, second = IgnoreRules.read(one), IgnoreRules.read(other)
        if first == second:
            assert hash(first) == hash(second)
        if first.excludes(path, is_dir) != second.excludes(path, is_dir):
            assert first != second
