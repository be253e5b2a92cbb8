"""Ports are chosen before they are bound: another process may be faster."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator

import pytest

from devkit.keeper import Keeper
from devkit.startup import StartError, answers, free_ports, start

SERVER = """
import http.server, sys
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), http.server.BaseHTTPRequestHandler).serve_forever()
"""


def serve(port: int) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", SERVER, str(port)]


def ready(ports: list[int]) -> bool:
    try:
        socket.create_connection(("127.0.0.1", ports[0]), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        yield other.getsockname()[1]


def test_free_ports_are_different_ones() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_server_is_ready_when_start_returns(keeper: Keeper) -> None:
    (port,) = start(keeper, "server", lambda ports: serve(ports[0]), ports=1, ready=ready, timeout=20)
    assert ready([port])


def test_a_port_that_was_taken_meanwhile_is_answered_with_another(keeper: Keeper, taken: int) -> None:
    tried: list[int] = []

    def command(ports: list[int]) -> list[str]:
        tried.append(ports[0])
        return serve(taken if len(tried) == 1 else ports[0])

    (port,) = start(keeper, "server", command, ports=1, ready=ready, timeout=20)
    assert len(tried) == 2
    assert port == tried[1]


def test_a_server_that_ends_is_an_error_with_its_last_words(keeper: Keeper) -> None:
    with pytest.raises(StartError, match=r"server ended with exit code 4:\nno such flag"):
        start(keeper, "server", lambda _: ["sh", "-c", "echo no such flag; exit 4"], ports=1, ready=ready, timeout=20)


def test_a_server_that_never_gets_ready_is_stopped_and_told(keeper: Keeper) -> None:
    with pytest.raises(StartError, match="server was not ready within"):
        start(keeper, "server", lambda _: ["sleep", "600"], ports=1, ready=lambda _: False, timeout=0.1)
    deadline = time.monotonic() + 10  # it was killed; that its end is known takes a moment
    while keeper.exit_code("server") is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_nobody_answers_on_a_port_that_only_is_bound(taken: int) -> None:
    assert not answers(f"http://127.0.0.1:{taken}/")
