"""The schema of `spec` (flux-compat A5): what may stand where, for messages about what may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ocisource.domain.errors import InvalidSource

_LOCAL_REF: Mapping[str, Any] = {"name": str}

_SPEC: Mapping[str, Any] = {
    "url": str,
    "interval": str,
    "timeout": str,
    "ref": {"digest": str, "semver": str, "semverFilter": str, "tag": str},
    "layerSelector": {"mediaType": str, "operation": str},
    "provider": str,
    "secretRef": _LOCAL_REF,
    "certSecretRef": _LOCAL_REF,
    "proxySecretRef": _LOCAL_REF,
    "serviceAccountName": str,
    "ignore": str,
    "insecure": bool,
    "suspend": bool,
    "verify": {
        "provider": str,
        "secretRef": _LOCAL_REF,
        "trustedRootSecretRef": _LOCAL_REF,
        "matchOIDCIdentity": [{"issuer": str, "subject": str}],
    },
}


def check_types(spec: Mapping[str, Any]) -> None:
    """Raises InvalidSource for the first value of a wrong type. Absent and null are the same, as they are for the API
    server."""
    _check_types(spec, _SPEC, "spec")


def unknown_in(spec: Mapping[str, Any]) -> Iterator[str]:
    """JSON paths of what stands in a `spec` of the right types but is no field of it."""
    yield from _unknown(spec, _SPEC, "spec")


def shown(value: Any) -> str:
    """The value for a message."""
    text = repr(value) if isinstance(value, str | list | Mapping) else str(value).lower()
    return text if len(text) <= 60 else text[:57] + "..."


def _check_types(value: Any, schema: Any, path: str) -> None:
    if value is None:
        return
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise InvalidSource(path, f"must be a list, is {shown(value)}")
        for index, item in enumerate(value):
            _check_types(item, schema[0], f"{path}[{index}]")
    elif isinstance(schema, Mapping):
        if not isinstance(value, Mapping):
            raise InvalidSource(path, f"must be an object, is {shown(value)}")
        for name, inner in schema.items():
            _check_types(value.get(name), inner, f"{path}.{name}")
    elif not isinstance(value, schema):
        kind = {str: "a string (put it in quotes)", bool: "true or false"}[schema]
        raise InvalidSource(path, f"must be {kind}, is {shown(value)}")


def _unknown(value: Any, schema: Any, path: str) -> Iterator[str]:
    if isinstance(schema, list):
        for index, item in enumerate(value):
            yield from _unknown(item, schema[0], f"{path}[{index}]")
    elif isinstance(schema, Mapping) and isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in schema:
                yield f"{path}.{name}"
            else:
                yield from _unknown(inner, schema[name], f"{path}.{name}")
