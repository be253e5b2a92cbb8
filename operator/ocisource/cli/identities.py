"""Who objects may be: ServiceAccounts of the cluster, and what clouds make of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ocisource.clouds.room import CloudRoom
from ocisource.clouds.tokens import Happening
from ocisource.cluster.accounts import ClusterAccounts
from ocisource.cluster.api import KubeAPI
from ocisource.cluster.metadatawatch import ACCOUNTS, SECRETS, MetadataWatch
from ocisource.cluster.secrets import ClusterSecrets
from ocisource.controller import Controller
from ocisource.domain.secretindex import SecretIndex
from ocisource.reconcile import Identities
from ocisource.settings import Settings
from ocisource.telemetry import Metrics

OPENING = 5.0
"""Seconds that the watches of Secrets and ServiceAccounts get before the first pass; they may come up later."""


@dataclass(frozen=True)
class CredentialRooms:
    """Where what a registry is shown comes from. `index` knows who uses which Secret."""

    secrets: ClusterSecrets
    accounts: ClusterAccounts
    clouds: CloudRoom
    index: SecretIndex
    identities: Identities


def credential_rooms(settings: Settings, api: KubeAPI, metrics: Metrics) -> CredentialRooms:
    """The rooms of the settings; `clouds` is to be closed."""
    index = SecretIndex()
    accounts = ClusterAccounts(api, index.learn)
    size, longest = settings.token_cache_max_size, settings.token_cache_max_duration
    clouds = CloudRoom(accounts.token, size, longest, _counter(metrics))
    kept = "Credentials of clouds that are kept."
    metrics.gauge("gotk_token_cached_items", kept, lambda: len(clouds.tokens), {})
    identities = Identities(accounts, clouds, settings.own_identities, settings.default_service_account)
    return CredentialRooms(ClusterSecrets(api), accounts, clouds, index, identities)


@asynccontextmanager
async def credentials_watched(
    settings: Settings, api: KubeAPI, rooms: CredentialRooms, controller: Controller
) -> AsyncIterator[None]:
    """Objects follow their Secrets and ServiceAccounts while the context lasts (flux-compat J4). It is entered before
    the first pass: what a pass has read and what changes later must leave no gap between them."""

    def secret_changed(namespace: str, name: str) -> None:
        rooms.secrets.changed(namespace, name)
        controller.on_secret(namespace, name)

    def account_changed(namespace: str, name: str) -> None:
        rooms.accounts.changed(namespace, name)
        controller.on_account(namespace, name)

    watches = [
        MetadataWatch(api.apart(), kind, settings.watch_namespace, changed)
        for kind, changed in ((SECRETS, secret_changed), (ACCOUNTS, account_changed))
    ]
    watching = [asyncio.create_task(watch.run()) for watch in watches]
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(OPENING):
                for watch in watches:
                    await watch.opened.wait()
        yield
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)


def _counter(metrics: Metrics) -> Callable[[Happening], None]:
    """Counts what happens with tokens, by the names that dashboards know (flux-compat G7)."""
    evictions = "gotk_token_cache_evictions_total", "Credentials of a cloud that made room for others."
    metrics.count(*evictions, by=0)

    def note(happening: Happening) -> None:
        match happening:
            case "hit" | "miss":
                meaning = "Questions for credentials of a cloud, by whether they were kept."
                metrics.count("gotk_token_cache_events_total", meaning, {"event_type": f"cache_{happening}"})
            case "success" | "failure":
                meaning = "Questions that clouds were asked, by what came of them."
                metrics.count("gotk_token_cache_requests_total", meaning, {"status": happening})
            case "eviction":
                metrics.count(*evictions)

    return note
