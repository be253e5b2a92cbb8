"""Leader election of `ocisource run` (flux-compat G9): who leads works, everybody else stands by."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ocisource.cluster.api import KubeAPI
from ocisource.cluster.config import ClusterConfig
from ocisource.cluster.events import EventRecorder
from ocisource.cluster.leases import Election, Lease
from ocisource.domain.leadership import lease_name
from ocisource.domain.status import NORMAL, Event
from ocisource.settings import Settings

METRIC = "leader_election_master_status"
FAREWELL = 1.0
"""Seconds that the Event of a leader of a moment gets to be posted."""


async def _at_once() -> None:
    return


@dataclass(frozen=True)
class Leadership:
    """`leads` tells at any moment, and on any thread, whether this process may write and serve; `won` returns once it
    does for the first time. `lease` is the Lease's name, "" without election: then there is nobody else."""

    lease: str = ""
    leads: Callable[[], bool] = lambda: True
    won: Callable[[], Awaitable[None]] = _at_once


@asynccontextmanager
async def leadership(settings: Settings, config: ClusterConfig) -> AsyncIterator[Leadership]:
    """The leadership, to be won inside the context. If it is lost there, the context is cancelled and raises
    LeadershipLostError; at its end the Lease is released, unless a flag says to keep it."""
    if not settings.enable_leader_election:
        yield Leadership()
        return
    name = lease_name(settings.watch_label_selector)
    # Connections of its own: a renewal waits for nothing.
    api = KubeAPI.connect(config, settings.kube_api_qps, settings.kube_api_burst)
    namespace = settings.runtime_namespace or config.namespace
    identity = f"{socket.gethostname()}_{uuid.uuid4()}"
    lease = Lease(api, namespace, name)
    election = Election(lease, identity, settings.election_terms)
    recorder = EventRecorder(api.apart(), component=identity)  # as client-go: the component is the candidate
    recorder.start()
    try:
        async with _kept(election) as win:

            async def won() -> None:
                await win()
                recorder.record(lease.object, Event(NORMAL, "LeaderElection", f"{identity} became leader"))

            yield Leadership(name, election.leads, won)
    finally:
        if settings.leader_election_release_on_cancel:
            await election.release()
        await recorder.stop(FAREWELL)
        await api.close()


@asynccontextmanager
async def _kept(election: Election) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Gives what wins the election; from then on the lease is renewed until the context ends."""
    body = asyncio.current_task()
    assert body is not None  # noqa: S101  # a coroutine is always in one
    keeping: list[asyncio.Task[None]] = []

    async def win() -> None:
        await election.win()
        # Kopf cancels what began after it, so the task is begun here, before.
        keeping.append(asyncio.create_task(election.keep(), name="keeps the lease"))
        keeping[0].add_done_callback(lambda done: None if done.cancelled() else body.cancel())

    try:
        yield win
    except asyncio.CancelledError:
        if keeping and keeping[0].done() and not keeping[0].cancelled():
            body.uncancel()
            keeping[0].result()  # raises what ended it
        raise
    finally:
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
