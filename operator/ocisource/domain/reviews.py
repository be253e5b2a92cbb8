"""When the verdict on each object has grown too old (--verify-interval). Kept in memory only, so a process that starts
verifies anew."""

from __future__ import annotations

Key = tuple[str, str]
"""Namespace and name."""


class Reviews:
    """Times are seconds on one monotonic clock. With an `interval` of 0 nothing ever grows old."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._due: dict[Key, float] = {}

    def overdue(self, key: Key, now: float) -> bool:
        """Whether the verdict on the object must be made anew; one that this process did not make must."""
        return self.interval > 0 and now >= self._due.get(key, now)

    def made(self, key: Key, due: float) -> None:
        """A verdict was made now, and is good until `due`."""
        if self.interval > 0:
            self._due[key] = due

    def sooner(self, key: Key, now: float, after: float | None) -> float | None:
        """The seconds until the next pass: `after` (None: no other pass is planned), or less if the verdict grows old
        before."""
        due = self._due.get(key)
        if due is None:
            return after
        left = max(due - now, 0.0)
        return left if after is None else min(after, left)

    def forget(self, key: Key) -> None:
        """The object is gone, or nothing about it is verified any more."""
        self._due.pop(key, None)
