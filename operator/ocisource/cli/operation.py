"""`ocisource run`: the operator. Introduces the rooms to each other, starts them in order and stops them in reverse."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ocisource import handlers
from ocisource.cli.corridors import now, trust_room
from ocisource.cli.exits import BAD_INPUT, NOT_READY, READY
from ocisource.cli.identities import credential_rooms, credentials_watched
from ocisource.cli.rootkeepers import public_root
from ocisource.cluster.api import KubeAPI
from ocisource.cluster.config import ClusterConfig, load_config
from ocisource.cluster.events import COMPONENT, EventRecorder
from ocisource.cluster.objects import Objects
from ocisource.cluster.webhook import Webhook
from ocisource.controller import Controller, Desk
from ocisource.domain import durations
from ocisource.domain.errors import RoomError
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

OnEvent = Callable[[str | None, dict[str, Any]], None]
Watching = Callable[[OnEvent], Awaitable[None]]

LANE_WIDTH = 16
"""Passes of one registry at a time for each of --concurrent. A pass mostly waits for the registry."""

GRACE = 10.0
"""Seconds that passes under way get when the operator stops; a pod gets 30 in all."""

ENDS = (signal.SIGINT, signal.SIGTERM)
SWEEP_EVERY = 3600.0
HEARTBEAT, STANDSTILL = 5.0, 60.0


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
    _heed_signals()
    metrics, stop, ready = Metrics(), asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:
        root = await stack.enter_async_context(public_root(settings, metrics, stop))
        servers = await stack.enter_async_context(_servers(settings, metrics, ready))
        store = _store(settings)
        stack.callback(store.close)
        api = KubeAPI.connect(config, settings.kube_api_qps, settings.kube_api_burst)
        stack.push_async_callback(api.close)
        objects = Objects(api, settings.watch_namespace, settings.watch_label_selector)
        await objects.require_crd()
        address = await servers.add(
            "--storage-addr", str(settings.storage_addr), server.artifacts(settings.storage_path)
        )
        advertised = _advertised(settings, address)
        logger.info("artifacts are served on %s and advertised as %s", address, advertised)
        registry = OCIRegistry(replace(DEFAULTS, platform=settings.platform, max_blob_size=settings.max_blob_size))
        stack.push_async_callback(registry.close)
        recorder = _recorder(settings, api)
        recorder.start()
        stack.push_async_callback(recorder.stop, GRACE)
        queue = WorkQueue(_backoff(settings), LANE_WIDTH * settings.concurrent)
        _gauges(metrics, queue)
        sources = credential_rooms(settings, api, metrics)
        stack.push_async_callback(sources.clouds.close)
        trust = trust_room(root, require_identity=settings.require_oidc_identity)
        rooms = Rooms(registry, trust, store, sources.secrets, sources.identities, advertised, now)
        desk = Desk(
            corridor=Corridor(rooms, withdrawing=settings.on_verification_failure == "withdraw"),
            objects=objects,
            recorder=recorder,
            store=store,
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
        scope = handlers.Scope(settings.watch_namespace, settings.watch_label_selector)
        watching = partial(handlers.watch, config, scope, stop=stop, ready=ready)
        await _work(controller, desk, watching, _Signals(stop, ready))


def _heed_signals() -> None:
    """Until kopf and then `_keep_house` take over, a signal cancels what is starting. The first process of a container
    would not even hear it otherwise, and an API server that does not answer would hold it up."""
    loop, starting = asyncio.get_running_loop(), asyncio.current_task()
    assert starting is not None  # noqa: S101  # asyncio.run made it
    for number in ENDS:
        loop.add_signal_handler(number, starting.cancel)


@dataclass(frozen=True)
class _Signals:
    """`ready` is set once the watch is up, `stop` ends it."""

    stop: asyncio.Event
    ready: asyncio.Event


async def _work(controller: Controller, desk: Desk, watching: Watching, signals: _Signals) -> None:
    """Watches and works until a signal or until the watch breaks. Kopf cancels what was started after it, so the
    workers are started before it and stopped before it is."""
    workers = asyncio.create_task(desk.queue.run(controller.process))
    caretaker = asyncio.create_task(_keep_house(controller, desk, signals))
    try:
        await watching(controller.on_event)
    finally:
        caretaker.cancel()
        await desk.queue.stop(0)
        await workers


async def _keep_house(controller: Controller, desk: Desk, signals: _Signals) -> None:
    """Once the watch is up: takes the signals over, and now and then deletes what belongs to no object. A deletion
    during a gap of the watch is never told, so the files are held against a fresh list."""
    await signals.ready.wait()
    loop = asyncio.get_running_loop()
    for number in ENDS:
        loop.add_signal_handler(number, lambda: asyncio.ensure_future(_stop(desk, signals.stop)))
    while True:
        try:
            listed = await desk.objects.keys()
            swept = await desk.store.sweep(listed | set(controller.keys))
            if swept:
                logger.info("deleted the artifacts of %d objects that no longer exist", swept)
        except RoomError as error:
            logger.error("storage was not swept: %s", error)  # noqa: TRY400 - a sentence for the user
        await asyncio.sleep(SWEEP_EVERY)


async def _stop(desk: Desk, stop: asyncio.Event) -> None:
    logger.info("stopping: passes under way get %.0f seconds", GRACE)
    await desk.queue.stop(GRACE)
    stop.set()


@asynccontextmanager
async def _servers(settings: Settings, metrics: Metrics, ready: asyncio.Event) -> AsyncIterator[server.Servers]:
    """Health comes first: a pod that waits is alive. Artifacts follow when the rest stands."""
    servers = server.Servers()
    await servers.start()
    try:
        if settings.health_addr is not None:
            health = server.health(_Heart(asyncio.get_running_loop()).beats, ready.is_set)
            await servers.add("--health-addr", str(settings.health_addr), health)
        if settings.metrics_addr is not None:
            await servers.add("--metrics-addr", str(settings.metrics_addr), server.metrics(metrics.render))
        yield servers
    finally:
        await servers.stop()


class _Heart:
    """Whether the loop that reconciles still turns, for the probe on the other thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beat()

    def _beat(self) -> None:
        self._last = self._loop.time()
        self._loop.call_later(HEARTBEAT, self._beat)

    def beats(self) -> bool:
        """False once the loop has stood still for a minute."""
        return self._loop.time() - self._last < STANDSTILL


def _store(settings: Settings) -> FileStore:
    limits = Limits(settings.max_blob_size, settings.max_unpacked_size, settings.max_entries, settings.max_ratio)
    keep = Retention(settings.artifact_retention_ttl, settings.artifact_retention_records)
    return FileStore(settings.storage_path, limits=limits, keep=keep)


def _recorder(settings: Settings, api: KubeAPI) -> EventRecorder:
    webhook = Webhook(settings.events_addr, COMPONENT) if settings.events_addr else None
    return EventRecorder(api.apart(), webhook)


def _backoff(settings: Settings) -> Callable[[int], float]:
    return lambda failures: durations.backoff(failures, settings.min_retry_delay, settings.max_retry_delay)


def _advertised(settings: Settings, listening: str) -> str:
    """The base of artifact URLs (flux-compat G2, G3). A port that the system chose is known only now."""
    host = settings.storage_adv_addr
    if settings.storage_addr.port == 0 and host.endswith(":0"):
        host = f"{host.removesuffix(':0')}:{listening.rpartition(':')[2]}"
    return host if "://" in host else f"http://{host}"


def _gauges(metrics: Metrics, queue: WorkQueue) -> None:
    labels = {"name": "ocirepository", "controller": "ocirepository"}
    facts: dict[str, tuple[str, Callable[[], float]]] = {
        "workqueue_depth": ("Objects that wait for their turn.", lambda: queue.stats().depth),
        "workqueue_longest_running_processor_seconds": (
            "Seconds of the longest pass under way.",
            lambda: queue.stats().longest_running,
        ),
        "controller_runtime_active_workers": ("Passes under way.", lambda: queue.stats().running),
    }
    for name, (meaning, read) in facts.items():
        metrics.gauge(name, meaning, read, labels)
