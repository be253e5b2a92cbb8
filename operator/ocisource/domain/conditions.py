"""The conditions of an OCIRepository: types and polarities in one table, and the summary into Ready.

Follows flux-compat B15 to B17 and the condition part of the Kubernetes API conventions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"

STORAGE_OPERATION_FAILED = "StorageOperationFailed"
FETCH_FAILED = "FetchFailed"
ARTIFACT_OUTDATED = "ArtifactOutdated"
ARTIFACT_IN_STORAGE = "ArtifactInStorage"
SOURCE_VERIFIED = "SourceVerified"
STALLED = "Stalled"
RECONCILING = "Reconciling"
READY = "Ready"

SUCCEEDED = "Succeeded"
PROGRESSING = "Progressing"
PROGRESSING_WITH_RETRY = "ProgressingWithRetry"

MAX_MESSAGE = 32768
"""Bytes of a message, of a condition or an event."""

# What feeds Ready, in order of precedence, and whether True is good (flux-compat B15).
_GOOD_WHEN_TRUE: Mapping[str, bool] = {
    STORAGE_OPERATION_FAILED: False,
    FETCH_FAILED: False,
    ARTIFACT_OUTDATED: False,
    ARTIFACT_IN_STORAGE: True,
    SOURCE_VERIFIED: True,
    STALLED: False,
    RECONCILING: False,
}
# How much a (status, good when True) says about Ready: the lowest number wins.
_WEIGHT: Mapping[tuple[str, bool], int] = {
    (TRUE, False): 1,
    (FALSE, True): 2,
    (TRUE, True): 3,
    (FALSE, False): 4,
}
_READY_OF_WEIGHT: Mapping[int, str] = {1: FALSE, 2: FALSE, 3: TRUE, 4: TRUE}
_FIRST = {STALLED: 0, RECONCILING: 1, READY: 2}


@dataclass(frozen=True)
class Condition:
    """One condition (metav1.Condition). `changed` is lastTransitionTime, RFC 3339."""

    type: str
    status: str
    reason: str
    message: str
    observed_generation: int = 0
    changed: str = ""

    def says_the_same(self, other: Condition) -> bool:
        """Whether nothing has changed that moves the transition time (flux-compat B17)."""
        mine, theirs = ((c.status, c.reason, c.message) for c in (self, other))
        return mine == theirs


class Conditions:
    """The conditions of one pass: those of the status that was found, changed step by step, read out at the end.

    Setting a condition stamps `generation`; its time is `now` unless it says what it said before the pass.
    """

    def __init__(self, found: Iterable[Condition], generation: int, now: str) -> None:
        self._found = {condition.type: condition for condition in found}
        self._current = dict(self._found)
        self._generation = generation
        self._now = now

    def __getitem__(self, kind: str) -> Condition | None:
        return self._current.get(kind)

    def status(self, kind: str) -> str:
        """The status of a condition, "" if it is absent."""
        condition = self._current.get(kind)
        return condition.status if condition else ""

    def set(self, kind: str, status: str, reason: str, message: str) -> None:
        condition = Condition(kind, status, reason, cut(message), self._generation, self._now)
        found = self._found.get(kind)
        if found is not None and found.says_the_same(condition):
            condition = replace(condition, changed=found.changed)
        self._current[kind] = condition

    def drop(self, *kinds: str) -> None:
        for kind in kinds:
            self._current.pop(kind, None)

    def summarize(self) -> None:
        """Computes Ready. The only place that does (flux-compat B15)."""
        inputs = [self._current[kind] for kind in _GOOD_WHEN_TRUE if kind in self._current]
        if not inputs:
            return
        verified = self._current.get(SOURCE_VERIFIED)
        if verified is not None and verified.status == FALSE:
            self.set(READY, FALSE, verified.reason, verified.message)
            return
        weights = [_WEIGHT.get((c.status, _GOOD_WHEN_TRUE[c.type]), 5) for c in inputs]
        first = inputs[weights.index(min(weights))]
        self.set(READY, _READY_OF_WEIGHT.get(min(weights), UNKNOWN), first.reason, first.message)

    def __iter__(self) -> Iterator[Condition]:
        """In the order that clients see: Stalled, Reconciling, Ready, then the newest observations, then by type."""
        return iter(
            sorted(self._current.values(), key=lambda c: (_FIRST.get(c.type, 3), -c.observed_generation, c.type))
        )


def cut(message: str) -> str:
    """The message, or its beginning where it is too long (flux-compat B17, B21)."""
    encoded = message.encode(errors="replace")
    if len(encoded) <= MAX_MESSAGE:
        return message
    return encoded[: MAX_MESSAGE - 3].decode(errors="ignore") + "..."


def read(items: Iterable[Mapping[str, Any]]) -> tuple[Condition, ...]:
    """Conditions of a status dict."""
    return tuple(
        Condition(
            type=str(item.get("type", "")),
            status=str(item.get("status", "")),
            reason=str(item.get("reason", "")),
            message=str(item.get("message", "")),
            observed_generation=int(item.get("observedGeneration") or 0),
            changed=str(item.get("lastTransitionTime", "")),
        )
        for item in items
    )


def written(conditions: Iterable[Condition]) -> list[dict[str, Any]]:
    """Conditions as they stand in a status dict. One that somebody else wrote without a generation has none."""
    return [
        {
            "lastTransitionTime": c.changed,
            "message": c.message,
            **({"observedGeneration": c.observed_generation} if c.observed_generation else {}),
            "reason": c.reason,
            "status": c.status,
            "type": c.type,
        }
        for c in conditions
    ]
