"""What must hold for any tag and any constraint (Semantic Versioning 2.0.0, flux-compat D7 to D10)."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocisource.domain.errors import InvalidPattern, InvalidRange
from ocisource.domain.ranges import MAX_BYTES, MAX_GROUPS, Range, latest, parse_version

RULES = settings(deadline=None, max_examples=80)

NUMBERS = st.integers(0, 12).map(str) | st.integers(0, 2**64 - 1).map(str)
IDENTIFIERS = st.from_regex(r"\A(0|[1-9][0-9]{0,20}|[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,3})\Z")
PRERELEASES = st.lists(st.sampled_from(["0", "1", "10", "rc", "alpha", "-", "1a"]) | IDENTIFIERS, max_size=4)
BUILDS = st.sampled_from(["", "", "+b.1", "+001"])


@st.composite
def tags(draw: st.DrawFn) -> str:
    """Tags that are versions."""
    numbers = [draw(NUMBERS) for _ in range(3)]
    prerelease = ".".join(draw(PRERELEASES))
    return (
        draw(st.sampled_from(["", "v"])) + ".".join(numbers) + (f"-{prerelease}" if prerelease else "") + draw(BUILDS)
    )


PARTIALS = st.lists(NUMBERS | st.sampled_from(["x", "*"]), min_size=1, max_size=3).map(".".join)
OPERATORS = st.sampled_from(["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"])
COMPARATORS = st.builds(str.__add__, OPERATORS, tags() | PARTIALS | st.sampled_from(["1.2.3-0", "1.2-0", "*-0"]))
SEPARATORS = st.sampled_from([" ", ",", " , ", "\t"])
GROUPS = st.builds(
    lambda items, separator: separator.join(items), st.lists(COMPARATORS, min_size=1, max_size=3), SEPARATORS
)
RANGES = st.lists(GROUPS, min_size=1, max_size=3).map(" || ".join).filter(lambda text: len(text) <= MAX_BYTES)
NOISE = st.text(alphabet=st.sampled_from("0123x*vV.-+|=!<>~^, \t\nabé"), max_size=40) | st.text()


class TestAnyText:
    """A constraint that does not parse MUST be refused with the one error that the corridor knows, whatever it is."""

    @RULES
    @given(NOISE)
    def test_a_constraint_parses_or_is_refused(self, text: str):
        with contextlib.suppress(InvalidRange):
            Range.parse(text)

    @RULES
    @given(NOISE, st.lists(NOISE | tags()))
    def test_a_choice_among_any_tags_is_one_of_them_or_none(self, pattern: str, listed: list[str]):
        with contextlib.suppress(InvalidPattern):
            assert latest("*-0", pattern)(listed) in {*listed, None}

    @RULES
    @given(NOISE)
    def test_a_tag_is_a_version_or_none(self, tag: str):
        version = parse_version(tag)
        assert version is None or tag.count(".") >= 2


class TestPrecedence:
    """Precedence MUST be calculated by separating the version into major, minor, patch and pre-release identifiers
    in that order. Build metadata MUST be ignored (Semantic Versioning items 10 and 11)."""

    @RULES
    @given(tags(), tags())
    def test_the_latest_of_two_is_the_one_that_semver_calls_greater(self, one: str, other: str):
        """Where it calls none so, the first in the order of code points, as the original picks from a short sorted list
        (D10)."""
        chosen = latest("*-0")([one, other])
        difference = parse_version(one).compare(parse_version(other))
        assert chosen == ({1: one, -1: other, 0: min(one, other)}[difference])

    @RULES
    @given(st.lists(tags(), min_size=1, max_size=8), st.randoms())
    def test_the_latest_does_not_depend_on_the_order_of_the_list(self, listed: list[str], shuffle):
        chosen = latest("*-0")(listed)
        shuffle.shuffle(listed)
        assert latest("*-0")(listed) == chosen
        assert all(parse_version(tag) <= parse_version(chosen) for tag in listed)

    @RULES
    @given(tags(), tags(), tags())
    def test_precedence_is_transitive(self, a: str, b: str, c: str):
        pick = latest("*-0")
        assert pick([a, b, c]) == pick([pick([a, b]), c]) == pick([a, pick([b, c])])

    @RULES
    @given(tags(), tags())
    def test_comparators_agree_with_semver(self, tag: str, limit: str):
        version, bound = parse_version(tag), parse_version(limit)
        group = ">=0.0.0-0 "  # lets prereleases count
        assert Range.parse(f"{group}>={limit}").allows(version) == (version >= bound)
        assert Range.parse(f"{group}>{limit}").allows(version) == (version > bound)
        assert Range.parse(f"{group}<={limit}").allows(version) == (version <= bound)
        assert Range.parse(f"{group}<{limit}").allows(version) == (version < bound)
        assert Range.parse(f"{group}={limit}").allows(version) == (version == bound)
        assert Range.parse(f"{group}!={limit}").allows(version) == (version != bound)


class TestAlgebra:
    """`||` MUST mean OR, a comma or white space AND."""

    @RULES
    @given(RANGES, RANGES, tags())
    def test_or_admits_what_either_side_admits(self, one: str, other: str, tag: str):
        text = f"{one} || {other}"
        if len(text) <= MAX_BYTES:
            version = parse_version(tag)
            either = Range.parse(one).allows(version) or Range.parse(other).allows(version)
            assert Range.parse(text).allows(version) == either

    @RULES
    @given(GROUPS, GROUPS, tags())
    def test_and_admits_releases_that_both_sides_admit(self, one: str, other: str, tag: str):
        """Releases: a prerelease in one side opens the other side to prereleases (D10)."""
        text, version = f"{one}, {other}", parse_version(tag.partition("+")[0].partition("-")[0])
        if len(text) <= MAX_BYTES:
            both = Range.parse(one).allows(version) and Range.parse(other).allows(version)
            assert Range.parse(text).allows(version) == both

    @RULES
    @given(GROUPS, tags())
    def test_prereleases_are_out_unless_the_group_names_one(self, group: str, tag: str):
        version = parse_version(tag)
        named = any("-" in item.partition("+")[0] for item in group.replace(",", " ").split())
        if version.prerelease and not named:
            assert not Range.parse(group).allows(version)

    @RULES
    @given(RANGES, st.lists(tags(), max_size=6))
    def test_the_latest_is_in_the_range_and_no_other_in_it_is_greater(self, text: str, listed: list[str]):
        admitted = Range.parse(text)
        inside = [tag for tag in listed if admitted.allows(parse_version(tag))]
        chosen = latest(text)(listed)
        assert (chosen is None) == (not inside)
        assert chosen is None or all(parse_version(tag) <= parse_version(chosen) for tag in inside)

    @RULES
    @given(st.integers(1, MAX_GROUPS + 8))
    def test_groups_are_bounded(self, count: int):
        text = "||".join(["1"] * count)
        if count <= MAX_GROUPS:
            Range.parse(text)
        else:
            with pytest.raises(InvalidRange):
                Range.parse(text)
