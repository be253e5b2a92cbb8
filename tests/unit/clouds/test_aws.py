"""AWS over its own library: STS, ECR, public ECR, and who the operator is (flux-compat E6, C7)."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.clouds import FakeAWS
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import ROLE_ARN, CloudAccess
from ocisource.domain.errors import CloudError
from ocisource.domain.proxies import Proxy

from .conftest import OTHER_ROLE, ROLE, Issued, Rooms

REGISTRY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
PULLER = ServiceAccount("team", "puller", (), {ROLE_ARN: ROLE})


@pytest.fixture
def irsa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What EKS gives a pod whose ServiceAccount has a role."""
    (tmp_path / "token").write_text("eks-jwt")
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_REGION", "us-east-2")


@pytest.mark.usefixtures("irsa")
async def test_the_operator_is_who_its_pod_is(amazon: FakeAWS, room: Rooms) -> None:
    found = await room().credentials(CloudAccess("aws", REGISTRY))

    assert found == Credentials("AWS", "password of ASIA0")
    assert amazon.users == [("ASIA0", "eu-central-1", "ecr")]  # the registry's region, whatever the pod's is
    assert amazon.asked == ["sts", "registry"]


async def test_the_operator_may_have_a_pod_identity(
    amazon: FakeAWS, room: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{amazon.url}/pod-identity")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "pod-token")

    found = await room().credentials(CloudAccess("aws", REGISTRY))

    assert found == Credentials("AWS", "password of ASIAPOD")


async def test_the_operator_may_be_its_node(amazon: FakeAWS, room: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")

    found = await room().credentials(CloudAccess("aws", REGISTRY))

    assert found == Credentials("AWS", "password of AKIANODE")


async def test_public_registries_have_a_door_of_their_own(
    amazon: FakeAWS, room: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    found = await room().credentials(CloudAccess("aws", "public.ecr.aws"))

    assert found == Credentials("AWS", "password of AKIAENV")
    assert amazon.users == [("AKIAENV", "us-east-1", "ecr-public")]


@pytest.mark.usefixtures("amazon")
async def test_an_operator_that_is_nobody_is_told_what_to_give_it(room: Rooms) -> None:
    with pytest.raises(CloudError, match=r"the operator has no AWS identity\. configure .*IRSA"):
        await room().credentials(CloudAccess("aws", REGISTRY))


@pytest.mark.usefixtures("irsa")
async def test_a_service_account_is_the_role_of_its_annotation_and_nobody_else(
    amazon: FakeAWS, room: Rooms, issued: Issued
) -> None:
    """The operator's own role is not used on the way."""
    account = ServiceAccount("team", "puller", (), {ROLE_ARN: OTHER_ROLE})

    found = await room().credentials(CloudAccess("aws", REGISTRY, account))

    assert found == Credentials("AWS", "password of ASIA1")
    assert issued == [("team/puller", "sts.amazonaws.com")]
    assert amazon.sessions == ["puller.team.eu-central-1.fluxcd.io"]
    assert amazon.users == [("ASIA1", "eu-central-1", "ecr")]


async def test_a_service_account_may_pull_from_public_registries(amazon: FakeAWS, room: Rooms) -> None:
    await room().credentials(CloudAccess("aws", "public.ecr.aws", PULLER))

    assert amazon.sessions == ["puller.team.us-east-1.fluxcd.io"]
    assert amazon.users == [("ASIA0", "us-east-1", "ecr-public")]


async def test_the_name_of_a_session_is_no_longer_than_aws_takes(amazon: FakeAWS, room: Rooms) -> None:
    account = ServiceAccount("a-namespace-with-a-long-name", "a-service-account-with-a-long-name", (), {ROLE_ARN: ROLE})

    await room().credentials(CloudAccess("aws", REGISTRY, account))

    assert amazon.sessions == ["a-service-account-with-a-long-name.a-namespace-with-a-long-name."[:64]]


async def test_a_role_that_does_not_trust_the_cluster_says_so(amazon: FakeAWS, room: Rooms) -> None:
    amazon.token = "of another cluster"

    with pytest.raises(
        CloudError, match=r"AccessDenied.* AssumeRoleWithWebIdentity .*Not authorized to assume the role"
    ):
        await room().credentials(CloudAccess("aws", REGISTRY, PULLER))


async def test_a_role_that_may_not_pull_says_so(amazon: FakeAWS, room: Rooms) -> None:
    amazon.refuses = {"registry": 400}

    with pytest.raises(CloudError, match=r"AccessDeniedException.* GetAuthorizationToken .*not yours"):
        await room().credentials(CloudAccess("aws", REGISTRY, PULLER))


@pytest.mark.usefixtures("irsa")
async def test_a_token_that_is_not_where_the_pod_says_is_told(
    amazon: FakeAWS, room: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token")

    with pytest.raises(CloudError, match=r"No such file or directory: '/nowhere/token'"):
        await room().credentials(CloudAccess("aws", REGISTRY))
    assert amazon.asked == []


@pytest.mark.parametrize(
    ("given", "lacks", "said"),
    [
        ("AWS:{key}", {"authorizationToken"}, "is nil"),
        ("AWS:{key}", {"expiresAt"}, "is nil"),
        ("AWS:{key}", {"authorizationToken", "expiresAt"}, "no authorization data returned"),
        ("AWS {key}", set(), "invalid authorization token format"),
    ],
    ids=["no token", "no end", "nothing", "no password"],
)
async def test_an_answer_without_a_usable_token_is_told(
    amazon: FakeAWS, room: Rooms, given: str, lacks: set[str], said: str
) -> None:
    amazon.given, amazon.lacks = given, lacks

    with pytest.raises(CloudError, match=rf"^failed to create artifact registry credentials: .*{said}"):
        await room().credentials(CloudAccess("aws", REGISTRY, PULLER))


async def test_a_service_account_without_a_role_asks_nobody(amazon: FakeAWS, room: Rooms, issued: Issued) -> None:
    with pytest.raises(CloudError, match=r"invalid eks.amazonaws.com/role-arn annotation: ''"):
        await room().credentials(CloudAccess("aws", REGISTRY, ServiceAccount("team", "puller")))
    assert (amazon.asked, issued) == ([], [])


async def test_a_registry_of_somebody_else_asks_nobody(amazon: FakeAWS, room: Rooms) -> None:
    with pytest.raises(CloudError, match=r"invalid AWS registry: 'ghcr.io'"):
        await room().credentials(CloudAccess("aws", "ghcr.io", PULLER))
    assert amazon.asked == []


async def test_the_objects_proxy_is_on_the_way_to_the_cloud(amazon: FakeAWS, room: Rooms) -> None:
    """E9: nothing is asked when it cannot be reached."""
    proxy = Proxy("http", "127.0.0.1", 1, "user", "p@ss")

    with pytest.raises(CloudError, match=r"Failed to connect to proxy URL") as caught:
        await room().credentials(CloudAccess("aws", REGISTRY, PULLER, proxy))
    assert "p@ss" not in str(caught.value)
    assert "p%40ss" not in str(caught.value)
    assert amazon.asked == []
