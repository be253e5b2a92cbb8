"""The corridor without a cluster: files in place of the cluster room, a folder in place of the volume."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from ocisource.clouds.room import CloudRoom
from ocisource.domain.proxies import read_environment
from ocisource.ports import Accounts, Secrets, Trust
from ocisource.reconcile import Corridor, Identities, Rooms
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import DEFAULTS
from ocisource.roots import shipped
from ocisource.storage.store import FileStore


def now() -> str:
    """This moment as the API writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trust_room(public_root: Callable[[], bytes], *, require_identity: bool = False) -> Callable[[], Trust]:
    """The trust room, opened when it is first needed: it costs the import of cryptography. `public_root` gives the
    public trusted root of the moment."""

    @cache
    def opened() -> Trust:
        from ocisource.trust.room import TrustRoom  # noqa: PLC0415 - see above

        return TrustRoom(public_root, time.time, require_identity)

    return opened


trust = trust_room(shipped.trusted_root)
"""The trust room of a command that asks nobody: the public trusted root is the one that came with this version."""


@asynccontextmanager
async def corridor(
    root: str, secrets: Secrets, accounts: Accounts, platform: str = DEFAULTS.platform
) -> AsyncIterator[Corridor]:
    """A corridor over the folder `root`, with Secrets and ServiceAccounts from those given, for images of `platform`
    (os/arch). A cloud is asked as whoever runs the command."""
    registry = OCIRegistry(replace(DEFAULTS, platform=platform), environment=read_environment(os.environ))
    store = FileStore(root)
    clouds = CloudRoom(accounts.token)
    identities = Identities(accounts, clouds, own=True)
    try:
        yield Corridor(Rooms(registry, trust, store, secrets, identities, "file://", now))
    finally:
        await clouds.close()
        await registry.close()
        store.close()
