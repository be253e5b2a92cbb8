"""Images as teams push them, over HTTP into any registry."""

from __future__ import annotations

import base64
import gzip
import http.client
import io
import json
import re
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devkit.signer import MANIFEST, Signer, legacy_image, referrer, referrers_index, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devkit.services import Account

CONFIG = "application/vnd.cncf.flux.config.v1+json"
LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """What was pushed. `reference` is `host:port/name@sha256:<hex>`, as cosign takes it."""

    reference: str
    tag: str
    digest: str
    manifest: bytes
    layer: bytes

    @property
    def revision(self) -> str:
        return f"{self.tag}@{self.digest}"


class Repository:
    """One repository of the registry at `address`."""

    def __init__(self, address: str, name: str, account: Account | None = None) -> None:
        self.address = address
        self.name = name
        self._headers: dict[str, str] = {}
        if account is not None:
            login = base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {login}"

    @property
    def url(self) -> str:
        return f"oci://{self.address}/{self.name}"

    def push(self, tag: str, files: Mapping[str, bytes], annotations: Mapping[str, str] | None = None) -> Image:
        """Pushes the files as the first layer of a new image."""
        layer = tarball(files)
        self.put_blob(b"{}")
        self.put_blob(layer)
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": sha256(b"{}"), "size": 2},
            "layers": [{"mediaType": LAYER, "digest": sha256(layer), "size": len(layer)}],
        }
        if annotations:
            document["annotations"] = dict(annotations)
        content = json.dumps(document).encode()
        self.put_manifest(tag, MANIFEST, content)
        digest = sha256(content)
        return Image(f"{self.address}/{self.name}@{digest}", tag, digest, content, layer)

    def sign(self, image: Image, signer: Signer, *, bundle: bool) -> None:
        """Signs without cosign: for tests of other things than signatures."""
        if not bundle:
            legacy_image(image.digest, [signer.legacy(image.digest)]).push(self.put_blob, self.put_manifest)
            return
        attached = referrer(image.digest, len(image.manifest), signer.bundle(image.digest))
        attached.push(self.put_blob, self.put_manifest)
        if not self.lists_referrers(image.digest):
            referrers_index(image.digest, [attached]).push(self.put_blob, self.put_manifest)

    def lists_referrers(self, digest: str) -> bool:
        """Whether the registry has the referrers API."""
        return self._ask("GET", f"referrers/{digest}")[0] == 200

    def manifest(self, reference: str) -> dict[str, Any]:
        """The manifest or index at a tag or digest."""
        status, _, body = self._ask("GET", f"manifests/{reference}")
        assert status == 200, (reference, status, body)
        found: dict[str, Any] = json.loads(body)
        return found

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the referrers, from the API or the tag that stands in for it."""
        status, _, body = self._ask("GET", f"referrers/{digest}")
        found = json.loads(body) if status == 200 else self.manifest(digest.replace(":", "-"))
        manifests: list[dict[str, Any]] = found["manifests"]
        return manifests

    def put_blob(self, content: bytes) -> None:
        _, headers, _ = self._ask("POST", "blobs/uploads/", b"")
        upload = re.sub(r"^https?://[^/]*", "", headers["Location"])
        query = ("&" if "?" in upload else "?") + f"digest={sha256(content)}"
        status, _, body = self._ask("PUT", upload + query, content)
        assert status == 201, (status, body)

    def put_manifest(self, reference: str, media_type: str, content: bytes) -> None:
        status, _, body = self._ask("PUT", f"manifests/{reference}", content, media_type)
        assert status == 201, (status, body)

    def _ask(
        self, method: str, path: str, body: bytes | None = None, media_type: str = "application/octet-stream"
    ) -> tuple[int, Mapping[str, str], bytes]:
        where = path if path.startswith("/") else f"/v2/{self.name}/{path}"
        accept = f"{MANIFEST}, application/vnd.oci.image.index.v1+json"
        connection = http.client.HTTPConnection(self.address, timeout=10)
        try:
            connection.request(method, where, body, {"Content-Type": media_type, "Accept": accept, **self._headers})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


def tarball(files: Mapping[str, bytes]) -> bytes:
    """A gzip-compressed tar of the files, the same for the same files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=1, mtime=0)


def files_in(content: bytes) -> dict[str, bytes]:
    """The regular files of a gzip-compressed tar, which is read to its end."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as tar:
        for entry in tar:
            if entry.isfile() and (file := tar.extractfile(entry)):
                found[entry.name] = file.read()
    return found
