"""A client that pushes: the little of the distribution-spec that setting up needs."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from devkit.ocicontent import CONFIG, LAYER, MANIFEST, sha256


class PushError(Exception):
    """The registry refused; the message says what and how."""


@dataclass(frozen=True)
class Repository:
    """A repository of a registry that speaks plain HTTP and lets anyone write. `address` is its host:port."""

    address: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Repository:
        """From `host:port/name`. Raises PushError."""
        address, slash, name = text.partition("/")
        if not (address and slash and name):
            raise PushError(f"{text!r} is no repository: write host:port/name")
        return cls(address, name)

    def __str__(self) -> str:
        return f"{self.address}/{self.name}"

    def push(self, tag: str, layer: bytes) -> Pushed:
        """Stores an artifact of one layer, of the media types that Flux gives its own, and moves the tag to it."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(CONFIG, b"{}"),
            "layers": [self._descriptor(LAYER, layer)],
        }
        content = json.dumps(manifest).encode()
        self.put_manifest(tag, MANIFEST, content)
        return Pushed(self, sha256(content), len(content))

    def put_blob(self, content: bytes) -> None:
        """Stores a blob in one piece (distribution-spec, POST then PUT)."""
        place = f"/v2/{self.name}/blobs/uploads/"
        session = urlsplit(self._send("POST", place, b"", "application/octet-stream", 202) or place)
        query = "&".join(filter(None, (session.query, f"digest={sha256(content)}")))
        self._send("PUT", f"{session.path}?{query}", content, "application/octet-stream", 201)

    def put_manifest(self, reference: str, media_type: str, content: bytes) -> None:
        """Stores a manifest under a tag or its digest."""
        self._send("PUT", f"/v2/{self.name}/manifests/{reference}", content, media_type, 201)

    def _descriptor(self, media_type: str, content: bytes) -> dict[str, object]:
        self.put_blob(content)
        return {"mediaType": media_type, "digest": sha256(content), "size": len(content)}

    def _send(self, method: str, path: str, body: bytes, media_type: str, expected: int) -> str:
        """The answer's Location."""
        connection = http.client.HTTPConnection(self.address, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": media_type})
            response = connection.getresponse()
            text = response.read(500).decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise PushError(f"no registry answers at {self.address}: {error}") from error
        finally:
            connection.close()
        if response.status != expected:
            raise PushError(f"{method} http://{self.address}{path}: {response.status} {text}")
        return response.headers.get("Location", "")


@dataclass(frozen=True)
class Pushed:
    """A manifest in a repository."""

    repository: Repository
    digest: str
    size: int

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"
