"""WWW-Authenticate, taken apart (RFC 9110, 11.6.1; distribution-spec token authentication)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# One piece of a challenge list: a parameter, or the name of a scheme.
_PIECE = re.compile(
    rf"""[\s,]*(?:
        (?P<name>{_WORD})\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s,"]+))
      | (?P<scheme>{_WORD})(?=[\s,]|$)
    )""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Challenge:
    """One way in that a server offers. `scheme` and the parameters' names are lower-case."""

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict, hash=False)


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """The challenges of these header lines in their order; reading ends where a line stops making sense."""
    found: list[Challenge] = []
    for value in values:
        scheme, parameters = "", dict[str, str]()
        position = 0
        while piece := _PIECE.match(value, position):
            position = piece.end()
            if piece["scheme"] is not None:
                scheme, parameters = piece["scheme"].lower(), {}
                found.append(Challenge(scheme, parameters))
            elif scheme:
                quoted = piece["quoted"]
                text = piece["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
                parameters.setdefault(piece["name"].lower(), text)
    return found


def usable(challenges: Iterable[Challenge]) -> Challenge | None:
    """The first challenge that we know how to meet: Basic or Bearer."""
    return next((challenge for challenge in challenges if challenge.scheme in ("basic", "bearer")), None)
