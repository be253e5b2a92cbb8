"""Times of the offline Sigstore, in Unix seconds, and how its documents write them."""

from __future__ import annotations

import base64
import datetime
from dataclasses import dataclass

NOW = 1_750_000_000
"""2025-06-15T15:06:40Z: when leaves are issued, unless a test says otherwise."""

YEAR = 365 * 86400
LEAF_LIFE = 600
"""Seconds that a leaf is valid, as Fulcio's are."""


@dataclass(frozen=True)
class Window:
    """From `start` to `end`, both included; without an end it stays open."""

    start: float
    end: float | None = None

    @classmethod
    def around(cls, now: float) -> Window:
        """A year before to twenty years after."""
        return cls(now - YEAR, now + 20 * YEAR)

    @property
    def final(self) -> float:
        """The end; RFC 5280's "no well-defined expiration date" if there is none."""
        return 253402300799 if self.end is None else self.end


def valid_for(window: Window) -> dict[str, str]:
    """A protobuf TimeRange in JSON."""
    found = {"start": rfc3339(window.start)}
    return found if window.end is None else found | {"end": rfc3339(window.end)}


def rfc3339(seconds: float) -> str:
    """Whole seconds as `2025-06-15T15:06:40Z`."""
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def base64_text(content: bytes) -> str:
    """The standard alphabet, padded."""
    return base64.b64encode(content).decode("ascii")
