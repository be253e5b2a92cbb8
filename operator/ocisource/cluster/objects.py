"""The OCIRepositories of the cluster: read one, write its finalizer and status, list the names of all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocisource.cluster.errors import NotFoundError
from ocisource.domain.errors import ClusterError
from ocisource.domain.source import FINALIZER, GROUP, KIND, PLURAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocisource.cluster.api import KubeAPI

VERSION = "v1"
MANAGER = {"fieldManager": "source-controller"}
"""Who wrote a field, as clients of this API know it (flux-compat B19)."""

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
CHUNK = 500

Object = dict[str, Any]


class Objects:
    """Fits `ports.Objects`: OCIRepositories of all namespaces or one (`namespace`), all or those that `selector`
    selects by their labels.

    Writes are JSON merge patches with the resourceVersion that was read: who was overtaken gets Conflict, reads again
    and computes again. Nothing is sent when nothing changed. Every method raises ApiError.
    """

    def __init__(self, api: KubeAPI, namespace: str = "", selector: str = "") -> None:
        self._api = api
        self._statuses = api.apart()
        self._namespace = namespace
        self._selector = selector

    async def require_crd(self) -> None:
        """Raises ClusterError, saying what to do, if the API server does not serve OCIRepository, or not to us: the
        watch would only try again and again."""
        try:
            found = await self._api.get(f"/apis/{GROUP}/{VERSION}")
        except NotFoundError:
            found = {}
        if not any(resource.get("name") == PLURAL for resource in found.get("resources") or ()):
            raise ClusterError(
                f"the API server does not serve {PLURAL}.{GROUP} {VERSION}: install the CustomResourceDefinition with "
                "`kubectl apply -f crds/` and start again"
            )
        await self._page({"limit": "1"}, self._selector)

    async def get(self, namespace: str, name: str) -> Object | None:
        """The object as it is now, None if there is none."""
        try:
            return await self._api.get(path(namespace, name))
        except NotFoundError:
            return None

    async def keys(self, *, everybodys: bool = False) -> set[tuple[str, str]]:
        """Namespace and name of every object, read without their contents; whole, or an error. With `everybodys` also
        of those that the selector does not select."""
        params = {"limit": str(CHUNK)}
        found: set[tuple[str, str]] = set()
        while True:
            page = await self._page(params, "" if everybodys else self._selector)
            for item in page.get("items") or ():
                found.add((item["metadata"]["namespace"], item["metadata"]["name"]))
            onward = (page.get("metadata") or {}).get("continue")
            if not onward:
                return found
            params["continue"] = onward

    async def _page(self, params: Mapping[str, str], selector: str) -> Object:
        where = f"/namespaces/{self._namespace}" if self._namespace else ""
        selected = {"labelSelector": selector} if selector else {}
        return await self._api.get(f"/apis/{GROUP}/{VERSION}{where}/{PLURAL}", {**params, **selected}, METADATA_ONLY)

    async def add_finalizer(self, obj: Mapping[str, Any]) -> Object:
        """The object with our finalizer, as the API server has it now (flux-compat B3)."""
        there = list(obj["metadata"].get("finalizers") or ())
        if FINALIZER in there:
            return dict(obj)
        return await self._patch_finalizers(obj, [*there, FINALIZER])

    async def remove_finalizer(self, obj: Mapping[str, Any]) -> None:
        """Lets the object go (flux-compat B20). One that is gone already is as good."""
        there = list(obj["metadata"].get("finalizers") or ())
        if FINALIZER not in there:
            return
        try:
            await self._patch_finalizers(obj, [one for one in there if one != FINALIZER])
        except NotFoundError:
            return

    async def _patch_finalizers(self, obj: Mapping[str, Any], finalizers: list[str]) -> Object:
        metadata = obj["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"], "finalizers": finalizers or None}}
        return await self._api.patch(path(metadata["namespace"], metadata["name"]), body, MANAGER)

    async def patch_status(self, obj: Mapping[str, Any], status: Mapping[str, Any]) -> Object:
        """The object with `status` as its whole status, as the API server has it now."""
        changes = merge_patch(obj.get("status") or {}, status)
        if not changes:
            return dict(obj)
        metadata = obj["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "status": changes}
        return await self._statuses.patch(path(metadata["namespace"], metadata["name"]) + "/status", body, MANAGER)


def path(namespace: str, name: str) -> str:
    """Where the API server has the object."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}/{name}"


def reference(obj: Mapping[str, Any]) -> dict[str, str]:
    """A core/v1 ObjectReference to the object."""
    metadata = obj["metadata"]
    found = {
        "apiVersion": obj.get("apiVersion") or f"{GROUP}/{VERSION}",
        "kind": obj.get("kind") or KIND,
        "namespace": metadata.get("namespace"),
        "name": metadata.get("name"),
        "uid": metadata.get("uid"),
        "resourceVersion": metadata.get("resourceVersion"),
    }
    return {key: str(value) for key, value in found.items() if value}


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The smallest JSON merge patch (RFC 7386) that makes `new` of `old`; {} if they are equal. A null in `new`
    stands for a field that is not there, as in the RFC. Lists are replaced whole."""
    patch: dict[str, Any] = {key: None for key, value in old.items() if value is not None and new.get(key) is None}
    for key, value in new.items():
        before = old.get(key)
        if value is None or value == before:
            continue
        if isinstance(value, dict):
            inner = merge_patch(before if isinstance(before, dict) else {}, value)
            if inner or not isinstance(before, dict):
                patch[key] = inner
        else:
            patch[key] = value
    return patch
