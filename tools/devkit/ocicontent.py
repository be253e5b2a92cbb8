"""What a registry holds, in memory, and short cuts to make artifacts, indexes, signatures and referrers of it."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
LAYER = "application/vnd.cncf.flux.content.v1.tar+gzip"
CONFIG = "application/vnd.cncf.flux.config.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
NOTATION = "application/vnd.cncf.notary.signature"

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def sha256(content: bytes) -> str:
    """The digest of `content` as registries write it."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class Content:
    """What the registry holds, with short cuts to push without HTTP."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}

    def repository(self, name: str) -> Repository:
        """The repository to store in, made if it is not there."""
        return self.repositories.setdefault(name, Repository())

    def found(self, name: str) -> Repository:
        """The repository to read from; an empty one stands for one that is not there."""
        return self.repositories.get(name) or Repository()

    def blob(self, name: str, content: bytes) -> str:
        """Stores a blob; returns its digest."""
        digest = sha256(content)
        self.repository(name).blobs[digest] = content
        return digest

    def manifest(
        self, name: str, reference: str, document: Mapping[str, Any] | bytes, media_type: str = MANIFEST
    ) -> str:
        """Stores a manifest or an index under a tag (or "" for none); returns its digest."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        digest = sha256(content)
        repository = self.repository(name)
        repository.manifests[digest] = (media_type, content)
        if reference and not DIGEST.fullmatch(reference):
            repository.tags[reference] = digest
        return digest

    def descriptor(
        self, name: str, content: bytes, media_type: str, annotations: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Stores a blob; returns the descriptor that points at it."""
        found: dict[str, Any] = {"mediaType": media_type, "digest": self.blob(name, content), "size": len(content)}
        if annotations:
            found["annotations"] = dict(annotations)
        return found

    def push(
        self,
        name: str,
        tag: str,
        layer: bytes,
        *,
        media_type: str = LAYER,
        annotations: Mapping[str, str] | None = None,
        extra_layers: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Stores an artifact of one layer (and more, as descriptors); returns the digest of its manifest."""
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor(name, b"{}", CONFIG),
            "layers": [self.descriptor(name, layer, media_type), *extra_layers],
        }
        if annotations:
            document["annotations"] = dict(annotations)
        return self.manifest(name, tag, document)

    def index(self, name: str, tag: str, manifests: Sequence[Mapping[str, Any]]) -> str:
        """Stores an image index of these descriptors; returns its digest."""
        return self.manifest(name, tag, {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)}, INDEX)

    def sign_legacy(self, name: str, digest: str, signatures: Sequence[tuple[bytes, Mapping[str, str]]]) -> str:
        """Stores payloads with their annotations as cosign's `sha256-<hex>.sig`; returns the manifest's digest."""
        layers = [self.descriptor(name, payload, SIMPLE_SIGNING, annotations) for payload, annotations in signatures]
        config = self.descriptor(name, b"{}", "application/vnd.oci.image.config.v1+json")
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        return self.manifest(name, digest.replace(":", "-") + ".sig", document)

    def attach(
        self,
        name: str,
        subject: str,
        content: bytes,
        *,
        media_type: str = BUNDLE,
        artifact_type: str | None = BUNDLE,
        config: str = "application/vnd.oci.empty.v1+json",
        annotations: Mapping[str, str] | None = None,
    ) -> str:
        """Stores a referrer of `subject` with one layer (a Sigstore bundle unless said otherwise); `config` is the
        media type of its config."""
        media, body = self.found(name).manifests.get(subject, (MANIFEST, b""))
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.descriptor(name, b"{}", config),
            "layers": [self.descriptor(name, content, media_type)],
            "subject": {"mediaType": media, "digest": subject, "size": len(body)},
        }
        if artifact_type is not None:
            document["artifactType"] = artifact_type
        if annotations:
            document["annotations"] = dict(annotations)
        return self.manifest(name, "", document)

    def referrers(self, name: str, subject: str) -> list[dict[str, Any]]:
        """Descriptors of everything whose `subject` is that digest (distribution-spec, listing referrers)."""
        found = []
        for digest, (media_type, content) in self.found(name).manifests.items():
            document = json.loads(content) if b'"subject"' in content else {}
            if (document.get("subject") or {}).get("digest") == subject:
                artifact_type = document.get("artifactType") or document.get("config", {}).get("mediaType")
                entry = {"mediaType": media_type, "digest": digest, "size": len(content), "artifactType": artifact_type}
                if document.get("annotations"):
                    entry["annotations"] = document["annotations"]
                found.append(entry)
        return found

    def tag_referrers(self, name: str, subject: str) -> str:
        """Stores the index at tag `sha256-<hex>`, as clients do where the referrers API is missing."""
        return self.index(name, subject.replace(":", "-"), self.referrers(name, subject))
