"""An API server in memory, as far as this operator can tell: resourceVersion, generation, finalizers, the status
subresource, merge patches, and a watch."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.errors import (
    AccountMissing,
    CloudError,
    ClusterError,
    Conflict,
    NotFound,
    SecretError,
    SecretMissing,
)
from ocisource.domain.source import FINALIZER
from ocisource.domain.status import Event

Object = dict[str, Any]
Watcher = Callable[[str | None, Object], None]


class FakeCluster:
    """Objects and who watches them. People's verbs (`create`, `edit`, `annotate`, `delete`) are methods of this class;
    the operator's are in FakeObjects."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.writes: list[tuple[str, str]] = []
        self.refuses = ""
        """Why every write by the operator is refused, "" where none is."""
        self._versions = itertools.count(1)
        self._watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """From now on this one watches, and nobody else does."""
        for obj in self.objects.values():
            watcher(None, copy.deepcopy(obj))
        self._watchers = [watcher]

    def create(self, name: str, spec: Mapping[str, Any], namespace: str = "team", **metadata: Any) -> None:
        obj = {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "metadata": {"namespace": namespace, "name": name, "uid": f"uid-{next(self._versions)}", **metadata},
            "spec": dict(spec),
            "status": {"observedGeneration": -1},
        }
        obj["metadata"]["generation"] = 1
        self._store("ADDED", obj)

    def edit(self, name: str, namespace: str = "team", **spec: Any) -> None:
        obj = self.get(namespace, name)
        obj["spec"].update(spec)
        obj["spec"] = {key: value for key, value in obj["spec"].items() if value is not None}
        obj["metadata"]["generation"] += 1
        self._store("MODIFIED", obj)

    def annotate(self, name: str, namespace: str = "team", **annotations: str) -> None:
        obj = self.get(namespace, name)
        there = obj["metadata"].setdefault("annotations", {})
        there.update({key.replace("__", "/"): value for key, value in annotations.items()})
        self._store("MODIFIED", obj)

    def request(self, name: str, token: str | None) -> None:
        """What `flux reconcile` does; None takes the annotation away."""
        obj = self.get("team", name)
        there = obj["metadata"].setdefault("annotations", {})
        there["reconcile.fluxcd.io/requestedAt"] = token
        obj["metadata"]["annotations"] = {key: value for key, value in there.items() if value is not None}
        self._store("MODIFIED", obj)

    def delete(self, name: str, namespace: str = "team") -> None:
        obj = self.get(namespace, name)
        if obj["metadata"].get("finalizers"):
            obj["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
            self._store("MODIFIED", obj)
        else:
            self._store("DELETED", obj)

    def get(self, namespace: str, name: str) -> Object:
        try:
            return copy.deepcopy(self.objects[namespace, name])
        except KeyError:
            raise NotFound(f'ocirepositories "{name}" not found') from None

    def patch(self, obj: Mapping[str, Any], change: Callable[[Object], None], what: str) -> Object:
        """A write by the operator, refused if somebody else wrote since `obj` was read."""
        if self.refuses:
            raise ClusterError(self.refuses)
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        fresh = self.get(namespace, name)
        if fresh["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified")
        before = copy.deepcopy(fresh)
        change(fresh)
        if fresh == before:
            return fresh
        self.writes.append((name, what))
        gone = fresh["metadata"].get("deletionTimestamp") and not fresh["metadata"].get("finalizers")
        return self._store("DELETED" if gone else "MODIFIED", fresh)

    def _store(self, event: str, obj: Object) -> Object:
        metadata = obj["metadata"]
        metadata["resourceVersion"] = str(next(self._versions))
        key = (metadata["namespace"], metadata["name"])
        if event == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = copy.deepcopy(obj)
        for watcher in self._watchers:
            watcher(event, copy.deepcopy(obj))
        return copy.deepcopy(obj)


class FakeObjects:
    """Fits `ports.Objects` over a FakeCluster."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster

    async def get(self, namespace: str, name: str) -> Object | None:
        there = (namespace, name) in self._cluster.objects
        return self._cluster.get(namespace, name) if there else None

    async def keys(self, *, everybodys: bool = False) -> set[tuple[str, str]]:
        return set(self._cluster.objects)

    async def add_finalizer(self, obj: Mapping[str, Any]) -> Object:
        def change(fresh: Object) -> None:
            finalizers = fresh["metadata"].setdefault("finalizers", [])
            if FINALIZER not in finalizers:
                finalizers.append(FINALIZER)

        return self._cluster.patch(obj, change, "finalizer")

    async def remove_finalizer(self, obj: Mapping[str, Any]) -> None:
        def change(fresh: Object) -> None:
            finalizers = [one for one in fresh["metadata"].get("finalizers", []) if one != FINALIZER]
            fresh["metadata"]["finalizers"] = finalizers

        self._cluster.patch(obj, change, "finalizer")

    async def patch_status(self, obj: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        def change(fresh: Object) -> None:
            fresh["status"] = dict(copy.deepcopy(status))

        return self._cluster.patch(obj, change, "status")


class FakeSecrets:
    """Fits `ports.Secrets`. `on_change` is called with namespace and name of each Secret that changes."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], tuple[str, dict[str, bytes]]] = {}
        self.on_change: Callable[[str, str], None] = lambda _namespace, _name: None
        self.refuses = ""
        """Why no Secret can be read, "" where they can."""

    def put(self, name: str, data: dict[str, bytes], kind: str = "Opaque", namespace: str = "team") -> None:
        self.found[namespace, name] = (kind, data)
        self.on_change(namespace, name)

    def delete(self, name: str, namespace: str = "team") -> None:
        del self.found[namespace, name]
        self.on_change(namespace, name)

    async def secret(self, namespace: str, name: str) -> tuple[str, Mapping[str, bytes]]:
        if self.refuses:
            raise SecretError(self.refuses)
        try:
            return self.found[namespace, name]
        except KeyError:
            raise SecretMissing(namespace, name) from None


class FakeAccounts:
    """Fits `ports.Accounts`. `on_change` is called with namespace and name of each ServiceAccount that changes, `learn`
    with what one brings when it is read."""

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], ServiceAccount] = {}
        self.on_change: Callable[[str, str], None] = lambda _namespace, _name: None
        self.learn: Callable[[str, str, frozenset[str]], None] = lambda _namespace, _name, _secrets: None

    def put(self, name: str, *pull_secrets: str, namespace: str = "team", **annotations: str) -> None:
        self.found[namespace, name] = ServiceAccount(namespace, name, pull_secrets, annotations)
        self.on_change(namespace, name)

    def delete(self, name: str, namespace: str = "team") -> None:
        del self.found[namespace, name]
        self.on_change(namespace, name)

    async def account(self, namespace: str, name: str) -> ServiceAccount:
        try:
            account = self.found[namespace, name]
        except KeyError:
            raise AccountMissing(namespace, name) from None
        self.learn(namespace, name, frozenset(account.pull_secrets))
        return account

    async def token(self, account: ServiceAccount, audience: str) -> str:
        return f"{account} for {audience}"


class FakeClouds:
    """Fits `ports.Clouds`: gives each asker the credentials that a test sets."""

    def __init__(self) -> None:
        self.asked: list[CloudAccess] = []
        self.gives = Credentials()
        self.refuses = ""
        """Why no cloud gives credentials, "" where they do."""

    async def credentials(self, access: CloudAccess) -> Credentials:
        self.asked.append(access)
        if self.refuses:
            raise CloudError(self.refuses)
        return self.gives


class FakeRecorder:
    """Fits `ports.Recorder`; keeps what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Event]] = []

    def record(self, obj: Mapping[str, Any], event: Event) -> None:
        self.events.append((obj["metadata"]["name"], event))

    def told(self, name: str) -> list[tuple[str, str]]:
        return [(event.type, event.reason) for about, event in self.events if about == name]
