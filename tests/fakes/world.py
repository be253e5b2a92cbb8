"""Object and world in → status, files and events out. One world on fakes, one on the real rooms where they need no
cluster; every flow test runs in both."""

from __future__ import annotations

import asyncio
import gzip
import io
import itertools
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import fakes.registry
from devkit import ocifaults
from devkit.ocicontent import Content
from devkit.ocihttp import RegistryServer
from devkit.signer import Signer
from fakes.cluster import FakeAccounts, FakeClouds, FakeCluster, FakeObjects, FakeRecorder, FakeSecrets
from fakes.registry import FakeRegistry
from ocisource.controller import Controller, Desk
from ocisource.domain.secretindex import SecretIndex
from ocisource.ports import Registry, Trust
from ocisource.reconcile import Corridor, Identities, Rooms
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import DEFAULTS
from ocisource.storage.store import FileStore
from ocisource.telemetry import Metrics
from ocisource.trust.room import TrustRoom
from ocisource.workqueue import Result, WorkQueue

APP = "team/app"
ADVERTISED = "http://source.example"
NEVER = 3600.0
"""Seconds that nobody waits for."""


def layer(files: Mapping[str, bytes], links: Iterable[tuple[str, str]] = ()) -> bytes:
    """A gzip'd tar of regular files and symbolic links; the same bytes for the same files."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, target in links:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return buffer.getvalue()


class World:
    """A cluster, a registry and the operator between them. `passes` runs whatever is due, one object at a time."""

    def __init__(self, root: Path, content: Content, registry: Registry, host: str) -> None:
        self.root = root
        self.content = content
        self.registry = registry
        self.url = f"oci://{host}/{APP}"
        self.cluster = FakeCluster()
        self.secrets = FakeSecrets()
        self.accounts = FakeAccounts()
        self.clouds = FakeClouds()
        self.recorder = FakeRecorder()
        self.store = FileStore(root)
        self.room: Trust = TrustRoom(lambda: b"", time.time)
        self.elapsed = 0.0
        """Seconds on the operator's monotonic clock; a test moves them."""
        self._seconds = itertools.count()
        self.start()

    def start(
        self,
        *,
        withdrawing: bool = False,
        verify_interval: float = 0.0,
        own_identities: bool = False,
        default_account: str = "",
    ) -> None:
        """Starts the operator, or another one in its place: nothing but cluster and storage tells it of before."""
        identities = Identities(self.accounts, self.clouds, own_identities, default_account)
        self.queue = WorkQueue(lambda _failures: NEVER)
        self.controller = self._controller(identities, withdrawing=withdrawing, verify_interval=verify_interval)
        self.cluster.watch(self.controller.on_event)
        self.secrets.on_change = self.controller.on_secret
        self.accounts.on_change = self.controller.on_account

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        """While the context lasts the operator does what is due by itself."""
        working = asyncio.create_task(self.queue.run(self.controller.process))
        try:
            yield
        finally:
            await self.queue.stop(5)
            await working

    async def until(self, condition: Callable[[], object]) -> None:
        """Returns once the condition holds, which somebody else works for."""
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    def _controller(self, identities: Identities, *, withdrawing: bool, verify_interval: float) -> Controller:
        rooms = Rooms(self.registry, lambda: self.room, self.store, self.secrets, identities, ADVERTISED, self.clock)
        index = SecretIndex()
        self.accounts.learn = index.learn
        return Controller(
            Desk(
                corridor=Corridor(rooms, withdrawing=withdrawing),
                objects=FakeObjects(self.cluster),
                recorder=self.recorder,
                store=self.store,
                queue=self.queue,
                gauges=Metrics(),
                clock=self.clock,
                uniform=lambda: 0.5,
                verify_interval=verify_interval,
                monotonic=lambda: self.elapsed,
                index=index,
                default_account=identities.default,
            )
        )

    def clock(self) -> str:
        """Another second at every look, so that a time that should not move is seen to move."""
        minutes, seconds = divmod(next(self._seconds), 60)
        return f"2026-01-01T{minutes // 60:02}:{minutes % 60:02}:{seconds:02}Z"

    def declare(self, name: str = "app", **spec: Any) -> None:
        """Creates an object of the usual kind; `spec` adds to it and overrides."""
        usual: dict[str, Any] = {"url": self.url, "interval": "5m", "insecure": True, "ref": {"semver": "*"}}
        self.cluster.create(name, {key: value for key, value in (usual | spec).items() if value is not None})

    def push(self, tag: str, files: Mapping[str, bytes] | None = None, **annotations: str) -> str:
        """Pushes a version of the app; its digest."""
        content = layer(files if files is not None else {"app.yaml": f"version: {tag}\n".encode()})
        return self.content.push(APP, tag, content, annotations=annotations)

    def hang(self) -> None:
        """From now on the registry takes every question and answers none."""
        if isinstance(self.content, RegistryServer):
            self.content.fault = ocifaults.hang()
        elif isinstance(self.registry, FakeRegistry):
            self.registry.fault = fakes.registry.hang

    def in_trouble(self, *, trouble: bool = True) -> None:
        """From now on the registry does not say what signatures there are."""
        if isinstance(self.content, RegistryServer):
            busy = ocifaults.chain(*(ocifaults.when(part, ocifaults.answer(503)) for part in (".sig", "/referrers/")))
            self.content.fault = busy if trouble else None
        elif isinstance(self.registry, FakeRegistry):
            self.registry.in_trouble = trouble

    def searches(self) -> int:
        """How often the registry was asked for signatures."""
        if isinstance(self.content, RegistryServer):
            return sum(asked.path.endswith(".sig") for asked in self.content.asked)
        assert isinstance(self.registry, FakeRegistry)
        return self.registry.calls.count("signatures")

    def sign(self, digest: str, signer: Signer, *, bundle: bool = False) -> None:
        """Signs as cosign does, in the old format or as a bundle."""
        if bundle:
            self.content.attach(APP, digest, signer.bundle(digest))
        else:
            one = signer.legacy(digest)
            self.content.sign_legacy(APP, digest, [(one.payload, one.annotations)])

    def trust(self, *signers: Signer, secret: str = "pub") -> dict[str, Any]:
        """A Secret with the public keys; the `verify` that names it."""
        self.secrets.put(secret, {f"key{index}.pub": signer.public_pem() for index, signer in enumerate(signers)})
        return {"provider": "cosign", "secretRef": {"name": secret}}

    async def passes(self, name: str = "app") -> Result:
        """One pass over the object, and those that it asks for at once."""
        for _ in range(5):
            result = await self.controller.process(("team", name))
            if result.failed or result.after != 0:
                return result
        raise AssertionError("the object asks for a pass again and again")

    def status(self, name: str = "app") -> dict[str, Any]:
        status: dict[str, Any] = self.cluster.get("team", name)["status"]
        return status

    def conditions(self, name: str = "app") -> dict[str, tuple[str, str]]:
        return {one["type"]: (one["status"], one["reason"]) for one in self.status(name).get("conditions", ())}

    def message(self, kind: str = "Ready", name: str = "app") -> str:
        return next(str(one["message"]) for one in self.status(name)["conditions"] if one["type"] == kind)

    def revision(self, name: str = "app") -> str:
        return str(self.status(name).get("artifact", {}).get("revision", ""))

    def served(self, name: str = "app") -> dict[str, bytes]:
        """The files of the tarball that the status names."""
        path = self.root / self.status(name)["artifact"]["path"]
        with tarfile.open(path, "r:gz") as tar:
            return {one.name: tar.extractfile(one).read() for one in tar if one.isreg()}  # type: ignore[union-attr]

    def on_disk(self) -> bytes:
        """Everything in storage, as one string of bytes."""
        return b"".join(path.read_bytes() for path in sorted(self.root.rglob("*")) if path.is_file())

    def tarballs(self) -> list[str]:
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("sha256:*.tar.gz"))


@asynccontextmanager
async def fake_world(root: Path) -> AsyncIterator[World]:
    content = Content()
    world = World(root, content, FakeRegistry(content), "registry.example.com")
    try:
        yield world
    finally:
        world.store.close()


@asynccontextmanager
async def http_world(root: Path) -> AsyncIterator[World]:
    async with RegistryServer() as server:
        registry = OCIRegistry(replace(DEFAULTS, retry_delays=(0.0, 0.0)))
        world = World(root, server, registry, server.address)
        try:
            yield world
        finally:
            await registry.close()
            world.store.close()
