"""Connections through a SOCKS5 proxy, which also resolves the names (flux-compat E9; RFC 1928 and 1929). Loaded with
the first such proxy: the library is one that few need."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType

from ocisource.registry.errors import NoWay, Unanswered, lookup, system

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from ocisource.domain.proxies import Proxy

# RFC 1928, section 6: what another try cannot change. The library gives no code where the proxy refuses the user.
_REFUSALS = frozenset({None, 2, 7, 8})


# RFC 1929: one byte tells the length.
_LONGEST = 255


class _Connector(ProxyConnector):
    """Fails in the terms of aiohttp, which the library's errors are not."""

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's name for its own settings
    ) -> Connection:
        try:
            return await super().connect(req, traces, timeout)
        except ProxyError as error:
            refusal = NoWay(f"socks connect: {error}", temporary=error.error_code not in _REFUSALS)
            raise aiohttp.ClientConnectorError(req.connection_key, refusal) from error
        except (ProxyConnectionError, ProxyTimeoutError) as error:
            failure = _undialled(self._proxy_host, self._proxy_port, error.__cause__)
            raise aiohttp.ClientConnectorError(req.connection_key, failure) from error
        except ssl.SSLCertVerificationError as error:
            raise aiohttp.ClientConnectorCertificateError(req.connection_key, error) from error
        except ssl.SSLError as error:
            raise aiohttp.ClientConnectorSSLError(req.connection_key, error) from error


def _undialled(host: str, port: int, cause: BaseException | None) -> NoWay:
    """Why there is no connection to the proxy, where `cause` is what the library below met with."""
    if cause is not None and isinstance(cause.__cause__, socket.gaierror):
        told, temporary = lookup(host, cause.__cause__)
        return NoWay(f"socks connect: {told}", temporary=temporary)
    why = system(cause) if isinstance(cause, OSError) else "i/o timeout"
    return NoWay(f"socks connect: dial tcp {host}:{port}: connect: {why}", temporary=True)


def connector(proxy: Proxy, **settings: Any) -> aiohttp.TCPConnector:
    """A connector whose connections all go through the proxy. Raises Unanswered where the library could not show the
    proxy these credentials; its own error would show a part of them."""
    for what, text in (("username", proxy.username or ""), ("password", proxy.password)):
        if not text.isascii() or len(text) > _LONGEST:
            problem = f"the {what} must be ASCII, of at most {_LONGEST} characters"
            raise Unanswered(f"socks connect: {proxy.address}: {problem}", temporary=False)
    return _Connector(
        proxy.host,
        proxy.port,
        ProxyType.SOCKS5,
        username=proxy.username,
        password=proxy.password,
        rdns=True,
        **settings,
    )
