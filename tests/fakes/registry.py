"""A registry in memory that fits `ports.Registry`: the same `Content` that the HTTP registry serves, without HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from devkit.ocicontent import NOTATION, SIMPLE_SIGNING, Content, sha256
from ocisource.domain.access import Access
from ocisource.domain.certificates import TLS
from ocisource.domain.content import Descriptor, Manifest
from ocisource.domain.errors import ManifestError, RegistryError
from ocisource.domain.evidence import BundleSignature, Evidence, LegacySignature, NotationSignature, Unreadable
from ocisource.ports import Spool
from ocisource.registry.certificates import made

Fault = Callable[[str], Awaitable[None]]


async def none(_call: str) -> None:
    """No fault."""


async def hang(_call: str) -> None:
    """Never answers."""
    await asyncio.Event().wait()


class FakeRegistry:
    """Reads from a Content. `fault` is awaited before every call with its name, and may raise or wait; `calls` are the
    names of all calls."""

    def __init__(self, content: Content) -> None:
        self._content = content
        self.fault: Fault = none
        self.in_trouble = False
        """Whether nobody can say what signatures there are."""
        self.calls: list[str] = []

    async def _called(self, call: str) -> None:
        self.calls.append(call)
        await self.fault(call)

    async def prepare(self, tls: TLS) -> None:
        await self._called("prepare")
        made(tls)

    async def tags(self, access: Access) -> tuple[str, ...]:
        await self._called("tags")
        return tuple(sorted(self._content.found(access.repository.path).tags))

    async def resolve(self, access: Access, tag: str) -> str:
        await self._called("resolve")
        digest = self._content.found(access.repository.path).tags.get(tag)
        if digest is None:
            raise RegistryError(f"{_url(access, tag)}: MANIFEST_UNKNOWN: manifest unknown", 404)
        return digest

    async def manifest(self, access: Access, digest: str) -> Manifest:
        await self._called("manifest")
        try:
            media_type, content = self._content.found(access.repository.path).manifests[digest]
        except KeyError:
            raise RegistryError(f"{_url(access, digest)}: MANIFEST_UNKNOWN: manifest unknown", 404) from None
        document = json.loads(content)
        if not isinstance(document["layers"], list):
            raise ManifestError("failed to parse artifact manifest: field layers must be a list")
        layers = tuple(_descriptor(layer) for layer in document["layers"])
        return Manifest(digest, media_type, layers, document.get("annotations", {}))

    async def describe(self, access: Access, digest: str) -> Descriptor:
        await self._called("describe")
        try:
            media_type, content = self._content.found(access.repository.path).manifests[digest]
        except KeyError:
            raise RegistryError(f"{_url(access, digest)}: MANIFEST_UNKNOWN: manifest unknown", 404) from None
        return Descriptor(media_type, digest, len(content))

    async def blob(self, access: Access, descriptor: Descriptor, spool: Spool) -> None:
        await self._called("blob")
        content = self._content.found(access.repository.path).blobs[descriptor.digest]
        if sha256(content) != descriptor.digest:
            raise RegistryError(
                f'error verifying sha256 checksum after reading {len(content)} bytes; got "{sha256(content)}"'
            )
        spool.write(content)

    async def signatures(self, access: Access, digest: str, form: str) -> AsyncIterator[Evidence]:
        await self._called("signatures")
        if self.in_trouble:
            yield Unreadable("referrers", "503 Service Unavailable", unanswered=True)
            return
        repository = self._content.found(access.repository.path)
        if form == "notation":
            for referrer in self._content.referrers(access.repository.path, digest):
                if referrer["artifactType"] == NOTATION:
                    layer = json.loads(repository.manifests[referrer["digest"]][1])["layers"][0]
                    yield NotationSignature("signature", layer["mediaType"], repository.blobs[layer["digest"]])
            return
        tagged = repository.tags.get(digest.replace(":", "-") + ".sig")
        if tagged is not None:
            for layer in json.loads(repository.manifests[tagged][1])["layers"]:
                if layer["mediaType"] == SIMPLE_SIGNING:
                    yield LegacySignature("signature", repository.blobs[layer["digest"]], layer.get("annotations", {}))
        for referrer in self._content.referrers(access.repository.path, digest):
            layer = json.loads(repository.manifests[referrer["digest"]][1])["layers"][0]
            yield BundleSignature("bundle", repository.blobs[layer["digest"]])


def _url(access: Access, reference: str) -> str:
    return f"GET http://{access.repository.registry}/v2/{access.repository.path}/manifests/{reference}"


def _descriptor(layer: dict[str, object]) -> Descriptor:
    return Descriptor(str(layer["mediaType"]), str(layer["digest"]), int(str(layer["size"])))
