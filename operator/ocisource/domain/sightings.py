"""What one look at an object tells the controller, be it by the watch or by the API server: whether it asks for a pass,
where it waits for that, and whether it is newer than another look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ocisource.domain import conditions as c
from ocisource.domain.errors import Failure, InvalidReference, InvalidSource
from ocisource.domain.reference import parse_url
from ocisource.domain.source import Source, parse_source, requested_at


@dataclass(frozen=True)
class Asks:
    """What of an object asks for a pass when it changes (flux-compat B1)."""

    uid: str
    generation: int
    deleting: bool
    request: str | None

    @classmethod
    def of(cls, obj: Mapping[str, Any]) -> Asks:
        metadata = obj["metadata"]
        request = requested_at(metadata.get("annotations") or {})
        return cls(metadata.get("uid", ""), metadata.get("generation", 0), _is_deleting(obj), request)

    def for_a_pass_since(self, before: Asks | None) -> bool:
        """Whether a pass is due. A request that was removed asks for nothing."""
        if before is None:
            return True
        return self != (replace(before, request=None) if self.request is None else before)


def read_source(obj: Mapping[str, Any]) -> tuple[Source, Failure | None]:
    """The object, and what is wrong with it if the schema let pass what cannot be worked on, such as an object without
    spec (A4): it stalls like a bad URL, and a mended spec brings it back. What can be read of it still counts."""
    try:
        return parse_source(obj), None
    except InvalidSource as error:
        spec = obj.get("spec") or {}
        bare = {"url": "oci://", "interval": "0s", "suspend": spec.get("suspend") is True}
        message = f"URL validation failed for '{spec.get('url', '')}': {error}"
        return parse_source({**obj, "spec": bare}), Failure(c.FETCH_FAILED, "URLInvalid", message, stalls=True)


def age(obj: Mapping[str, Any]) -> int:
    """Resource versions are ordered numbers (Kubernetes 1.35 and later promise it, etcd always gave it)."""
    version = obj["metadata"].get("resourceVersion") or "0"
    return int(version) if version.isdigit() else 0


def same_object(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether these are two looks at one object, not at one and another that was made later under its name."""
    return bool(one["metadata"].get("uid") == other["metadata"].get("uid"))


def lane(obj: Mapping[str, Any]) -> str:
    """Objects of one registry share a lane, so a registry that does not answer holds only those; what needs no
    registry waits for none."""
    spec = obj.get("spec") or {}
    if _is_deleting(obj) or spec.get("suspend"):
        return ""
    try:
        return parse_url(str(spec.get("url") or "")).registry
    except InvalidReference:
        return ""


def _is_deleting(obj: Mapping[str, Any]) -> bool:
    return bool(obj["metadata"].get("deletionTimestamp"))
