"""The door, on an API server that misbehaves as a test tells it to. What it does on a real one is in
tests/e2e/test_door.py."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ocisource import handlers
from ocisource.cluster.config import ClusterConfig
from ocisource.domain.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

GROUP = "source.toolkit.fluxcd.io"
LIST = f"/apis/{GROUP}/v1/ocirepositories"


def resource(name: str, kind: str) -> dict[str, Any]:
    verbs = ["get", "list", "watch", "patch"]
    return {"name": name, "singularName": kind.lower(), "namespaced": True, "kind": kind, "verbs": verbs}


def group(name: str) -> dict[str, Any]:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


DISCOVERY: dict[str, Any] = {
    "/api": {"versions": ["v1"]},
    "/api/v1": {"resources": [resource("namespaces", "Namespace"), resource("events", "Event")]},
    "/apis": {"groups": [group(GROUP), group("apiextensions.k8s.io")]},
    f"/apis/{GROUP}/v1": {"resources": [resource("ocirepositories", "OCIRepository")]},
    "/apis/apiextensions.k8s.io/v1": {
        "resources": [resource("customresourcedefinitions", "CustomResourceDefinition")],
    },
}


def repository(name: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "OCIRepository",
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": name,
            "resourceVersion": "1",
            "managedFields": [{"manager": "kubectl"}],
        },
    }


class FakeServer:
    """Lists `items` and then streams what it is told to send; only `token` is let in. It runs in a thread of its own:
    kopf takes every task of its loop for one of its own."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self.token = "good"
        self.seen: list[tuple[str, str]] = []
        self.refused = 0
        self.streaming = threading.Event()
        self.scanned = threading.Event()
        self.slowness = 0.0
        self.config = ClusterConfig(server="")
        self._stream: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._loop = asyncio.new_event_loop()

    def send(self, kind: str, obj: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._stream.put_nowait, {"type": kind, "object": obj})

    @contextmanager
    def running(self) -> Iterator[None]:
        started, stop = threading.Event(), asyncio.Event()

        async def serve() -> None:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self.handle)
            async with TestServer(app, shutdown_timeout=0) as server:
                self.config = ClusterConfig(server=str(server.make_url("")).rstrip("/"), token=lambda: "good")
                started.set()
                await stop.wait()

        thread = threading.Thread(target=lambda: self._loop.run_until_complete(serve()))
        thread.start()
        started.wait()
        yield
        self._loop.call_soon_threadsafe(stop.set)
        thread.join()
        self._loop.close()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.method, request.path))
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            self.refused += 1
            return web.json_response({"kind": "Status", "code": 401}, status=401)
        if request.path in DISCOVERY:
            self.scanned.set()
            await asyncio.sleep(self.slowness)
            return web.json_response(DISCOVERY[request.path])
        if request.path == LIST and "watch" not in request.query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": self.items})
        if request.path == LIST:
            return await self.watch(request)
        return web.json_response({"kind": "Status", "code": 404}, status=404)

    async def watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        self.streaming.set()
        while True:
            event = await self._stream.get()
            await response.write(json.dumps(event).encode() + b"\n")


class Watching:
    """A door and what it told."""

    def __init__(self) -> None:
        self.stop, self.ready = asyncio.Event(), asyncio.Event()
        self.told: list[tuple[str | None, dict[str, Any]]] = []
        self.task: asyncio.Task[None] | None = None

    def note(self, kind: str | None, obj: dict[str, Any]) -> None:
        self.told.append((kind, obj))

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def ended(self) -> None:
        assert self.task is not None
        async with asyncio.timeout(10):
            await self.task


@asynccontextmanager
async def opened(config: ClusterConfig, on_event: handlers.OnEvent | None = None) -> AsyncIterator[Watching]:
    """An open door, for the time of a test. No fixture: kopf cancels the task that a fixture ends in."""
    door = Watching()
    scope = handlers.Scope()
    door.task = asyncio.create_task(handlers.watch(config, scope, on_event or door.note, door.stop, door.ready))
    try:
        yield door
    finally:
        door.stop.set()
        await door.ended()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    fake = FakeServer()
    with fake.running():
        yield fake


async def test_what_exists_and_what_changes_is_told(server: FakeServer) -> None:
    server.items = [repository("a"), repository("b")]
    async with opened(server.config) as door:
        server.send("MODIFIED", repository("a"))
        server.send("BOOKMARK", {"metadata": {"resourceVersion": "9"}})
        server.send("DELETED", repository("b"))
        await door.until(lambda: len(door.told) == 4)
    assert sorted((obj["metadata"]["name"], str(kind)) for kind, obj in door.told) == [
        ("a", "MODIFIED"),
        ("a", "None"),
        ("b", "DELETED"),
        ("b", "None"),
    ]
    assert all("managedFields" not in obj["metadata"] for _, obj in door.told)


async def test_a_stop_in_the_middle_of_the_start_is_prompt(server: FakeServer) -> None:
    """Kopf's scan of what is served has requests under way then, and would be waited for."""
    server.slowness = 60
    async with opened(server.config) as door:
        assert await asyncio.to_thread(server.scanned.wait, 10)
        began = time.monotonic()
        door.stop.set()
        await door.ended()
    assert time.monotonic() - began < 3


async def test_the_door_only_reads(server: FakeServer) -> None:
    server.items = [repository("a")]
    async with opened(server.config) as door:
        server.send("MODIFIED", repository("a"))
        await door.until(lambda: len(door.told) == 2)
    assert {method for method, _ in server.seen} == {"GET"}
    assert {path for _, path in server.seen} == {*DISCOVERY, LIST}


async def test_a_watch_that_fails_ends_the_door_with_its_error(server: FakeServer) -> None:
    """The process must not go on without seeing anything."""
    server.send("ERROR", {"kind": "Status", "code": 500, "message": "etcd is gone"})
    door = Watching()
    with pytest.raises(ClusterError, match=r"the watch of ocirepositories.* ended: .*etcd is gone"):
        await handlers.watch(server.config, handlers.Scope(), door.note, door.stop, door.ready)


async def test_a_watch_that_is_too_old_starts_over(server: FakeServer) -> None:
    server.items = [repository("a")]
    async with opened(server.config) as door:
        server.send("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
        await door.until(lambda: len(door.told) == 2)
    assert [kind for kind, _ in door.told] == [None, None]


async def test_a_token_that_was_renewed_is_used(server: FakeServer) -> None:
    """Kopf asks for a login once; the token of a pod is another one after an hour."""
    token = ["old"]
    server.items = [repository("a")]
    server.token = "old"
    async with opened(ClusterConfig(server=server.config.server, token=lambda: token[0])) as door:
        await door.until(lambda: len(door.told) == 1)
        assert await asyncio.to_thread(server.streaming.wait, 10)  # else the watch still comes with the old one
        server.token = token[0] = "new"
        server.send("ERROR", {"kind": "Status", "code": 410, "message": "too old"})
        await door.until(lambda: len(door.told) == 2)
    assert server.refused == 0


async def test_a_token_that_was_refused_is_read_again(server: FakeServer) -> None:
    server.items = [repository("a")]
    token = lambda: "good" if server.refused else "expired"  # noqa: E731 - one line of a test
    async with opened(ClusterConfig(server=server.config.server, token=token)) as door:
        await door.until(lambda: len(door.told) == 1)
    assert server.refused <= 2  # kopf asks two things at once


async def test_a_callback_that_fails_does_not_close_the_door(server: FakeServer) -> None:
    told: list[str] = []

    def fail(_: str | None, obj: dict[str, Any]) -> None:
        told.append(obj["metadata"]["name"])
        raise ValueError("boom")

    async with opened(server.config, fail) as door:
        server.send("ADDED", repository("a"))
        server.send("ADDED", repository("b"))
        await door.until(lambda: set(told) == {"a", "b"})


async def test_tasks_that_began_before_outlive_the_door(server: FakeServer) -> None:
    older = asyncio.create_task(asyncio.Event().wait())
    server.items = [repository("a")]
    async with opened(server.config) as door:
        await door.until(lambda: len(door.told) == 1)
    assert not older.done()
    older.cancel()


async def test_a_signal_that_comes_early_asks_for_the_stop(server: FakeServer) -> None:
    server.items = [repository("a")]
    async with opened(server.config) as door:
        await door.until(lambda: len(door.told) == 1)
        os.kill(os.getpid(), signal.SIGTERM)
        await door.ended()
        assert door.stop.is_set()


async def test_a_token_that_is_no_longer_accepted_ends_the_door(server: FakeServer) -> None:
    """Kopf would log in with it again and again."""
    server.items = [repository("a")]
    door = Watching()

    def withdraw(kind: str | None, obj: dict[str, Any]) -> None:
        door.note(kind, obj)
        server.token = "other"
        server.send("ERROR", {"kind": "Status", "code": 410, "message": "too old"})

    with pytest.raises(ClusterError, match="check the token"):
        async with asyncio.timeout(20):
            await handlers.watch(server.config, handlers.Scope(), withdraw, door.stop, door.ready)
    assert server.refused == 1


def test_importing_the_door_registers_nothing_and_brings_no_client() -> None:
    """Nor does it pay for the official client, which is installed for the command line."""
    script = (
        "import sys, ocisource.handlers\n"
        "from kopf._core.intents import registries\n"
        "assert registries._default_registry is None\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'kubernetes'], 'imported'\n"
        "import kubernetes\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
