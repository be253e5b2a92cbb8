"""OCIRepositories and Secrets, and what one reads from them."""

from __future__ import annotations

import base64
import json
import ssl
from http.client import HTTPSConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devkit.cluster import Cluster
    from devkit.controlplane import ControlPlane

GROUP = "source.toolkit.fluxcd.io"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"

Object = dict[str, Any]


def oci_repository(namespace: str, name: str, url: str, **spec: Any) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "OCIRepository",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"interval": "10m", "url": url, "timeout": "20s", **spec},
    }


def verified_by(secret: str) -> Object:
    """`spec.verify` with the public keys of the Secret."""
    return {"provider": "cosign", "secretRef": {"name": secret}}


def secret(namespace: str, name: str, data: Mapping[str, bytes], kind: str = "Opaque") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "type": kind,
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def condition(obj: Object, kind: str) -> Object:
    """The condition of that type, {} if there is none."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == kind), {})


def is_ready(obj: Object) -> bool:
    """Ready=True about the spec as it is now."""
    ready = condition(obj, "Ready")
    return ready.get("status") == "True" and ready.get("observedGeneration") == obj["metadata"]["generation"]


def has_failed(obj: Object) -> bool:
    """Ready=False about the spec as it is now."""
    ready = condition(obj, "Ready")
    return ready.get("status") == "False" and ready.get("observedGeneration") == obj["metadata"]["generation"]


def holds(obj: Object, revision: str) -> bool:
    """Ready with the artifact of that revision."""
    return is_ready(obj) and bool(obj["status"]["artifact"]["revision"] == revision)


def outcomes(obj: Object) -> dict[str, tuple[str, str]]:
    """Condition types → status and reason."""
    return {each["type"]: (each["status"], each["reason"]) for each in obj["status"]["conditions"]}


def events(cluster: Cluster, obj: Object) -> dict[str, list[Object]]:
    """The Events about the object, by reason."""
    namespace, uid = obj["metadata"]["namespace"], obj["metadata"]["uid"]
    found: dict[str, list[Object]] = {}
    for each in cluster.get(f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.uid={uid}")["items"]:
        found.setdefault(each["reason"], []).append(each)
    return found


def states(plane: ControlPlane, before: Object, after: Object) -> list[Object]:
    """Every state that the object was in from `before` (exclusive) to `after`: one for each write that changed it."""
    cluster, metadata = plane.cluster, before["metadata"]
    path = cluster.path(before, collection=True)
    query = f"?watch=1&fieldSelector=metadata.name={metadata['name']}&resourceVersion={metadata['resourceVersion']}"
    address = urlsplit(plane.url)
    context = ssl.create_default_context(cafile=str(plane.ca))
    connection = HTTPSConnection(address.hostname or "", address.port, context=context, timeout=10)
    found: list[Object] = []
    try:
        connection.request("GET", path + query, headers={"Authorization": f"Bearer {plane.token}"})
        response = connection.getresponse()
        while not found or found[-1]["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"]:
            found.append(json.loads(response.readline())["object"])
    finally:
        connection.close()
    return found
