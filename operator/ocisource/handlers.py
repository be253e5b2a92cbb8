"""The front door: kopf watches OCIRepositories and hands every event to one plain function. It decides nothing, and
leaves nothing of its own on objects that Git owns: no finalizer, no annotation, no status.

This is the only module that imports kopf.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocisource.cluster.api import new_session
from ocisource.domain.errors import ClusterError
from ocisource.domain.source import GROUP, PLURAL

if TYPE_CHECKING:
    from collections.abc import Iterator

    import aiohttp

    from ocisource.cluster.config import ClusterConfig


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Lets an optional import of `module` fail, as if it were not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # how Python marks what must not be imported
    try:
        yield
    finally:
        del sys.modules[module]


# Kopf imports the official client where it finds it, for types that never come here: 19 MiB for nothing.
with _hidden("kubernetes"):
    import kopf

VERSION = "v1"
RESOURCE = (GROUP, VERSION, PLURAL)

UNUSED_FINALIZER = "ocisource.invalid/never-set"
"""Kopf removes its finalizer from objects that it does not guard: it must be a name that nobody uses."""

CHUNK = 500
SILENCE = 70.0
"""Seconds without an event or a bookmark after which a watch is taken for dead; bookmarks come each minute."""


OnEvent = Callable[[str | None, dict[str, Any]], None]
"""What is called with the type of an event and the object."""


@dataclass(frozen=True)
class Scope:
    """What is watched: one namespace or all (""), objects with these labels or all ("")."""

    namespace: str = ""
    selector: str = ""


class _NoDiffBase(kopf.DiffBaseStorage):
    """Kopf keeps no copy of an object to compare with: the work queue decides what changed."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Kopf keeps no progress: one handler that cannot be retried has none."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


async def watch(
    config: ClusterConfig,
    scope: Scope,
    on_event: OnEvent,
    stop: asyncio.Event,
    ready: asyncio.Event,
) -> None:
    """Calls `on_event(type, object)` for every object and every change until `stop` is set.

    `type` is None for what exists at the start (and after a gap in the watch), then ADDED, MODIFIED or DELETED. The
    object is the callee's to keep, without `managedFields`. A deletion during a gap is never told.

    Raises ClusterError if the watch ends by itself, after which the process should end, too: it can start again at
    little cost. Kopf takes over SIGINT and SIGTERM and, when it ends, cancels every task of the loop that began after
    it: start workers before, stop them before `stop` is set, and install signal handlers after `ready`. A signal that
    comes earlier sets `stop`.
    """
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)
    session = new_session(config, limit=0, middlewares=(_with_token(config),))
    ending, roots, older = asyncio.Event(), set[asyncio.Task[None]](), set[asyncio.Task[Any]]()
    asked = asyncio.create_task(_follow(stop, ending), name="the door waits for the stop")
    swept = asyncio.create_task(_sweep(ending, roots, older), name="the door leaves nothing behind")
    older.update(asyncio.all_tasks())
    try:
        roots.update(await _spawned(_registry(config, on_event, session), scope, ending, ready))
        await kopf.run_tasks(roots, ignored=older)
    except Exception as error:
        text = str(error.args[0]) if error.args else type(error).__name__
        raise ClusterError(f"the watch of {PLURAL}.{GROUP} ended: {text}") from error
    finally:
        asked.cancel()
        swept.cancel()
        await session.close()
    stop.set()


async def _spawned(
    registry: kopf.OperatorRegistry, scope: Scope, ending: asyncio.Event, ready: asyncio.Event
) -> Collection[asyncio.Task[None]]:
    """Kopf's own tasks. They end with `ending`, which is set, too, as soon as one of them ends."""
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=_settings(scope),
        # A str at run time; without it kopf asks for the user's and the machine's names, which a pod may lack.
        identity="ocisource",  # type: ignore[arg-type]
        standalone=True,
        clusterwide=not scope.namespace,
        namespaces=[scope.namespace] if scope.namespace else [],
        stop_flag=ending,
        ready_flag=ready,
    )
    for task in tasks:
        # Whatever ends first ends all: kopf waits 5 s for those who wait for a flag that nobody sets.
        task.add_done_callback(lambda _: ending.set())
    return tasks


async def _sweep(ending: asyncio.Event, roots: set[asyncio.Task[None]], older: set[asyncio.Task[Any]]) -> None:
    """Ends what kopf's own tasks leave behind when they end. It would wait 5 s for them, which a scan that a stop cuts
    off at the start takes: its requests wait for a session that nobody opens any more."""
    await ending.wait()
    await asyncio.wait(roots)
    for task in asyncio.all_tasks() - older:
        task.cancel()


async def _follow(flag: asyncio.Event, other: asyncio.Event) -> None:
    await flag.wait()
    other.set()


def _settings(scope: Scope) -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.persistence.finalizer = UNUSED_FINALIZER
    settings.persistence.diffbase_storage = _NoDiffBase()
    settings.persistence.progress_storage = _NoProgress()
    settings.posting.enabled = False
    settings.process.ultimate_exiting_timeout = None
    settings.queueing.idle_timeout = 0.05
    settings.scanning.disabled = True
    settings.watching.chunk_size = CHUNK
    settings.watching.inactivity_timeout = SILENCE
    if scope.selector:
        settings.watching.label_selectors[RESOURCE] = scope.selector
    return settings


def _registry(config: ClusterConfig, on_event: OnEvent, session: aiohttp.ClientSession) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()

    @kopf.on.login(registry=registry)
    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=config.server, default_namespace=config.namespace, aiohttp_session=session)

    @kopf.on.event(*RESOURCE, registry=registry)
    async def event(event: kopf.RawEvent, **_: Any) -> None:
        obj: Any = event["object"]
        obj["metadata"].pop("managedFields", None)
        on_event(event["type"], obj)

    return registry


def _with_token(config: ClusterConfig) -> aiohttp.ClientMiddlewareType:
    """The token of the moment on every request: the one that a pod starts with expires within the hour. A token that
    is refused and still the current one is an error: kopf would log in with it again and again."""

    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        token = None
        while token != (token := config.token()):
            if token:
                request.headers["Authorization"] = f"Bearer {token}"
            response = await handler(request)
            if response.status != 401:
                return response
            response.release()
        raise ClusterError("the API server does not accept the credentials; check the token or certificate")

    return send
