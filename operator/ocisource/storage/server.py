"""What is served: tarballs to the clients of the artifacts, health to the kubelet, metrics, and on request what the
operator is at (flux-compat G5 to G7, J12). All of it runs on a thread with a loop of its own, so that a busy reconcile
loop never delays a download or a probe."""

from __future__ import annotations

import asyncio
import json
import math
import os
import posixpath
import re
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter

from ocisource.storage import paths
from ocisource.storage.integrity import regular
from ocisource.storage.listeners import bound, listen

Result = TypeVar("Result")

# A client slower than this is cut off, so that it cannot hold a file and a connection for ever.
_SLOWEST = 64 << 10  # bytes a second
_PATIENCE = 60.0  # seconds on top
_IDLE = 75.0  # seconds that a connection may stay open between requests
_FAREWELL = 5.0  # seconds that downloads under way get when the server stops

_STANDING_BY = "this replica stands by: another one serves the artifacts\n"
_ONE_RANGE = re.compile(r"bytes=([0-9]+-[0-9]*|-[1-9][0-9]*)")

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Servers:
    """Serves on a second thread from `start` to `stop`. Methods are called from the main loop.

    `add` may be called at any time between the two.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Starts the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()

    async def add(self, flag: str, address: str, application: web.Application) -> str:
        """Serves the application at the address that the flag gave; the real address, `host:port`. Raises
        AddressError, naming the flag."""
        if self._loop is None:
            raise RuntimeError("the servers are not started")
        listener = listen(flag, address)
        runner = web.AppRunner(application, access_log=None, keepalive_timeout=_IDLE, shutdown_timeout=_FAREWELL)

        async def serve() -> None:
            await runner.setup()
            await web.SockSite(runner, listener).start()

        await self._there(serve())
        self._runners.append(runner)
        return bound(listener)

    async def stop(self) -> None:
        """Stops listening, lets downloads under way end for a few seconds, and ends the thread."""
        if self._loop is None or self._thread is None:
            return
        await asyncio.gather(*(self._there(runner.cleanup()) for runner in self._runners))
        await self._there(self._loop.shutdown_default_executor())
        self._runners.clear()
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
        self._loop = self._thread = None

    async def _there(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of the work, done on the servers' own loop."""
        assert self._loop is not None  # noqa: S101  # both callers have asked
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))


def artifacts(
    root: str | Path, *, patience: float = _PATIENCE, leads: Callable[[], bool] = lambda: True
) -> web.Application:
    """Serves the tarballs below the storage root, and nothing else there: GET and HEAD, ranges, conditional
    requests. `/` answers 200 (it is the readiness probe of the stock deployment); folders are not listed.

    A download gets `patience` seconds, and a second for every 64 KiB. While `leads` says no, what lies on disk may be
    old: nothing of it is served, and clients are asked to come again, by another connection: the one they have would
    lead a client behind a Service to the same replica each time.
    """
    base = Path(root).absolute()

    async def tarball(request: web.Request) -> web.StreamResponse:
        if not leads():
            later = web.HTTPServiceUnavailable(text=_STANDING_BY, headers={"Retry-After": "1"})
            later.force_close()
            raise later
        asked = request.match_info["path"]
        path = paths.published(posixpath.normpath(f"/{asked}").lstrip("/"))
        found = await asyncio.to_thread(_servable, base / path) if path else None
        if found is None:
            raise web.HTTPNotFound(text="404 page not found\n")
        if path != asked:  # with //, /./, /../ or a slash at the end: there is one address for each file
            raise web.HTTPMovedPermanently(f"/{path}")
        file, status = found
        return _Download(file, status, patience + status.st_size / _SLOWEST)

    application = web.Application()
    application.router.add_get("/", _fine)
    application.router.add_get("/{path:.+}", tarball)
    return application


def health(alive: Callable[[], bool], ready: Callable[[], bool]) -> web.Application:
    """Answers `/healthz` and `/readyz`: 200 or 503. The callables run on the servers' thread."""
    application = web.Application()
    application.router.add_get("/healthz", _probe(alive))
    application.router.add_get("/readyz", _probe(ready))
    return application


def metrics(render: Callable[[], str]) -> web.Application:
    """Answers `/metrics` with the text that `render` makes (Prometheus text format 0.0.4). It runs on the servers'
    thread."""

    async def scrape(_: web.Request) -> web.Response:
        return web.Response(body=render().encode(), headers={"Content-Type": _METRICS_TYPE})

    application = web.Application()
    application.router.add_get("/metrics", scrape)
    return application


def debug(pages: Mapping[str, Callable[[], object]], *, patience: float = 5.0) -> web.Application:
    """Answers `/debug/<name>` with what the page of that name says, as JSON. Pages run on the loop that calls this;
    if none answers within `patience` seconds that loop stands still, and the answer says so."""
    home = asyncio.get_running_loop()

    async def show(request: web.Request) -> web.Response:
        page = pages.get(request.match_info["name"])
        if page is None:
            raise web.HTTPNotFound(text=f"there are {', '.join(pages)}\n")
        asked = asyncio.run_coroutine_threadsafe(_called(page), home)
        try:
            said = await asyncio.wait_for(asyncio.wrap_future(asked), patience)
        except TimeoutError:
            raise web.HTTPGatewayTimeout(text="the loop that reconciles does not answer\n") from None
        return web.json_response(said, dumps=lambda value: json.dumps(value, indent=2) + "\n")

    application = web.Application()
    application.router.add_get("/debug/{name}", show)
    return application


async def _called(page: Callable[[], object]) -> object:
    return page()


def _servable(path: Path) -> tuple[Path, os.stat_result] | None:
    """The regular file that the path stands for: itself, or for `latest.tar.gz` the tarball beside it."""
    with suppress(OSError):
        if path.name == paths.LATEST:
            # Only the last part of the target counts, so the link cannot lead out of the folder.
            path = path.with_name(path.readlink().name)
        status = regular(path)
        if status is not None and paths.is_tarball(path.name):
            return path, status
    return None


class _Download(web.FileResponse):
    """One file on its way, for at most `seconds`."""

    def __init__(self, file: Path, status: os.stat_result, seconds: float) -> None:
        # The type is told here, so that nobody guesses one: a Content-Encoding would make clients unpack the file
        # and miss its digest (flux-compat G6).
        super().__init__(file, headers={"Content-Type": "application/gzip"})
        self._status_of_file = status
        self._seconds = seconds

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Sends the file: aiohttp does that here, and calls it once."""
        try:
            async with asyncio.timeout(self._seconds):
                return await super().prepare(self._judged(request))
        except TimeoutError:
            _cut(request)
            raise ConnectionResetError("the client is too slow") from None

    def _judged(self, request: web.BaseRequest) -> web.BaseRequest:
        """The request, without its range if that was meant for another content (RFC 9110, 13.1.5), or if it is not one
        range: then all is sent, which is what a client may expect in any case, and aiohttp would send an error."""
        asked, condition = request.headers.get(hdrs.RANGE), request.headers.get(hdrs.IF_RANGE)
        status = self._status_of_file
        here = f'"{status.st_mtime_ns:x}-{status.st_size:x}"', formatdate(math.ceil(status.st_mtime), usegmt=True)
        if asked is None or (_ONE_RANGE.fullmatch(asked) and condition in (None, *here)):
            return request
        headers = request.headers.copy()
        headers.popall(hdrs.RANGE)
        return request.clone(headers=headers)


def _cut(request: web.BaseRequest) -> None:
    """Ends the connection at once, with nothing of it left in the kernel either."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.abort()


async def _fine(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _probe(good: Callable[[], bool]) -> Callable[[web.Request], Coroutine[Any, Any, web.Response]]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text="ok\n") if good() else web.Response(status=503, text="not yet\n")

    return answer
