"""The rooms that the corridor leads through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocisource.ports import Accounts, Clouds, Registry, Secrets, Store, Trust


@dataclass(frozen=True)
class Identities:
    """Who an object may be. With `own` (the feature gate ObjectLevelWorkloadIdentity) a cloud may be asked as a
    ServiceAccount, and `default` is the one that is taken where the object names none (flux-compat E6, G8)."""

    accounts: Accounts
    clouds: Clouds
    own: bool = False
    default: str = ""


@dataclass(frozen=True)
class Rooms:
    """What a pass works with. `trust` opens its room when it is first needed (it is heavy to
    load), `advertised` is where clients find the artifact server (`http://host[:port]`), `clock` gives the time as
    RFC 3339, UTC, in whole seconds."""

    registry: Registry
    trust: Callable[[], Trust]
    store: Store
    secrets: Secrets
    identities: Identities
    advertised: str
    clock: Callable[[], str]
