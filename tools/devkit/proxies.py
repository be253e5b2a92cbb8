"""Forward proxies on free loopback ports: HTTP (RFC 9110, 9.3.6 and 7.1; CONNECT and absolute-form), and SOCKS5
(RFC 1928, 1929). They note what went through, and know names that nobody else knows.

    async with ForwardProxy(user=("bob", "builder")) as proxy:
        ...  # http://127.0.0.1:{proxy.port}
"""

from __future__ import annotations

import asyncio
import base64
import ipaddress
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Self, TypeVar
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from ssl import SSLContext

_HEADERS = 64 * 1024


@dataclass(frozen=True)
class Passed:
    """One thing that a proxy was asked for: `CONNECT`, the method of a request in clear, or `SOCKS`; and for where, as
    host:port. `let` tells whether it was let through, `line` and `headers` (names in lower case)
    what was read of the request."""

    kind: str
    target: str
    let: bool
    line: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)


class _Proxy:
    """What both kinds share. `hosts` are names → host:port that they stand for; `refused` are targets out of reach."""

    def __init__(
        self,
        *,
        user: tuple[str, str] | None = None,
        hosts: Mapping[str, str] | None = None,
        tls: SSLContext | None = None,
    ) -> None:
        self.passed: list[Passed] = []
        self._user = user
        self._hosts = dict(hosts or {})
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls, limit=_HEADERS)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()

    @property
    def let(self) -> list[str]:
        """Kind and target of all that was let through."""
        return [f"{one.kind} {one.target}" for one in self.passed if one.let]

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self.serve(reader, writer)
        except asyncio.CancelledError:
            pass  # the proxy ends: a server's task that is cancelled is told as an error
        finally:
            self._connections.discard(task)
            writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    async def open(self, target: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to where a name stands for, None if there is none."""
        host, _, port = self._hosts.get(target, target).rpartition(":")
        try:
            return await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError:
            return None


P = TypeVar("P", bound=_Proxy)


class ForwardProxy(_Proxy):
    """An HTTP proxy, with TLS on the way to itself if `tls` is given."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request in clear after the other, or a tunnel to the end."""
        while head := await self._head(reader):
            line, headers = head
            method, address, _ = line.split(" ", 2)
            target = address if method == "CONNECT" else _authority(address)
            if not self._admits(headers):
                self.passed.append(Passed(method, target, let=False, line=line, headers=headers))
                writer.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=proxy\r\n"
                    b"Content-Length: 0\r\n\r\n"
                )
                await writer.drain()
                return
            there = await self.open(target)
            self.passed.append(Passed(method, target, let=there is not None, line=line, headers=headers))
            if there is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
                return
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await _join((reader, writer), there)
                return
            await self._forward(line, headers, (reader, writer), there)

    async def _head(self, reader: asyncio.StreamReader) -> tuple[str, dict[str, str]] | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except asyncio.IncompleteReadError:
            return None
        line, *rest = head.rstrip("\r\n").split("\r\n")
        return line, {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}

    def _admits(self, headers: Mapping[str, str]) -> bool:
        if self._user is None:
            return True
        wanted = base64.b64encode(":".join(self._user).encode()).decode()
        return headers.get("proxy-authorization") == f"Basic {wanted}"

    async def _forward(
        self,
        line: str,
        headers: Mapping[str, str],
        here: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        there: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        """Hands the request on in origin-form, and all of the answer back. The server ends the connection after it."""
        method, address, version = line.split(" ", 2)
        url = urlsplit(address)
        path = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
        kept = {name: value for name, value in headers.items() if not name.startswith("proxy-")}
        kept["connection"] = "close"
        head = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        there[1].write(f"{method} {path} {version}\r\n{head}\r\n".encode("latin-1"))
        there[1].write(await here[0].readexactly(int(headers.get("content-length", "0"))))
        await _pump(there[0], here[1])
        there[1].close()


class SocksProxy(_Proxy):
    """A SOCKS5 proxy."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greeting, user and password if they are wanted, one CONNECT."""
        version, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 0 if self._user is None else 2
        if version != 5 or wanted not in methods:
            self.passed.append(Passed("SOCKS", "", let=False))
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        writer.write(bytes([5, wanted]))
        if wanted and not await self._admits(reader, writer):
            self.passed.append(Passed("SOCKS", "", let=False))
            return
        target = await _target(reader)
        there = await self.open(target)
        self.passed.append(Passed("SOCKS", target, let=there is not None))
        writer.write(bytes([5, 5 if there is None else 0, 0, 1]) + bytes(6))
        await writer.drain()
        if there is not None:
            await _join((reader, writer), there)

    async def _admits(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(1)
        user = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        password = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        admitted = (user, password) == self._user
        writer.write(b"\x01\x00" if admitted else b"\x01\x01")
        await writer.drain()
        return admitted


async def _target(reader: asyncio.StreamReader) -> str:
    _, _, _, kind = await reader.readexactly(4)
    if kind == 3:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    else:
        host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    return f"{host}:{port}"


def _authority(address: str) -> str:
    url = urlsplit(address)
    return f"{url.hostname}:{url.port or 80}"


async def _join(
    here: tuple[asyncio.StreamReader, asyncio.StreamWriter], there: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Hands bytes on in both directions until one side ends."""
    pumps = [asyncio.ensure_future(_pump(here[0], there[1])), asyncio.ensure_future(_pump(there[0], here[1]))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        there[1].close()  # first: whoever is cancelled here once more comes no further
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()


class Embedded(Generic[P]):
    """A proxy in a thread with its own loop, for callers that are not asynchronous.

    with Embedded(ForwardProxy()) as proxy: … proxy.port
    """

    def __init__(self, proxy: P) -> None:
        self._proxy = proxy
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="embedded-proxy", daemon=True)

    def __enter__(self) -> P:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._proxy.__aenter__(), self._loop).result()
        return self._proxy

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._proxy.__aexit__(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
