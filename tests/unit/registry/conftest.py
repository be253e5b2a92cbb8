"""A real registry on a loopback port for each test, and our client, whose tries do not wait."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from devkit.ocihttp import RegistryServer
from ocisource.domain.access import Access, Credentials, Repository
from ocisource.domain.certificates import TLS
from ocisource.domain.proxies import Proxy
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import Limits

IMPATIENT = Limits(retry_delays=(0.0, 0.0))


class Memory:
    """A spool that shows what it holds."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.closed = False

    def write(self, chunk: bytes, /) -> None:
        assert not self.closed, "written after it was closed"
        self.content += chunk

    def close(self) -> None:
        self.closed = True


@pytest.fixture
async def registry() -> AsyncIterator[RegistryServer]:
    async with RegistryServer() as server:
        yield server


@pytest.fixture
async def client() -> AsyncIterator[OCIRegistry]:
    found = OCIRegistry(IMPATIENT)
    yield found
    await found.close()


@pytest.fixture
def spool() -> Memory:
    return Memory()


@pytest.fixture
def new_spool() -> Callable[[], Memory]:
    return Memory


To = Callable[..., Access]


@pytest.fixture
def to() -> To:
    """to(server, repository, credentials): how a source reaches that repository."""

    def access(
        server: RegistryServer | str,
        repository: str = "team/app",
        credentials: Credentials | None = None,
        *,
        insecure: bool = False,
        tls: TLS | None = None,
        proxy: Proxy | None = None,
    ) -> Access:
        address = server if isinstance(server, str) else server.address
        return Access(Repository(address, repository), insecure, credentials, tls, proxy)

    return access
