"""The rooms that the corridor leads through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocisource.ports import Registry, Secrets, Store, Trust


@dataclass(frozen=True)
class Rooms:
    """What a pass works with. `trust` opens its room when it is first needed (it is heavy to
    load), `advertised` is where clients find the artifact server (`http://host[:port]`), `clock` gives the time as
    RFC 3339, UTC, in whole seconds."""

    registry: Registry
    trust: Callable[[], Trust]
    store: Store
    secrets: Secrets
    advertised: str
    clock: Callable[[], str]
