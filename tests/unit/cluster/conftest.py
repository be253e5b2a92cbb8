"""An API server that answers as a test tells it to, over real HTTP."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ocisource.cluster.api import KubeAPI, TokenBucket, new_session
from ocisource.cluster.config import ClusterConfig, StaticToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answer:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


class FakeServer:
    """Answers each request with the next of `answers[method, path]`; the last one stays."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], list[Answer]] = {}
        self.requests: list[Request] = []
        self.url = ""

    def answer(self, method: str, path: str, *answers: Answer) -> None:
        self.answers[method, path] = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body = json.loads(text) if text else None
        seen = Request(request.method, request.path, dict(request.query), dict(request.headers), body)
        self.requests.append(seen)
        queue = self.answers.get((request.method, request.path))
        if queue is None:
            return web.json_response({"kind": "Status", "reason": "NotFound", "message": "not found"}, status=404)
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if answer.drop:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer.body, bytes):
            return web.Response(status=answer.status, body=answer.body, headers=answer.headers)
        return web.json_response(answer.body, status=answer.status, headers=answer.headers)


class Naps:
    """Waiting that takes no time and is remembered."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)


@pytest.fixture
def naps() -> Naps:
    return Naps()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.handle)
    async with TestServer(app) as running:
        fake.url = str(running.make_url("")).rstrip("/")
        yield fake


@pytest.fixture
async def api(server: FakeServer, naps: Naps) -> AsyncIterator[KubeAPI]:
    config = ClusterConfig(server=server.url, token=StaticToken("t0ken"))
    client = KubeAPI(config, TokenBucket(1000, 1000), new_session(config, limit=8), naps)
    yield client
    await client.close()
