"""What stays out of the archive: the rules of spec.ignore and .sourceignore (flux-compat F3 to F5).

They look like .gitignore and are not: the last rule that matches a path decides, also below an excluded folder; what
matches a folder matches all in it; a segment is matched as Go's path.Match does, `**` steps over segments up to the
first that fits, without coming back.

A rule is a walk along the segments of a path; each step tests one segment, and neither the walk nor a segment's
`*` ever goes back to try another way, so the time is linear in the length of the path for any text. Most rules test
a single name, whatever folder it is in: names without wildcards sit in a dictionary and endings in a tuple, so that
a path is looked up rather than held against every rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

_VCS = ".git/ .gitignore .gitmodules .gitattributes"
_DEFAULTS = (
    "*.jpg *.jpeg *.gif *.png *.wmv *.flv *.tar.gz *.zip "
    ".github/ .circleci/ .travis.yml .gitlab-ci.yml appveyor.yml .drone.yml cloudbuild.yaml "
    "codeship-services.yml codeship-steps.yml "
    "**/.goreleaser.yml **/.sops.yaml **/.flux.yaml"
)


@dataclass(frozen=True)
class IgnoreRules:
    """Rules in the order of their weight, each the folder it holds in ("" is the root) and its line. Equal rules are
    equal and hash alike: they are part of the key under which archives are shared."""

    rules: tuple[tuple[str, str], ...] = ()

    @classmethod
    def read(cls, texts: Iterable[tuple[str, str]]) -> IgnoreRules:
        """The rules of texts, each with the folder it holds in, and no others. Blank lines and those that begin with
        `#` are none."""
        return cls(tuple((folder, line) for folder, text in texts for line in _lines(text)))

    @classmethod
    def of(cls, spec_ignore: str | None) -> IgnoreRules:
        """The rules for an artifact: the version control files, then those of `spec.ignore`; if it has none, then
        the usual files that nobody deploys (flux-compat F3, F4)."""
        return _rules_of(spec_ignore or "")

    def excludes(self, path: str, is_dir: bool) -> bool:  # noqa: FBT001 - it is half of the question
        """Whether the path, relative to the root with `/` between its segments, stays out. The root itself never
        does. To be asked for each path: an excluded folder may have something in it that is not (flux-compat F5)."""
        return self._matcher.excludes(path, is_dir=is_dir)

    @cached_property
    def _matcher(self) -> _Matcher:
        """Made when the first path is asked about: that is in the thread that archives, not on the event loop."""
        return _Matcher(self.rules)


@lru_cache(maxsize=128)
def _rules_of(text: str) -> IgnoreRules:
    own = IgnoreRules.read([("", text)]).rules or _listed(_DEFAULTS)
    return IgnoreRules(_listed(_VCS) + own)


def _listed(lines: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", line) for line in lines.split())


def _lines(text: str) -> list[str]:
    lines = (line.removesuffix("\r") for line in text.split("\n"))
    return [line for line in lines if line.strip() and not line.startswith("#")]


_Test = Callable[[str], object]  # a segment → true or not


@dataclass(frozen=True)
class _Segment:
    """A segment of a pattern. `literal` or `ending` tell what it tests where it is as simple as that."""

    test: _Test
    literal: str | None = None
    ending: str | None = None


@dataclass(frozen=True)
class _Step:
    """Tests the next segment of the path, or, if it `seeks`, those from the next on up to the first that fits."""

    segment: _Segment
    seeks: bool


@dataclass(frozen=True)
class _Rule:
    """`weight` is the place in the list: the heaviest rule that matches decides."""

    weight: int
    folder: tuple[str, ...]
    steps: tuple[_Step, ...]
    dir_only: bool

    def matches(self, names: list[str], *, is_dir: bool) -> bool:
        depth = len(self.folder)
        if tuple(names[:depth]) != self.folder:
            return False
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
    """Rules, sorted by how they can be found."""

    def __init__(self, rules: tuple[tuple[str, str], ...]) -> None:
        self._includes = [line.startswith("!") for _, line in rules]
        # The heaviest rule for a name: of a file, or of a folder, which also those with "/" at the end are about.
        self._file_names: dict[str, int] = {}
        self._folder_names: dict[str, int] = {}
        self._endings: list[_Rule] = []
        self._globs: list[_Rule] = []
        self._rooted: dict[str, list[_Rule]] = {}
        self._others: list[_Rule] = []
        for weight, (folder, line) in enumerate(rules):
            rule = _parse(weight, folder, line)
            if rule is not None:
                self._add(rule)
        for heaviest_last in (self._endings, self._globs, self._others, *self._rooted.values()):
            heaviest_last.reverse()
        self._all_endings = tuple(rule.steps[0].segment.ending or "" for rule in self._endings)

    def _add(self, rule: _Rule) -> None:
        first = rule.steps[0]
        start = rule.folder[0] if rule.folder else None if first.seeks else first.segment.literal
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

    def excludes(self, path: str, *, is_dir: bool) -> bool:
        if path in ("", "."):
            return False
        names = path.split("/")
        last = len(names) - 1
        best = -1
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
        return best >= 0 and not self._includes[best]


def _heaviest(rules: list[_Rule], best: int, names: list[str], *, is_dir: bool) -> int:
    """The weight of the first of `rules`, which come heaviest first, that matches, if it is more than `best`."""
    for rule in rules:
        if rule.weight <= best:
            break
        if rule.matches(names, is_dir=is_dir):
            return rule.weight
    return best


def _parse(weight: int, folder: str, line: str) -> _Rule | None:
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
    return _Rule(weight, tuple(folder.split("/")) if folder else (), tuple(steps), dir_only)


def _name(pattern: str) -> list[_Step]:
    """A pattern without `/` is about a name in any folder."""
    segment = _segment(pattern)
    return [_Step(segment, seeks=True)] if segment else []


def _steps(parts: list[str]) -> list[_Step]:
    """A pattern with `/` is about a path from its folder on. None if it can match nothing: a part that is malformed,
    or has `**` and more in it, or there is no part but `**`."""
    steps: list[_Step] = []
    seeks = False
    for part in parts:
        if part in ("", "**"):
            seeks = part == "**"
            continue
        segment = None if "**" in part else _segment(part)
        if segment is None:
            return []
        steps.append(_Step(segment, seeks))
        seeks = False
    return steps


def _segment(pattern: str) -> _Segment | None:
    """What Go's path.Match does with the pattern, None if it is malformed (it then matches nothing) or empty.

    Between two `*` there is text of fixed length, for which the first place that fits is as good as any other: that is
    what the atomic groups say, and why there is nothing to try again.
    """
    chunks = _chunks(pattern)
    if chunks is None or not pattern:
        return None
    literals = ["".join(char for char, _ in chunk) for chunk in chunks if all(plain for _, plain in chunk)]
    if len(literals) == len(chunks) == 1:
        return _Segment(literals[0].__eq__, literal=literals[0])
    if len(literals) == len(chunks) == 2 and not literals[0]:
        return _Segment(_ends_with(literals[1]), ending=literals[1])
    first, *rest = ["".join(re.escape(text) if plain else text for text, plain in chunk) for chunk in chunks]
    last = rest.pop() if rest else None
    expression = first + "".join(f"(?>.*?{chunk})" for chunk in rest) + ("" if last is None else f".*{last}")
    return _Segment(re.compile(expression, re.DOTALL).fullmatch)


def _ends_with(ending: str) -> _Test:
    return lambda name: name.endswith(ending)


_Chunk = list[tuple[str, bool]]  # (a character, True) or (an expression for one character, False)


def _chunks(pattern: str) -> list[_Chunk] | None:
    """The pattern cut at each `*`, None if it is malformed."""
    chunks: list[_Chunk] = [[]]
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            chunks.append([])
        elif char == "?":
            chunks[-1].append((".", False))
        elif char == "[":
            found = _CLASS.match(pattern, position)
            if found is None:
                return None
            chunks[-1].append((_class(found), False))
            position = found.end()
        elif char != "\\":
            chunks[-1].append((char, True))
        elif position == len(pattern):
            return None
        else:
            chunks[-1].append((pattern[position], True))
            position += 1
    return chunks


# A class is one or more characters or spans, each character escaped or neither "-" nor "]"; "^" negates, "!" does not.
_CLASS_CHAR = r"(?:\\.|[^\\\]\-])"
_SPAN = re.compile(rf"({_CLASS_CHAR})(?:-({_CLASS_CHAR}))?", re.DOTALL)
_CLASS = re.compile(rf"(\^?+)((?:{_CLASS_CHAR}(?:-{_CLASS_CHAR})?)++)\]", re.DOTALL)


def _class(found: re.Match[str]) -> str:
    spans = [(low[-1], (high or low)[-1]) for low, high in _SPAN.findall(found[2])]
    inside = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in spans if low <= high)
    if not inside:
        return "." if found[1] else "(?!)"
    return f"[{found[1]}{inside}]"
