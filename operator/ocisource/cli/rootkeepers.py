"""The keeper of the public trusted root, as the flags of `ocisource run` ask for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ocisource.roots.keeper import Plan, RootKeeper
from ocisource.roots.mirror import Mirror, public
from ocisource.roots.shipped import URL
from ocisource.settings import Settings, SettingsError
from ocisource.telemetry import Metrics

FOLDER = ".sigstore"
AGE = "ocisource_trusted_root_age_seconds"
FAILURES = "ocisource_trusted_root_refresh_failures_total"


@asynccontextmanager
async def public_root(
    settings: Settings, metrics: Metrics, stop: asyncio.Event, plan: Plan | None = None
) -> AsyncIterator[Callable[[], bytes]]:
    """Gives what tells the public trusted root of the moment. Keeps it fresh meanwhile and until `stop`, unless
    --offline-trust forbids it. Raises SettingsError."""
    keeper = _root_keeper(settings, metrics, plan)
    refreshing = None if settings.offline_trust else asyncio.create_task(_run(keeper, stop))
    try:
        yield keeper.current
    finally:
        if refreshing is not None:
            refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await refreshing


async def _run(keeper: RootKeeper, stop: asyncio.Event) -> None:
    """Ends a refresh under way as soon as the operator stops: kopf waits for tasks that were begun after it."""
    running = asyncio.create_task(keeper.run())
    try:
        await stop.wait()
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


def _root_keeper(settings: Settings, metrics: Metrics, plan: Plan | None) -> RootKeeper:
    """The keeper, with what it tells in the metrics. Raises SettingsError."""
    meaning = "Refreshes of the public trusted root that failed."
    metrics.count(FAILURES, meaning, by=0)
    keeper = RootKeeper(
        Path(settings.storage_path, FOLDER),
        _validate,
        _mirror(settings),
        on_failure=lambda: metrics.count(FAILURES, meaning),
        plan=plan,
    )
    told = "Age of the public trusted root in use, since TUF confirmed it or it was shipped; 0 while nothing needs it."
    metrics.gauge(AGE, told, keeper.age, {})
    return keeper


def _mirror(settings: Settings) -> Mirror:
    if not settings.tuf_root:
        return public(settings.tuf_mirror)
    flag = f"--tuf-root={settings.tuf_root}"
    try:
        bootstrap = Path(settings.tuf_root).read_bytes()
        kind = json.loads(bootstrap)["signed"]["_type"]
    except OSError as error:
        raise SettingsError(f"{flag}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError):
        kind = None
    if kind != "root":
        raise SettingsError(f"{flag}: must be root metadata of a TUF repository (its root.json)")
    return Mirror(settings.tuf_mirror or URL, bootstrap, private=True)


def _validate(document: bytes) -> None:
    from ocisource.trust.roots import read_trusted_root  # noqa: PLC0415 - a process pays for what it uses

    read_trusted_root(document)
