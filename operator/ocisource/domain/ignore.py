"""What stays out of the archive: the rules of spec.ignore and .sourceignore (flux-compat F3 to F5).

They look like .gitignore and are not: the last rule that matches a path decides, also below an excluded folder; what
matches a folder matches all in it; a segment is matched as Go's path.Match does, `**` steps over segments up to the
first that fits, without coming back.

A rule is a walk along the segments of a path; each step tests one segment, and neither the walk nor a segment's
`*` ever goes back to try another way, so the time is linear in the length of the path for any text. Most rules test
a single name, whatever folder it is in: names without wildcards sit in a dictionary and endings in a tuple, so that
a path is looked up rather than held against every rule. Rules of a folder are held against what is in it alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ocisource.domain.globs import Segment, segment

IGNORE_FILE = ".sourceignore"
"""Name of the files whose lines are rules for the folder that they are in."""

_VCS = ".git/ .gitignore .gitmodules .gitattributes"
# What Go's unicode.IsSpace takes for white space: a line of nothing else is blank.
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
_DEFAULTS = (
    "*.jpg *.jpeg *.gif *.png *.wmv *.flv *.tar.gz *.zip "
    ".github/ .circleci/ .travis.yml .gitlab-ci.yml appveyor.yml .drone.yml cloudbuild.yaml "
    "codeship-services.yml codeship-steps.yml "
    "**/.goreleaser.yml **/.sops.yaml **/.flux.yaml"
)


@dataclass(frozen=True)
class IgnoreRules:
    """Rules in the order of their weight, each the folder it holds in ("" is the root) and its line. Equal rules are
    equal and hash alike."""

    rules: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, texts: Iterable[tuple[str, str]]) -> IgnoreRules:
        """The rules of texts, each with the folder it holds in, and no others. Blank lines and those that begin with
        `#` are none."""
        return cls(tuple((folder, line) for folder, text in texts for line in _lines(text)))

    @classmethod
    def of(cls, spec_ignore: str | None, files: Iterable[tuple[str, str]] = ()) -> IgnoreRules:
        """The rules for an artifact: the version control files, then those of its .sourceignore `files` (each the
        folder it is in and its text, parents before children), then those of `spec.ignore`. If there is no rule in
        any of these, then the usual files that nobody deploys (flux-compat F3, F4)."""
        texts = [*files, ("", spec_ignore or "")]
        return _together(texts) if len(texts) > 1 else _rules_of(texts[0][1])

    def excludes(self, path: str, is_dir: bool) -> bool:  # noqa: FBT001 - it is half of the question
        """Whether the path, relative to the root with `/` between its segments, stays out. The root itself never
        does. To be asked for each path: an excluded folder may have something in it that is not (flux-compat F5)."""
        return self._matcher.excludes(path, is_dir=is_dir)

    @cached_property
    def _matcher(self) -> _Matcher:
        """Made when the first path is asked about: that is in the thread that archives, not on the event loop."""
        return _Matcher(self.rules)


@lru_cache(maxsize=128)
def _rules_of(spec_ignore: str) -> IgnoreRules:
    return _together([("", spec_ignore)])


def _together(texts: Iterable[tuple[str, str]]) -> IgnoreRules:
    own = IgnoreRules.read(texts).rules or _listed(_DEFAULTS)
    return IgnoreRules(_listed(_VCS) + own)


def _listed(lines: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", line) for line in lines.split())


def _lines(text: str) -> list[str]:
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip(_SPACE) and not line.startswith("#")]


@dataclass(frozen=True)
class _Step:
    """Tests the next segment of the path, or, if it `seeks`, those from the next on up to the first that fits."""

    segment: Segment
    seeks: bool


@dataclass(frozen=True)
class _Rule:
    """`weight` is the place in the list: the heaviest rule that matches decides."""

    weight: int
    steps: tuple[_Step, ...]
    dir_only: bool

    def matches(self, names: list[str], *, is_dir: bool) -> bool:
        depth = 0
        for step in self.steps:
            test = step.segment.test
            while depth < len(names) and not test(names[depth]):
                if not step.seeks:
                    return False
                depth += 1
            if depth == len(names):
                return False
            depth += 1
        return depth < len(names) or is_dir or not self.dir_only


class _Matcher:
    """All rules: those of the root, and those of the folders below it, found by the names that lead there."""

    def __init__(self, rules: tuple[tuple[str, str], ...]) -> None:
        self._includes = [line.startswith("!") for _, line in rules]
        found: dict[str, list[_Rule]] = {}
        for weight, (folder, line) in enumerate(rules):
            rule = _parse(weight, line)
            if rule is not None:
                found.setdefault(folder, []).append(rule)
        self._root = _Folder(found.pop("", []))
        for folder, lighter_first in found.items():
            place = self._root
            for name in folder.split("/"):
                place = place.below.setdefault(name, _Folder())
            place.rules = _Sorted(lighter_first)

    def excludes(self, path: str, *, is_dir: bool) -> bool:
        if path in ("", "."):
            return False
        names = path.split("/")
        place, best = self._root, -1
        while True:
            if place.rules is not None:
                best = place.rules.heaviest(best, names, is_dir=is_dir)
            if not place.below or len(names) == 1 or names[0] not in place.below:
                return best >= 0 and not self._includes[best]
            place, names = place.below[names[0]], names[1:]


class _Folder:
    """What holds in a folder, and the folders in it that more holds in."""

    def __init__(self, lighter_first: list[_Rule] | None = None) -> None:
        self.rules = _Sorted(lighter_first) if lighter_first else None
        self.below: dict[str, _Folder] = {}


class _Sorted:
    """The rules of one folder, sorted by how they can be found."""

    def __init__(self, lighter_first: list[_Rule]) -> None:
        # The heaviest rule for a name: of a file, or of a folder, which also those with "/" at the end are about.
        self._file_names: dict[str, int] = {}
        self._folder_names: dict[str, int] = {}
        self._endings: list[_Rule] = []
        self._globs: list[_Rule] = []
        self._rooted: dict[str, list[_Rule]] = {}
        self._others: list[_Rule] = []
        for rule in lighter_first:
            self._add(rule)
        for heaviest_last in (self._endings, self._globs, self._others, *self._rooted.values()):
            heaviest_last.reverse()
        self._all_endings = tuple(rule.steps[0].segment.ending or "" for rule in self._endings)

    def _add(self, rule: _Rule) -> None:
        first = rule.steps[0]
        start = None if first.seeks else first.segment.literal
        if start is not None:
            self._rooted.setdefault(start, []).append(rule)
        elif len(rule.steps) > 1 or not first.seeks:
            self._others.append(rule)
        elif first.segment.literal is not None:
            self._folder_names[first.segment.literal] = rule.weight
            if not rule.dir_only:
                self._file_names[first.segment.literal] = rule.weight
        elif first.segment.ending is not None:
            self._endings.append(rule)
        else:
            self._globs.append(rule)

    def heaviest(self, best: int, names: list[str], *, is_dir: bool) -> int:
        """The weight of the heaviest rule that matches the path in this folder, `best` if that is more."""
        last = len(names) - 1
        for depth, name in enumerate(names):
            is_folder = depth < last or is_dir
            weight = (self._folder_names if is_folder else self._file_names).get(name, -1)
            best = max(best, weight)
            if name.endswith(self._all_endings):
                best = max(best, _heaviest(self._endings, best, [name], is_dir=is_folder))
            if self._globs:
                best = max(best, _heaviest(self._globs, best, [name], is_dir=is_folder))
        if names[0] in self._rooted:
            best = _heaviest(self._rooted[names[0]], best, names, is_dir=is_dir)
        if self._others:
            best = _heaviest(self._others, best, names, is_dir=is_dir)
        return best


def _heaviest(rules: list[_Rule], best: int, names: list[str], *, is_dir: bool) -> int:
    """The weight of the first of `rules`, which come heaviest first, that matches, if it is more than `best`."""
    for rule in rules:
        if rule.weight <= best:
            break
        if rule.matches(names, is_dir=is_dir):
            return rule.weight
    return best


def _parse(weight: int, line: str) -> _Rule | None:
    """The rule of a line, None if it can match nothing."""
    pattern = line.removeprefix("!")
    if not pattern.endswith("\\ "):
        pattern = pattern.rstrip(" ")
    dir_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    parts = pattern.split("/")
    steps = _steps(parts) if len(parts) > 1 else _name(pattern)
    if not steps:
        return None
    return _Rule(weight, tuple(steps), dir_only)


def _name(pattern: str) -> list[_Step]:
    """A pattern without `/` is about a name in any folder."""
    tested = segment(pattern)
    return [_Step(tested, seeks=True)] if tested else []


def _steps(parts: list[str]) -> list[_Step]:
    """A pattern with `/` is about a path from its folder on. None if it can match nothing: a part that is malformed,
    or has `**` and more in it, or there is no part but `**`."""
    steps: list[_Step] = []
    seeks = False
    for part in parts:
        if part in ("", "**"):
            seeks = part == "**"
            continue
        tested = None if "**" in part else segment(part)
        if tested is None:
            return []
        steps.append(_Step(tested, seeks))
        seeks = False
    return steps
