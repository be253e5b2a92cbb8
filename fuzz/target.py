"""What a fuzz target is: documents to begin with, and a check that holds for whatever they are changed into."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ocisource.domain.errors import RoomError
from ocisource.trust.wire import RefusedError

MAX_MESSAGE = 16 << 10
"""Characters of a message. A condition's may have 32 KiB."""

_T = TypeVar("_T")


class FindingError(AssertionError):
    """Something got through that should not have. Whatever else a check raises is a finding too."""


@dataclass(frozen=True)
class Target:
    """`check` takes any bytes, and tells whether anybody would accept them. Every one of `seeds` is accepted, so that a
    change of it goes deep."""

    name: str
    seeds: tuple[bytes, ...]
    check: Callable[[bytes], bool]


def outcome(work: Callable[[], _T]) -> _T | None:
    """What `work` comes to, None if it is refused. RoomErrors are for the author of what they quote, as it is."""
    try:
        return work()
    except (RefusedError, RoomError) as refused:
        expect(0 < len(str(refused)) <= MAX_MESSAGE, "a reason that cannot be shown", repr(refused))
        return None


def expect(holds: object, what: str, *seen: object) -> None:
    """Raises FindingError unless it holds."""
    if not holds:
        raise FindingError(f"{what}: {' '.join(map(str, seen))[:20_000]}")


def both(answers: list[bool], *seen: object) -> bool:
    """The answer, which is the same for every form of the same thing."""
    expect(len(set(answers)) == 1, "two forms and two answers", answers, *seen)
    return answers[0]


def lenient(content: bytes) -> Any:
    """The JSON as a careless reader has it; None where even that one gives up."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def strings(value: object) -> list[str]:
    """Every text in a JSON value."""
    found, rest = [], [value]
    while rest:
        one = rest.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, dict | list):
            rest.extend(one.values() if isinstance(one, dict) else one)
    return found


def decoded(value: object) -> bytes:
    """Everything that is base64 in a JSON value, one after the other."""
    return b"\0".join(map(_decoded, strings(value)))


def unarmored(pem: bytes) -> bytes:
    """Everything that is base64 between the dashes of PEM, one after the other."""
    return b"\0".join(_decoded(b"".join(part.split())) for part in pem.split(b"-----"))


def _decoded(text: str | bytes) -> bytes:
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        return b""
