"""Where a request may go: the rules about hosts, redirects and token servers, without I/O (flux-compat E10, J5)."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urljoin

from yarl import URL

from ocisource.domain.access import Access
from ocisource.domain.errors import RegistryError, quoted
from ocisource.registry.errors import shown

MAX_REDIRECTS = 10

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def address(origin: str, path: str) -> URL:
    """`path`, already quoted, at the origin of a registry. Raises RegistryError where the registry's name is none."""
    try:
        url = URL(origin + path, encoded=True)
        named = url.host is not None
    except ValueError:
        named = False
    if not named:
        raise RegistryError(f"{origin!r} is not the address of a registry")
    return url


def may_be_plain(access: Access) -> bool:
    """Whether plain HTTP is allowed: with `insecure`, or where the registry is this machine (flux-compat J5)."""
    return access.insecure or is_loopback(own_host(access))


def is_loopback(host: str) -> bool:
    address = literal(host)
    return address.is_loopback if address is not None else _is_localhost(host)


def is_public(host: str) -> bool:
    """False for an address literal of a private, loopback, link-local or otherwise special range, and for
    `localhost`. Other names are judged by what they resolve to, when that is known (registry/neighbourhood.py)."""
    address = literal(host)
    return not _is_localhost(host) if address is None else is_public_address(address)


def is_public_address(address: Address) -> bool:
    """Whether the address means the same everywhere."""
    return address.is_global and not address.is_multicast


def is_private_address(address: Address) -> bool:
    """Whether the address belongs to a network of somebody's own: not public, and neither this machine (loopback,
    unspecified) nor its link, where clouds answer for machines, nor a group."""
    elsewhere = address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast
    return not elsewhere and not is_public_address(address)


def same_origin(one: URL, other: URL) -> bool:
    """Same scheme, host and port: the only place that may see the same Authorization header."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def is_own_host(host: str, access: Access) -> bool:
    """Whether that is the registry's own host, on whichever port."""
    return host.lower() == own_host(access).lower()


def is_beside(host: str, access: Access) -> bool:
    """Whether that is a name of this machine, and the registry is on it. Where the name leads is judged when it is
    known (registry/neighbourhood.py)."""
    return _is_localhost(host) and is_loopback(own_host(access))


def is_registry(url: URL, access: Access) -> bool:
    """Whether that is the registry's own host and port, by whichever scheme."""
    own = address(f"{url.scheme}://{access.repository.registry}", "/")
    return (url.host, url.port) == (own.host, own.port)


def hop(method: str, url: URL, location: str, access: Access) -> URL:
    """The next address of a redirect. Raises RegistryError where our rules forbid to go there: only HTTP, no step
    down from https unless `insecure`, no private address but the registry's own host."""
    target = _target(url, location)
    if target is None or not (host := target.host):
        raise RegistryError(f'{method.title()} "{shown(url)}": the redirect leads to no HTTP address')
    if target.scheme not in ("https", "http"):
        raise RegistryError(f'{method.title()} "{shown(target)}": unsupported protocol scheme {quoted(target.scheme)}')
    if url.scheme == "https" and target.scheme == "http" and not access.insecure:
        raise RegistryError(f'{method.title()} "{shown(target)}": redirect from https to plain http refused')
    if _is_off_limits(host, access):
        way = f"redirect from {quoted(own_host(access))} to private/link-local host {quoted(host)}"
        raise RegistryError(f'{method.title()} "{shown(target)}": SSRF protection: {way} denied')
    return target


def leads_to_tls(url: URL, location: str) -> bool:
    """Whether a redirect leads to https."""
    target = _target(url, location)
    return target is not None and target.scheme == "https"


def stays(status: int, url: URL, location: str) -> bool:
    """Whether a redirect says to send the same once more, to the same server."""
    target = _target(url, location)
    return status in (307, 308) and target is not None and same_origin(url, target)


def _target(url: URL, location: str) -> URL | None:
    """Where a redirect leads; None where what it says is no address."""
    try:
        return URL(urljoin(str(url), location), encoded=True).with_user(None)
    except ValueError:
        return None


def external(address: str, access: Access, *, plain: bool) -> URL:
    """The address of a blob outside of the registry (a descriptor's `urls`). Raises RegistryError where our rules
    forbid it: https, or http where the registry itself is `plain`; no private address but the registry's own host."""
    return _judged("foreign layer URL", address, access, plain=plain)


def realm(address: str, access: Access, *, plain: bool) -> URL:
    """The address of a token server, which will be shown credentials: https, or http where the registry itself is
    `plain`; a private address only where it is the registry's own host and port, this machine by its name where the
    registry is on it. Raises RegistryError."""
    what = "invalid realm in www-authenticate: realm"
    url = _judged(what, address, access, plain=plain)
    host = url.host or ""
    if not is_public(host) and not is_registry(url, access) and not is_beside(host, access):
        raise RegistryError(f"{what} host {quoted(host)} is a private or link-local address")
    return url


def _judged(what: str, address: str, access: Access, *, plain: bool) -> URL:
    """In the words of the original."""
    try:
        url = URL(address, encoded=True)
        host = url.host
    except ValueError:
        raise RegistryError(f"{what} {quoted(address)} is not a URL") from None
    if url.scheme not in ("https", "http"):
        forms = "must be https (or http for insecure registries)"
        raise RegistryError(f"{what} scheme {quoted(url.scheme)} not allowed; {forms}")
    if not host:
        raise RegistryError(f"{what} {quoted(address)} is not a URL")
    if url.scheme == "http" and not plain:
        raise RegistryError(f'{what} scheme "http" not allowed for a secure registry; use https')
    if _is_off_limits(host, access):
        raise RegistryError(f"{what} host {quoted(host)} is a private or link-local address")
    return url.with_user(None)


def _is_off_limits(host: str, access: Access) -> bool:
    return not is_public(host) and not is_own_host(host, access) and not is_beside(host, access)


def own_host(access: Access) -> str:
    """The registry's host, as it stands in addresses."""
    return address(f"https://{access.repository.registry}", "/").host or ""


def _is_localhost(host: str) -> bool:
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def literal(host: str) -> Address | None:
    """The address that stands there in place of a name, in any spelling; None for a name. One that only carries
    another (IPv4 in IPv6, RFC 4291 and 6052; 6to4) is that other."""
    host = host.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            # The short, octal and decimal spellings that a resolver takes for an address as well: 127.1, 2130706433.
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeError):
            return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
