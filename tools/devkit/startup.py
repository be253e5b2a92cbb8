"""Starting a server on ports nobody else has, and knowing when it answers."""

from __future__ import annotations

import http.client
import os
import socket
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from devkit.keeper import Keeper

_TRIES = 5
_POLL = 0.05  # seconds


class StartError(Exception):
    """A real part did not come up; the message holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that are free now. Another process may take one before it is used: see `start`."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def start(
    keeper: Keeper,
    name: str,
    command: Callable[[list[int]], Sequence[str]],
    *,
    ports: int,
    ready: Callable[[list[int]], bool],
    timeout: float,
    environment: Mapping[str, str] | None = None,
) -> list[int]:
    """Starts `command(ports)` and returns the ports once `ready(ports)`. A port that was taken between choosing and
    binding it is answered with another try. Raises StartError."""
    variables = {**os.environ, **(environment or {})}
    for _ in range(_TRIES):
        chosen = free_ports(ports)
        keeper.start(name, command(chosen), variables)
        if _wait(keeper, name, partial(ready, chosen), timeout):
            return chosen
    raise StartError(f"{name} found its port taken {_TRIES} times")


def answers(url: str) -> bool:
    """Whether an HTTP server at `url` answers, were it only to say who it wants to see."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        connection.request("GET", address.path or "/")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _wait(keeper: Keeper, name: str, ready: Callable[[], bool], timeout: float) -> bool:
    """True once ready, False if a port was taken."""
    deadline = time.monotonic() + timeout
    while True:
        code = keeper.exit_code(name)
        if code is not None:
            log = keeper.log(name).read_text(errors="replace")
            if "address already in use" in log.lower():
                return False
            raise StartError(f"{name} ended with exit code {code}:\n{_tail(log)}")
        if ready():
            return True
        if time.monotonic() > deadline:
            keeper.kill(name)
            log = keeper.log(name).read_text(errors="replace")
            raise StartError(f"{name} was not ready within {timeout:g} s:\n{_tail(log)}")
        time.sleep(_POLL)


def _tail(log: str) -> str:
    return "\n".join(log.splitlines()[-20:])
