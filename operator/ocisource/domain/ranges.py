"""Which tags are versions, and which versions a constraint admits (flux-compat D7 to D10).

The constraint grammar is that of Masterminds/semver; no library of Python's agrees with it. A comparator, whatever
its operator, admits one half-open interval of versions or leaves one out; so a group of comparators joined by AND
is one interval with holes, and a range is a few such groups joined by OR.

Versions are compared as tuples: `(major, minor, patch, order of the prerelease)`. A shorter tuple is a bound
that lies before everything it is a prefix of: `(1, 3)` is before any 1.3.x and its prereleases. Prerelease orders
follow Semantic Versioning 2.0.0 item 11. The `semver` package gives the type that others see; one object of it for
every tag of a large repository would cost too much, so `latest` works on the tuples alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocisource.domain.errors import InvalidRange, quoted
from ocisource.domain.patterns import search

if TYPE_CHECKING:
    import semver

MAX_BYTES = 512
MAX_GROUPS = 32

Key = tuple[Any, ...]

_RELEASE: Key = (1,)  # after every prerelease, whose order begins with 0
_LOWEST: Key = ()
_HIGHEST: Key = (2**64,)
_MAX_NUMBER = 2**64 - 1
_MAX_TAG = 256  # bytes
_NEXT = (0,)  # appended to a version's key, it is the bound just after that version

_IDENTIFIERS = r"[0-9A-Za-z-]++(?:\.[0-9A-Za-z-]++)*+"
_PRERELEASE_ID = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_TAG = re.compile(
    rf"v?([0-9]+)(?:\.([0-9]+))?(?:\.([0-9]+))?(?:-({_PRERELEASE_ID}(?:\.{_PRERELEASE_ID})*))?(?:\+({_IDENTIFIERS}))?"
)

# In a constraint a number may also be a wildcard. What else fits this class ("1x", "|") is refused once it is read.
# What can follow a part never fits the part itself, so there is nothing to give back: hence the possessive "++".
_PART = r"[0-9|xX*]++"
_PARTIAL = rf"v?({_PART})(?:\.({_PART}))?+(?:\.({_PART}))?+(?:-({_IDENTIFIERS}))?+(?:\+{_IDENTIFIERS})?+"
_SPACE = r"[\t\n\f\r ]"
_HYPHEN_RANGE = re.compile(rf"{_SPACE}*+(?P<from>{_PARTIAL}){_SPACE}++-{_SPACE}++(?P<to>{_PARTIAL}){_SPACE}*+")
_COMPARATOR = re.compile(
    rf"{_SPACE}*+(?P<operator>=|!=|>=|=>|<=|=<|>|<|~>|~|\^|){_SPACE}*+"
    rf"(?P<version>{_PARTIAL})(?P<separator>{_SPACE}*,|{_SPACE}+|\Z)"
)
_WILD = (None, "x", "X", "*")


def parse_version(tag: str) -> semver.Version | None:
    """The version that a tag is, None if it is none (flux-compat D8).

    Two dots are needed somewhere, the rest is lenient: `v1.2.3`, `01.2.3` and `1.2-alpha.1` are versions. The type
    keeps no spelling: the tag itself is the name to ask the registry for.
    """
    match = _match(tag)
    if match is None:
        return None
    import semver  # noqa: PLC0415 - the operator itself never needs the type

    major, minor, patch, prerelease, build = match.groups()
    return semver.Version(int(major), int(minor or 0), int(patch or 0), prerelease, build)


def _match(tag: str) -> re.Match[str] | None:
    match = _TAG.fullmatch(tag)
    if match is None or tag.count(".") < 2 or len(tag) > _MAX_TAG:
        return None
    # A number of fewer than 20 digits is below 2**64; so is any in a tag shorter than that.
    if len(tag) >= 20 and any(int(number or 0) > _MAX_NUMBER for number in match.group(1, 2, 3)):
        return None
    return match


def _key(match: re.Match[str]) -> Key:
    major, minor, patch, prerelease = match.group(1, 2, 3, 4)
    return int(major), int(minor or 0), int(patch or 0), _prerelease_order(prerelease)


def _prerelease_order(prerelease: str | None) -> Key:
    """Identifiers of digits compare as numbers and come before the others; fewer come before more."""
    if not prerelease:
        return _RELEASE
    return 0, *((0, int(part)) if part.isdecimal() else (1, part) for part in prerelease.split("."))


@dataclass(frozen=True)
class _Hole:
    """What a `!=` leaves out: the interval, or only those in it with this prerelease order."""

    low: Key
    high: Key
    prerelease: Key | None = None

    def holds(self, key: Key) -> bool:
        return self.low <= key < self.high and self.prerelease in (None, key[3])


@dataclass(frozen=True)
class _Group:
    """Comparators joined by AND: the interval from `low` to before `high`, less its `holes`. Prereleases count only
    if one comparator names one; then they count for all of the group (flux-compat D10)."""

    prereleases: bool
    low: Key
    high: Key
    holes: tuple[_Hole, ...]

    def allows(self, key: Key) -> bool:
        return (
            self.low <= key < self.high
            and (self.prereleases or key[3] == _RELEASE)
            and not any(hole.holds(key) for hole in self.holes)
        )


@dataclass(frozen=True)
class Range:
    """A constraint on versions."""

    text: str
    _groups: tuple[_Group, ...]

    @classmethod
    def parse(cls, text: str) -> Range:
        """Reads the grammar of flux-compat D9. Raises InvalidRange in the words of flux-compat C10, which quote the
        group that does not parse."""
        if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
            raise InvalidRange(f"constraint string is too long (max {MAX_BYTES} bytes)")
        groups = _without_hyphens(text).split("||")
        if len(groups) > MAX_GROUPS:
            raise InvalidRange(f"too many constraint groups (max {MAX_GROUPS})")
        return cls(text, tuple(_group(group) for group in groups))

    def allows(self, version: semver.Version) -> bool:
        """Whether the version is in the range. Build metadata does not count."""
        return self.allows_key((version.major, version.minor, version.patch, _prerelease_order(version.prerelease)))

    def allows_key(self, key: Key) -> bool:
        """The same for who has the tuple already."""
        return any(group.allows(key) for group in self._groups)


def _without_hyphens(text: str) -> str:
    """`1.2 - 3.4` is `>= 1.2, <= 3.4`. It is rewritten as text before the text is cut at `||`, as in the original, so
    that what it makes of odd spellings is the same."""
    for match in _HYPHEN_RANGE.finditer(text):
        text = text.replace(match[0], f">= {match['from']}, <= {match['to']} ", 1)
    return text


def _group(text: str) -> _Group:
    prereleases, low, high, readable = False, _LOWEST, _HIGHEST, True
    holes: list[_Hole] = []
    position = 0
    while True:
        match = _COMPARATOR.match(text, position)
        if match is None:
            raise InvalidRange(f"improper constraint: {quoted(text)}")
        position = match.end()
        partial = _partial(match)
        readable = readable and partial is not None
        partial = partial or _ANY
        prereleases = prereleases or partial.key[3] != _RELEASE
        if match["operator"] == "!=":
            holes.append(_hole(partial))
        else:
            begin, end = _INTERVALS[_ALIASES.get(match["operator"], match["operator"])](partial)
            low, high = max(low, begin), min(high, end)
        if position == len(text) and "," not in match["separator"]:
            if not readable:  # it has the form of a constraint, and numbers that are none
                raise InvalidRange("constraint parser error")
            return _Group(prereleases, low, high, tuple(holes))


@dataclass(frozen=True)
class _Partial:
    """A version in a constraint. `key` is that of the version with 0 for what is left out or wild; `numbers` is how
    many numbers come before that: 3 is a full version, 0 is `*`."""

    key: Key
    numbers: int

    @property
    def after(self) -> Key:
        """The bound after all versions that begin like this one."""
        major, minor = self.key[:2]
        return ((), (major + 1,), (major, minor + 1), self.key + _NEXT)[self.numbers]


_ANY = _Partial((0, 0, 0, _RELEASE), 0)


def _partial(match: re.Match[str]) -> _Partial | None:
    numbers = next((index for index, part in enumerate(match.group(3, 4, 5)) if part in _WILD), 3)
    text = match["version"]
    if numbers < 3:
        text = ".".join([*match.group(3, 4, 5)[:numbers], "0", "0", "0"][:3])
        text += f"-{match[6]}" if match[6] else ""
    version = _match(text)
    return None if version is None else _Partial(_key(version), numbers)


def _caret_end(partial: _Partial) -> Key:
    """Up to the next change of the first number that is not 0."""
    major, minor, patch = partial.key[:3]
    if major or partial.numbers == 1:
        return (major + 1,)
    if minor or partial.numbers == 2:
        return 0, minor + 1
    return 0, 0, patch + 1


def _tilde_end(partial: _Partial) -> Key:
    """Up to the next minor version, or the next major one where only that is given; `*` and `0.0.0` have no end."""
    major, minor, patch = partial.key[:3]
    if partial.numbers in (0, 3) and not (major or minor or patch):
        return _HIGHEST
    return (major + 1,) if partial.numbers == 1 else (major, minor + 1)


# The versions from the first bound to before the second are those that the comparator admits.
_INTERVALS: dict[str, Callable[[_Partial], tuple[Key, Key]]] = {
    "": lambda it: (it.key, it.after if it.numbers == 3 else _tilde_end(it)),
    "~": lambda it: (it.key, _tilde_end(it)),
    "^": lambda it: (it.key, _caret_end(it)),
    "<": lambda it: (_LOWEST, it.key),
    "<=": lambda it: (_LOWEST, it.after if it.numbers else (0, 1)),
    ">": lambda it: (it.after if it.numbers else it.key + _NEXT, _HIGHEST),
    ">=": lambda it: (it.key, _HIGHEST),
}
_ALIASES = {"=": "", "~>": "~", "=<": "<=", "=>": ">="}


def _hole(partial: _Partial) -> _Hole:
    """`!=1.2` leaves out all of 1.2.x that have its prerelease, or none as it has none; `!=1` all of 1.x; the others
    one version."""
    if partial.numbers == 1:
        return _Hole(partial.key[:1], partial.after)
    if partial.numbers == 2:
        return _Hole(partial.key[:2], partial.after, partial.key[3])
    return _Hole(partial.key, partial.key + _NEXT)


def latest(range_text: str, pattern: str = "", *, charts: bool = False) -> Callable[[Sequence[str]], str | None]:
    """What picks a tag from all tags of a repository: of those that `pattern` (RE2, "" for all) finds something in,
    that are versions and in the range, the one of highest precedence, as it is spelled; None if there is none
    (flux-compat D7). Tags of `charts` have `_` where the version has `+`, which a tag cannot hold.

    Range and pattern are read now, before any tag is known: raises InvalidPattern and InvalidRange. Tags of equal
    precedence (`v1.0.0` and `1.0.0`) are told apart by their text, the first in the order of code points wins, so that
    the order in which a registry lists them does not matter.
    """
    found = search(pattern) if pattern else bool
    admitted = Range.parse(range_text)

    def pick(tags: Sequence[str]) -> str | None:
        best: Key = _LOWEST
        newest: str | None = None
        # Registries list tags in the order of their names. Backwards, the best come early, and most of the rest need
        # neither range nor pattern.
        for tag in reversed(tags):
            match = _match(tag.replace("_", "+") if charts else tag)
            if match is None:
                continue
            key = _key(match)
            better = newest is None or key > best or (key == best and tag < newest)
            if better and admitted.allows_key(key) and found(tag):
                best, newest = key, tag
        return newest

    return pick
