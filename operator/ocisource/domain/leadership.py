"""Who leads: what to make of a Lease, and what to write into it (flux-compat G9).

The rules are those of client-go's leaderelection. Nobody trusts another one's clock: a record counts as alive for its
`duration` from the moment at which *we* saw it change. The leader takes itself for the leader only as long as the
others must, less a margin: `renew_deadline` from the moment at which it began to ask for its last renewal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from math import ceil
from typing import Any

LEASE = "source-controller-leader-election"

SPREAD = 1.2
"""How much later than after `retry_period` a candidate may look again, as a part of it."""

STAGGER = 0.2
"""How far candidates that wait for the same end of a lease are spread, as a part of `retry_period`."""


@dataclass(frozen=True)
class Terms:
    """For how long a lease is good, how long its holder may go without renewing it, and how often it is looked at; in
    seconds, in this order from long to short."""

    duration: float = 35.0
    renew_deadline: float = 30.0
    retry_period: float = 5.0


@dataclass(frozen=True)
class Record:
    """The spec of a coordination.k8s.io/v1 Lease. `duration` is in seconds, times are as they are written; a `holder`
    of "" means that it was released."""

    holder: str = ""
    duration: int = 0
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0


class Candidacy:
    """What one process, known as `identity`, knows of a Lease. Times are seconds of a clock that never goes back."""

    def __init__(self, identity: str, terms: Terms) -> None:
        self.identity = identity
        self.terms = terms
        self.record: Record | None = None
        self.leads_until = float("-inf")
        self._seen = 0.0

    @property
    def holder(self) -> str:
        """Who has the lease by what was seen last, "" if nobody."""
        return self.record.holder if self.record else ""

    def see(self, record: Record | None, now: float) -> None:
        """`record` is what the Lease says at `now`, None if there is none. Equal records are one sign of life. A Lease
        that vanishes is none of an end: its holder does not know of it before it renews, and works until then."""
        if record is None and self.holder not in ("", self.identity):
            return
        if record != self.record:
            self.record, self._seen = record, now
        if self.holder != self.identity:
            self.leads_until = float("-inf")

    def claim(self, now: float, stamp: str) -> Record | None:
        """What to write into the Lease at `now` (in words: `stamp`), None as long as somebody else has it."""
        mine = Record(self.identity, ceil(self.terms.duration), stamp, stamp)
        if self.record is None:
            return mine
        if self.holder == self.identity:
            return replace(mine, acquired=self.record.acquired, transitions=self.record.transitions)
        if self.holder and now < self._seen + self.record.duration:
            return None
        return replace(mine, transitions=self.record.transitions + 1)

    def won(self, record: Record, began: float, now: float) -> None:
        """The claim was written; the request for that began at `began`."""
        self.see(record, now)
        self.leads_until = began + self.terms.renew_deadline

    def leads(self, now: float) -> bool:
        """Whether nobody else can have the lease at `now`."""
        return now < self.leads_until

    def release(self, stamp: str) -> Record | None:
        """What to write so that the next one need not wait, None if the lease is not ours."""
        if self.record is None or self.holder != self.identity:
            return None
        return replace(self.record, holder="", duration=1, acquired=stamp, renewed=stamp)

    def pause(self, now: float, uniform: float) -> float:
        """Seconds until a candidate that waits looks again: after the retry period, or when the lease of a silent
        holder ends; spread by `uniform` (0 to 1), so that not all come at once."""
        later = self.terms.retry_period * (1 + SPREAD * uniform)
        if not self.holder or self.record is None:
            return later
        left = max(self._seen + self.record.duration - now, 0.0)
        return min(later, left + self.terms.retry_period * STAGGER * uniform)


def lease_name(selector: str) -> str:
    """The Lease of those that look after the objects with these labels: each shard elects on its own."""
    return f"{LEASE}-{sha256(selector.encode()).hexdigest()[:8]}" if selector else LEASE


def parse_record(spec: Mapping[str, Any]) -> Record:
    """The spec of a Lease; what is missing or of another type counts as not said."""
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    return Record(
        holder=str(spec.get("holderIdentity") or ""),
        duration=duration if isinstance(duration, int) else 0,
        acquired=str(spec.get("acquireTime") or ""),
        renewed=str(spec.get("renewTime") or ""),
        transitions=transitions if isinstance(transitions, int) else 0,
    )


def written_record(record: Record) -> dict[str, Any]:
    """The spec of the Lease."""
    return {
        "holderIdentity": record.holder,
        "leaseDurationSeconds": record.duration,
        "acquireTime": record.acquired,
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }
