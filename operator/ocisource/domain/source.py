"""The object as its owner wrote it: OCIRepository dict → frozen Source, or the field that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocisource.domain import durations
from ocisource.domain.content import EMPTY, HELM_CHART
from ocisource.domain.errors import InvalidSource, RoomError
from ocisource.domain.reference import Reference
from ocisource.domain.schema import check_types, shown, unknown_in

GROUP = "source.toolkit.fluxcd.io"
VERSIONS = ("v1", "v1beta2")
KIND = "OCIRepository"
PLURAL = "ocirepositories"
FINALIZER = "finalizers.fluxcd.io"
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
EVENT_ANNOTATION = "event.toolkit.fluxcd.io/"

_INTERVAL = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m|h))+")
_TIMEOUT = re.compile(r"([0-9]+(\.[0-9]+)?(ms|s|m))+")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


@dataclass(frozen=True)
class OIDCIdentity:
    """Whose certificate may have signed: RE2 patterns, both must match (signatures.md rule 5)."""

    issuer: str
    subject: str


@dataclass(frozen=True)
class Verify:
    """`spec.verify`. `secret` is "" when keyless."""

    provider: str
    secret: str = ""
    trusted_root_secret: str = ""
    identities: tuple[OIDCIdentity, ...] = ()


@dataclass(frozen=True)
class LayerSelector:
    """`spec.layerSelector` (flux-compat F1, F8). What is "" was not set: the first layer, and `extract`."""

    media_type: str = ""
    operation: str = ""

    @property
    def copies(self) -> bool:
        """Whether the layer becomes the artifact as it is, byte for byte."""
        return self.operation == "copy"

    @property
    def is_chart(self) -> bool:
        """Whether it is a Helm chart that is asked for, whose tags are spelt in a way of their own (flux-compat D7)."""
        return self.media_type == HELM_CHART

    def as_dict(self) -> dict[str, str]:
        pairs = (("mediaType", self.media_type), ("operation", self.operation))
        return {name: value for name, value in pairs if value}


@dataclass(frozen=True)
class Source:
    """One OCIRepository, checked. Durations are in seconds. Names of Secrets are "" when not given."""

    namespace: str
    name: str
    uid: str
    generation: int
    url: str
    interval: float
    timeout: float
    reference: Reference
    layer_selector: LayerSelector | None = None
    provider: str = "generic"
    secret: str = ""
    cert_secret: str = ""
    proxy_secret: str = ""
    service_account: str = ""
    ignore: str | None = None
    insecure: bool = False
    suspended: bool = False
    deleting: bool = False
    finalized: bool = False
    verify: Verify | None = None
    requested_at: str | None = None
    event_annotations: Mapping[str, str] = field(default=EMPTY, hash=False)

    @property
    def layer(self) -> LayerSelector:
        """Which layer, and what becomes of it: the defaults where the object says nothing."""
        return self.layer_selector or LayerSelector()


def parse_source(obj: Mapping[str, Any]) -> Source:
    """Reads an OCIRepository of either version. Raises InvalidSource with the first field that is wrong.

    The same rules as the CRD's schema (flux-compat A5), for objects that no API server has looked at.
    """
    metadata = _mapping(obj, "metadata", "")
    spec = _spec(obj)
    check_types(spec)
    annotations = metadata.get("annotations") or {}
    return Source(
        namespace=str(metadata.get("namespace") or "default"),
        name=_object_name(metadata),
        uid=str(metadata.get("uid") or ""),
        generation=int(metadata.get("generation") or 0),
        url=_url(spec),
        interval=_duration(spec, "interval", _INTERVAL, None, "like 5m or 1h30m"),
        timeout=_duration(spec, "timeout", _TIMEOUT, 60.0, "like 60s or 2m (hours are not allowed here)"),
        reference=_reference(spec.get("ref") or {}),
        layer_selector=_layer_selector(spec.get("layerSelector")),
        provider=_one_of(spec.get("provider"), "spec.provider", ("generic", "aws", "azure", "gcp")),
        secret=_local_ref(spec, "secretRef", "spec"),
        cert_secret=_local_ref(spec, "certSecretRef", "spec"),
        proxy_secret=_local_ref(spec, "proxySecretRef", "spec"),
        service_account=spec.get("serviceAccountName") or "",
        ignore=spec.get("ignore"),
        insecure=bool(spec.get("insecure")),
        suspended=bool(spec.get("suspend")),
        deleting=bool(metadata.get("deletionTimestamp")),
        finalized=FINALIZER in (metadata.get("finalizers") or ()),
        verify=_verify(spec.get("verify")),
        requested_at=requested_at(annotations),
        event_annotations=MappingProxyType({k: v for k, v in annotations.items() if k.startswith(EVENT_ANNOTATION)}),
    )


def requested_at(annotations: Mapping[str, Any]) -> str | None:
    """The request that stands in the annotations of an object; "" is one as any other, None is none (B1, B14)."""
    value = annotations.get(REQUESTED_AT)
    return None if value is None else str(value)


def unknown_fields(obj: Mapping[str, Any]) -> Iterator[str]:
    """JSON paths of what stands in `spec` but is no field of it. The API server drops such fields with a warning;
    without a cluster they are most likely a mistake."""
    spec = _spec(obj)
    check_types(spec)
    yield from unknown_in(spec)


def _spec(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if kind != KIND:
        raise InvalidSource("kind", f"is {kind!r}, must be {KIND!r}")
    if api_version not in {f"{GROUP}/{version}" for version in VERSIONS}:
        known = " or ".join(f"{GROUP}/{version}" for version in VERSIONS)
        raise InvalidSource("apiVersion", f"is {api_version!r}, must be {known}")
    return _mapping(obj, "spec", "")


def _mapping(parent: Mapping[str, Any], name: str, path: str) -> Mapping[str, Any]:
    value = parent.get(name)
    if not isinstance(value, Mapping):
        raise InvalidSource(f"{path}{name}", "is required and must be an object")
    return value


def _object_name(metadata: Mapping[str, Any]) -> str:
    name = metadata.get("name")
    if name is None:
        raise InvalidSource("metadata.name", "is required")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidSource("metadata.name", f"must be a lower-case DNS name, is {shown(name)}")
    return name


def _url(spec: Mapping[str, Any]) -> str:
    url: str | None = spec.get("url")
    if url is None:
        raise InvalidSource("spec.url", "is required, like oci://registry.example.com/team/app")
    if not url.startswith("oci://"):
        raise InvalidSource("spec.url", f"must begin with oci://, is {shown(url)}")
    return url


def _duration(
    spec: Mapping[str, Any], name: str, pattern: re.Pattern[str], default: float | None, example: str
) -> float:
    text = spec.get(name)
    if text is None:
        if default is None:
            raise InvalidSource(f"spec.{name}", f"is required, a duration {example}")
        return default
    if not pattern.fullmatch(text):
        raise InvalidSource(f"spec.{name}", f"must be a duration {example}, is {shown(text)}")
    try:
        return durations.parse(text)
    except RoomError as error:
        raise InvalidSource(f"spec.{name}", str(error)) from error


def _reference(ref: Mapping[str, Any]) -> Reference:
    return Reference(
        digest=ref.get("digest") or "",
        semver=ref.get("semver") or "",
        semver_filter=ref.get("semverFilter") or "",
        tag=ref.get("tag") or "",
    )


def _layer_selector(selector: Mapping[str, Any] | None) -> LayerSelector | None:
    if selector is None:
        return None
    operation = selector.get("operation") or ""
    if operation:
        _one_of(operation, "spec.layerSelector.operation", ("extract", "copy"))
    return LayerSelector(media_type=selector.get("mediaType") or "", operation=operation)


def _verify(verify: Mapping[str, Any] | None) -> Verify | None:
    if verify is None:
        return None
    return Verify(
        provider=_one_of(verify.get("provider"), "spec.verify.provider", ("cosign", "notation")),
        secret=_local_ref(verify, "secretRef", "spec.verify"),
        trusted_root_secret=_local_ref(verify, "trustedRootSecretRef", "spec.verify"),
        identities=tuple(
            _identity(item, f"spec.verify.matchOIDCIdentity[{index}]")
            for index, item in enumerate(verify.get("matchOIDCIdentity") or ())
        ),
    )


def _identity(item: Mapping[str, Any], path: str) -> OIDCIdentity:
    for name in ("issuer", "subject"):
        if item.get(name) is None:
            raise InvalidSource(f"{path}.{name}", "is required")
    return OIDCIdentity(issuer=item["issuer"], subject=item["subject"])


def _one_of(value: str | None, path: str, allowed: tuple[str, ...]) -> str:
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise InvalidSource(path, f"must be one of {', '.join(allowed)}, is {shown(value)}")
    return value


def _local_ref(parent: Mapping[str, Any], name: str, path: str) -> str:
    ref = parent.get(name)
    if ref is None:
        return ""
    if not ref.get("name"):
        raise InvalidSource(f"{path}.{name}.name", "is required: the name of a Secret in the object's namespace")
    return str(ref["name"])
