"""One blob into the spool: hashed and counted as it streams, resumed where the connection broke (flux-compat J3)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from dataclasses import dataclass

import aiohttp
from yarl import URL

from ocisource.domain.access import Access
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError
from ocisource.ports import Spool
from ocisource.registry import places
from ocisource.registry.encodings import is_packed
from ocisource.registry.errors import Unanswered, shown
from ocisource.registry.limits import MIB
from ocisource.registry.replies import chunks
from ocisource.registry.retries import Retries
from ocisource.registry.transport import Transport

# A large blob is hashed and written by a thread, this much at a time, while the next bytes arrive.
_BATCH_BYTES = 1 * MIB
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class Sink:
    """Takes at most `descriptor.size` bytes, and vouches for them at the end."""

    def __init__(self, descriptor: Descriptor, spool: Spool) -> None:
        self._descriptor = descriptor
        self._spool = spool
        self._hash = hashlib.sha256()
        self._batch: list[bytes] = []
        self._batched = 0
        self._thread: asyncio.Future[None] | None = None
        self.received = 0

    async def take(self, chunk: bytes) -> None:
        """Raises RegistryError before anything beyond the size is kept."""
        self.received += len(chunk)
        if self.received > self._descriptor.size:
            raise RegistryError(f"error verifying size; got more than the {self._descriptor.size} bytes announced")
        self._batch.append(chunk)
        self._batched += len(chunk)
        if self._batched >= _BATCH_BYTES:
            await self.settle()
            batch, self._batch, self._batched = self._batch, [], 0
            self._thread = asyncio.get_running_loop().run_in_executor(None, self._keep, batch)

    async def settle(self) -> None:
        """Waits until no thread works on the spool any more."""
        if self._thread is not None:
            # Forgotten only once it is done: who is cancelled while waiting here settles again on the way out.
            await asyncio.wait({self._thread})
            thread, self._thread = self._thread, None
            thread.result()

    async def finish(self) -> None:
        """Raises RegistryError unless size and digest are the descriptor's."""
        await self.settle()
        self._keep(self._batch)
        self._batch = []
        wanted = self._descriptor
        if self.received != wanted.size:
            raise RegistryError(f"error verifying size; got {self.received}, want {wanted.size}")
        found = f"sha256:{self._hash.hexdigest()}"
        if found != wanted.digest:
            raise RegistryError(
                f"error verifying sha256 checksum after reading {self.received} bytes; "
                f'got "{found}", want "{wanted.digest}"'
            )

    def _keep(self, batch: list[bytes]) -> None:
        for chunk in batch:
            self._hash.update(chunk)
            self._spool.write(chunk)


async def download(transport: Transport, access: Access, descriptor: Descriptor, spool: Spool) -> None:
    """Writes the blob into the spool and returns only if it is whole and the one that the descriptor names.

    The registry comes first; a descriptor's external addresses only if it does not have the blob.
    """
    sink = Sink(descriptor, spool)
    try:
        if descriptor.data is not None:
            await sink.take(descriptor.data)
        else:
            await _Download(transport, access, descriptor, sink).from_somewhere()
        await sink.finish()
    finally:
        # The spool may be closed as soon as we return, also where we were cancelled.
        await sink.settle()


@dataclass(frozen=True)
class _Download:
    transport: Transport
    access: Access
    descriptor: Descriptor
    sink: Sink

    async def from_somewhere(self) -> None:
        descriptor = self.descriptor
        sources = [f"/v2/{self.access.repository.path}/blobs/{descriptor.digest}", *descriptor.urls]
        for number, source in enumerate(sources):
            try:
                await self._receive(await self._external(source) if number else source)
            except RegistryError:
                # What was written cannot be taken back: another source has its chance only before the first byte.
                if self.sink.received or number == len(descriptor.urls):
                    raise
            else:
                return

    async def _external(self, address: str) -> URL:
        return places.external(address, self.access, plain=await self.transport.plain(self.access))

    async def _receive(self, source: str | URL) -> None:
        """Reads the blob to its end, with as many tries as there are; each goes on where the last one ended."""
        retries = self.transport.retries()
        ranges = True
        while True:
            start = self.sink.received
            try:
                await self._read_on(source, start if ranges else 0, retries)
                break
            except Unanswered as error:
                if start < self.sink.received == self.descriptor.size:
                    break  # only the end of the answer is missing: the digest decides
                if not (error.temporary and await retries.another()):
                    raise
            except RegistryError:
                # Not every server knows ranges, some refuse them: then what is here already is passed over.
                if not (ranges and start and self.sink.received == start):
                    raise
                ranges = False

    async def _read_on(self, source: str | URL, first: int, retries: Retries) -> None:
        size = self.descriptor.size
        headers = {"Range": f"bytes={first}-{size - 1}"} if first else {}
        async with self.transport.stream(self.access, source, headers, retries) as response:
            await _read(response, first, size, self.sink)


async def _read(response: aiohttp.ClientResponse, first: int, size: int, sink: Sink) -> None:
    """Takes what is not here yet from an answer that was asked to begin at byte `first`."""
    where = f"GET {shown(response.url)}"
    skip = sink.received
    # Some servers say so of what was packed before it was pushed, and is to be had as it is.
    packed = is_packed(response.headers) and response.content_length != size
    if response.status == 206:
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != first or not first or packed:
            raise RegistryError(f"{where}: the answer is not the range that was asked for")
        skip = 0
    elif not packed and response.content_length not in (None, size):
        raise RegistryError(
            f"{where}: Content-Length header {response.content_length} does not match expected size {size}"
        )
    async for chunk in chunks(response, unpacked=packed):
        dropped = min(skip, len(chunk))
        skip -= dropped
        if len(chunk) > dropped:
            await sink.take(chunk[dropped:] if dropped else chunk)
    if sink.received < size:
        raise Unanswered(f'Get "{shown(response.url)}": unexpected EOF', temporary=True)
