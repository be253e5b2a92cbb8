"""Through which proxy a request goes: that of a proxy Secret, else that of the environment (flux-compat E9, C5).

Pure: Secret and environment come in as data. The rules for HTTP_PROXY, HTTPS_PROXY and NO_PROXY are those of Go's
golang.org/x/net/http/httpproxy, which clusters are set up for.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from ocisource.domain.errors import RoomError, SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST = 2048
PORTS = {"http": 80, "https": 443, "socks5": 1080}

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class InvalidProxy(RoomError):
    """An address is none of a proxy. The text never holds the address, which may hold a password."""


@dataclass(frozen=True)
class Proxy:
    """One proxy. `scheme` is http, https or socks5; `username` is None where the proxy is shown no credentials."""

    scheme: str
    host: str
    port: int
    username: str | None = None
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """`scheme://host:port`, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_proxy(secret: str, data: Mapping[str, bytes]) -> Proxy:
    """The proxy in the data of a Secret, called `secret` (namespace/name) in messages. `username` and `password` come
    before those in the address.

    Raises SecretError with the texts that clients know (flux-compat C5).
    """
    address = data.get("address")
    if address is None:
        raise SecretError(f"secret '{secret}': key 'address' not found")
    if not address:
        raise SecretError(f"secret '{secret}': proxy address is empty")
    if len(address) > LONGEST:
        raise SecretError(f"secret '{secret}': proxy URL exceeds maximum length of {LONGEST} characters")
    try:
        proxy = _proxy(address.decode())
    except (InvalidProxy, UnicodeDecodeError) as error:
        problem = error if isinstance(error, InvalidProxy) else "failed to parse proxy address: it is not UTF-8"
        raise SecretError(f"secret '{secret}': {problem}") from None
    username = data.get("username")
    if username is None:
        return proxy
    # A password is bytes: what is not UTF-8 has to arrive at the proxy as it is here.
    user, password = (text.decode("utf-8", "surrogateescape") for text in (username, data.get("password", b"")))
    return Proxy(proxy.scheme, proxy.host, proxy.port, user, password)


def _proxy(address: str) -> Proxy:
    if any(character <= " " or character == "\x7f" for character in address):
        raise InvalidProxy("failed to parse proxy address: there is white space or a line break in it")
    try:
        url = urlsplit(address)
        host, port = url.hostname, url.port
    except ValueError:
        raise InvalidProxy(
            "failed to parse proxy address: it is not a URL, like http://proxy.example.com:3128"
        ) from None
    if url.scheme not in PORTS:
        raise InvalidProxy(f"proxy URL must use one of the supported schemes (http, https, socks5), got '{url.scheme}'")
    if not host:
        raise InvalidProxy("failed to parse proxy address: it names no host")
    return Proxy(url.scheme, host, PORTS[url.scheme] if port is None else port, *_userinfo(url))


def _userinfo(url: SplitResult) -> tuple[str | None, str]:
    if url.username is None:
        return None, ""
    return unquote(url.username, errors="surrogateescape"), unquote(url.password or "", errors="surrogateescape")


@dataclass(frozen=True)
class _Exception:
    """One entry of NO_PROXY. A name has a dot in front; `itself` tells whether the name without it counts, too. `port`
    is "" for any."""

    network: _Network | None = None
    name: str = ""
    itself: bool = False
    port: str = ""

    def matches(self, host: str, address: _Address | None, port: str) -> bool:
        if self.port not in ("", port):
            return False
        if address is not None:
            return self.network is not None and address in self.network
        return bool(self.name) and (host.endswith(self.name) or (self.itself and host == self.name[1:]))


@dataclass(frozen=True)
class Environment:
    """What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say. The empty one knows no proxy; of one that cannot be used it knows
    what is wrong."""

    http: Proxy | InvalidProxy | None = None
    https: Proxy | InvalidProxy | None = None
    everything_direct: bool = False
    exceptions: tuple[_Exception, ...] = ()

    def proxy(self, scheme: str, host: str, port: int) -> Proxy | None:
        """The proxy for a request, None to go straight. `localhost` and loopback addresses are never proxied. Raises
        InvalidProxy where it can neither be used nor done without: to go straight is not what was asked for."""
        proxy = self.https if scheme == "https" else self.http
        if proxy is None or self.everything_direct:
            return None
        host = host.lower()
        address = _ip(host)
        if host == "localhost" or (address is not None and address.is_loopback):
            return None
        if any(one.matches(host, address, str(port)) for one in self.exceptions):
            return None
        if isinstance(proxy, InvalidProxy):
            raise InvalidProxy(str(proxy))
        return proxy


DIRECT = Environment()


def read_environment(variables: Mapping[str, str]) -> Environment:
    """The proxies of the environment; upper case comes before lower case."""
    # In a CGI process HTTP_PROXY may be a header of the request, Proxy.
    http = None if variables.get("REQUEST_METHOD") else _variable(variables, "HTTP_PROXY")
    exceptions = _either(variables, "NO_PROXY").lower().split(",")
    entries = [entry.strip() for entry in exceptions]
    if "*" in entries:
        return Environment(http, _variable(variables, "HTTPS_PROXY"), everything_direct=True)
    found = tuple(exception for entry in entries if (exception := _exception(entry)) is not None)
    return Environment(http, _variable(variables, "HTTPS_PROXY"), exceptions=found)


def _either(variables: Mapping[str, str], name: str) -> str:
    return variables.get(name) or variables.get(name.lower()) or ""


def _variable(variables: Mapping[str, str], name: str) -> Proxy | InvalidProxy | None:
    address = _either(variables, name)
    if not address:
        return None
    try:
        return _proxy(address if "://" in address else f"http://{address}")
    except InvalidProxy as error:
        return InvalidProxy(f"environment variable {name}: {error}")


def _exception(entry: str) -> _Exception | None:
    """An entry of NO_PROXY, None where it says nothing: an address, a CIDR range, or a name, the first and last with
    or without a port."""
    try:
        return _Exception(ipaddress.ip_network(entry, strict=False))
    except ValueError:
        pass
    host, colon, port = entry.rpartition(":")
    if not colon or "]" in port:
        host, port = entry, ""
    address = _ip(host.removeprefix("[").removesuffix("]"))
    if address is not None:
        return _Exception(ipaddress.ip_network(address), port=port)
    if not host:
        return None
    name = host[1:] if host.startswith("*.") else host
    if name.startswith("."):
        return _Exception(name=name, port=port)
    return _Exception(name=f".{name}", itself=True, port=port)


def _ip(host: str) -> _Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
