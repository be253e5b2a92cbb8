"""`ocisource run`: the operator. Introduces the rooms to each other, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial

from ocisource import handlers
from ocisource.cli.corridors import now, trust_room
from ocisource.cli.exits import BAD_INPUT, NOT_READY, READY
from ocisource.cli.housekeeping import ENDS, State, Watching, work
from ocisource.cli.identities import CredentialRooms, credential_rooms, credentials_watched
from ocisource.cli.leading import Leadership, leadership
from ocisource.cli.rootkeepers import public_root
from ocisource.cli.serving import add_debug, add_gauges, watched
from ocisource.cluster.api import KubeAPI
from ocisource.cluster.config import ClusterConfig, load_config
from ocisource.cluster.events import COMPONENT, EventRecorder
from ocisource.cluster.objects import Objects
from ocisource.cluster.traffic import counted
from ocisource.cluster.webhook import Webhook
from ocisource.controller import Controller, Desk
from ocisource.domain import durations
from ocisource.domain.errors import RoomError
from ocisource.domain.proxies import read_environment
from ocisource.reconcile import Corridor, Rooms
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import DEFAULTS
from ocisource.settings import Settings, SettingsError, parse_settings, usage
from ocisource.storage import server
from ocisource.storage.limits import Limits
from ocisource.storage.retention import Retention
from ocisource.storage.store import FileStore
from ocisource.telemetry import Metrics, configure_logging
from ocisource.workqueue import WorkQueue

logger = logging.getLogger(__name__)

LANE_WIDTH = 16
"""Passes of one registry at a time for each of --concurrent. A pass mostly waits for the registry."""

LAST_WORDS = 2.0
"""Seconds that what passes have to tell gets once they have ended. The pod of a stock Deployment gets 10 in all, and
the Lease comes last."""


def main(arguments: list[str]) -> int:
    """Runs the operator until a signal ends it; the exit status."""
    if {"-h", "--help"} & set(arguments):
        print(usage())
        return READY
    try:
        settings = parse_settings(arguments, os.environ, socket.gethostname())
        config = load_config(settings.kubeconfig)
    except (SettingsError, RoomError) as error:
        print(f"ocisource run: {error}", file=sys.stderr)
        return BAD_INPUT
    configure_logging(settings.log_level, settings.log_encoding)
    for each in settings.unused:
        logger.warning("%s", each)
    try:
        asyncio.run(_operate(settings, config))
    except asyncio.CancelledError:
        logger.info("stopped by a signal before the watch was up")
    except SettingsError as error:
        print(f"ocisource run: {error}", file=sys.stderr)
        return BAD_INPUT
    except RoomError as error:
        logger.error("%s", error)  # noqa: TRY400 - a sentence for the user; the traceback would say no more
        return NOT_READY
    return READY


async def _operate(settings: Settings, config: ClusterConfig) -> None:
    """Health, then the lease, then artifacts, then the watch; what stands by has the first two, and answers for the
    third."""
    _heed_signals()
    metrics, state = Metrics(), State(asyncio.Event(), asyncio.Event(), asyncio.Event())
    config = replace(config, traces=(counted(metrics.count),))
    async with AsyncExitStack() as stack:
        root = await stack.enter_async_context(public_root(settings, metrics, state.stop))
        servers = await stack.enter_async_context(watched(settings, metrics, state.is_fine))
        lead = await stack.enter_async_context(leadership(settings, config))
        api = KubeAPI.connect(config, settings.kube_api_qps, settings.kube_api_burst, lead.leads)
        stack.push_async_callback(api.close)
        objects = Objects(api, settings.watch_namespace, settings.watch_label_selector)
        await objects.require_crd()
        queue = WorkQueue(_backoff(settings), LANE_WIDTH * settings.concurrent, meter=metrics)
        add_gauges(metrics, queue, settings, lead)
        await add_debug(servers, settings, queue)
        advertised = await _served(settings, servers, lead)
        await _won(lead, state)
        recorder = _recorder(stack, settings, api, state)
        sources = credential_rooms(settings, api, metrics)
        stack.push_async_callback(sources.clouds.close)
        rooms = _rooms(stack, settings, sources, root, advertised)
        desk = Desk(
            corridor=Corridor(rooms, withdrawing=settings.on_verification_failure == "withdraw"),
            objects=objects,
            recorder=recorder,
            store=rooms.store,
            queue=queue,
            gauges=metrics,
            clock=now,
            uniform=random.random,
            jitter_percent=settings.interval_jitter_percentage,
            verify_interval=settings.verify_interval,
            index=sources.index,
            default_account=settings.default_service_account,
        )
        controller = Controller(desk)
        await stack.enter_async_context(credentials_watched(settings, api, sources, controller))
        await work(controller, desk, _watching(settings, config, state), state)


async def _served(settings: Settings, servers: server.Servers, lead: Leadership) -> str:
    """Serves artifacts while this process leads; the base of their URLs."""
    application = server.artifacts(settings.storage_path, leads=lead.leads)
    address = await servers.add("--storage-addr", str(settings.storage_addr), application)
    advertised = _advertised(settings, address)
    logger.info("artifacts are served on %s and advertised as %s", address, advertised)
    return advertised


async def _won(lead: Leadership, state: State) -> None:
    """Stands by until this process leads."""
    state.standing_by.set()
    await lead.won()
    state.standing_by.clear()


def _heed_signals() -> None:
    """Until kopf and then the caretaker take over, a signal cancels what is starting. The first process of a container
    would not even hear it otherwise, and an API server that does not answer would hold it up."""
    loop, starting = asyncio.get_running_loop(), asyncio.current_task()
    assert starting is not None  # noqa: S101  # asyncio.run made it
    for number in ENDS:
        loop.add_signal_handler(number, starting.cancel)


def _watching(settings: Settings, config: ClusterConfig, state: State) -> Watching:
    scope = handlers.Scope(settings.watch_namespace, settings.watch_label_selector)
    return partial(handlers.watch, config, scope, stop=state.stop, ready=state.ready)


def _rooms(
    stack: AsyncExitStack, settings: Settings, sources: CredentialRooms, root: Callable[[], bytes], advertised: str
) -> Rooms:
    """What the corridor leads through; `stack` closes it."""
    bounds = Limits(settings.max_blob_size, settings.max_unpacked_size, settings.max_entries, settings.max_ratio)
    keep = Retention(settings.artifact_retention_ttl, settings.artifact_retention_records)
    store = FileStore(settings.storage_path, limits=bounds, keep=keep, algorithm=settings.artifact_digest_algo)
    stack.callback(store.close)
    limits = replace(DEFAULTS, platform=settings.platform, max_blob_size=settings.max_blob_size)
    registry = OCIRegistry(limits, environment=read_environment(os.environ))
    stack.push_async_callback(registry.close)
    trust = trust_room(root, require_identity=settings.require_oidc_identity)
    return Rooms(registry, trust, store, sources.secrets, sources.identities, advertised, now)


def _recorder(stack: AsyncExitStack, settings: Settings, api: KubeAPI, state: State) -> EventRecorder:
    """Where events go, from now until the end of `stack`."""
    webhook = Webhook(settings.events_addr, COMPONENT) if settings.events_addr else None
    recorder = EventRecorder(api.apart(), webhook)
    recorder.start()
    stack.push_async_callback(lambda: recorder.stop(min(state.grace, LAST_WORDS)))
    return recorder


def _backoff(settings: Settings) -> Callable[[int], float]:
    return lambda failures: durations.backoff(failures, settings.min_retry_delay, settings.max_retry_delay)


def _advertised(settings: Settings, listening: str) -> str:
    """The base of artifact URLs (flux-compat G2, G3). A port that the system chose is known only now."""
    host = settings.storage_adv_addr
    if settings.storage_addr.port == 0 and host.endswith(":0"):
        host = f"{host.removesuffix(':0')}:{listening.rpartition(':')[2]}"
    return host if "://" in host else f"http://{host}"
