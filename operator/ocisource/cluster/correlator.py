"""Whether an event is new, one more of the same, one of many similar ones, or spam. The bounds are those of
client-go's EventCorrelator, which clients of this API are used to (flux-compat B21). No I/O."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ocisource.domain.status import Event

SPAM_BURST = 25
SPAM_SECONDS = 300.0
SIMILAR = 10
SIMILAR_SECONDS = 600.0
COMBINED = "(combined from similar events): "
REMEMBERED = 8192
LONGEST_NAME = 253 - len(".ffffffffffffffff")

Object = tuple[str, str, str]
"""Namespace, name and uid of the object that an event is about."""

Key = tuple[Object, str, str, str]
K = TypeVar("K")
V = TypeVar("V")


@dataclass
class Telling:
    """What is to be posted: `count` times the event under `name`. `posted` tells whether the API server has it
    already, so that it is patched; `first` is when it happened first, in Unix seconds."""

    message: str
    count: int
    name: str
    first: float
    posted: bool = False


class _Similar:
    """Different messages of one reason about one object."""

    __slots__ = ("last", "messages")

    def __init__(self, now: float) -> None:
        self.last = now
        self.messages: set[str] = set()


class _Bucket:
    __slots__ = ("filled", "tokens")

    def __init__(self, now: float) -> None:
        self.filled = now
        self.tokens = float(SPAM_BURST)

    def take(self, now: float) -> bool:
        self.tokens = min(SPAM_BURST, self.tokens + (now - self.filled) / SPAM_SECONDS)
        self.filled = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Correlator:
    """Remembers the last events of the last objects; what it forgot is new again."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._numbers = itertools.count()
        self._told: OrderedDict[Key, Telling] = OrderedDict()
        self._similar: OrderedDict[tuple[Object, str, str], _Similar] = OrderedDict()
        self._buckets: OrderedDict[Object, _Bucket] = OrderedDict()

    def correlate(self, obj: Object, event: Event, now: float) -> Telling | None:
        """What to post for an event at `now` (Unix seconds), None for nothing."""
        key, message = self._group(obj, event, now)
        telling = self._told.get(key)
        if telling is None:
            telling = Telling(message, 0, self._name(obj[1], now), now)
        telling.count += 1
        telling.message = message
        _keep(self._told, key, telling, self._remembered)
        bucket = self._buckets.get(obj) or _Bucket(now)
        _keep(self._buckets, obj, bucket, self._remembered)
        return telling if bucket.take(now) else None

    def _name(self, name: str, now: float) -> str:
        """`<object>.<hex>`, not longer than a name may be; the number tells apart what happens at the same moment."""
        return f"{name[:LONGEST_NAME].rstrip('-.')}.{int(now * 1e9) + next(self._numbers):x}"

    def _group(self, obj: Object, event: Event, now: float) -> tuple[Key, str]:
        """Events that differ in their message only are one from the tenth on."""
        group = (obj, event.type, event.reason)
        similar = self._similar.get(group)
        if similar is None or now - similar.last > SIMILAR_SECONDS:
            similar = _Similar(now)
        similar.last = now
        similar.messages.add(event.message)
        _keep(self._similar, group, similar, self._remembered)
        if len(similar.messages) < SIMILAR:
            return (*group, event.message), event.message
        similar.messages.pop()
        return (*group, COMBINED), COMBINED + event.message


def _keep(memory: OrderedDict[K, V], key: K, value: V, size: int) -> None:
    """The least recently used goes first."""
    memory[key] = value
    memory.move_to_end(key)
    if len(memory) > size:
        memory.popitem(last=False)
