"""Credentials of a cloud's registry for whoever asks: which library, as whom, how long they are kept."""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, cast

from ocisource.clouds.threads import Threads
from ocisource.clouds.tokens import Asker, Happening, Note, Token, Tokens
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.errors import CloudError

MOST_AT_A_TIME = 16
"""Questions that are on their way at a time. Each has an end of its own, after some seconds."""

Issue = Callable[[ServiceAccount, str], Awaitable[str]]
"""Gives a token of the cluster for a ServiceAccount, by which an audience knows it."""


class Provider(Protocol):
    """One cloud, over its own library. Every method may block, and raises CloudError."""

    def place(self, registry: str) -> str:
        """What of the registry the credentials depend on. Raises CloudError where it is none of this cloud's."""
        ...

    def identity(self, account: ServiceAccount) -> str:
        """Who the ServiceAccount is in this cloud."""
        ...

    def audience(self, account: ServiceAccount) -> str:
        """Whom the ServiceAccount's token is for."""
        ...

    def own(self, place: str, proxy: str) -> Token:
        """Credentials for the operator itself, by what its surroundings say it is."""
        ...

    def granted(self, place: str, account: ServiceAccount, token: str, proxy: str) -> Token:
        """Credentials for a ServiceAccount that shows its token."""
        ...


MODULES = {"aws": "ocisource.clouds.aws", "azure": "ocisource.clouds.azure", "gcp": "ocisource.clouds.gcp"}


def _unheard(_happening: Happening) -> None:
    """Nobody counts."""


class CloudRoom:
    """Fits `ports.Clouds`. A cloud's library is loaded when it is first asked for, in a thread."""

    def __init__(self, issue: Issue, size: int = 100, longest: float = 3600.0, note: Note = _unheard) -> None:
        self.tokens = Tokens(size, longest, time.time, note)
        self._issue = issue
        self._providers: dict[str, Provider] = {}
        self._threads = Threads(MOST_AT_A_TIME)

    async def credentials(self, access: CloudAccess) -> Credentials:
        """What the cloud's registry is shown. Raises CloudError, or AccountError where a ServiceAccount asks."""
        provider = await self._provider(access.provider)
        place = provider.place(access.registry)
        account = access.account
        if account is None:
            asker = Asker(access.provider, place, proxy=access.proxy)
            return await self.tokens.get(asker, partial(self._threads.run, partial(provider.own, place, access.proxy)))
        identity = provider.identity(account)
        audience = await self._threads.run(partial(provider.audience, account))
        asker = Asker(access.provider, place, account.namespace, account.name, identity, audience, access.proxy)
        return await self.tokens.get(asker, partial(self._granted, provider, asker, account))

    async def close(self) -> None:
        await self.tokens.close()

    async def _granted(self, provider: Provider, asker: Asker, account: ServiceAccount) -> Token:
        token = await self._issue(account, asker.audience)
        return await self._threads.run(partial(provider.granted, asker.place, account, token, asker.proxy))

    async def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            self._providers[name] = await self._threads.run(partial(_opened, name))
        return self._providers[name]


def _opened(name: str) -> Provider:
    try:
        module = importlib.import_module(MODULES[name])
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("ocisource"):
            raise
        raise CloudError(
            f"this operator was installed without what spec.provider {name} needs ({error.name}): install it with the "
            f"extra '{name}', as in pip install 'oci-source-operator[{name}]'"
        ) from error
    return cast("Provider", module.open_provider())
