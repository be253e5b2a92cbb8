"""The commands of `flux` on an OCIRepository, as plain JSON over the API: its requests, its waits, its lines.

Written down from the CLI of Flux 2.9 (`cmd/flux`) and the kstatus that it waits with (`cli-utils`), not from what our
operator does: these rules are the client's (flux-compat I2 to I5).
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from devkit.cluster import ApiError
from real.objects import GROUP, REQUESTED_AT, Object, condition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devkit.cluster import Cluster

_HEX = re.compile(r"\b[a-f0-9]{40,128}\b")
_PART_OF = "labelSelector=app.kubernetes.io%2Fpart-of%3Dflux"
_ORIGIN = {
    "Origin Revision: ": "org.opencontainers.image.revision",
    "Origin Source:   ": "org.opencontainers.image.source",
}


class FluxError(Exception):
    """The command ends with an error; the message is what it prints."""


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


class Flux:
    """`flux --namespace` of one namespace. Times are in seconds; `timeout` is what `--timeout` is there."""

    def __init__(self, cluster: Cluster, namespace: str, timeout: float = 30) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._timeout = timeout

    def get(self) -> list[list[str]]:
        """`flux get sources oci`: NAME, REVISION, SUSPENDED, READY, MESSAGE."""
        return [_row(each) for each in self._list()]

    def reconcile(self, name: str) -> list[str]:
        """`flux reconcile source oci`. Ready=True without an artifact would be a KeyError here, as it is a panic
        there."""
        obj = self._read(name)
        if obj["spec"].get("suspend"):
            raise FluxError("resource is suspended")
        before = (obj.get("status") or {}).get("lastHandledReconcileAt", "")
        self._cluster.patch(obj, {"metadata": {"annotations": {REQUESTED_AT: _rfc3339nano()}}})

        def handled(obj: Object) -> bool:
            return bool(obj["status"].get("lastHandledReconcileAt", "") != before) and _is_current(obj)

        obj = self._poll(name, handled)
        ready = condition(obj, "Ready")
        if not ready:
            raise FluxError("status can't be determined")
        if ready["status"] != "True":
            raise FluxError(f"OCIRepository reconciliation failed: '{ready['message']}'")
        return ["OCIRepository annotated", f"fetched revision {obj['status']['artifact']['revision']}"]

    def create(self, name: str, spec: Mapping[str, Any]) -> list[str]:
        """`flux create source oci`, with the JSON that its types marshal to. What is there already is replaced."""
        spec = {"interval": "1m0s", "provider": "generic", **spec}
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
        """`flux suspend source oci`."""
        self._cluster.patch(self._named(name), {"spec": {"suspend": True}})

    def resume(self, name: str) -> list[str]:
        """`flux resume source oci`. Its merge patch takes the field away: in Go it is left out when false."""
        self._cluster.patch(self._named(name), {"spec": {"suspend": None}})
        obj = self._poll(name, _is_object_ready)
        revision = obj["status"]["artifact"]["revision"]
        return [f"OCIRepository {name} reconciliation completed", f"fetched revision {revision}"]

    def export(self, name: str) -> Object:
        """`flux export source oci`: what it prints as YAML."""
        obj = self._read(name)
        metadata = {key: obj["metadata"][key] for key in ("labels", "annotations") if key in obj["metadata"]}
        named = self._named(name)
        return {**named, "metadata": {**named["metadata"], **metadata}, "spec": obj["spec"]}

    def delete(self, name: str) -> None:
        """`flux delete source oci --silent`: it does not wait."""
        self._cluster.delete(self._read(name))

    def trace(self, name: str) -> list[str]:
        """The part of `flux trace` about the source of a Kustomization or HelmRelease."""
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
        """The row of `flux stats` for OCIRepository: Running, Failing, Suspended, Storage."""
        items = self._list()
        suspended = sum(each["spec"].get("suspend") is True for each in items)
        failing = sum(condition(each, "Ready").get("status") == "False" for each in items)
        sizes = [(each.get("status") or {}).get("artifact", {}).get("size", 0) for each in items]
        return [str(len(items) - suspended), str(failing), str(suspended), f"{sum(sizes)} B"]

    def events(self, name: str = "") -> list[list[str]]:
        """`flux events --for OCIRepository/<name>`: TYPE, REASON, OBJECT, MESSAGE, by time. Raises FluxError for an
        event whose LAST SEEN would be `<unknown>`."""
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

    def check(self) -> tuple[dict[str, list[str]], list[str]]:
        """What `flux check` finds in its namespace: the Deployments with their images, and the CRDs with the version
        that they were stored in last."""
        deployments = self._cluster.get(f"/apis/apps/v1/namespaces/{self._namespace}/deployments?{_PART_OF}")["items"]
        kinds = self._cluster.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions?{_PART_OF}")["items"]
        images = {
            each["metadata"]["name"]: [one["image"] for one in each["spec"]["template"]["spec"]["containers"]]
            for each in deployments
        }
        return images, [f"{each['metadata']['name']}/{each['status']['storedVersions'][-1]}" for each in kinds]

    def _named(self, name: str) -> Object:
        metadata = {"name": name, "namespace": self._namespace}
        return {"apiVersion": f"{GROUP}/v1", "kind": "OCIRepository", "metadata": metadata}

    def _read(self, name: str) -> Object:
        found: Object = self._cluster.read(self._named(name))
        return found

    def _list(self) -> list[Object]:
        found: list[Object] = self._cluster.get(self._cluster.path(self._named(""), collection=True))["items"]
        return found

    def _poll(self, name: str, done: Callable[[Object], bool]) -> Object:
        """Raises FluxError as the CLI does when its --timeout is over."""
        deadline = time.monotonic() + self._timeout
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
