"""Google Cloud over its own library: the metadata server, the exchange of tokens, and Google service accounts
(flux-compat E6, C7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.clouds import FakeGoogle
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import GCP_ACCOUNT, GCP_FEDERATION, CloudAccess
from ocisource.domain.errors import CloudError
from ocisource.domain.proxies import Proxy

from .conftest import Issued, Rooms

REGISTRY = "europe-west1-docker.pkg.dev"
PROVIDER = "projects/1234567890/locations/global/workloadIdentityPools/pool/providers/cluster"
READER = "reader@project.iam.gserviceaccount.com"
CLUSTER = "https://container.googleapis.com/v1/projects/project/locations/europe-west1/clusters/cluster"


def account(**annotations: str) -> ServiceAccount:
    named = {"email": GCP_ACCOUNT, "provider": GCP_FEDERATION}
    return ServiceAccount("team", "puller", (), {named[key]: value for key, value in annotations.items()})


@pytest.mark.usefixtures("google")
async def test_the_operator_is_who_its_node_says(room: Rooms) -> None:
    found = await room().credentials(CloudAccess("gcp", REGISTRY))

    assert found == Credentials("oauth2accesstoken", "access of the node")


async def test_the_operator_may_have_credentials_of_its_own(
    google: FakeGoogle, room: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration of workload identity federation, as it is mounted outside of Google Cloud."""
    (tmp_path / "token").write_text("operator-jwt")
    described = {
        "type": "external_account",
        "audience": f"//iam.googleapis.com/{PROVIDER}",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{google.url}/sts",
        "credential_source": {"file": str(tmp_path / "token")},
    }
    (tmp_path / "credentials.json").write_text(json.dumps(described))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "credentials.json"))
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "project")

    found = await room().credentials(CloudAccess("gcp", "gcr.io"))

    assert found == Credentials("oauth2accesstoken", "access of operator-jwt")


async def test_in_gke_a_service_account_may_be_itself(google: FakeGoogle, room: Rooms, issued: Issued) -> None:
    found = await room().credentials(CloudAccess("gcp", REGISTRY, account()))

    assert found == Credentials("oauth2accesstoken", "access of eks-jwt")
    assert issued == [("team/puller", "project.svc.id.goog")]
    assert google.exchanged == [(f"identitynamespace:project.svc.id.goog:{CLUSTER}", "eks-jwt")]


async def test_which_cluster_it_is_is_asked_once(google: FakeGoogle, room: Rooms) -> None:
    one = room()
    for name in ("a", "b"):
        await one.credentials(CloudAccess("gcp", REGISTRY, ServiceAccount("team", name)))

    assert [asked for asked in google.asked if asked != "sts"] == list(google.metadata)


async def test_a_service_account_may_stand_for_one_of_google(google: FakeGoogle, room: Rooms) -> None:
    found = await room().credentials(CloudAccess("gcp", REGISTRY, account(email=READER)))

    assert found == Credentials("oauth2accesstoken", f"access of {READER}")
    assert google.asked[-2:] == ["sts", "iam"]


async def test_from_another_cluster_a_provider_vouches_for_it(google: FakeGoogle, room: Rooms, issued: Issued) -> None:
    """Then no metadata server is asked: there is none."""
    found = await room().credentials(CloudAccess("gcp", REGISTRY, account(provider=PROVIDER)))

    assert found == Credentials("oauth2accesstoken", "access of eks-jwt")
    assert issued == [("team/puller", f"//iam.googleapis.com/{PROVIDER}")]
    assert google.exchanged == [(f"//iam.googleapis.com/{PROVIDER}", "eks-jwt")]
    assert google.asked == ["sts"]


async def test_outside_of_gke_it_is_told_which_annotation_is_missing(google: FakeGoogle, room: Rooms) -> None:
    google.metadata.clear()

    with pytest.raises(CloudError) as caught:
        await room().credentials(CloudAccess("gcp", REGISTRY, account()))
    assert str(caught.value) == (
        f"failed to get GKE cluster project ID from the metadata service: {google.address} answered 404 (outside of "
        "GKE the service account needs the annotation gcp.auth.fluxcd.io/workload-identity-provider)"
    )


@pytest.mark.usefixtures("google")
async def test_without_a_metadata_server_it_is_told_the_same(room: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")

    with pytest.raises(CloudError, match=r"no answer from 127\.0\.0\.1:1 \(outside of GKE"):
        await room().credentials(CloudAccess("gcp", REGISTRY, account()))


async def test_a_pool_that_does_not_know_the_cluster_says_so(google: FakeGoogle, room: Rooms) -> None:
    google.refuses = {"sts": 400}

    with pytest.raises(CloudError) as caught:
        await room().credentials(CloudAccess("gcp", REGISTRY, account()))
    told = "failed to create provider access token for service account 'team/puller': "
    assert str(caught.value) == told + "Error code invalid_grant: not of this pool"


async def test_a_google_service_account_that_is_not_for_it_says_so(google: FakeGoogle, room: Rooms) -> None:
    google.refuses = {"iam": 403}

    with pytest.raises(CloudError, match=r"service account 'team/puller': Unable to acquire impersonated credentials"):
        await room().credentials(CloudAccess("gcp", REGISTRY, account(email=READER)))


async def test_an_operator_that_is_nobody_is_told(
    google: FakeGoogle, room: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)

    with pytest.raises(CloudError, match=r"access token for the controller: .*default credentials were not found"):
        await room().credentials(CloudAccess("gcp", REGISTRY))
    assert google.asked == []


async def test_a_registry_of_somebody_else_asks_nobody(google: FakeGoogle, room: Rooms, issued: Issued) -> None:
    with pytest.raises(CloudError, match=r"invalid GCP registry: 'ghcr\.io'"):
        await room().credentials(CloudAccess("gcp", "ghcr.io", account()))
    assert (google.asked, issued) == ([], [])


async def test_the_objects_proxy_is_on_the_way_to_the_cloud_and_not_to_the_node(
    google: FakeGoogle, room: Rooms
) -> None:
    """E9"""
    proxy = Proxy("http", "127.0.0.1", 1, "user", "p@ss")

    with pytest.raises(CloudError, match=r"[Pp]roxy") as caught:
        await room().credentials(CloudAccess("gcp", REGISTRY, account(), proxy))
    assert "p@ss" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)
    assert google.asked == list(google.metadata)
