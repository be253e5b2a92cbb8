"""A client that pushes: the little of the distribution-spec that setting up needs."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from devkit.ocicontent import CONFIG, INDEX, LAYER, MANIFEST, sha256

if TYPE_CHECKING:
    from devkit.services import Account


class PushError(Exception):
    """The registry refused; the message says what and how."""


@dataclass(frozen=True)
class Reply:
    """What the registry answered."""

    status: int
    location: str
    body: bytes


@dataclass(frozen=True)
class Repository:
    """A repository of a registry that speaks plain HTTP. `address` is its host:port; without an `account` anyone may
    write."""

    address: str
    name: str
    account: Account | None = None

    @classmethod
    def parse(cls, text: str) -> Repository:
        """From `host:port/name`. Raises PushError."""
        address, slash, name = text.partition("/")
        if not (address and slash and name):
            raise PushError(f"{text!r} is no repository: write host:port/name")
        return cls(address, name)

    def __str__(self) -> str:
        return f"{self.address}/{self.name}"

    def push(self, tag: str, layer: bytes, annotations: Mapping[str, str] | None = None) -> Pushed:
        """Stores an artifact of one layer, of the media types that Flux gives its own, and moves the tag to it."""
        manifest: dict[str, object] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(CONFIG, b"{}"),
            "layers": [self._descriptor(LAYER, layer)],
        }
        if annotations:
            manifest["annotations"] = dict(annotations)
        content = json.dumps(manifest).encode()
        self.put_manifest(tag, MANIFEST, content)
        return Pushed(self, sha256(content), len(content))

    def put_blob(self, content: bytes) -> None:
        """Stores a blob in one piece (distribution-spec, POST then PUT)."""
        place = f"/v2/{self.name}/blobs/uploads/"
        session = urlsplit(self._sent("POST", place, b"", "application/octet-stream", 202).location or place)
        query = "&".join(filter(None, (session.query, f"digest={sha256(content)}")))
        self._sent("PUT", f"{session.path}?{query}", content, "application/octet-stream", 201)

    def put_manifest(self, reference: str, media_type: str, content: bytes) -> None:
        """Stores a manifest under a tag or its digest."""
        self._sent("PUT", f"/v2/{self.name}/manifests/{reference}", content, media_type, 201)

    def get(self, what: str) -> Reply:
        """What is at `manifests/<reference>`, `referrers/<digest>` and the like, whatever the status."""
        return self._send("GET", f"/v2/{self.name}/{what}", b"", "")

    def _descriptor(self, media_type: str, content: bytes) -> dict[str, object]:
        self.put_blob(content)
        return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}

    def _sent(self, method: str, path: str, body: bytes, media_type: str, expected: int) -> Reply:
        reply = self._send(method, path, body, media_type)
        if reply.status != expected:
            text = reply.body[:500].decode(errors="replace")
            raise PushError(f"{method} http://{self.address}{path}: {reply.status} {text}")
        return reply

    def _send(self, method: str, path: str, body: bytes, media_type: str) -> Reply:
        headers = {"Accept": f"{MANIFEST}, {INDEX}"}
        if media_type:
            headers["Content-Type"] = media_type
        if self.account is not None:
            login = f"{self.account.user}:{self.account.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(login).decode()}"
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return Reply(response.status, response.headers.get("Location", ""), response.read())
        except (OSError, http.client.HTTPException) as error:
            raise PushError(f"no registry answers at {self.address}: {error}") from error
        finally:
            connection.close()


@dataclass(frozen=True)
class Pushed:
    """A manifest in a repository."""

    repository: Repository
    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"
