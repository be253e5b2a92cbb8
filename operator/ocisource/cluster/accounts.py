"""ServiceAccounts of the cluster, read when they are needed and never kept, and tokens for them (flux-compat E2,
E6)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ocisource.cluster import paths
from ocisource.cluster.errors import ApiError, NotFoundError
from ocisource.domain.accounts import ServiceAccount, parse_account
from ocisource.domain.errors import AccountError, AccountMissing
from ocisource.flight import Flight

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

TOKEN_SECONDS = 600
"""How long a token of a ServiceAccount is good: the API server's least. It is exchanged at once."""

Learn = Callable[[str, str, frozenset[str]], None]
"""Told the namespace, the name and the pull Secrets of each ServiceAccount that was read."""


class ClusterAccounts:
    """Fits `ports.Accounts`."""

    def __init__(self, api: KubeAPI, learn: Learn) -> None:
        self._api = api.apart()
        self._learn = learn
        self._reading: Flight[tuple[str, str], ServiceAccount] = Flight()

    async def account(self, namespace: str, name: str) -> ServiceAccount:
        """Raises AccountMissing or AccountError."""
        return await self._reading.join((namespace, name), partial(self._read, namespace, name))

    def changed(self, namespace: str, name: str) -> None:
        """The ServiceAccount is another one now: an answer that is under way is nobody's from here on."""
        self._reading.drop((namespace, name))

    async def token(self, account: ServiceAccount, audience: str) -> str:
        """A token of the cluster by which the audience knows the ServiceAccount. Raises AccountError."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience], "expirationSeconds": TOKEN_SECONDS},
        }
        try:
            answer = await self._api.post(f"{_path(account.namespace, account.name)}/token", body)
        except ApiError as error:
            told = f"failed to create kubernetes token for service account '{account}': {error}"
            raise AccountError(told) from error
        token = (answer.get("status") or {}).get("token")
        if not isinstance(token, str) or not token:
            raise AccountError(f"failed to create kubernetes token for service account '{account}': there is none")
        return token

    async def _read(self, namespace: str, name: str) -> ServiceAccount:
        try:
            account = parse_account(await self._api.get(_path(namespace, name)))
        except NotFoundError as error:
            raise AccountMissing(namespace, name) from error
        except ApiError as error:
            raise AccountError(f"failed to get serviceaccount '{namespace}/{name}': {error}") from error
        self._learn(namespace, name, frozenset(account.pull_secrets))
        return account


def _path(namespace: str, name: str) -> str:
    return paths.core("serviceaccounts", namespace, name)
