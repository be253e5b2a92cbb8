from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from devkit.certificates import write_server_certificate
from fakes.clouds import FakeAWS, FakeAzure, FakeGoogle
from ocisource.clouds import gcp
from ocisource.clouds.room import CloudRoom, Provider, open_provider
from ocisource.domain.accounts import ServiceAccount

ROLE = "arn:aws:iam::123456789012:role/reader"
OTHER_ROLE = "arn:aws:iam::123456789012:role/writer"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests has no identity in any cloud, and no proxy."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "GCE_", "IDENTITY_", "MSI_")) or name.lower().endswith(
            "_proxy"
        ):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")


@pytest.fixture
async def amazon(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeAWS]:
    async with FakeAWS(ROLE, OTHER_ROLE) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


@pytest.fixture
async def microsoft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeAzure]:
    """A private cloud, whose registries are on loopback: one that is public could not be reached here."""
    write_server_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    async with FakeAzure(tls) as fake:
        port = fake.address.partition(":")[2]
        described = tmp_path / "cloud.json"
        described.write_text(
            f'{{"containerRegistryDNSSuffix": "0.0.1:{port}", "resourceManagerEndpoint": "https://management.private", '
            '"tokenAudience": "https://management.private"}'
        )
        monkeypatch.setenv("AZURE_ENVIRONMENT_FILEPATH", str(described))
        monkeypatch.setenv("AZURE_AUTHORITY_HOST", fake.url)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.crt"))
        yield fake


@pytest.fixture
async def google(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGoogle]:
    async with FakeGoogle() as fake:
        monkeypatch.setenv("GCE_METADATA_HOST", fake.address)
        monkeypatch.setenv("GCE_METADATA_IP", fake.address)
        # The library reads the variable when it is loaded, which may have been for another test.
        monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", fake.address)
        yield fake


class Issued(list[tuple[str, str]]):
    """Gives tokens of the cluster; what for whom and for which audience."""

    async def __call__(self, account: ServiceAccount, audience: str) -> str:
        self.append((str(account), audience))
        return "eks-jwt"


@pytest.fixture
def issued() -> Issued:
    return Issued()


Rooms = Callable[..., CloudRoom]


@pytest.fixture
async def room(issued: Issued, request: pytest.FixtureRequest) -> AsyncIterator[Rooms]:
    """Opens rooms; those of a test that has a Google of its own ask that one."""
    opened: list[CloudRoom] = []

    def opens(name: str) -> Provider:
        if name == "gcp" and "google" in request.fixturenames:
            fake: FakeGoogle = request.getfixturevalue("google")
            return gcp.GCP(gcp.Endpoints(f"{fake.url}/sts", f"{fake.url}/iam"))
        return open_provider(name)

    def make(*settings: object) -> CloudRoom:
        opened.append(CloudRoom(issued, *settings, opens=opens))  # type: ignore[arg-type]
        return opened[-1]

    yield make
    for one in opened:
        await one.close()
