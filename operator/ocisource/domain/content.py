"""What travels between the rooms: names of content in a registry and of the tarball made from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ocisource.domain.errors import ManifestError

HELM_CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
"""Media type of the layer that holds a chart (Helm, "Use OCI-based registries")."""


class _NoEntries(Mapping[str, str]):
    """An empty mapping that a dataclass takes as a default: Python 3.11 wants a hash there, a mappingproxy has none."""

    def __getitem__(self, key: str) -> str:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0


EMPTY: Mapping[str, str] = _NoEntries()


@dataclass(frozen=True)
class Descriptor:
    """Points at content (OCI image-spec, descriptor.md). `size` is in bytes.

    `data` is the content itself where the descriptor embeds it; `urls` where else it can be had.
    """

    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)
    data: bytes | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """An image manifest whose bytes hash to `digest` (OCI image-spec, manifest.md)."""

    digest: str
    media_type: str
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)

    def layer(self, media_type: str) -> Descriptor:
        """The first layer of exactly that media type, the first of all where "" is asked for (flux-compat F1). Raises
        ManifestError in the words of flux-compat C14."""
        if not self.layers:
            raise ManifestError("no layers found in artifact")
        for layer in self.layers:
            if media_type in ("", layer.media_type):
                return layer
        raise ManifestError(f"failed to find layer with media type '{media_type}' in artifact")


@dataclass(frozen=True)
class Revision:
    """The one revision that a pass is about. `tag` is "" when the object names a digest (flux-compat D3, D4)."""

    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.tag}@{self.digest}" if self.tag else self.digest


@dataclass(frozen=True)
class StoredFile:
    """A tarball on disk. `path` is relative to the storage root, `digest` is `sha256:<hex>` of the file,
    `size` is in bytes, `dropped_links` names the symbolic links that were left out (flux-compat J8), at most
    ten of them; `dropped` is how many there were. `link_problem` says why `latest.tar.gz` could not be pointed at the
    file (flux-compat C20), "" where it was."""

    path: str
    digest: str
    size: int
    dropped_links: tuple[str, ...] = ()
    dropped: int = 0
    link_problem: str = ""


@dataclass(frozen=True)
class Artifact:
    """`status.artifact` of the object (flux-compat A6). `last_update_time` is RFC 3339, UTC, whole seconds."""

    path: str
    url: str
    revision: str
    digest: str
    size: int
    last_update_time: str
    metadata: Mapping[str, str] = field(default=EMPTY, hash=False)
