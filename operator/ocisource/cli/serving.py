"""What `ocisource run` tells about itself over HTTP: health, metrics, and on request what it is at."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from ocisource.cli.leading import METRIC, Leadership
from ocisource.settings import Settings
from ocisource.storage import server
from ocisource.telemetry import Metrics
from ocisource.workqueue import QueueStats, WorkQueue

HEARTBEAT, STANDSTILL = 5.0, 60.0
"""Seconds: how often the loop that reconciles notes that it turns, and after how long without that it is dead."""


@asynccontextmanager
async def watched(settings: Settings, metrics: Metrics, ready: Callable[[], bool]) -> AsyncIterator[server.Servers]:
    """The servers, with health and metrics. They come first: a pod that waits is alive."""
    servers = server.Servers()
    await servers.start()
    try:
        if settings.health_addr is not None:
            health = server.health(_Heart(asyncio.get_running_loop()).beats, ready)
            await servers.add("--health-addr", str(settings.health_addr), health)
        if settings.metrics_addr is not None:
            await servers.add("--metrics-addr", str(settings.metrics_addr), server.metrics(metrics.render))
        yield servers
    finally:
        await servers.stop()


async def add_debug(servers: server.Servers, settings: Settings, queue: WorkQueue) -> None:
    """/debug/queue and /debug/tasks, if --debug-addr asks for them: names of objects, registries and functions."""
    if settings.debug_addr is not None:
        pages = server.debug({"queue": queue.report, "tasks": tasks})
        await servers.add("--debug-addr", str(settings.debug_addr), pages)


def tasks() -> list[dict[str, Any]]:
    """Every task of the loop, and what each of them waits for: the innermost call last."""
    return [
        {"name": task.get_name(), "stack": [_line(frame) for frame in task.get_stack()]}
        for task in sorted(asyncio.all_tasks(), key=asyncio.Task.get_name)
    ]


def _line(frame: Any) -> str:
    found = traceback.extract_stack(frame, limit=1)[0]
    return f"{found.name} ({found.filename.rpartition('/')[2]}:{found.lineno})"


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


def add_gauges(metrics: Metrics, queue: WorkQueue, settings: Settings, lead: Leadership) -> None:
    """What is read at the moment of a scrape, under the names that dashboards know (flux-compat G7)."""
    controller = {"controller": "ocirepository"}
    named = {"name": "ocirepository", **controller}

    def of_queue(metric: str, meaning: str, read: Callable[[QueueStats], float], labels: dict[str, str]) -> None:
        metrics.gauge(metric, meaning, lambda: read(queue.stats()), labels)

    waiting, longest = "Objects that wait for their turn.", "Seconds of the longest pass under way."
    of_queue("workqueue_depth", waiting, lambda stats: stats.depth, {**named, "priority": "0"})
    of_queue("workqueue_longest_running_processor_seconds", longest, lambda stats: stats.longest_running, named)
    together = "Seconds of all passes under way, together."
    of_queue("workqueue_unfinished_work_seconds", together, lambda stats: stats.unfinished, named)
    crashes = "Passes that ended in an error that nobody foresaw."
    of_queue("controller_runtime_reconcile_panics_total", crashes, lambda stats: stats.crashes, controller)
    of_queue("controller_runtime_active_workers", "Passes under way.", lambda stats: stats.running, controller)
    concurrent = "Value of --concurrent; each stands for 16 passes over the objects of one registry."
    most = "controller_runtime_max_concurrent_reconciles"
    metrics.gauge(most, concurrent, lambda: settings.concurrent, controller)
    if lead.lease:
        told = "1 while this process leads, 0 while it stands by."
        metrics.gauge(METRIC, told, lambda: float(lead.leads()), {"name": lead.lease})
