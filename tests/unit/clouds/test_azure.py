"""Azure over its own library: Entra ID, the exchange of a registry, and who the operator is (flux-compat E6, C7)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from fakes.clouds import FakeAzure, jwt
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CLIENT_ID, TENANT_ID, CloudAccess
from ocisource.domain.errors import CloudError
from ocisource.domain.proxies import Proxy

from .conftest import Issued, Rooms

PULLER = ServiceAccount("team", "puller", (), {TENANT_ID: "tenant", CLIENT_ID: "client"})
USER = "00000000-0000-0000-0000-000000000000"


def subject(found: Credentials) -> object:
    """Whose token it is."""
    assert found.username == USER
    payload = found.password.split(".")[1]
    assert jwt(sub="x").split(".")[0] == found.password.split(".")[0]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))["sub"]


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, microsoft: FakeAzure) -> None:
    """What the webhook of workload identity gives a pod."""
    (tmp_path / "token").write_text("operator-jwt")
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "operator")
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    microsoft.clients["tenant", "operator"] = "operator-jwt"


@pytest.mark.usefixtures("workload")
async def test_the_operator_is_who_its_pod_is(microsoft: FakeAzure, room: Rooms) -> None:
    found = await room().credentials(CloudAccess("azure", microsoft.address))

    assert subject(found) == "access of operator"
    assert microsoft.asked == ["entra", "registry"]
    assert microsoft.scopes == ["https://management.private/.default"]


async def test_the_operator_may_be_a_service_principal(
    microsoft: FakeAzure, room: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", "tenant")
    monkeypatch.setenv("AZURE_CLIENT_ID", "principal")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
    microsoft.clients["tenant", "principal"] = "secret"

    assert subject(await room().credentials(CloudAccess("azure", microsoft.address))) == "access of principal"


@pytest.mark.parametrize(("client", "who"), [("", "the machine"), ("chosen", "chosen")])
async def test_the_operator_may_be_its_machine(
    microsoft: FakeAzure, room: Rooms, monkeypatch: pytest.MonkeyPatch, client: str, who: str
) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", microsoft.url)
    if client:
        monkeypatch.setenv("AZURE_CLIENT_ID", client)

    found = await room().credentials(CloudAccess("azure", microsoft.address))

    assert subject(found) == f"access of {who}"
    assert microsoft.asked == ["machine", "registry"]


@pytest.mark.usefixtures("workload")
async def test_a_service_account_is_the_application_of_its_annotations_and_nobody_else(
    microsoft: FakeAzure, room: Rooms, issued: Issued
) -> None:
    microsoft.clients["tenant", "client"] = "eks-jwt"

    found = await room().credentials(CloudAccess("azure", microsoft.address, PULLER))

    assert subject(found) == "access of client"
    assert issued == [("team/puller", "api://AzureADTokenExchange")]


async def test_an_application_that_does_not_trust_the_cluster_says_so_in_words_that_stay_the_same(
    microsoft: FakeAzure, room: Rooms
) -> None:
    """A trace id in a condition would be a write of the status, and a new event, for every try."""
    with pytest.raises(CloudError) as caught:
        await room().credentials(CloudAccess("azure", microsoft.address, PULLER))

    assert str(caught.value).startswith("failed to create provider access token for service account 'team/puller': ")
    assert str(caught.value).endswith("AADSTS70021: No matching federated identity record found.")


@pytest.mark.usefixtures("workload")
@pytest.mark.parametrize("status", [401, 500])
async def test_a_registry_that_gives_nothing_is_quoted(microsoft: FakeAzure, room: Rooms, status: int) -> None:
    microsoft.refuses = {"registry": status}

    told = rf"POST https://{microsoft.address}/oauth2/exchange: {status} .*not yours"
    with pytest.raises(CloudError, match=told):
        await room().credentials(CloudAccess("azure", microsoft.address))


@pytest.mark.usefixtures("workload")
async def test_a_token_of_entra_follows_no_redirect(microsoft: FakeAzure, room: Rooms) -> None:
    microsoft.refuses = {"registry": 307}

    with pytest.raises(CloudError, match=r"/oauth2/exchange: 307"):
        await room().credentials(CloudAccess("azure", microsoft.address))
    assert microsoft.asked == ["entra", "registry"]


@pytest.mark.usefixtures("workload")
async def test_a_refresh_token_without_an_end_is_not_kept_for_ever(microsoft: FakeAzure, room: Rooms) -> None:
    microsoft.lacks_expiry = True

    with pytest.raises(CloudError, match=r"the refresh token has no time of expiry"):
        await room().credentials(CloudAccess("azure", microsoft.address))


@pytest.mark.parametrize(
    ("described", "said"),
    [
        ("{}", "containerRegistryDNSSuffix must be set in the environment file"),
        ("[", "containerRegistryDNSSuffix must be set in the environment file"),
        (None, "No such file or directory"),
    ],
)
async def test_a_private_cloud_that_is_not_described_is_told(
    room: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, described: str | None, said: str
) -> None:
    path = tmp_path / "cloud.json"
    if described is not None:
        path.write_text(described)
    monkeypatch.setenv("AZURE_ENVIRONMENT_FILEPATH", str(path))

    with pytest.raises(CloudError, match=rf"AZURE_ENVIRONMENT_FILEPATH=.*cloud\.json: {said}"):
        await room().credentials(CloudAccess("azure", "registry.private"))


async def test_a_registry_of_somebody_else_asks_nobody(room: Rooms, issued: Issued) -> None:
    with pytest.raises(CloudError, match=r"invalid Azure registry: 'ghcr\.io'"):
        await room().credentials(CloudAccess("azure", "ghcr.io", PULLER))
    assert issued == []


async def test_the_objects_proxy_is_on_the_way_to_the_cloud(microsoft: FakeAzure, room: Rooms) -> None:
    """E9: nothing is asked when it cannot be reached."""
    microsoft.clients["tenant", "client"] = "eks-jwt"
    proxy = Proxy("http", "127.0.0.1", 1, "user", "p@ss")

    with pytest.raises(CloudError, match=r"[Pp]roxy") as caught:
        await room().credentials(CloudAccess("azure", microsoft.address, PULLER, proxy))
    assert "p@ss" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)
    assert microsoft.asked == []
