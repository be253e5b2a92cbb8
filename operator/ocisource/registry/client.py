"""The registry room's door: what the corridor asks of a registry (ports.Registry)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from functools import partial
from time import monotonic
from urllib.parse import quote

from ocisource.domain.access import Access
from ocisource.domain.certificates import TLS
from ocisource.domain.content import Descriptor, Manifest
from ocisource.domain.errors import ManifestError, RegistryError
from ocisource.domain.evidence import Evidence
from ocisource.domain.proxies import DIRECT, Environment
from ocisource.flight import Flight
from ocisource.ports import Form, Spool
from ocisource.registry.blobs import download
from ocisource.registry.errors import Unanswered, Unauthorized
from ocisource.registry.limits import (
    DEFAULTS,
    MANIFEST_BYTES,
    NESTED_INDEXES,
    TAG_PAGE_BYTES,
    TAG_PAGES,
    TAGS,
    Limits,
)
from ocisource.registry.links import next_page
from ocisource.registry.manifests import (
    ACCEPT,
    Document,
    checked_digest,
    is_told_otherwise,
    parse_platform,
    read_document,
    read_tags,
    sha256,
)
from ocisource.registry.replies import Reply
from ocisource.registry.retries import STATUSES, Clock, Sleep
from ocisource.registry.signatures import Signatures
from ocisource.registry.transport import Transport

_PAGE_SIZE = 1000
# What may stand in a tag as it is.
_PLAIN = "-_.~$&+,:;=@"
# distribution-spec, pulling manifests. A tag is the user's text: it must not be able to name another endpoint.
_ELSEWHERE = re.compile(r".*/.*|\.\.?", re.DOTALL)


class OCIRegistry:
    """Any registry that speaks OCI distribution, over a pool of connections for each access to it. `environment` names
    the proxies for those who bring none.

    Questions that are equal and under way at the same time, with the same Access, are asked once. Connections open
    in the running loop when first needed; `close` ends them. No operation has a timeout of its own but for
    connecting.
    """

    def __init__(
        self,
        limits: Limits = DEFAULTS,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = monotonic,
        environment: Environment = DIRECT,
    ) -> None:
        self._limits = limits
        self._platform = parse_platform(limits.platform)
        self._transport = Transport(limits, sleep=sleep, clock=clock, environment=environment)
        self._tag_lists: Flight[Access, tuple[str, ...]] = Flight()
        self._digests: Flight[tuple[Access, str], str] = Flight()
        self._manifests: Flight[tuple[Access, str], Manifest] = Flight()
        self._descriptors: Flight[tuple[Access, str], Descriptor] = Flight()

    async def close(self) -> None:
        """Ends every connection."""
        await self._transport.close()

    async def prepare(self, tls: TLS, /) -> None:
        """Makes ready what connections with this material need. Raises SecretError where it cannot be used
        (flux-compat C8)."""
        await self._transport.prepare(tls)

    async def tags(self, access: Access, /) -> tuple[str, ...]:
        """All tags of the repository, every page (flux-compat D7). Raises RegistryError, also past a bound."""
        return await self._tag_lists.join(access, partial(self._tags, access))

    async def resolve(self, access: Access, tag: str, /) -> str:
        """The digest that the tag names now: by HEAD, and by GET where HEAD tells nothing (flux-compat D3)."""
        if _ELSEWHERE.fullmatch(tag):
            raise RegistryError(f"{tag!r} cannot be a tag: letters, digits, '_', '.' and '-', at most 128 of them")
        return await self._digests.join((access, tag), partial(self._resolve, access, tag))

    async def manifest(self, access: Access, digest: str, /) -> Manifest:
        """The image manifest at `digest`, or the index's child for the platform, both checked (flux-compat D5, D6).

        The digest of the answer is the one asked for. Raises RegistryError.
        """
        return await self._manifests.join((access, digest), partial(self._manifest, access, checked_digest(digest)))

    async def describe(self, access: Access, digest: str, /) -> Descriptor:
        """Media type, digest and size of the manifest or index at `digest`, whose bytes were hashed. Raises
        RegistryError."""
        return await self._descriptors.join((access, digest), partial(self._describe, access, checked_digest(digest)))

    async def blob(self, access: Access, descriptor: Descriptor, spool: Spool, /) -> None:
        """Writes the blob into the spool and returns only if size and digest are the descriptor's (flux-compat J3).

        The spool is written from one thread at a time, not always the same one. Raises RegistryError, and what the
        spool raises.
        """
        limit = self._limits.max_blob_size
        if descriptor.size > limit:
            raise RegistryError(f"blob {descriptor.digest} has {descriptor.size} bytes, more than the limit of {limit}")
        await download(self._transport, access, descriptor, spool)

    def signatures(self, access: Access, digest: str, form: Form, /) -> AsyncIterator[Evidence]:
        """Everything of the form that claims to sign `digest`, as it is asked for (signatures.md)."""
        search = Signatures(self._transport, access, checked_digest(digest))
        return search.notation() if form == "notation" else search.cosign()

    async def _tags(self, access: Access) -> tuple[str, ...]:
        path: str | None = f"/v2/{access.repository.path}/tags/list?n={_PAGE_SIZE}"
        tags: list[str] = []
        seen: set[str] = set()
        while path is not None:
            if path in seen or len(seen) >= TAG_PAGES or len(tags) > TAGS:
                why = "leads back to a page seen before" if path in seen else "does not come to an end"
                raise RegistryError(f"the tag list of {access.repository} {why}")
            seen.add(path)
            reply = await self._transport.get(access, path, bound=TAG_PAGE_BYTES)
            tags += await read_tags(reply.body)
            path = next_page(reply, access)
        return tuple(tags)

    async def _resolve(self, access: Access, tag: str) -> str:
        path = _manifest_path(access, tag)
        tries = True
        try:
            head = await self._transport.fetch(access, "HEAD", path, accept=ACCEPT, bound=0)
            if digest := _told(head):
                return digest
            tries = head.status not in STATUSES
        except Unauthorized:
            raise  # GET would ask the same token server the same thing
        except Unanswered as error:
            tries = not error.temporary
        except RegistryError:
            pass  # of all errors GET's is the one to report, since it has a body
        # Where HEAD has used up its tries on a registry in trouble, GET is for the text of the error.
        reply = await self._transport.fetch(access, "GET", path, accept=ACCEPT, bound=MANIFEST_BYTES, tries=tries)
        if reply.status != 200:
            raise reply.refused()
        return sha256(reply.body)

    async def _manifest(self, access: Access, digest: str) -> Manifest:
        document = await self._document(access, digest)
        for _ in range(NESTED_INDEXES):
            if not document.is_index:
                return Manifest(digest, document.media_type, document.layers, document.annotations)
            document = await self._child(access, self._chosen(document, f"{access.repository}@{digest}"))
        if document.is_index:
            raise RegistryError(f"index {access.repository}@{digest} nests more than {NESTED_INDEXES} indexes")
        return Manifest(digest, document.media_type, document.layers, document.annotations)

    def _chosen(self, index: Document, reference: str) -> Descriptor:
        for child in index.children:
            if child.platform.serves(self._platform):
                return child.descriptor
        for child in index.children:
            if child.is_open:
                return child.descriptor
        raise RegistryError(f"no child with platform {self._limits.platform} in index {reference}")

    async def _child(self, access: Access, descriptor: Descriptor) -> Document:
        if descriptor.data is None:
            return await self._document(access, descriptor.digest)
        if (found := sha256(descriptor.data)) != descriptor.digest:
            raise RegistryError(f'error verifying Digest; got "{found}", want "{descriptor.digest}"')
        if (size := len(descriptor.data)) != descriptor.size:
            raise RegistryError(f"error verifying Size; got {size}, want {descriptor.size}")
        return await _parsed(descriptor.data, descriptor.media_type)

    async def _describe(self, access: Access, digest: str) -> Descriptor:
        reply = await self._fetched(access, digest)
        document = await _document(reply)
        return Descriptor(document.media_type, digest, len(reply.body))

    async def _document(self, access: Access, digest: str) -> Document:
        return await _document(await self._fetched(access, digest))

    async def _fetched(self, access: Access, digest: str) -> Reply:
        """The manifest or index, whose bytes are those of the digest."""
        path = _manifest_path(access, digest)
        reply = await self._transport.get(access, path, accept=ACCEPT, bound=MANIFEST_BYTES)
        found = sha256(reply.body)
        if found != digest:
            where = f"{access.repository}@{digest}"
            raise RegistryError(f'manifest digest: "{found}" does not match requested digest: "{digest}" for "{where}"')
        return reply


def _manifest_path(access: Access, reference: str) -> str:
    return f"/v2/{access.repository.path}/manifests/{quote(reference, safe=_PLAIN)}"


def _told(head: Reply) -> str:
    """The digest that a HEAD answer tells, "" where anything about it is missing or odd (flux-compat D3)."""
    if head.status != 200 or "Content-Type" not in head.headers or head.length is None:
        return ""
    try:
        return checked_digest(head.headers.get("Docker-Content-Digest", ""))
    except RegistryError:
        return ""


async def _document(reply: Reply) -> Document:
    return await _parsed(reply.body, reply.headers.get("Content-Type", ""))


async def _parsed(content: bytes, content_type: str) -> Document:
    try:
        return await read_document(content, content_type)
    except RegistryError as error:
        if is_told_otherwise(content_type):
            raise
        raise ManifestError(f"failed to parse artifact manifest: {error}") from error
