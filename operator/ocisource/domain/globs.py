"""Patterns for one segment of a path, as Go's path.Match reads them (flux-compat F5).

A segment's `*` never goes back to try another place, so the time is linear for any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

Test = Callable[[str], object]  # a segment → true or not


@dataclass(frozen=True)
class Segment:
    """A segment of a pattern. `literal` or `ending` tell what it tests where it is as simple as that."""

    test: Test
    literal: str | None = None
    ending: str | None = None


def segment(pattern: str) -> Segment | None:
    """What Go's path.Match does with the pattern, None if it is malformed (it then matches nothing) or empty.

    Between two `*` there is text of fixed length, for which the first place that fits is as good as any other: that is
    what the atomic groups say, and why there is nothing to try again.
    """
    chunks = _chunks(pattern)
    if chunks is None or not pattern:
        return None
    literals = ["".join(char for char, _ in chunk) for chunk in chunks if all(plain for _, plain in chunk)]
    if len(literals) == len(chunks) == 1:
        return Segment(literals[0].__eq__, literal=literals[0])
    if len(literals) == len(chunks) == 2 and not literals[0]:
        return Segment(_ends_with(literals[1]), ending=literals[1])
    first, *rest = ["".join(re.escape(text) if plain else text for text, plain in chunk) for chunk in chunks]
    last = rest.pop() if rest else None
    expression = first + "".join(f"(?>.*?{chunk})" for chunk in rest) + ("" if last is None else f".*{last}")
    return Segment(re.compile(expression, re.DOTALL).fullmatch)


def _ends_with(ending: str) -> Test:
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
