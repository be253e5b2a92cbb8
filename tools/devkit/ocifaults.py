"""Ways for a registry to misbehave, to be set as `RegistryServer.fault`; several are joined with `chain`.

registry.fault = when("/blobs/", truncated(), method="GET", times=1)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from devkit.ocihttp import Fault, Proceed


def when(path_part: str, fault: Fault, *, method: str | None = None, times: int | None = None, skip: int = 0) -> Fault:
    """`fault` for requests whose path holds `path_part`: at most `times` of them, after the first `skip`."""
    seen = 0

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        nonlocal seen
        if path_part not in request.path or method not in (None, request.method):
            return await proceed()
        seen += 1
        if seen <= skip or (times is not None and seen > skip + times):
            return await proceed()
        return await fault(request, proceed)

    return apply


def chain(*faults: Fault) -> Fault:
    """All of them, the first one outermost."""

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        for fault in reversed(faults):
            proceed = _bind(fault, request, proceed)
        return await proceed()

    return apply


def _bind(fault: Fault, request: web.Request, proceed: Proceed) -> Proceed:
    async def bound() -> web.StreamResponse:
        return await fault(request, proceed)

    return bound


def answer(status: int, text: str = "", headers: Mapping[str, str] | None = None) -> Fault:
    """Another answer than the honest one."""

    async def apply(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.Response(status=status, text=text or None, headers=headers)

    return apply


def redirect(location: str, status: int = 307) -> Fault:
    """Sends the client elsewhere; `{path}` in the location is the path that was asked for."""

    async def apply(request: web.Request, _: Proceed) -> web.StreamResponse:
        return web.Response(status=status, headers={"Location": location.replace("{path}", request.path_qs)})

    return apply


def hang() -> Fault:
    """Never answers, as long as the client waits."""

    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        await asyncio.Event().wait()
        return await proceed()

    return apply


def delay(seconds: float) -> Fault:
    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return await proceed()

    return apply


def held(gate: asyncio.Event) -> Fault:
    """Answers once the gate is open."""

    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        await gate.wait()
        return await proceed()

    return apply


def reset() -> Fault:
    """Drops the connection without an answer."""

    async def apply(request: web.Request, _: Proceed) -> web.StreamResponse:
        _abort(request)
        return web.Response()

    return apply


def truncated(keep: int | None = None) -> Fault:
    """Promises the whole body, sends `keep` bytes of it (half unless said otherwise), and drops the connection."""

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        honest = await proceed()
        body = _body(honest)
        response = web.StreamResponse(
            status=honest.status, headers={**honest.headers, "Content-Length": str(len(body))}
        )
        await response.prepare(request)
        await response.write(body[: len(body) // 2 if keep is None else keep])
        _abort(request)
        return response

    return apply


def flipped(position: int = -1) -> Fault:
    """One bit of the body is another."""

    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        honest = await proceed()
        body = bytearray(_body(honest))
        body[position] ^= 1
        return web.Response(status=honest.status, body=bytes(body), headers=_but_length(honest))

    return apply


def replaced(body: bytes) -> Fault:
    """Another body under the honest status and headers."""

    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        honest = await proceed()
        return web.Response(status=honest.status, body=body, headers=_but_length(honest))

    return apply


def headers(changes: Mapping[str, str | None]) -> Fault:
    """Sets headers of the honest answer, or drops them (None)."""

    async def apply(_: web.Request, proceed: Proceed) -> web.StreamResponse:
        honest = await proceed()
        for name, value in changes.items():
            honest.headers.pop(name, None)
            if value is not None:
                honest.headers[name] = value
        return honest

    return apply


def endless(start: bytes, more: bytes, content_type: str, status: int = 200) -> Fault:
    """A body without an end."""

    async def chunks() -> AsyncIterator[bytes]:
        yield start
        while True:
            yield more

    async def apply(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.Response(status=status, body=chunks(), content_type=content_type)

    return apply


def dripping(seconds: float) -> Fault:
    """The honest body, a byte at a time, with so many seconds before each."""

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        honest = await proceed()
        body = _body(honest)
        response = web.StreamResponse(
            status=honest.status, headers={**honest.headers, "Content-Length": str(len(body))}
        )
        await response.prepare(request)
        for byte in body:
            await asyncio.sleep(seconds)
            await response.write(bytes([byte]))
        return response

    return apply


def succession(*faults: Fault | None) -> Fault:
    """Another answer each time: by the first fault, then by the second …; by the last one from then on. None is the
    honest answer."""
    left = list(faults)

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        fault = left.pop(0) if len(left) > 1 else left[0]
        return await proceed() if fault is None else await fault(request, proceed)

    return apply


def _body(response: web.StreamResponse) -> bytes:
    body = response.body if isinstance(response, web.Response) else b""
    return body if isinstance(body, bytes) else b""


def _but_length(response: web.StreamResponse) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.lower() != "content-length"}


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
