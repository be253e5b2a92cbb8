"""The steps before the registry: where the repository is, and as whom it may be read (flux-compat C4 to C9, in the
original's order)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ocisource.domain.access import Access, Credentials, Repository
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.errors import AccountMissing, CloudError, SecretError, SecretMissing
from ocisource.domain.keychain import Keychain, parse_secret
from ocisource.domain.proxies import Proxy
from ocisource.domain.reference import parse_url
from ocisource.domain.source import Source
from ocisource.reconcile import steps, transport
from ocisource.reconcile.rooms import Rooms

Note = Callable[[str, str], None]
"""Told of what deserves a Normal event: its reason and message."""


class Admission:
    """What one pass needs to know before it may ask the registry."""

    def __init__(self, rooms: Rooms, source: Source, deadline: steps.Deadline, note: Note) -> None:
        self._rooms = rooms
        self._source = source
        self._deadline = deadline
        self._note = note

    async def access(self) -> Access:
        """Raises Failure."""
        source = self._source
        keychain = await self._keychain()
        proxy = await transport.proxy(self._rooms, source, self._deadline)
        asks_cloud = keychain is None and source.provider != "generic"
        if asks_cloud and source.service_account and not self._rooms.identities.own:
            raise steps.gate_closed()
        tls = await transport.certificates(self._rooms, source, self._deadline)
        async with steps.location(source.url).until(self._deadline):
            repository = parse_url(source.url)
        credentials = keychain.credentials(repository) if keychain else None
        if asks_cloud:
            credentials = await self._from_cloud(repository, proxy)
        return Access(repository, source.insecure, credentials, tls, proxy)

    async def _keychain(self) -> Keychain | None:
        """What the pull Secrets hold together, None where there are none. Those that hold no credentials are pull
        Secrets, too: with them nobody asks a cloud (flux-compat E2, E6)."""
        keychains = [*await self._of_secret(), *await self._of_account()]
        return Keychain.combined(keychains) if keychains else None

    async def _of_secret(self) -> list[Keychain]:
        source = self._source
        if not source.secret:
            return []
        async with steps.credential(f"{source.namespace}/{source.secret}").until(self._deadline):
            try:
                secret = await self._rooms.secrets.secret(source.namespace, source.secret)
            except SecretMissing:
                self._note(steps.AUTHENTICATION_FAILED, f"auth secret '{source.secret}' not found")
                raise
            return [_read(secret)]

    async def _of_account(self) -> list[Keychain]:
        source = self._source
        if not source.service_account:
            return []
        async with steps.credentials().until(self._deadline):
            account = await self._rooms.identities.accounts.account(source.namespace, source.service_account)
            return [await self._brought(account, name) for name in account.pull_secrets]

    async def _brought(self, account: ServiceAccount, name: str) -> Keychain:
        place = f"{account.namespace}/{name}"
        told = f"failed to get image pull secret for serviceaccount '{account}': "
        try:
            return _read(await self._rooms.secrets.secret(account.namespace, name))
        except SecretMissing as error:
            raise SecretError(f"{told}secret '{place}' not found") from error
        except SecretError as error:
            raise SecretError(f"{told}failed to get secret '{place}': {error}") from error

    async def _from_cloud(self, repository: Repository, proxy: Proxy | None) -> Credentials:
        """What the cloud of `spec.provider` gives for the registry (flux-compat E6, C7)."""
        identities = self._rooms.identities
        async with steps.cloud(self._source.provider).until(self._deadline):
            account = await self._cloud_account()
            asked = CloudAccess(self._source.provider, repository.registry, account, proxy)
            return await identities.clouds.credentials(asked)

    async def _cloud_account(self) -> ServiceAccount | None:
        """As whom the cloud is asked; None is the operator itself."""
        source, identities = self._source, self._rooms.identities
        if source.service_account:
            return await identities.accounts.account(source.namespace, source.service_account)
        if not identities.default:
            return None
        try:
            return await identities.accounts.account(source.namespace, identities.default)
        except AccountMissing as error:
            raise CloudError(
                f"failed to get service account '{source.namespace}/{identities.default}': the specified default "
                "service account does not exist in the object namespace. your cluster is subject to multi-tenant "
                "workload identity lockdown, reach out to your cluster administrator for help"
            ) from error


def _read(secret: tuple[str, Mapping[str, bytes]]) -> Keychain:
    return parse_secret(*secret) or Keychain()
