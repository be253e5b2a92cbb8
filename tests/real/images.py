"""Images as teams push them, over HTTP into any registry."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import devkit.repository
from devkit.seals import attach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devkit.signer import Signer


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


class Repository(devkit.repository.Repository):
    """One repository of a registry, with what tests ask of it."""

    @property
    def url(self) -> str:
        return f"oci://{self}"

    def publish(self, tag: str, files: Mapping[str, bytes], annotations: Mapping[str, str] | None = None) -> Image:
        """Pushes the files as the first layer of a new image."""
        layer = tarball(files)
        pushed = self.push(tag, layer, annotations)
        return Image(str(pushed), tag, pushed.digest, self.get(f"manifests/{pushed.digest}").body, layer)

    def sign(self, image: Image, signer: Signer, *, bundle: bool) -> None:
        """Signs without cosign: for tests of other things than signatures."""
        attach(self.pushed(image), signer.bundle(image.digest) if bundle else signer.legacy(image.digest))

    def pushed(self, image: Image) -> devkit.repository.Pushed:
        """The image as `devkit.seals.attach` takes it."""
        return devkit.repository.Pushed(self, image.digest, len(image.manifest))

    def lists_referrers(self, digest: str) -> bool:
        """Whether the registry has the referrers API."""
        return self.get(f"referrers/{digest}").status == 200

    def manifest(self, reference: str) -> dict[str, Any]:
        """The manifest or index at a tag or digest."""
        reply = self.get(f"manifests/{reference}")
        assert reply.status == 200, (reference, reply)
        found: dict[str, Any] = json.loads(reply.body)
        return found

    def referrers(self, digest: str) -> list[dict[str, Any]]:
        """Descriptors of the referrers, from the API or the tag that stands in for it."""
        reply = self.get(f"referrers/{digest}")
        found = json.loads(reply.body) if reply.status == 200 else self.manifest(digest.replace(":", "-"))
        manifests: list[dict[str, Any]] = found["manifests"]
        return manifests


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
