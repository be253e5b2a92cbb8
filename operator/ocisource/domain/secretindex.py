"""Which objects name which Secrets, so that a change of one reaches the other (flux-compat J4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Key = tuple[str, str]
"""Namespace and name."""

_FIELDS = (
    ("secretRef",),
    ("certSecretRef",),
    ("proxySecretRef",),
    ("verify", "secretRef"),
    ("verify", "trustedRootSecretRef"),
)


def secret_names(obj: Mapping[str, Any]) -> frozenset[str]:
    """The Secrets that an OCIRepository dict names; they are in its own namespace. Of fields that the API server
    would not let pass, nothing is said."""
    return frozenset(filter(None, (_name(obj, field) for field in _FIELDS)))


def _name(obj: Mapping[str, Any], field: tuple[str, ...]) -> str:
    value: Any = obj
    for part in ("spec", *field, "name"):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


class SecretIndex:
    """Secrets → the objects that name them."""

    def __init__(self) -> None:
        self._named: dict[Key, frozenset[str]] = {}
        self._users: dict[Key, set[Key]] = {}

    def put(self, key: Key, names: frozenset[str]) -> None:
        """The object `key` names these Secrets, and no others any more."""
        self.drop(key)
        if names:
            self._named[key] = names
        for name in names:
            self._users.setdefault((key[0], name), set()).add(key)

    def drop(self, key: Key) -> None:
        """The object `key` is gone."""
        for name in self._named.pop(key, ()):
            secret = (key[0], name)
            self._users[secret].discard(key)
            if not self._users[secret]:
                del self._users[secret]

    def users(self, namespace: str, name: str) -> tuple[Key, ...]:
        """The objects that name the Secret, in order."""
        return tuple(sorted(self._users.get((namespace, name), ())))
