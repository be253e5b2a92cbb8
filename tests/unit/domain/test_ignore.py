"""Which paths stay out of the archive (flux-compat F3 to F5)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ocisource.domain.ignore import IgnoreRules

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "ignore.jsonl").read_text(encoding="utf-8").splitlines()
]


def excluded(rules: IgnoreRules, *paths: str) -> list[str]:
    """The paths that the rules exclude; "/" at the end says that one is a folder."""
    return [path for path in paths if rules.excludes(path.rstrip("/"), path.endswith("/"))]


def only(text: str, folder: str = "") -> IgnoreRules:
    return IgnoreRules.read([(folder, text)])


def test_every_recorded_answer_about_a_path_is_given():
    assert len(VECTORS) == 600
    wrong = []
    for vector in VECTORS:
        rules = IgnoreRules.read(vector["patterns"])
        answers = "".join("01"[rules.excludes(path, kind == "d")] for path, kind in vector["paths"])
        if answers != vector["excluded"]:
            wrong.append((vector["patterns"], answers, vector["excluded"]))
    assert wrong == []


# F3, F4


def test_without_spec_ignore_the_usual_files_stay_out():
    """The files are those of the case `ignore_defaults` of the recorded behaviour."""
    paths = [
        *("a.yaml", "b.png", "c.jpg", "d.zip", "e.tar.gz", ".git/config", ".gitignore", ".github/x.yml", ".flux.yaml"),
        *(".sops.yaml", "x/.gitlab-ci.yml", "x/y.gif", "appveyor.yml", ".goreleaser.yml", "z/.travis.yml"),
        *(
            "k/.circleci/c.yml",
            "v.wmv",
            "f.flv",
            "x/.gitattributes",
            ".sourceignore",
            "png",
            "x/",
            ".git/",
            "deploy.md",
        ),
    ]
    kept = [path for path in paths if path not in excluded(IgnoreRules.of(None), *paths)]
    assert kept == ["a.yaml", ".sourceignore", "png", "x/", "deploy.md"]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "   \n\r\n", "\v\f\t\n\x85\n\xa0\u2003\u2028\u3000"])
def test_a_spec_ignore_without_a_rule_keeps_the_defaults(text: str):
    assert IgnoreRules.of(text) == IgnoreRules.of(None)


def test_a_control_character_that_is_no_space_is_a_rule():
    """F3: blank is what Go's strings.TrimSpace leaves nothing of. Recorded from the original."""
    assert IgnoreRules.of("\x1c").rules[-1] == ("", "\x1c")


def test_one_rule_replaces_the_defaults_but_not_the_version_control_files():
    rules = IgnoreRules.of("*.md")
    assert excluded(rules, "a.md", "a.png", ".github/x.yml", ".git/config", "sub/.gitignore", ".flux.yaml") == [
        "a.md",
        ".git/config",
        "sub/.gitignore",
    ]


def test_version_control_files_can_be_brought_back():
    assert excluded(IgnoreRules.of("!.git/"), ".git/", ".git/config", ".gitmodules") == [".gitmodules"]


def test_a_folder_named_like_version_control_is_excluded_and_a_file_is_not():
    assert excluded(IgnoreRules.of(None), ".git", ".git/", ".git/x") == [".git/", ".git/x"]


def test_files_of_the_artifact_come_between_version_control_and_spec_ignore():
    rules = IgnoreRules.of("!a.md", [("", "*.md\n!.gitignore"), ("docs", "!*.md\n/x")])
    paths = (".gitignore", "a.md", "b.md", "docs/b.md", "docs/x", "docs/y/x", "x", "logo.png")
    assert excluded(rules, *paths) == ["b.md", "docs/x"]


def test_a_rule_in_any_file_replaces_the_defaults_and_files_without_one_do_not():
    assert excluded(IgnoreRules.of(None, [("a/b", "c")]), "logo.png", "a/b/c", "c") == ["a/b/c"]
    assert IgnoreRules.of("# none", [("", "\n"), ("a/b", "# none")]) == IgnoreRules.of(None)


def test_a_folder_between_two_that_have_rules_needs_none_of_its_own():
    rules = IgnoreRules.read([("a/b/c", "x"), ("a", "y"), ("a/b/c/d", "!x")])
    assert excluded(rules, "a/y", "a/b/c/x", "a/b/x", "a/b/c/d/x", "a/b/c/e/x", "b/c/x") == [
        "a/y",
        "a/b/c/x",
        "a/b/c/e/x",
    ]


# F5


def test_the_last_rule_that_matches_decides_also_below_an_excluded_folder():
    rules = only("docs\n!docs/keep\n/docs/keep/*.tmp")
    assert excluded(rules, "docs/", "docs/a", "docs/keep/", "docs/keep/b", "docs/keep/c.tmp") == [
        "docs/",
        "docs/a",
        "docs/keep/c.tmp",
    ]


def test_everything_but_one_folder_can_be_left_out():
    """The example of Flux's documentation, and the case `ignore_spec` of the recorded behaviour."""
    rules = IgnoreRules.of("/*\n!/deploy\n/deploy/**/*.md\n/deploy/**/*.txt\n")
    paths = ("README.md", "src/a.go", "deploy/", "deploy/a.yaml", "deploy/x/b.md", "deploy/x/y/c.txt")
    assert excluded(rules, *paths) == ["README.md", "src/a.go", "deploy/x/b.md", "deploy/x/y/c.txt"]


@pytest.mark.parametrize(
    ("pattern", "out", "kept"),
    [
        ("foo", ("foo", "foo/", "a/foo", "a/foo/b"), ("fooo", "a/fo")),
        ("foo/", ("foo/", "foo/a", "a/foo/b"), ("foo", "a/foo")),
        ("/foo", ("foo", "foo/a"), ("a/foo",)),
        ("a/b", ("a/b", "a/b/c"), ("x/a/b", "a/c/b")),
        ("a/*/c", ("a/b/c", "a/x/c/d"), ("a/c", "a/b/b/c")),
        ("**/foo", ("foo", "a/b/foo/c"), ("fo",)),
        ("**/foo/", ("foo/", "a/foo/c"), ("a/foo",)),
        ("a/**/c", ("a/c", "a/b/c", "a/b/b/c"), ("a/b", "b/a/c")),
        ("deploy/**", ("deploy", "deploy/", "deploy/a/b"), ("a/deploy/b",)),
        ("/**", (), ("a", "a/b")),
        ("**", ("a", "a/b"), ()),
        ("**/**", (), ("a", "a/b")),
        ("a**b", ("ab", "axxb"), ("a/b",)),
        ("x/a**b", (), ("x/ab", "x/axb")),
        ("**//a", ("a", "a/b"), ("b/a",)),
        ("/", (), ("a", "a/")),
        ("!", (), ("a", "!")),
        ("*.tar.gz", ("x.tar.gz", ".tar.gz", "a/b.tar.gz/c"), ("x.tar",)),
        ("a?c", ("abc", "aéc"), ("ac", "abbc")),
        ("[!a]x", ("!x", "ax"), ("bx",)),
        ("[^a]x", ("!x", "bx"), ("ax", "x")),
        ("[a-c]", ("a", "c"), ("d", "ab")),
        ("[\\]a]", ("]", "a"), ("\\",)),
        ("[c-a]", (), ("a", "b", "c")),
        ("[^c-a]", ("a", "b"), ()),
        ("[", (), ("[", "a")),
        ("[]", (), ("[", "]", "[]")),
        ("[^]", (), ("^", "]", "a")),
        ("[a-]", (), ("a", "-")),
        ("a\\", (), ("a", "a\\")),
        ("\\#a", ("#a",), ("\\#a",)),
        ("\\!a", ("!a",), ("\\!a", "a")),
        (" #a", (" #a",), ("#a",)),
        ("#a", (), ("#a",)),
        ("a \r", ("a",), ("a ", "a \r")),
        ("a\\ ", ("a ",), ("a",)),
        ("a.b+(c)", ("a.b+(c)",), ("aXb+(c)", "a.bb")),
        ("a*b*c", ("abc", "axbxbc"), ("abcd", "acb")),
        ("a*a", ("aa", "aba"), ("a",)),
        ("*?*", ("a", "ab"), ()),
    ],
)
def test_a_pattern_matches_as_in_the_original(pattern: str, out: tuple[str, ...], kept: tuple[str, ...]):
    assert excluded(only(pattern), *out, *kept) == list(out)


def test_rules_of_a_folder_hold_in_it_alone_and_not_for_itself():
    rules = IgnoreRules.read([("", "*.md"), ("a/b", "!x.md\nb\n/c")])
    assert excluded(rules, "x.md", "a/x.md", "a/b/x.md", "a/b/y.md", "a/b/", "a/b/d/b", "a/b/c", "a/b/d/c", "c") == [
        *("x.md", "a/x.md", "a/b/y.md", "a/b/d/b", "a/b/c"),
    ]


@pytest.mark.parametrize("root", ["", "."])
def test_the_root_is_never_excluded(root: str):
    assert not only("*\n**\n.").excludes(root, is_dir=True)


def test_equal_rules_are_one_key_for_sharing():
    one, other = IgnoreRules.of("a\n"), IgnoreRules.of("# why\n\na\r\n")
    assert one == other
    assert hash(one) == hash(other)
    assert one != IgnoreRules.of("a\nb")
    assert IgnoreRules.read([("x", "a")]) != IgnoreRules.read([("", "a")])
    assert IgnoreRules.read([("", "a\n!a")]) != IgnoreRules.read([("", "!a\na")])


def test_no_rules_exclude_nothing():
    assert not excluded(IgnoreRules(), ".git/", "a")


def test_many_stars_cannot_be_made_to_hang():
    """With backtracking each of these takes more steps than there are atoms."""
    stars, walks = only("a*" * 40 + "b"), only("**/a/" * 40 + "b")
    assert not stars.excludes("a" * 5000 + "c", is_dir=False)
    assert not stars.excludes("a" * 5000 + "bc", is_dir=False)
    assert not walks.excludes("a/" * 5000 + "c", is_dir=False)
