"""From a verified digest to a tarball in storage, once for all objects that need the same one at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from ocisource.domain.access import Access
from ocisource.domain.content import EMPTY, Descriptor, StoredFile
from ocisource.domain.errors import LayerError, RegistryError
from ocisource.domain.source import Source
from ocisource.flight import Flight
from ocisource.ports import Registry, Store
from ocisource.reconcile import steps

RECENT = 256
RECENT_SECONDS = 60.0


@dataclass(frozen=True)
class Wanted:
    """What makes two tarballs the same: the digest, seen by the same eyes, with the same content rules (J13). `ignore`
    is `spec.ignore`, None where the layer is copied, which no rule has a say in (flux-compat F8)."""

    access: Access
    digest: str
    media_type: str
    copied: bool
    ignore: str | None

    @classmethod
    def by(cls, source: Source, access: Access, digest: str) -> Wanted:
        """What the object asks for, of the manifest at `digest`."""
        layer = source.layer
        return cls(access, digest, layer.media_type, layer.copies, None if layer.copies else source.ignore)


@dataclass(frozen=True)
class Tarball:
    """A tarball in storage, the layer it was made of and the annotations of its manifest."""

    file: StoredFile
    layer: Descriptor
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)


class Tarballs:
    """Fetches and archives. Objects that want the same tarball share one fetch: the first one's file is linked for
    the others, while it is under way and for a minute after."""

    def __init__(self, registry: Registry, store: Store) -> None:
        self._registry = registry
        self._store = store
        self._flight: Flight[Wanted, Tarball] = Flight()
        self._recent: OrderedDict[Wanted, tuple[float, Tarball]] = OrderedDict()
        self._making: dict[str, tuple[Wanted, asyncio.Event]] = {}

    async def get(self, namespace: str, name: str, wanted: Wanted) -> Tarball:
        """The tarball, stored for the object `namespace/name`. Raises RoomErrors and Failures."""
        path = self._store.path(namespace, name, wanted.digest)
        # What an earlier pass of the object began for another spec may go on, for others who joined it: it would be
        # put in the place of ours.
        while (making := self._making.get(path)) is not None and making[0] != wanted:
            await making[1].wait()
        recent = self._recent.get(wanted)
        if recent is not None and asyncio.get_running_loop().time() - recent[0] < RECENT_SECONDS:
            linked = await self._linked(namespace, name, wanted, recent[1])
            if linked is not None:
                return linked
        tarball = await self._flight.join(wanted, lambda: self._made(namespace, name, wanted))
        if tarball.file.path == path:
            return tarball
        linked = await self._linked(namespace, name, wanted, tarball)
        return linked if linked is not None else await self._made(namespace, name, wanted)

    async def _linked(self, namespace: str, name: str, wanted: Wanted, tarball: Tarball) -> Tarball | None:
        file = await self._store.link(namespace, name, wanted.digest, tarball.file)
        return None if file is None else Tarball(file, tarball.layer, tarball.annotations)

    async def _made(self, namespace: str, name: str, wanted: Wanted) -> Tarball:
        path = self._store.path(namespace, name, wanted.digest)
        making = self._making[path] = wanted, asyncio.Event()
        try:
            return await self._make(namespace, name, wanted)
        finally:
            if self._making.get(path) is making:  # else this was given up, and took its time to end
                del self._making[path]
            making[1].set()

    async def _make(self, namespace: str, name: str, wanted: Wanted) -> Tarball:
        manifest = await self._registry.manifest(wanted.access, wanted.digest)
        layer = manifest.layer(wanted.media_type)
        try:
            file = await self._stored(namespace, name, wanted, layer)
        except LayerError as error:
            raise steps.content(copied=wanted.copied).failed(error) from error
        tarball = Tarball(file, layer, manifest.annotations)
        self._remember(wanted, tarball)
        return tarball

    async def _stored(self, namespace: str, name: str, wanted: Wanted, layer: Descriptor) -> StoredFile:
        """The file made of the layer, which was hashed and counted before (flux-compat J3)."""
        spool = self._store.spool(layer.size)
        try:
            try:
                await self._registry.blob(wanted.access, layer, spool)
            except RegistryError as error:
                raise steps.layer().failed(error) from error
            if wanted.copied:
                return await self._store.copy(namespace, name, wanted.digest, spool)
            return await self._store.publish(namespace, name, wanted.digest, spool, wanted.ignore)
        finally:
            spool.close()

    def _remember(self, wanted: Wanted, tarball: Tarball) -> None:
        self._recent[wanted] = (asyncio.get_running_loop().time(), tarball)
        self._recent.move_to_end(wanted)
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
