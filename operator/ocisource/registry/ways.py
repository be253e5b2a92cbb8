"""The way of a request: straight or through a proxy, and to which addresses it may lead (flux-compat E9, E10)."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from yarl import URL

from ocisource.domain.access import Access
from ocisource.domain.proxies import Environment, InvalidProxy, Proxy
from ocisource.registry import places
from ocisource.registry.errors import Unanswered, shown


@dataclass(frozen=True)
class Way:
    """`proxy` is None to go straight. `guarded` ways lead to no address that the registry may not send us to: what is
    not the registry's own host is reached on them. Where a proxy resolves the names, it is the one to guard them.
    """

    proxy: Proxy | None = None
    guarded: bool = False

    @property
    def is_socks(self) -> bool:
        return self.proxy is not None and self.proxy.scheme == "socks5"

    @property
    def http_proxy(self) -> str | None:
        """The address of an HTTP proxy, without credentials; None where there is none."""
        return None if self.proxy is None or self.is_socks else self.proxy.address

    @property
    def shown(self) -> dict[str, str]:
        """The header that an HTTP proxy is shown, none where it has no credentials."""
        if self.proxy is None or self.is_socks or self.proxy.username is None:
            return {}
        text = f"{self.proxy.username}:{self.proxy.password}".encode("utf-8", "surrogateescape")
        return {"Proxy-Authorization": "Basic " + base64.b64encode(text).decode()}


class Ways:
    """Chooses the way of each request: the proxy of the access before those of the environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def to(self, url: URL, access: Access) -> Way:
        """Raises Unanswered where the environment names a proxy that cannot be used."""
        host = url.raw_host or ""
        try:
            proxy = access.proxy or self._environment.proxy(url.scheme, host, url.port or 0)
        except InvalidProxy as error:
            raise Unanswered(f'Get "{shown(url)}": {error}', temporary=False) from error
        return Way(proxy, guarded=proxy is None and not places.is_own_host(host, access))
