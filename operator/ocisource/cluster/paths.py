"""Where the API server has what objects name. A name is its author's text: it may say which Secret, never lead out of
the object's namespace."""

from __future__ import annotations

from urllib.parse import quote

from ocisource.cluster.errors import ApiError
from ocisource.domain.errors import quoted


def core(resource: str, namespace: str, name: str) -> str:
    """The path of an object of core/v1. Raises ApiError, in the words that clients know, for a name that is no single
    part of a path: clients tidy paths up, so `../` would be heeded before the server sees it."""
    if not name:
        raise ApiError(0, "Invalid", "resource name may not be empty")
    problems = [f"may not be '{name}'"] if name in (".", "..") else []
    problems += [f"may not contain '{mark}'" for mark in "/%" if mark in name]
    if problems:
        raise ApiError(0, "Invalid", f"invalid resource name {quoted(name)}: [{' '.join(problems)}]")
    return f"/api/v1/namespaces/{namespace}/{resource}/{quote(name)}"
