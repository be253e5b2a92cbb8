"""Pushes to the registry of a bench: plain HTTP, one connection, no retries."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, urlsplit

from devkit.signer import sha256

if TYPE_CHECKING:
    from types import TracebackType


class Pusher:
    """The registry at `address` (host:port), which takes what anybody pushes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._connection = http.client.HTTPConnection(address, timeout=120)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def blob(self, repository: str, content: bytes) -> None:
        """Pushes a blob by an upload in one piece (distribution-spec, "Pushing a blob monolithically")."""
        session = self._send("POST", f"/v2/{repository}/blobs/uploads/")
        place = urlsplit(session)
        query = f"{place.query}&" if place.query else ""
        path = f"{place.path}?{query}digest={quote(sha256(content), safe='')}"
        self._send("PUT", path, content, "application/octet-stream")

    def manifest(self, repository: str, reference: str, media_type: str, content: bytes) -> None:
        """Pushes a manifest to a tag or digest."""
        self._send("PUT", f"/v2/{repository}/manifests/{reference}", content, media_type)

    def _send(self, method: str, path: str, content: bytes = b"", media_type: str = "") -> str:
        """The Location of the answer. Raises OSError unless the registry took it."""
        headers = {"Content-Type": media_type} if media_type else {}
        self._connection.request(method, path, content, headers)
        response = self._connection.getresponse()
        body = response.read()
        if response.status not in (201, 202):
            raise OSError(f"{method} {path}: the registry answered {response.status} {body[:200]!r}")
        return response.getheader("Location", "")
