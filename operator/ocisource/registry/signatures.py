"""Everything in a registry that claims to sign a digest (signatures.md: legacy, bundles, Notation, discovery, rules 3
and 6).

Found here, judged elsewhere. What cannot be read becomes an Unreadable with its reason: it never counts, and it
never hides another one. Nothing is fetched before it is asked for, so that the first good signature ends the search.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ocisource.domain.access import Access
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError
from ocisource.domain.evidence import BundleSignature, Evidence, LegacySignature, NotationSignature, Unreadable
from ocisource.registry.blobs import download
from ocisource.registry.errors import is_unanswered
from ocisource.registry.limits import MANIFEST_BYTES, SIGNATURE_BYTES, SIGNATURES
from ocisource.registry.links import next_page
from ocisource.registry.manifests import ACCEPT, OCI_INDEX, OCI_MANIFEST, Child, Document, read_document, sha256
from ocisource.registry.replies import Reply
from ocisource.registry.transport import Transport

SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"
PREDICATE_ANNOTATION = "dev.sigstore.bundle.predicateType"
NOTATION = "application/vnd.cncf.notary.signature"

# Referrers of these types may be any: without a type of its own a manifest is listed by that of its config, which may
# be empty, an image's, or what a client wrote for want of another, and some registries name none. The manifest tells.
_UNTOLD = frozenset(
    {
        "",
        "application/vnd.oci.empty.v1+json",
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.unknown.config.v1+json",
        "application/vnd.unknown.artifact.v1",
    }
)
# Answers of registries without the referrers API (distribution-spec has 404; the others are seen as well).
_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})
_PAGES = 16


class _Memory:
    """A spool for what is small."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, chunk: bytes, /) -> None:
        self.content += chunk

    def close(self) -> None:
        """Nothing to give back."""


@dataclass(frozen=True)
class Signatures:
    """The search, for one digest in one repository."""

    transport: Transport
    access: Access
    digest: str

    async def cosign(self) -> AsyncIterator[Evidence]:
        """Legacy signatures first, then bundles."""
        async for evidence in self._legacy():
            yield evidence
        async for evidence in self._bundles():
            yield evidence

    async def notation(self) -> AsyncIterator[Evidence]:
        """Notation's signatures."""

        def promising(child: Child) -> bool:
            return child.artifact_type == NOTATION or child.artifact_type in _UNTOLD

        async for child in self._promising("signatures", promising):
            if isinstance(child, Unreadable):
                yield child
                continue
            async for evidence in self._notation(child):
                yield evidence

    async def _legacy(self) -> AsyncIterator[Evidence]:
        tag = self.digest.replace(":", "-") + ".sig"
        try:
            document = await self._tagged(tag, SIGNATURE_BYTES)
        except RegistryError as error:
            yield _unreadable("legacy signatures", error)
            return
        if document is None:
            return
        if document.broken:
            yield _left_out("legacy signatures", document)
        layers = [layer for layer in document.layers if layer.media_type == SIMPLE_SIGNING]
        payloads: dict[str, bytes] = {}  # layers may share a blob; each has annotations of its own
        for number, layer in enumerate(layers[:SIGNATURES], start=1):
            name = f"legacy signature {number}"
            try:
                if layer.digest not in payloads:
                    payloads[layer.digest] = await self._blob(layer)
                yield LegacySignature(name, payloads[layer.digest], layer.annotations)
            except RegistryError as error:
                yield _unreadable(name, error)
        if len(layers) > SIGNATURES:
            yield Unreadable("legacy signatures", f"only the first {SIGNATURES} of {len(layers)} were looked at")

    async def _bundles(self) -> AsyncIterator[Evidence]:
        attestations: list[Child] = []

        def promising(child: Child) -> bool:
            if not _may_hold_bundle(child):
                return False
            if child.descriptor.annotations.get(PREDICATE_ANNOTATION, SIGN_PREDICATE) == SIGN_PREDICATE:
                return True
            attestations.append(child)
            return False

        async for child in self._promising("bundles", promising):
            if isinstance(child, Unreadable):
                yield child
                continue
            async for evidence in self._bundle(child):
                yield evidence
        if attestations:
            yield Unreadable("attestations", f"{len(attestations)} found, which are not signatures")

    async def _bundle(self, child: Child) -> AsyncIterator[Evidence]:
        name = f"bundle {child.descriptor.digest[:19]}"
        try:
            document = await self._manifest(child.descriptor.digest)
            layers = [layer for layer in document.layers if layer.media_type.startswith(BUNDLE)]
            if not layers and child.artifact_type in _UNTOLD:
                return  # some other referrer
            if len(layers) != 1:
                raise RegistryError(f"it has {len(layers)} bundle layers instead of one")
            yield BundleSignature(name, await self._blob(layers[0]))
        except RegistryError as error:
            yield _unreadable(name, error)

    async def _notation(self, child: Child) -> AsyncIterator[Evidence]:
        name = f"signature {child.descriptor.digest[:19]}"
        try:
            document = await self._manifest(child.descriptor.digest)
            if document.artifact_type != NOTATION and child.artifact_type in _UNTOLD:
                return  # some other referrer
            if document.artifact_type != NOTATION:
                raise RegistryError(f"its manifest is not of the type {NOTATION}")
            if len(document.layers) != 1:
                raise RegistryError(f"it has {len(document.layers)} layers instead of one")
            layer = document.layers[0]
            yield NotationSignature(name, layer.media_type, await self._blob(layer))
        except RegistryError as error:
            yield _unreadable(name, error)

    async def _promising(self, what: str, promising: Callable[[Child], bool]) -> AsyncIterator[Child | Unreadable]:
        """The referrers that are worth a look, so many of them as are looked at."""
        looked_at = 0
        async for child in self._referrers():
            if isinstance(child, Unreadable):
                yield child
            elif promising(child):
                looked_at += 1
                if looked_at > SIGNATURES:
                    yield Unreadable(what, f"only the first {SIGNATURES} referrers were looked at")
                    return
                yield child

    async def _referrers(self) -> AsyncIterator[Child | Unreadable]:
        """Descriptors of what is said to refer to the digest, by the API, and then by the tag that stands for it where
        there is none: one may not know what was pushed for the other. Nobody is believed, since what was signed says
        itself what it is about."""
        seen = set()
        async for child in self._listed_referrers():
            if isinstance(child, Child):
                seen.add(child.descriptor.digest)
            yield child
        async for child in self._tagged_referrers():
            if isinstance(child, Unreadable) or child.descriptor.digest not in seen:
                yield child

    async def _listed_referrers(self) -> AsyncIterator[Child | Unreadable]:
        path = f"/v2/{self.access.repository.path}/referrers/{self.digest}"
        for _ in range(_PAGES):
            try:
                reply = await self.transport.fetch(self.access, "GET", path, accept=OCI_INDEX, bound=MANIFEST_BYTES)
                index = await _index(reply)
                for child in index.children if index is not None else ():
                    yield child
                if index is not None and index.broken:
                    yield _left_out("referrers", index)
                following = next_page(reply, self.access) if index is not None else None
            except RegistryError as error:
                yield _unreadable("referrers", error)
                return
            if following is None:
                return
            path = following
        yield Unreadable("referrers", f"only the first {_PAGES} pages were looked at")

    async def _tagged_referrers(self) -> AsyncIterator[Child | Unreadable]:
        tag = self.digest.replace(":", "-")
        try:
            document = await self._tagged(tag, MANIFEST_BYTES)
        except RegistryError as error:
            yield _unreadable(f"referrers at tag {tag[:19]}", error)
            return
        if document is None:
            return
        for child in document.children:
            yield child
        if document.broken:
            yield _left_out(f"referrers at tag {tag[:19]}", document)

    async def _tagged(self, tag: str, bound: int) -> Document | None:
        """What stands at the tag, None for nothing: a list of signatures, in which a broken one hides no other."""
        reply = await self._get(f"manifests/{tag}", ACCEPT, bound)
        if reply.status == 404:
            return None
        if reply.status != 200:
            raise reply.refused()
        return await read_document(reply.body, reply.headers.get("Content-Type", ""), forgiving=True)

    async def _manifest(self, digest: str) -> Document:
        reply = await self._get(f"manifests/{digest}", f"{OCI_MANIFEST},{OCI_INDEX}", SIGNATURE_BYTES)
        if reply.status != 200:
            raise reply.refused()
        if sha256(reply.body) != digest:
            raise RegistryError("the manifest does not match its digest")
        return await read_document(reply.body, reply.headers.get("Content-Type", ""))

    async def _get(self, what: str, accept: str, bound: int) -> Reply:
        path = f"/v2/{self.access.repository.path}/{what}"
        return await self.transport.fetch(self.access, "GET", path, accept=accept, bound=bound)

    async def _blob(self, descriptor: Descriptor) -> bytes:
        if descriptor.size > SIGNATURE_BYTES:
            raise RegistryError(f"{descriptor.size} bytes are more than the {SIGNATURE_BYTES} a signature may have")
        memory = _Memory()
        await download(self.transport, self.access, descriptor, memory)
        return bytes(memory.content)


def _unreadable(name: str, error: RegistryError) -> Unreadable:
    return Unreadable(name, str(error), unanswered=is_unanswered(error))


def _left_out(name: str, document: Document) -> Unreadable:
    return Unreadable(name, f"{len(document.broken)} of them cannot be read: {document.broken[0]}")


def _may_hold_bundle(child: Child) -> bool:
    return child.artifact_type.startswith(BUNDLE) or child.artifact_type in _UNTOLD


async def _index(reply: Reply) -> Document | None:
    """The index in a referrers answer, None where the registry does not know that API. Raises RegistryError."""
    if reply.status in _NO_REFERRERS:
        return None
    if reply.status != 200:
        raise reply.refused()
    try:
        document = await read_document(reply.body, reply.headers.get("Content-Type", ""), forgiving=True)
    except RegistryError:
        return None
    return document if document.is_index else None
