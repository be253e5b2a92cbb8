"""Answers that a server packs though nobody asked for it (RFC 9110, 8.4.1): clients of this API unpack gzip."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Mapping

from ocisource.domain.errors import RegistryError
from ocisource.registry.limits import MIB

_GZIP = 31  # with its header and checksum


def is_packed(headers: Mapping[str, str]) -> bool:
    """Whether the body is not the content itself but the content in gzip."""
    return headers.get("Content-Encoding", "").lower() == "gzip"


async def inflated(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The content, never more than a little of it at a time: who reads it has bounds of their own. Raises
    RegistryError where it is no gzip."""
    inflate = zlib.decompressobj(_GZIP)
    begun = False  # an answer to HEAD has no body to be packed
    async for piece in pieces:
        rest, begun = piece, True
        while rest:
            if inflate.eof:  # RFC 1952, 2.2: several members are the content one after the other
                inflate = zlib.decompressobj(_GZIP)
            try:
                content = inflate.decompress(rest, MIB)
            except zlib.error:
                raise RegistryError("gzip: invalid header") from None
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
            if content:
                yield content
    if begun and not inflate.eof:
        raise RegistryError("unexpected EOF")
