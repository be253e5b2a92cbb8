"""A small client of the Kubernetes API for setting up and looking: JSON in, JSON out, one connection a request."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

Manifest = dict[str, Any]


class ApiError(Exception):
    """The API server refused; `status` is the HTTP status, the message is the server's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status


@dataclass(frozen=True)
class Reply:
    """A body and the warnings that came with it."""

    body: Any
    warnings: tuple[str, ...]


class Cluster:
    """An API server as seen by the owner of `token`."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        address = urlsplit(url)
        self._host, self._port = address.hostname or "", address.port
        self._token = token
        self._context = ssl.create_default_context(cafile=str(ca))
        self._resources: dict[tuple[str, str], tuple[str, bool]] = {}

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Reply:
        """One request to `path` (with its query). Raises ApiError from status 400 on, OSError if nobody answers."""
        connection = http.client.HTTPSConnection(self._host, self._port, context=self._context, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self._token}", "Accept": accept, "Content-Type": content_type}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            text = response.read().decode()
            warnings = tuple(value for key, value in response.getheaders() if key.lower() == "warning")
            status = response.status
        finally:
            connection.close()
        parsed: Any = text
        if response.headers.get_content_type() == "application/json":
            parsed = json.loads(text)
        if status >= 400:
            raise ApiError(status, parsed.get("message", text) if isinstance(parsed, dict) else text)
        return Reply(parsed, warnings)

    def get(self, path: str) -> Any:
        return self.request("GET", path).body

    def create(self, manifest: Manifest) -> Any:
        """POSTs the object. Raises ApiError 409 if it exists."""
        return self.request("POST", self.path(manifest, collection=True), manifest).body

    def apply(self, manifest: Manifest, *, dry_run: bool = False) -> Reply:
        """Server-side apply with strict field validation, as `kubectl apply --server-side --force-conflicts`."""
        query = "?fieldManager=devkit&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.request("PATCH", self.path(manifest) + query, manifest, "application/apply-patch+yaml")

    def patch(self, manifest: Manifest, change: Mapping[str, object], subresource: str = "") -> Any:
        """JSON merge patch of the object that `manifest` names."""
        path = self.path(manifest) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, change, "application/merge-patch+json").body

    def read(self, manifest: Manifest) -> Any:
        """The object that `manifest` names, as it is now. Raises ApiError 404."""
        return self.get(self.path(manifest))

    def delete(self, manifest: Manifest) -> None:
        """Asks for deletion; an object that is gone already is fine."""
        try:
            self.request("DELETE", self.path(manifest))
        except ApiError as error:
            if error.status != 404:
                raise

    def wait(self, manifest: Manifest, condition: Callable[[Any], bool], timeout: float = 30) -> Any:
        """The object once `condition(object)` holds. Raises TimeoutError with the object as it then was."""
        deadline = time.monotonic() + timeout
        while True:
            seen = self.read(manifest)
            if condition(seen):
                return seen
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {timeout:g} s: {json.dumps(seen, indent=2)}")
            time.sleep(0.1)

    def apply_crds(self, manifests: Iterable[Manifest]) -> None:
        """Applies CustomResourceDefinitions and returns when every version of them is served."""
        crds = list(manifests)
        for crd in crds:
            self.apply(crd)
        for crd in crds:
            self.wait(crd, _established)
            group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
            for version in crd["spec"]["versions"]:
                if version["served"]:
                    self._await_served(f"/apis/{group}/{version['name']}/{plural}")

    def path(self, manifest: Manifest, *, collection: bool = False) -> str:
        """Where the API server keeps the object: only `apiVersion`, `kind` and `metadata` are looked at."""
        version, metadata = manifest["apiVersion"], manifest["metadata"]
        plural, namespaced = self._resource(version, manifest["kind"])
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if namespaced:
            path += f"/namespaces/{quote(metadata.get('namespace', 'default'))}"
        path += f"/{plural}"
        return path if collection else f"{path}/{quote(metadata['name'])}"

    def _resource(self, version: str, kind: str) -> tuple[str, bool]:
        """Plural and whether namespaced, from discovery."""
        if (version, kind) not in self._resources:
            listed = self.get(f"/apis/{version}" if "/" in version else f"/api/{version}")
            for resource in listed["resources"]:
                if "/" not in resource["name"]:
                    self._resources[version, resource["kind"]] = (resource["name"], resource["namespaced"])
        try:
            return self._resources[version, kind]
        except KeyError:
            raise ApiError(404, f"{version} has no kind {kind}") from None

    def _await_served(self, path: str) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                self.get(f"{path}?limit=1")
            except ApiError as error:
                if error.status not in (404, 503) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return


def _established(crd: Any) -> bool:
    conditions = crd.get("status", {}).get("conditions") or []  # null at first
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)
