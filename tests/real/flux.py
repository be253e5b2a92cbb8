"""The commands of `flux` on an OCIRepository: the real ones, and the same as plain JSON over the API.

The latter say what it is in our objects that the former depend on: requests, waits and lines of the CLI of Flux 2.9
(`cmd/flux`) and the kstatus that it waits with (`cli-utils`). These rules are the client's (flux-compat I2 to I5). What
holds for the one has to hold for the other.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import yaml

from devkit.cluster import ApiError
from devkit.fluxcli import FluxError
from devkit.fluxcontroller import lenient_kind
from real.objects import GROUP, REQUESTED_AT, Object, condition

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.cluster import Cluster
    from devkit.fluxcli import FluxCommand, Told

_HEX = re.compile(r"\b[a-f0-9]{40,128}\b")
_ORIGIN = {
    "Origin Revision: ": "org.opencontainers.image.revision",
    "Origin Source:   ": "org.opencontainers.image.source",
}


def kstatus(obj: Object) -> tuple[str, str]:
    """Status and message by kstatus, which knows nothing of the kind: deletion, generation, the two standard
    conditions in the order in which they stand, Ready."""
    if obj["metadata"].get("deletionTimestamp"):
        return "Terminating", "Resource scheduled for deletion"
    generation, status = obj["metadata"]["generation"], obj.get("status") or {}
    observed = status.get("observedGeneration")
    if observed is not None and observed != generation:
        return "InProgress", f"OCIRepository generation is {generation}, but latest observed generation is {observed}"
    for each in status.get("conditions") or []:
        if each["status"] == "True" and each["type"] in ("Reconciling", "Stalled"):
            return ("InProgress" if each["type"] == "Reconciling" else "Failed"), each["message"]
    ready = condition(obj, "Ready")
    if ready.get("status") == "True":
        return "Current", "Resource is Ready"
    if ready:
        return "InProgress", ready["message"]
    return "Current", "Resource is current"


class Flux(Protocol):
    """`flux --namespace` of one namespace. Every command raises FluxError with the message that it ends with."""

    def get(self) -> list[list[str]]:
        """`flux get sources oci`: NAME, REVISION, SUSPENDED, READY, MESSAGE."""

    def reconcile(self, name: str, timeout: float = 30) -> list[str]:
        """`flux reconcile source oci`: what is done. `timeout` is in seconds."""

    def create(self, name: str, url: str, **reference: str) -> list[str]:
        """`flux create source oci` with `tag` or `semver`: what is done."""

    def suspend(self, name: str) -> None:
        """`flux suspend source oci`."""

    def resume(self, name: str) -> list[str]:
        """`flux resume source oci`: what is done."""

    def export(self, name: str) -> Object:
        """`flux export source oci`: what it prints as YAML."""

    def delete(self, name: str) -> None:
        """`flux delete source oci --silent`: it does not wait."""

    def trace(self, name: str) -> list[str]:
        """The part of `flux trace` about the source of a Kustomization."""

    def stats(self) -> list[str]:
        """The row of `flux stats` for OCIRepository: Running, Failing, Suspended, Storage."""

    def events(self, name: str = "") -> list[list[str]]:
        """`flux events --for OCIRepository/<name>`: TYPE, REASON, OBJECT, MESSAGE, by time. FluxError for an event
        whose LAST SEEN is `<unknown>`."""


class RealFlux:
    """The CLI itself."""

    def __init__(self, command: FluxCommand, cluster: Cluster, namespace: str) -> None:
        self._command = command
        self._cluster = cluster
        self._namespace = namespace

    def get(self) -> list[list[str]]:
        return self._run("get", "sources", "oci").table()

    def reconcile(self, name: str, timeout: float = 30) -> list[str]:
        return self._command.run(self._namespace, "reconcile", "source", "oci", name, timeout=timeout).done()

    def create(self, name: str, url: str, **reference: str) -> list[str]:
        flags = {"tag": "--tag", "semver": "--tag-semver"}
        ref = [f"{flags[key]}={value}" for key, value in reference.items()]
        return self._run("create", "source", "oci", name, f"--url={url}", *ref).done()

    def suspend(self, name: str) -> None:
        self._run("suspend", "source", "oci", name)

    def resume(self, name: str) -> list[str]:
        return self._run("resume", "source", "oci", name).done()

    def export(self, name: str) -> Object:
        found: Object = yaml.safe_load(self._run("export", "source", "oci", name).result)
        return found

    def delete(self, name: str) -> None:
        self._run("delete", "source", "oci", name, "--silent")

    def trace(self, name: str) -> list[str]:
        """Of an object that says it belongs to a Kustomization, which nobody here reconciles."""
        group = "kustomize.toolkit.fluxcd.io"
        self._cluster.apply_crds([lenient_kind(group, "Kustomization", "kustomizations")])
        metadata = {"name": "traced", "namespace": self._namespace}
        spec = {"path": "./", "sourceRef": {"kind": "OCIRepository", "name": name}}
        owner = {"apiVersion": f"{group}/v1", "kind": "Kustomization", "metadata": metadata, "spec": spec}
        labels = {f"{group}/name": "traced", f"{group}/namespace": self._namespace}
        owned = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {**metadata, "labels": labels}}
        for each in (owner, owned):
            self._cluster.apply(each)
        said = self._run("trace", "configmap", "traced").result
        return [line for line in said.rpartition("---\n")[2].splitlines() if line]

    def stats(self) -> list[str]:
        return next(row[1:] for row in self._run("stats").table() if row[0] == "OCIRepository")

    def events(self, name: str = "") -> list[list[str]]:
        selector = f"OCIRepository/{name}" if name else "OCIRepository"
        rows = self._run("events", f"--for={selector}").table()
        if any("<unknown>" in row[0] for row in rows):
            raise FluxError("LAST SEEN is <unknown>")
        return [row[1:] for row in rows]

    def _run(self, *arguments: str) -> Told:
        return self._command.run(self._namespace, *arguments)


class PlainFlux:
    """What the CLI does, in plain JSON."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def get(self) -> list[list[str]]:
        found = self._list()
        if not found:
            raise FluxError(f'no OCIRepository objects found in "{self._namespace}" namespace')
        return [_row(each) for each in found]

    def reconcile(self, name: str, timeout: float = 30) -> list[str]:
        """Ready=True without an artifact would be a KeyError here, as it is a panic there."""
        obj = self._read(name)
        if obj["spec"].get("suspend"):
            raise FluxError("resource is suspended")
        before = (obj.get("status") or {}).get("lastHandledReconcileAt", "")
        self._cluster.patch(obj, {"metadata": {"annotations": {REQUESTED_AT: _rfc3339nano()}}})

        def handled(obj: Object) -> bool:
            return bool(obj["status"].get("lastHandledReconcileAt", "") != before) and _is_current(obj)

        obj = self._poll(name, handled, timeout)
        ready = condition(obj, "Ready")
        if not ready:
            raise FluxError("status can't be determined")
        if ready["status"] != "True":
            raise FluxError(f"OCIRepository reconciliation failed: '{ready['message']}'")
        return ["OCIRepository annotated", f"fetched revision {obj['status']['artifact']['revision']}"]

    def create(self, name: str, url: str, **reference: str) -> list[str]:
        """With the JSON that its types marshal to. What is there already is replaced."""
        spec = {"interval": "1m0s", "provider": "generic", "url": url, "ref": reference}
        obj = {**self._named(name), "spec": spec, "status": {}}
        try:
            existing = self._read(name)
        except ApiError as error:
            if error.status != 404:
                raise
            self._cluster.create(obj)
            lines = ["OCIRepository created"]
        else:
            self._cluster.request("PUT", self._cluster.path(obj), {**existing, "spec": spec})
            lines = ["OCIRepository updated"]
        obj = self._poll(name, _is_object_ready)
        if not obj["status"].get("artifact"):
            raise FluxError("no artifact was found")
        revision = obj["status"]["artifact"]["revision"]
        return [*lines, "OCIRepository reconciliation completed", f"fetched revision: {revision}"]

    def suspend(self, name: str) -> None:
        self._cluster.patch(self._named(name), {"spec": {"suspend": True}})

    def resume(self, name: str) -> list[str]:
        """Its merge patch takes the field away: in Go it is left out when false."""
        self._cluster.patch(self._named(name), {"spec": {"suspend": None}})
        obj = self._poll(name, _is_object_ready)
        revision = obj["status"]["artifact"]["revision"]
        completed = f"OCIRepository {name} reconciliation completed"
        return ["source oci resumed", completed, f"fetched revision {revision}"]

    def export(self, name: str) -> Object:
        obj = self._read(name)
        metadata = {key: obj["metadata"][key] for key in ("labels", "annotations") if key in obj["metadata"]}
        named = self._named(name)
        return {**named, "metadata": {**named["metadata"], **metadata}, "spec": obj["spec"]}

    def delete(self, name: str) -> None:
        self._cluster.delete(self._read(name))

    def trace(self, name: str) -> list[str]:
        obj = self._read(name)
        spec, artifact, ready = obj["spec"], obj.get("status", {}).get("artifact"), condition(obj, "Ready")
        lines = [f"OCIRepository:   {name}", f"Namespace:       {self._namespace}", f"URL:             {spec['url']}"]
        reference = spec.get("ref", {})
        for key, title in (("tag", "Tag:   "), ("semver", "Tag:   "), ("digest", "Digest:")):
            if reference.get(key):
                lines.append(f"{title}          {reference[key]}")
                break
        if artifact:
            lines.append(f"Revision:        {artifact['revision']}")
            metadata = artifact.get("metadata") or {}
            lines += [title + metadata[key] for title, key in _ORIGIN.items() if metadata.get(key)]
        if not ready:
            return [*lines, "Status:          Unknown"]
        outcome = "reconciliation failed" if ready["status"] == "False" else "reconciled"
        when = datetime.strptime(ready["lastTransitionTime"], "%Y-%m-%dT%H:%M:%SZ")  # noqa: DTZ007 - as Go's metav1.Time
        return [*lines, f"Status:          Last {outcome} at {when} +0000 UTC", f"Message:         {ready['message']}"]

    def stats(self) -> list[str]:
        items = self._list()
        suspended = sum(each["spec"].get("suspend") is True for each in items)
        failing = sum(condition(each, "Ready").get("status") == "False" for each in items)
        sizes = [(each.get("status") or {}).get("artifact", {}).get("size", 0) for each in items]
        return [str(len(items) - suspended), str(failing), str(suspended), f"{sum(sizes)} B"]

    def events(self, name: str = "") -> list[list[str]]:
        selector = "involvedObject.kind%3DOCIRepository" + (f"%2CinvolvedObject.name%3D{name}" if name else "")
        path = f"/api/v1/namespaces/{self._namespace}/events?limit=500&fieldSelector={selector}"
        items = self._cluster.get(path)["items"]
        for each in items:
            repeated = (each.get("count") or 0) > 1
            if not (each.get("eventTime") or each.get("firstTimestamp")) or (
                repeated and not each.get("lastTimestamp")
            ):
                raise FluxError("LAST SEEN is <unknown>")
        items.sort(key=lambda each: str(each.get("lastTimestamp") or each["eventTime"]))
        return [
            [each["type"], each["reason"], "{kind}/{name}".format_map(each["involvedObject"]), each["message"]]
            for each in items
        ]

    def _named(self, name: str) -> Object:
        metadata = {"name": name, "namespace": self._namespace}
        return {"apiVersion": f"{GROUP}/v1", "kind": "OCIRepository", "metadata": metadata}

    def _read(self, name: str) -> Object:
        found: Object = self._cluster.read(self._named(name))
        return found

    def _list(self) -> list[Object]:
        found: list[Object] = self._cluster.get(self._cluster.path(self._named(""), collection=True))["items"]
        return found

    def _poll(self, name: str, done: Callable[[Object], bool], timeout: float = 30) -> Object:
        """Raises FluxError as the CLI does when its --timeout is over."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            obj = self._read(name)
            if done(obj):
                return obj
            time.sleep(0.05)
        raise FluxError("context deadline exceeded")


def _is_current(obj: Object) -> bool:
    """Raises FluxError for what is neither Current nor InProgress."""
    status, message = kstatus(obj)
    if status not in ("Current", "InProgress"):
        raise FluxError(message)
    return status == "Current"


def _is_object_ready(obj: Object) -> bool:
    """What `create` and `resume` wait for."""
    observed, ready = (obj.get("status") or {}).get("observedGeneration", 0), condition(obj, "Ready")
    if observed < 1 or not ready:
        return False
    if (ready.get("observedGeneration") or observed) != obj["metadata"]["generation"]:
        return False
    return _is_current(obj)


def _row(obj: Object) -> list[str]:
    ready = condition(obj, "Ready") or {"status": "False", "message": "waiting to be reconciled"}
    revision = ((obj.get("status") or {}).get("artifact") or {}).get("revision", "")
    return [
        obj["metadata"]["name"],
        _truncated(revision),
        str(obj["spec"].get("suspend", False)),
        ready["status"],
        _truncated(ready["message"]),
    ]


def _truncated(text: str) -> str:
    return _HEX.sub(lambda found: found[0][:8], text)


def _rfc3339nano() -> str:
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
