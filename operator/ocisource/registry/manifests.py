"""Manifests and indexes, read strictly (OCI image-spec manifest.md, image-index.md, descriptor.md; Docker schema 2).

Bytes in, facts out. What is not as the specification says raises RegistryError.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from ocisource.domain.content import EMPTY, Descriptor
from ocisource.domain.errors import InvalidDigest, RegistryError, quoted
from ocisource.domain.reference import check_digest
from ocisource.registry.jsontext import first_value

Parsed = TypeVar("Parsed")

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

# What a manifest request accepts (flux-compat D3).
ACCEPT = f"{SCHEMA_1},{SCHEMA_1_SIGNED},{DOCKER_MANIFEST},{DOCKER_LIST},{OCI_MANIFEST},{OCI_INDEX}"

_MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
_INDEXES = frozenset({OCI_INDEX, DOCKER_LIST})
_SCHEMA_1 = frozenset({SCHEMA_1, SCHEMA_1_SIGNED})
_WHY_NO_SCHEMA_1 = "https://github.com/google/go-containerregistry/issues/377"


MAX_CONTAINERS = 50_000
"""Objects and arrays in one document: a short text can name far more of them than fit into memory side by side. An
index has three for each child."""

LARGE = 64 * 1024
"""Bytes of a document that takes more than a moment to read."""


@dataclass(frozen=True)
class Platform:
    """Where an image runs. An empty `variant` or `version` asks for none in particular."""

    os: str
    architecture: str
    variant: str = ""
    version: str = ""

    def serves(self, wanted: Platform) -> bool:
        """Whether an image for this platform is one for `wanted` (flux-compat D6)."""
        same = self.os == wanted.os and self.architecture == wanted.architecture
        return same and wanted.variant in ("", self.variant) and wanted.version in ("", self.version)


# A child without a platform counts as this one (flux-compat D6).
DEFAULT_PLATFORM = Platform("linux", "amd64")


@dataclass(frozen=True)
class Child:
    """One descriptor of an index. `is_open` where that is an index that names no platform: it counts as the default one
    first, and may hold children of any."""

    descriptor: Descriptor
    platform: Platform
    artifact_type: str
    is_open: bool = False


@dataclass(frozen=True)
class Document:
    """A manifest (`layers`) or an index (`children`); `is_index` tells which. `artifact_type` falls back to the
    media type of the config. `broken` says what is wrong with the entries that are left out, where that is allowed."""

    media_type: str
    is_index: bool
    annotations: Mapping[str, str]
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Child, ...] = ()
    artifact_type: str = ""
    broken: tuple[str, ...] = ()


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def checked_digest(text: str) -> str:
    """The digest, if it is one that can be checked (flux-compat C11). Raises RegistryError."""
    try:
        return check_digest(text)
    except InvalidDigest as error:
        raise RegistryError(str(error)) from error


def parse_platform(text: str) -> Platform:
    """`os/architecture[/variant][:version]`, as the operator's setting has it."""
    place, _, version = text.strip().partition(":")
    os, _, rest = place.partition("/")
    architecture, _, variant = rest.partition("/")
    return Platform(os, architecture, variant, version)


async def read_document(content: bytes, content_type: str = "", *, forgiving: bool = False) -> Document:
    """As `parse_document`, and a large one beside the loop, which is everybody's."""
    return await _read(partial(parse_document, content, content_type, forgiving=forgiving), len(content))


async def read_tags(content: bytes) -> list[str]:
    """As `parse_tags`, and a large page beside the loop."""
    return await _read(partial(parse_tags, content), len(content))


async def _read(parse: Callable[[], Parsed], size: int) -> Parsed:
    return parse() if size < LARGE else await asyncio.to_thread(parse)


def parse_document(content: bytes, content_type: str = "", *, forgiving: bool = False) -> Document:
    """The manifest or index in `content`, which the registry says is of `content_type`. A `forgiving` reader gets the
    good layers or children of one that has broken ones as well."""
    declared = _declared(content_type)
    if declared in _SCHEMA_1:
        raise RegistryError(f"unsupported MediaType: {quoted(declared)}, see {_WHY_NO_SCHEMA_1}")
    fields = _object(_json(content), "the document")
    media_type = _text(fields, "mediaType", "")
    is_index = _is_index(fields, media_type, declared)
    annotations = _annotations(fields)
    media_type = media_type or declared
    broken: list[str] | None = [] if forgiving else None
    if is_index:
        children = tuple(_entries(fields, "manifests", _child, broken))
        return Document(media_type, is_index, annotations, children=children, broken=tuple(broken or ()))
    config = fields.get("config")
    config_type = "" if config is None else _descriptor(config, "config").media_type
    return Document(
        media_type,
        is_index,
        annotations,
        layers=tuple(_entries(fields, "layers", _descriptor, broken)),
        artifact_type=_text(fields, "artifactType", "") or config_type,
        broken=tuple(broken or ()),
    )


def _entries(
    fields: Mapping[str, Any], name: str, read: Callable[[Any, str], Parsed], broken: list[str] | None
) -> Iterator[Parsed]:
    """What `read` makes of each entry of the list. What is wrong with one goes to `broken`, if there is such a list."""
    for number, item in enumerate(_list(fields, name)):
        try:
            yield read(item, f"{name}[{number}]")
        except RegistryError as error:
            if broken is None:
                raise
            broken.append(str(error))


def is_told_otherwise(content_type: str) -> bool:
    """Whether the registry says that it is something else than a manifest."""
    return _declared(content_type) in _INDEXES | _SCHEMA_1


def _declared(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def parse_tags(content: bytes) -> list[str]:
    """The `tags` of one page of a tag list."""
    tags = _list(_object(_json(content), "the tag list"), "tags")
    if not all(isinstance(tag, str) for tag in tags):
        raise RegistryError("field tags must be a list of strings")
    return tags


def _is_index(fields: Mapping[str, Any], media_type: str, declared: str) -> bool:
    """What the bytes are must not depend on who serves them: the document's own word comes first, and a header
    that contradicts it, or a document that could be read both ways, is refused."""
    both = fields.get("manifests") is not None and fields.get("layers") is not None
    kinds = {kind in _INDEXES for kind in (media_type, declared) if kind in _INDEXES | _MANIFESTS}
    if both or len(kinds) == 2:
        raise RegistryError("the document could be read as a manifest and as an index")
    return kinds.pop() if kinds else "manifests" in fields


def _json(content: bytes) -> Any:
    if content.count(b"{") + content.count(b"[") > MAX_CONTAINERS:
        raise RegistryError(f"invalid JSON: more than {MAX_CONTAINERS} objects and arrays")
    return first_value(content)


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RegistryError(f"{name} must be a JSON object")
    return value


def _list(fields: Mapping[str, Any], name: str) -> list[Any]:
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise RegistryError(f"field {name} must be a list")
    return value


def _text(fields: Mapping[str, Any], name: str, default: str | None = None, where: str = "") -> str:
    value = fields.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise RegistryError(f"field {where}{name} must be a string")
    return value


def _annotations(fields: Mapping[str, Any], where: str = "") -> Mapping[str, str]:
    value = fields.get("annotations")
    if value is None:
        return EMPTY
    # A null is an empty text for clients in Go.
    given = _object(value, f"field {where}annotations")
    annotations = {name: "" if text is None else text for name, text in given.items()}
    if not all(isinstance(text, str) for text in annotations.values()):
        raise RegistryError(f"field {where}annotations must hold strings only")
    return annotations


def _descriptor(value: Any, name: str) -> Descriptor:
    fields = _object(value, f"field {name}")
    where = f"{name}."
    size = fields.get("size")
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise RegistryError(f"field {where}size must be a number of bytes")
    digest = checked_digest(_text(fields, "digest", None, where))
    urls = _list(fields, "urls")
    if not all(isinstance(url, str) for url in urls):
        raise RegistryError(f"field {where}urls must be a list of strings")
    media_type = _text(fields, "mediaType", "", where)
    return Descriptor(media_type, digest, size, _annotations(fields, where), _data(fields, where), tuple(urls))


def _data(fields: Mapping[str, Any], where: str) -> bytes | None:
    text = _text(fields, "data", "", where)
    if not text:
        return None
    try:
        # Clients in Go take lines of it, too.
        return base64.b64decode(text.replace("\r", "").replace("\n", ""), validate=True)
    except ValueError:
        raise RegistryError(f"field {where}data must be base64") from None


def _child(value: Any, name: str) -> Child:
    descriptor = _descriptor(value, name)
    artifact_type = _text(value, "artifactType", "", f"{name}.")
    if value.get("platform") is None:
        return Child(descriptor, DEFAULT_PLATFORM, artifact_type, descriptor.media_type in _INDEXES)
    fields = _object(value["platform"], f"field {name}.platform")
    where = f"{name}.platform."
    names = ("os", "architecture", "variant", "os.version")
    return Child(descriptor, Platform(*(_text(fields, field, "", where) for field in names)), artifact_type)
