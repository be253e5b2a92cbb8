"""Where servers listen: addresses as flags give them (`:9090`, `127.0.0.1:0`, `[::]:9090`)."""

from __future__ import annotations

import errno
import os
import socket

from ocisource.domain.errors import RoomError

_BACKLOG = 1024


class AddressError(RoomError):
    """Nobody can listen at the address. The text names the flag."""


def listen(flag: str, address: str) -> socket.socket:
    """A socket that listens at the address; an empty host means every interface, IPv4 and IPv6. Raises
    AddressError."""
    host, port = _parse(flag, address)
    try:
        if host in ("", "::") and socket.has_dualstack_ipv6():
            try:
                return socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)
            except OSError as error:  # a kernel that knows IPv6, with it switched off
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    raise
        if host == "":
            return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104  # what an empty host asks for
        family, _, _, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        # Not error.strerror: create_server adds the address to it. Failed look-ups have numbers of their own.
        number = error.errno or 0
        why = (os.strerror(number) if number > 0 else error.strerror or str(error)).lower()
        raise AddressError(f"{flag}: cannot listen on {address}: {why}; free the port or name another one") from error


def bound(listener: socket.socket) -> str:
    """The address that the socket really listens at, as `host:port`."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse(flag: str, address: str) -> tuple[str, int]:
    host, colon, port = address.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise AddressError(f"{flag}: {address!r} is not host:port; an IPv6 host needs brackets, as in [::]:9090")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise AddressError(f"{flag}: {address!r} is not host:port, as in :9090 or 127.0.0.1:9090")
    return host, int(port)
