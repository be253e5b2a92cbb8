"""Tags as versions, constraints, and the tag that wins (flux-compat D7 to D10)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from ocisource.domain.errors import InvalidPattern, InvalidRange, InvalidReference
from ocisource.domain.ranges import Range, latest, parse_version

VECTORS = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "semver.jsonl").read_text(encoding="utf-8").splitlines()
]


def admits(constraint: str, *tags: str) -> list[str]:
    """The tags among these that are versions in the range."""
    admitted = Range.parse(constraint)
    return [tag for tag in tags if (version := parse_version(tag)) is not None and admitted.allows(version)]


def answer(admitted: Range, tag: str) -> str:
    version = parse_version(tag)
    return "-" if version is None else "01"[admitted.allows(version)]


def test_every_recorded_answer_about_a_tag_is_given():
    accepted = [vector for vector in VECTORS if "error" not in vector]
    assert len(accepted) > 500
    wrong = []
    for vector in accepted:
        admitted = Range.parse(vector["constraint"])
        answers = "".join(answer(admitted, tag) for tag in vector["tags"])
        if answers != vector["answers"]:
            wrong.append((vector["constraint"], answers, vector["answers"]))
    assert wrong == []


@pytest.mark.parametrize("constraint", [vector["constraint"] for vector in VECTORS if "error" in vector])
def test_every_constraint_recorded_as_refused_is_refused(constraint: str):
    with pytest.raises(InvalidRange, match=r"^(improper constraint: |constraint parser error$)"):
        Range.parse(constraint)


@pytest.mark.parametrize("vector", [vector for vector in VECTORS if "1" in vector.get("answers", "")][::10])
def test_the_latest_tag_is_a_recorded_one_that_no_other_recorded_one_precedes(vector: dict):
    chosen = latest(vector["constraint"])(vector["tags"])
    inside = [tag for tag, answer in zip(vector["tags"], vector["answers"], strict=True) if answer == "1"]
    assert chosen in inside
    assert all(parse_version(tag) <= parse_version(chosen) for tag in inside)


# D8


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("1.2.3", "1.2.3"),
        ("v1.2.3", "1.2.3"),
        ("01.2.3", "1.2.3"),
        ("2025.02.03", "2025.2.3"),
        ("1.2-alpha.1", "1.2.0-alpha.1"),
        ("1-a.b.c", "1.0.0-a.b.c"),
        ("1.2+b.1", "1.2.0+b.1"),
        ("1.2.3-rc.1+build.5", "1.2.3-rc.1+build.5"),
        ("1.2.3--", "1.2.3--"),
        ("1.2.3+001", "1.2.3+001"),
        ("18446744073709551615.0.0", "18446744073709551615.0.0"),
        ("0000000000000000000000001.0.0", "1.0.0"),
    ],
)
def test_a_tag_with_two_dots_is_read_leniently(tag: str, version: str):
    assert str(parse_version(tag)) == version


@pytest.mark.parametrize(
    "tag",
    [
        *("1.2", "1", "", "latest", "V1.2.3", "1.2.3.4", "1.2.3-rc.01", "1.2.3_x", "1.2.3-", "1.2.3+", " 1.2.3"),
        *("1.2.3 ", "1.2.3\n", "vv1.2.3", "1..3", ".1.2.3", "1.2.3-a..b", "1.2.3-é", "\u0661.2.3", "-1.2.3", "1.2.x"),
        *("18446744073709551616.0.0", "0.18446744073709551616.0", "0.0.18446744073709551616", "1.2.3-" + "a" * 251),
    ],
)
def test_any_other_tag_is_no_version(tag: str):
    assert parse_version(tag) is None


# D9, D10

RELEASES = ("0.0.0", "0.0.3", "0.0.4", "0.2.3", "0.3.0", "1.0.0", "1.2.0", "1.2.9", "1.3.0", "2.0.0", "2.1.0", "3.0.0")


@pytest.mark.parametrize(
    ("constraint", "admitted"),
    [
        ("*", RELEASES),
        ("x.4", RELEASES),
        (">=1.2.0, <2", ("1.2.0", "1.2.9", "1.3.0")),
        (">=1.2.0 <2", ("1.2.0", "1.2.9", "1.3.0")),
        (">= 1.2.0 ,<2", ("1.2.0", "1.2.9", "1.3.0")),
        ("1.2.9 || 3.0.0", ("1.2.9", "3.0.0")),
        ("1.2.9||>2", ("1.2.9", "3.0.0")),
        ("=1.2.9", ("1.2.9",)),
        ("v1.2.9", ("1.2.9",)),
        ("1.2", ("1.2.0", "1.2.9")),
        ("1", ("1.0.0", "1.2.0", "1.2.9", "1.3.0")),
        ("1.2.*", ("1.2.0", "1.2.9")),
        ("~1", ("1.0.0", "1.2.0", "1.2.9", "1.3.0")),
        ("~1.2", ("1.2.0", "1.2.9")),
        ("~>1.2.1", ("1.2.9",)),
        ("^1.2", ("1.2.0", "1.2.9", "1.3.0")),
        ("^0.2.3", ("0.2.3",)),
        ("^0.0.3", ("0.0.3",)),
        ("^0.0", ("0.0.0", "0.0.3", "0.0.4")),
        ("^0", ("0.0.0", "0.0.3", "0.0.4", "0.2.3", "0.3.0")),
        (">1", ("2.0.0", "2.1.0", "3.0.0")),
        (">1.2", ("1.3.0", "2.0.0", "2.1.0", "3.0.0")),
        (">1.2.0", ("1.2.9", "1.3.0", "2.0.0", "2.1.0", "3.0.0")),
        ("=>2.1", ("2.1.0", "3.0.0")),
        ("<=1", ("0.0.0", "0.0.3", "0.0.4", "0.2.3", "0.3.0", "1.0.0", "1.2.0", "1.2.9", "1.3.0")),
        ("=<0.2", ("0.0.0", "0.0.3", "0.0.4", "0.2.3")),
        ("<0.0.3", ("0.0.0",)),
        (">=1 !=1.2", ("1.0.0", "1.3.0", "2.0.0", "2.1.0", "3.0.0")),
        (">=1 !=1", ("2.0.0", "2.1.0", "3.0.0")),
        (">=2 !=2.1.0", ("2.0.0", "3.0.0")),
        ("1.3.0 - 2", ("1.3.0", "2.0.0", "2.1.0")),
        ("1.3.0 - 2.0.0", ("1.3.0", "2.0.0")),
        ("^x", ("0.0.0",)),
        ("<*", ()),
        (">*", tuple(RELEASES[1:])),  # D9 says 1 and more; the recorded answers have 0.1.3 in it
        ("<=*", ("0.0.0", "0.0.3", "0.0.4")),
        ("~0.0.0", RELEASES),
        (">2 <1", ()),
    ],
)
def test_a_constraint_admits_what_its_operator_says(constraint: str, admitted: tuple[str, ...]):
    assert admits(constraint, *RELEASES) == list(admitted)


def test_prereleases_count_in_a_group_in_which_one_comparator_names_one():
    tags = ("1.0.0-rc.1", "1.0.0", "1.1.0-beta", "2.0.0-alpha")
    assert admits(">=1.0.0", *tags) == ["1.0.0"]
    assert admits(">=1.0.0-0", *tags) == list(tags)
    assert admits("*-0", *tags) == list(tags)
    assert admits(">=1.0.0 <2.0.0-0", *tags) == ["1.0.0", "1.1.0-beta"]
    assert admits("!=1.0.0-0", *tags) == list(tags)


def test_a_prerelease_in_one_group_opens_no_other():
    assert admits("2.0.0-alpha || <1.2", "1.1.0-beta", "1.1.0", "2.0.0-alpha") == ["1.1.0", "2.0.0-alpha"]


def test_a_range_ends_before_the_prereleases_of_the_next_version():
    assert admits("~1.2.0-0", "1.2.0-0", "1.2.9", "1.3.0-alpha") == ["1.2.0-0", "1.2.9"]
    assert admits("^1.2.0-0", "1.9.0-x", "2.0.0-alpha") == ["1.9.0-x"]


def test_a_partial_inequality_leaves_out_only_its_own_prerelease():
    tags = ("1.2.0-rc.1", "1.2.3-rc.2", "1.2.3")
    assert admits("!=1.2 >0.0.0-0", *tags) == ["1.2.0-rc.1", "1.2.3-rc.2"]
    assert admits("!=1.2-rc.2", *tags) == ["1.2.0-rc.1", "1.2.3"]


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\r\n", "\f", "   "])
def test_any_white_space_separates_comparators(space: str):
    assert admits(f"{space}>=1.2{space}<{space}1.3{space}", *RELEASES) == ["1.2.0", "1.2.9"]


def test_build_metadata_of_a_constraint_does_not_count():
    assert admits("=1.2.3+b1", "1.2.3", "1.2.3+b2") == ["1.2.3", "1.2.3+b2"]


def test_a_hyphen_range_is_rewritten_before_groups_are_cut():
    """The original takes `1||2.0` for one number there; what comes of it is `>=1 || 2.0 <=3`."""
    assert admits("1||2.0 - 3", "0.9.0", "1.5.0", "2.5.0", "9.0.0") == ["1.5.0", "2.5.0", "9.0.0"]


@pytest.mark.parametrize(
    ("constraint", "quoted"),
    [
        ("latest", '"latest"'),
        (">=1.0.0<2.0.0", '">=1.0.0<2.0.0"'),
        ("1.2.3 || foo", '" foo"'),
        ("1||", '""'),
        ("1,", '"1,"'),
        ("1,,2", '"1,,2"'),
        ('"1"', '"\\"1\\""'),
        ("1\v2", '"1\\v2"'),
    ],
)
def test_a_constraint_that_does_not_parse_is_quoted(constraint: str, quoted: str):
    """C10. The group that is wrong is quoted, as in the original."""
    with pytest.raises(InvalidRange) as raised:
        Range.parse(constraint)
    assert str(raised.value) == f"improper constraint: {quoted}"
    assert isinstance(raised.value, InvalidReference)  # J11: it stalls


@pytest.mark.parametrize(
    "constraint",
    [">18446744073709551616", "1|2", "1x", "1|2 <3", "1|2 || nonsense", "^1.2.3-rc.01", "1.2.3-" + "a" * 251],
)
def test_a_constraint_of_the_right_form_with_numbers_that_are_none_is_refused(constraint: str):
    """C10, in the words of the original."""
    with pytest.raises(InvalidRange, match=r"^constraint parser error$"):
        Range.parse(constraint)


def test_the_form_of_a_group_is_judged_before_its_numbers():
    """As in the original."""
    with pytest.raises(InvalidRange, match=r"^improper constraint: "):
        Range.parse("1|2 nonsense")


def test_a_constraint_has_at_most_512_bytes():
    Range.parse("1" + " " * 511)
    with pytest.raises(InvalidRange, match=r"^constraint string is too long \(max 512 bytes\)$"):
        Range.parse("1" + " " * 512)
    with pytest.raises(InvalidRange, match="too long"):
        Range.parse("é" * 257)


def test_a_constraint_has_at_most_32_groups():
    Range.parse("||".join(["1"] * 32))
    with pytest.raises(InvalidRange, match=r"^too many constraint groups \(max 32\)$"):
        Range.parse("||".join(["1"] * 33))


# D7


@pytest.mark.parametrize(
    ("constraint", "pattern", "tags", "chosen"),
    [
        ("*", "", ("1.0.0", "v2.0.0", "latest", "10"), "v2.0.0"),
        ("<2", "", ("1.9.0", "1.10.0", "2.0.0"), "1.10.0"),
        ("^2.0.0-rc.0", "", ("2.0.0-rc.1", "2.1.0"), "2.1.0"),
        ("~2.0.0-rc.0", "", ("2.0.0-rc.2", "2.0.0-rc.10"), "2.0.0-rc.10"),
        (">= 6.1.x-0", ".*-rc.*", ("6.1.0", "6.1.1-rc.1", "6.1.1-rc.2", "6.2.0-alpha.1", "6.1.2"), "6.1.1-rc.2"),
        ("*", "^1", ("1.0.0", "2.1.0"), "1.0.0"),
        ("*", "1", ("2.1.0", "3.0.0"), "2.1.0"),
        ("*", "^v", ("v1.0.0", "2.0.0"), "v1.0.0"),
        (">9", "", ("1.0.0",), None),
        ("*", "nope", ("1.0.0",), None),
        ("*", "", (), None),
        ("*", "", ("1.0.0-rc.1",), None),
    ],
)
def test_the_highest_version_in_range_and_filter_is_chosen_as_it_is_spelled(
    constraint: str, pattern: str, tags: tuple[str, ...], chosen: str | None
):
    assert latest(constraint, pattern)(tags) == chosen


@pytest.mark.parametrize(
    ("constraint", "pattern", "tags", "chosen"),
    [
        ("1.x", "", ("1.0.0", "1.1.0_build.5"), "1.1.0_build.5"),
        ("1.1.0", "", ("1.0.0", "v1.1.0_a-b.c"), "v1.1.0_a-b.c"),
        ("*-0", "", ("1.0.0", "1.1.0-rc.1_b"), "1.1.0-rc.1_b"),
        ("*", "_eu$", ("1.0.0_eu", "1.1.0_us"), "1.0.0_eu"),
        ("*", "[+]", ("1.0.0_eu",), None),
        ("*", "", ("1.0.0_a_b", "1.0.0_", "1_0.0"), None),
    ],
)
def test_in_the_tags_of_charts_an_underscore_stands_for_a_plus(
    constraint: str, pattern: str, tags: tuple[str, ...], chosen: str | None
):
    """The filter sees the tag, and the tag is what is chosen."""
    assert latest(constraint, pattern, charts=True)(tags) == chosen
    assert latest(constraint, pattern)([tag for tag in tags if "_" in tag]) is None


def test_of_equal_versions_the_same_is_chosen_in_whatever_order_they_are_listed():
    tags = ["1.0.0", "v1.0.0", "01.0.0", "1.0.0+b2", "1.0.0+b1", "0.9.0"]
    shuffle = random.Random(1)
    chosen = set()
    for _ in range(20):
        shuffle.shuffle(tags)
        chosen.add(latest("*")(tags))
    assert chosen == {"01.0.0"}  # where they are listed in the order of their names, the original's choice


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("(", "missing closing ): `(`"),
        ("a)", "unexpected ): `a)`"),
        ("[a", "missing closing ]: `[a`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("\\", "trailing backslash at end of expression: ``"),
        ("(?P<a", "invalid named capture: `(?P<a`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("\\q", "invalid escape sequence: `\\q`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        ("\ud800", 'invalid UTF-8: "\\ud800"'),
    ],
)
def test_a_filter_that_does_not_parse_is_refused_in_the_words_of_go(pattern: str, fault: str):
    """C10. The texts are those of Go's regexp.Compile, but for the last, which no API server lets through."""
    with pytest.raises(InvalidPattern) as raised:
        latest("*", pattern)
    assert str(raised.value) == f"error parsing regexp: {fault}"
    assert isinstance(raised.value, InvalidReference)  # J11: it stalls


def test_a_filter_that_does_not_parse_is_not_written_to_the_log(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(InvalidPattern):
        latest("*", "(unlogged")
    assert capfd.readouterr() == ("", "")


def test_filter_and_range_are_read_before_any_tag_is_known():
    with pytest.raises(InvalidRange):
        latest("nope")
    with pytest.raises(InvalidPattern):  # the filter first, as in the original
        latest("nope", "(")


def test_a_filter_cannot_be_made_to_hang():
    """RE2: linear in the tag. With backtracking this one takes 2**60 steps."""
    assert latest("*-0", "(a+)+$")(["1.0.0-" + "a" * 60 + "-"]) is None
