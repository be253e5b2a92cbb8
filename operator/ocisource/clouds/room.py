"""Credentials of a cloud's registry for whoever asks: which library, as whom, how long they are kept."""

from __future__ import annotations

import importlib
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, cast
from urllib.parse import quote

from ocisource.clouds.tokens import Asker, Happening, Note, Token, Tokens
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.errors import CloudError
from ocisource.domain.proxies import Proxy
from ocisource.threads import Threads

MOST_AT_A_TIME = 16
"""Questions that are on their way at a time. Each has an end of its own, after some seconds."""

Issue = Callable[[ServiceAccount, str], Awaitable[str]]
"""Gives a token of the cluster for a ServiceAccount, by which an audience knows it."""


class Provider(Protocol):
    """One cloud, over its own library. Every method may block, and raises CloudError. A proxy is a URL, "" for that of
    the environment."""

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


Open = Callable[[str], Provider]
"""Gives the provider of a name; loads what it needs. Raises CloudError."""


def _unheard(_happening: Happening) -> None:
    """Nobody counts."""


def open_provider(name: str) -> Provider:
    """The provider over its cloud's library. Raises CloudError where that is not installed."""
    try:
        module = importlib.import_module(f"ocisource.clouds.{name}")
    except ModuleNotFoundError as error:
        raise CloudError(
            f"this operator was installed without what spec.provider {name} needs: install it with the extra "
            f"'{name}', as in pip install 'oci-source-operator[{name}]' (there is no module {error.name})"
        ) from error
    return cast("Provider", module.open_provider())


class CloudRoom:
    """Fits `ports.Clouds`. A cloud's library is loaded when it is first asked for, in a thread."""

    def __init__(
        self,
        issue: Issue,
        size: int = 100,
        longest: float = 3600.0,
        note: Note = _unheard,
        opens: Open = open_provider,
    ) -> None:
        self.tokens = Tokens(size, longest, time.time, note)
        self._issue = issue
        self._opens = opens
        self._providers: dict[str, Provider] = {}
        self._threads = Threads("cloud", MOST_AT_A_TIME)

    async def credentials(self, access: CloudAccess) -> Credentials:
        """What the cloud's registry is shown. Raises CloudError, or AccountError where a ServiceAccount asks."""
        proxy = _url(access.proxy)
        provider = await self._provider(access.provider)
        place = await self._threads.run(partial(provider.place, access.registry))
        account = access.account
        if account is None:
            own = partial(provider.own, place, proxy)
            return await self.tokens.get(Asker(access.provider, place, proxy=proxy), partial(self._threads.run, own))
        identity = provider.identity(account)
        audience = await self._threads.run(partial(provider.audience, account))
        asker = Asker(access.provider, place, account.namespace, account.name, identity, audience, proxy)
        return await self.tokens.get(asker, partial(self._granted, provider, asker, account))

    async def close(self) -> None:
        await self.tokens.close()

    async def _granted(self, provider: Provider, asker: Asker, account: ServiceAccount) -> Token:
        token = await self._issue(account, asker.audience)
        return await self._threads.run(partial(provider.granted, asker.place, account, token, asker.proxy))

    async def _provider(self, name: str) -> Provider:
        if name not in self._providers:
            self._providers[name] = await self._threads.run(partial(self._opens, name))
        return self._providers[name]


def _url(proxy: Proxy | None) -> str:
    if proxy is None:
        return ""
    if proxy.scheme == "socks5":
        raise CloudError("a cloud cannot be asked through a SOCKS proxy: name an http or https one in the proxy secret")
    if proxy.username is None:
        return proxy.address
    shown = ":".join(quote(text, safe="", errors="surrogateescape") for text in (proxy.username, proxy.password))
    return proxy.address.replace("://", f"://{shown}@", 1)
