"""Which registries a cloud is asked for, and who a ServiceAccount is there (flux-compat E6, J16)."""

from __future__ import annotations

import pytest

from ocisource.domain import clouds
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.errors import CloudError

ROLE = "arn:aws:iam::123456789012:role/reader"
PROVIDER = "projects/1234567890/locations/global/workloadIdentityPools/pool/providers/cluster"


def account(**annotations: str) -> ServiceAccount:
    named = {
        "role": clouds.ROLE_ARN,
        "tenant": clouds.TENANT_ID,
        "client": clouds.CLIENT_ID,
        "email": clouds.GCP_ACCOUNT,
        "provider": clouds.GCP_FEDERATION,
    }
    return ServiceAccount("team", "puller", (), {named[key]: value for key, value in annotations.items()})


@pytest.mark.parametrize(
    ("registry", "place"),
    [
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "eu-central-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("123456789012.dkr-ecr.us-west-2.on.aws", "us-west-2"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1"),
        ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1"),
        ("public.ecr.aws", clouds.PUBLIC_ECR),
        ("ecr-public.aws.com", clouds.PUBLIC_ECR),
    ],
)
def test_a_registry_of_aws_is_in_a_region(registry: str, place: str) -> None:
    assert clouds.ecr_region(registry) == place


@pytest.mark.parametrize(
    "registry",
    [
        "ghcr.io",
        "dkr.ecr.eu-central-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com.example.com",
        "123456789012.dkr.ecr.eu-central-1.amazonaws.com:8443",
        "123456789012.dkr.ecr.eu-central-1.amazonawsxcom",
        "x.123456789012.dkr.ecr.eu-central-1.amazonaws.com",
        "public.ecr.aws.example.com",
    ],
)
def test_a_host_that_is_not_wholly_one_of_aws_gets_no_token(registry: str) -> None:
    """J16: else whoever writes an object could have it sent to a host of their own."""
    with pytest.raises(CloudError, match=r"^invalid AWS registry: '"):
        clouds.ecr_region(registry)


@pytest.mark.parametrize("registry", ["team.azurecr.io", "team.azurecr.cn", "team.azurecr.us", "a.b.azurecr.de"])
def test_a_registry_of_azure_is_its_host(registry: str) -> None:
    assert clouds.acr_host(registry) == registry


@pytest.mark.parametrize(
    "registry", ["azurecr.io", "team.azurecr.io.example.com", "teamazurecr.io", "team.azurecr.io:443"]
)
def test_a_host_that_is_not_wholly_one_of_azure_gets_no_token(registry: str) -> None:
    with pytest.raises(CloudError) as caught:
        clouds.acr_host(registry)
    # The original does so, seen by running it.
    shown = r"^.+\.(azurecr\.io|azurecr\.cn|azurecr\.de|azurecr\.us)$"
    assert str(caught.value) == f"invalid Azure registry: '{registry}'. must match {shown}"


@pytest.mark.parametrize("suffix", ["registry.private", ".registry.private"])
def test_a_private_cloud_has_a_suffix_of_its_own(suffix: str) -> None:
    assert clouds.acr_host("team.registry.private", suffix) == "team.registry.private"
    with pytest.raises(CloudError, match="must end with"):
        clouds.acr_host("teamregistry.private", suffix)


@pytest.mark.parametrize("registry", ["gcr.io", "eu.gcr.io", "europe-west1-docker.pkg.dev", "docker.s3nsregistry.fr"])
def test_registries_of_google_are_known(registry: str) -> None:
    clouds.check_gar(registry)


@pytest.mark.parametrize("registry", ["agcr.io", "gcr.io.example.com", "docker.pkg.dev", "x-docker.pkg.dev:8443"])
def test_a_host_that_is_not_wholly_one_of_google_gets_no_token(registry: str) -> None:
    with pytest.raises(CloudError) as caught:
        clouds.check_gar(registry)
    # The original does so, seen by running it.
    shown = r"^(((.+\.)?gcr\.io)|(.+-docker\.pkg\.dev)|(docker\.s3nsregistry\.fr))$"
    assert str(caught.value) == f"invalid GCP registry: '{registry}'. must match {shown}"


def test_a_service_account_is_who_its_annotations_say() -> None:
    assert clouds.role_arn(account(role=ROLE)) == ROLE
    assert clouds.azure_identity(account(tenant="t", client="c")) == ("t", "c")
    assert clouds.gcp_email(account(email="reader@project.iam.gserviceaccount.com")) == (
        "reader@project.iam.gserviceaccount.com"
    )
    assert clouds.gcp_federation(account(provider=PROVIDER)) == f"//iam.googleapis.com/{PROVIDER}"


def test_in_google_cloud_it_may_stand_for_itself_and_the_cluster_vouch_for_it() -> None:
    assert clouds.gcp_email(account()) == ""
    assert clouds.gcp_federation(account()) == ""


@pytest.mark.parametrize(
    ("read", "annotations", "said"),
    [
        (clouds.role_arn, {}, "invalid eks.amazonaws.com/role-arn annotation: ''. must match ^arn:aws"),
        (clouds.role_arn, {"role": f"{ROLE}\n"}, "invalid eks.amazonaws.com/role-arn annotation: 'arn"),
        (clouds.role_arn, {"role": ROLE.replace("aws", "awsä")}, "invalid eks.amazonaws.com/role-arn annotation: 'arn"),
        (clouds.role_arn, {"role": f"x{ROLE}"}, "invalid eks.amazonaws.com/role-arn annotation: 'xarn"),
        (clouds.azure_identity, {"client": "c"}, "azure tenant ID is not set in the service account annotation azure."),
        (clouds.azure_identity, {"tenant": "t"}, "azure client ID is not set in the service account annotation azure."),
        (
            clouds.azure_identity,
            {"tenant": "../x", "client": "c"},
            "invalid azure.workload.identity/tenant-id annotati",
        ),
        (clouds.azure_identity, {"tenant": "t", "client": "c/d"}, "invalid azure.workload.identity/client-id annotati"),
        (clouds.gcp_email, {"email": "a@b.example"}, "invalid iam.gke.io/gcp-service-account annotation: 'a@b.exam"),
        (clouds.gcp_federation, {"provider": "p"}, "invalid gcp.auth.fluxcd.io/workload-identity-provider annot"),
    ],
)
def test_an_annotation_that_cannot_be_used_is_named(read: object, annotations: dict[str, str], said: str) -> None:
    assert callable(read)
    with pytest.raises(CloudError) as caught:
        read(account(**annotations))
    prefix = "failed to get provider identity from service account 'team/puller' annotations: "
    assert str(caught.value).startswith(prefix + said)
