"""The door on a real API server: it sees everything and leaves nothing behind."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ocisource import handlers
from ocisource.cluster.api import KubeAPI
from ocisource.cluster.config import load_config
from ocisource.cluster.events import EventRecorder
from ocisource.cluster.objects import Objects
from ocisource.cluster.secrets import ClusterSecrets
from ocisource.domain.errors import Conflict, NotFound, SecretMissing
from ocisource.domain.source import FINALIZER
from ocisource.domain.status import Event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e


def repository(namespace: str, name: str = "app", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"interval": "5m", "url": "oci://registry.example.com/app"},
    }


class Ledger:
    """What the door told, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str | None, dict[str, Any]]] = []
        self._news = asyncio.Event()

    def write(self, kind: str | None, obj: dict[str, Any]) -> None:
        self.told.append((kind, obj))
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def kinds(self, name: str) -> list[str | None]:
        return [kind for kind, obj in self.told if obj["metadata"]["name"] == name]


@asynccontextmanager
async def watching(plane: ControlPlane, scope: handlers.Scope) -> AsyncIterator[Ledger]:
    ledger, stop, ready = Ledger(), asyncio.Event(), asyncio.Event()
    config = load_config(str(plane.kubeconfig), {})
    door = asyncio.create_task(handlers.watch(config, scope, ledger.write, stop, ready))
    try:
        async with asyncio.timeout(20):
            await asyncio.wait({door, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        yield ledger
    finally:
        stop.set()
        await door


@asynccontextmanager
async def api_of(plane: ControlPlane) -> AsyncIterator[KubeAPI]:
    api = KubeAPI.connect(load_config(str(plane.kubeconfig), {}), 50, 300)
    try:
        yield api
    finally:
        await api.close()


async def test_every_object_and_every_change_is_told(control_plane: ControlPlane, namespace: str) -> None:
    cluster = control_plane.cluster
    cluster.create(repository(namespace, "early"))
    async with watching(control_plane, handlers.Scope(namespace)) as ledger:
        await ledger.until(lambda: "early" in {obj["metadata"]["name"] for _, obj in ledger.told})
        cluster.create(repository(namespace, "late"))
        cluster.patch(repository(namespace, "late"), {"spec": {"interval": "6m"}})
        cluster.delete(repository(namespace, "late"))
        await ledger.until(lambda: "DELETED" in ledger.kinds("late"))
    assert ledger.kinds("early") == [None]
    assert ledger.kinds("late") == ["ADDED", "MODIFIED", "DELETED"]
    assert {obj["kind"] for _, obj in ledger.told} == {"OCIRepository"}
    assert all("managedFields" not in obj["metadata"] for _, obj in ledger.told)


async def test_watching_writes_nothing_to_any_object(control_plane: ControlPlane, namespace: str) -> None:
    """No finalizer, annotation or status of kopf's, and FINALIZER stays: the whole object, with its resource version,
    is what it was."""
    cluster = control_plane.cluster
    plain = cluster.create(repository(namespace, "plain"))
    guarded = cluster.create(repository(namespace, "guarded", finalizers=[FINALIZER], annotations={"team": "a"}))
    leaving = repository(namespace, "leaving", finalizers=[FINALIZER])
    cluster.create(leaving)
    async with watching(control_plane, handlers.Scope(namespace)) as ledger:
        await ledger.until(lambda: len(ledger.told) >= 3)
        cluster.delete(leaving)
        changed = cluster.patch(guarded, {"spec": {"interval": "7m"}})
        cluster.create(repository(namespace, "last"))
        await ledger.until(lambda: bool(ledger.kinds("last")))
        await ledger.until(lambda: ledger.kinds("guarded")[-1:] == ["MODIFIED"])
    assert cluster.read(plain) == plain
    assert cluster.read(guarded) == changed
    gone = cluster.read(leaving)
    assert gone["metadata"]["finalizers"] == [FINALIZER]
    assert gone["metadata"]["deletionTimestamp"]
    assert ledger.kinds("leaving") == [None, "MODIFIED"]


async def test_labels_are_selected_by_the_api_server(control_plane: ControlPlane, namespace: str) -> None:
    cluster = control_plane.cluster
    cluster.create(repository(namespace, "mine", labels={"shard": "1"}))
    cluster.create(repository(namespace, "other", labels={"shard": "2"}))
    async with watching(control_plane, handlers.Scope(namespace, "shard=1")) as ledger:
        await ledger.until(lambda: bool(ledger.told))
        cluster.patch(repository(namespace, "mine"), {"metadata": {"labels": {"shard": "2"}}})
        await ledger.until(lambda: "DELETED" in ledger.kinds("mine"))
    assert ledger.kinds("other") == []
    async with api_of(control_plane) as api:
        assert await Objects(api, namespace, "shard=2").keys() == {(namespace, "mine"), (namespace, "other")}


async def test_all_namespaces_are_watched_without_one(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.cluster.create(repository(namespace))
    async with watching(control_plane, handlers.Scope()) as ledger:
        await ledger.until(lambda: namespace in {obj["metadata"]["namespace"] for _, obj in ledger.told})


async def test_finalizer_and_status_are_written_with_the_version_checked(
    control_plane: ControlPlane, namespace: str
) -> None:
    """B19: merge patches by field manager source-controller; who was overtaken gets Conflict."""
    cluster = control_plane.cluster
    cluster.create(repository(namespace, finalizers=["example.com/other"]))
    async with api_of(control_plane) as api:
        objects = Objects(api)
        await objects.require_crd()
        read = await objects.get(namespace, "app")
        assert read is not None
        finalized = await objects.add_finalizer(read)
        assert finalized["metadata"]["finalizers"] == ["example.com/other", FINALIZER]
        status = {"observedGeneration": 1, "url": "http://a/b", "observedIgnore": "*.md"}
        written = await objects.patch_status(finalized, status)
        assert written["status"] == status
        again = await objects.patch_status(written, status)
        assert again["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]
        shorter = await objects.patch_status(written, {"observedGeneration": 1})
        assert shorter["status"] == {"observedGeneration": 1}
        with pytest.raises(Conflict):
            await objects.patch_status(written, {"observedGeneration": 2})
        await objects.remove_finalizer(shorter)
        left = cluster.read(repository(namespace))
        assert left["metadata"]["finalizers"] == ["example.com/other"]
        managers = {entry["manager"] for entry in left["metadata"]["managedFields"]}
        assert "source-controller" in managers


async def test_objects_that_are_gone_are_told_as_such(control_plane: ControlPlane, namespace: str) -> None:
    cluster = control_plane.cluster
    created = cluster.create(repository(namespace, finalizers=[FINALIZER]))
    async with api_of(control_plane) as api:
        objects = Objects(api)
        assert await objects.get(namespace, "missing") is None
        cluster.patch(created, {"metadata": {"finalizers": None}})
        cluster.delete(created)
        await objects.remove_finalizer(created)
        with pytest.raises(NotFound):
            await objects.patch_status(created, {"observedGeneration": 5})


async def test_secrets_are_read_and_missed(control_plane: ControlPlane, namespace: str) -> None:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "keys", "namespace": namespace},
        "data": {"cosign.pub": "a2V5"},
    }
    control_plane.cluster.create(secret)
    async with api_of(control_plane) as api:
        secrets = ClusterSecrets(api)
        assert await secrets.secret(namespace, "keys") == ("Opaque", {"cosign.pub": b"key"})
        with pytest.raises(SecretMissing, match='secrets "none" not found'):
            await secrets.secret(namespace, "none")


async def test_the_same_event_counts_up(control_plane: ControlPlane, namespace: str) -> None:
    """B21"""
    cluster = control_plane.cluster
    obj = cluster.create(repository(namespace))
    event = Event("Normal", "NewArtifact", "stored artifact", {"source.toolkit.fluxcd.io/revision": "1@sha256:a"})
    async with api_of(control_plane) as api:
        recorder = EventRecorder(api)
        recorder.start()
        for _ in range(3):
            recorder.record(obj, event)
        recorder.record(obj, Event("Warning", "VerificationError", "x" * 40_000))
        await recorder.stop(20)
    found = {item["reason"]: item for item in cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]}
    stored = found["NewArtifact"]
    assert stored["count"] == 3
    assert stored["type"] == "Normal"
    assert stored["source"]["component"] == "source-controller"
    assert stored["reportingComponent"] == "source-controller"
    assert stored["involvedObject"]["uid"] == obj["metadata"]["uid"]
    assert stored["involvedObject"]["kind"] == "OCIRepository"
    assert stored["metadata"]["annotations"] == dict(event.annotations)
    assert len(found["VerificationError"]["message"]) == 32_768  # as long as that of a condition
