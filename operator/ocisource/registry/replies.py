"""Answers of registries, read within bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from ocisource.domain.errors import RegistryError
from ocisource.registry.encodings import inflated, is_packed
from ocisource.registry.errors import broken_off, refusal, shown
from ocisource.registry.limits import ERROR_BYTES


@dataclass(frozen=True)
class Reply:
    """A whole answer. `url` is where it came from, after redirects; `length` is the Content-Length, if given."""

    method: str
    url: URL
    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    length: int | None

    def refused(self) -> RegistryError:
        """The error that this answer stands for."""
        return refusal(self.method, self.url, self.status, self.body)


async def whole(response: aiohttp.ClientResponse, bound: int) -> Reply:
    """The answer with its body. More than `bound` bytes are an error, of an error's body just its start is kept."""
    try:
        if response.status >= 400:
            body = await some(response)
        else:
            body = await _read(response, bound)
            if len(body) > bound:
                raise RegistryError(f"{response.method} {shown(response.url)}: the answer is larger than {bound} bytes")
    finally:
        response.release()
    return Reply(response.method, response.url, response.status, response.headers, body, response.content_length)


async def some(response: aiohttp.ClientResponse) -> bytes:
    """The start of the body; the connection is given back."""
    try:
        return (await _read(response, ERROR_BYTES))[:ERROR_BYTES]
    finally:
        response.release()


async def _read(response: aiohttp.ClientResponse, bound: int) -> bytes:
    """The body, or a little more than `bound` bytes of it."""
    body = bytearray()
    async for chunk in chunks(response):
        body += chunk
        if len(body) > bound:
            break
    return bytes(body)


async def chunks(response: aiohttp.ClientResponse, *, unpacked: bool = True) -> AsyncIterator[bytes]:
    """The body as it arrives, `unpacked` where the server packed it unasked. Raises Unanswered where it breaks off."""
    pieces = _arriving(response)
    async for piece in inflated(pieces) if unpacked and is_packed(response.headers) else pieces:
        yield piece


async def _arriving(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    while True:
        try:
            chunk = await response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise broken_off(error) from error
        if not chunk:
            return
        yield chunk
