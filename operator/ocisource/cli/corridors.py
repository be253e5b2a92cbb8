"""The corridor without a cluster: files in place of the cluster room, a folder in place of the volume."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from ocisource.ports import Secrets, Trust
from ocisource.reconcile import Corridor, Rooms
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import DEFAULTS
from ocisource.storage.store import FileStore


def now() -> str:
    """This moment as the API writes it: RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def trust() -> Trust:
    """Opens the trust room. It costs the import of cryptography, so it is opened when first needed."""
    from ocisource.trust.room import TrustRoom  # noqa: PLC0415 - see above

    return TrustRoom(lambda: b"", time.time)


@asynccontextmanager
async def corridor(root: str, secrets: Secrets, platform: str) -> AsyncIterator[Corridor]:
    """A corridor over the folder `root`, with Secrets from `secrets`, for images of `platform` (os/arch)."""
    registry = OCIRegistry(replace(DEFAULTS, platform=platform))
    store = FileStore(root)
    try:
        yield Corridor(Rooms(registry, trust, store, secrets, "file://", now))
    finally:
        await registry.close()
        store.close()
