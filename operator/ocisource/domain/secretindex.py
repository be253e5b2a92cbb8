"""Which objects use which Secrets and ServiceAccounts, so that a change of one reaches the other (flux-compat J4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]
"""Namespace and name."""

_SECRETS = (
    ("secretRef", "name"),
    ("certSecretRef", "name"),
    ("proxySecretRef", "name"),
    ("verify", "secretRef", "name"),
    ("verify", "trustedRootSecretRef", "name"),
)


@dataclass(frozen=True)
class Named:
    """What an object names; all of it is in its own namespace (flux-compat E1)."""

    secrets: frozenset[str] = frozenset()
    account: str = ""


def named_by(obj: Mapping[str, Any], default_account: str = "") -> Named:
    """What an OCIRepository dict names. Of fields that the API server would not let pass, nothing is said.
    `default_account` stands for the ServiceAccount where a cloud is asked and none is named (flux-compat E6)."""
    account = _text(obj, ("serviceAccountName",))
    if not account and _text(obj, ("provider",)) not in ("", "generic"):
        account = default_account
    return Named(frozenset(filter(None, (_text(obj, field) for field in _SECRETS))), account)


def _text(obj: Mapping[str, Any], field: tuple[str, ...]) -> str:
    value: Any = obj
    for part in ("spec", *field):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


class SecretIndex:
    """Secrets and ServiceAccounts → the objects that use them. Which Secrets a ServiceAccount brings is learnt when
    it is read."""

    def __init__(self) -> None:
        self._named: dict[Key, Named] = {}
        self._by_secret: dict[Key, set[Key]] = {}
        self._by_account: dict[Key, set[Key]] = {}
        self._brought: dict[Key, frozenset[str]] = {}
        self._brings: dict[Key, set[Key]] = {}

    def put(self, key: Key, named: Named) -> None:
        """The object `key` names these, and nothing else any more."""
        before = self._named.get(key)
        if named == before:
            return
        for name in named.secrets:
            self._by_secret.setdefault((key[0], name), set()).add(key)
        if named.account:
            self._by_account.setdefault((key[0], named.account), set()).add(key)
        self._named[key] = named
        if before is not None:
            self._leave(key, before, named)

    def drop(self, key: Key) -> None:
        """The object `key` is gone."""
        before = self._named.pop(key, None)
        if before is not None:
            self._leave(key, before, Named())

    def learn(self, namespace: str, account: str, secrets: frozenset[str]) -> None:
        """The ServiceAccount brings these pull Secrets. Of one that no object names, nothing is kept."""
        place = (namespace, account)
        self._unlearn(place)
        if secrets and place in self._by_account:
            self._brought[place] = secrets
            for name in secrets:
                self._brings.setdefault((namespace, name), set()).add(place)

    def users(self, namespace: str, name: str) -> tuple[Key, ...]:
        """The objects that use the Secret, themselves or by their ServiceAccount, in order."""
        found = set(self._by_secret.get((namespace, name), ()))
        for account in self._brings.get((namespace, name), ()):
            found |= self._by_account[account]
        return tuple(sorted(found))

    def bearers(self, namespace: str, account: str) -> tuple[Key, ...]:
        """The objects that name the ServiceAccount, in order."""
        return tuple(sorted(self._by_account.get((namespace, account), ())))

    def _leave(self, key: Key, before: Named, now: Named) -> None:
        for name in before.secrets - now.secrets:
            _discard(self._by_secret, (key[0], name), key)
        if before.account and before.account != now.account:
            place = (key[0], before.account)
            _discard(self._by_account, place, key)
            if place not in self._by_account:
                self._unlearn(place)

    def _unlearn(self, account: Key) -> None:
        for name in self._brought.pop(account, ()):
            _discard(self._brings, (account[0], name), account)


def _discard(index: dict[Key, set[Key]], place: Key, key: Key) -> None:
    index[place].discard(key)
    if not index[place]:
        del index[place]
