"""Which registries belong to which cloud, and as whom a cloud may be asked for credentials (flux-compat E6, C7).

The rules are the original's, but that a host must match as a whole: a token for a cloud's registry is never shown to
a host that only begins like one (J16).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.errors import CloudError
from ocisource.domain.proxies import Proxy

PUBLIC_ECR = "public.ecr.aws"
_PUBLIC_ECRS = frozenset({PUBLIC_ECR, "ecr-public.aws.com"})
"""The second one answers by IPv6, too."""

# Patterns are shown to users, as the original shows its own.
_ECR = re.compile(
    r"^[0-9]+\.dkr[.-]ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?:amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn"
    r"|sc2s\.sgov\.gov|c2s\.ic\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)$"
)
_ACR = re.compile(r"^.+\.(azurecr\.io|azurecr\.cn|azurecr\.de|azurecr\.us)$")
_GAR = re.compile(r"^(((.+\.)?gcr\.io)|(.+-docker\.pkg\.dev)|(docker\.s3nsregistry\.fr))$")

_ROLE = re.compile(r"^arn:aws[\w-]*:iam::[0-9]{1,30}:role/.{1,200}$", re.ASCII)
_DIRECTORY = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9.-]{0,252}$")
_EMAIL = re.compile(r"^[a-zA-Z0-9-]{1,100}@[a-zA-Z0-9-]{1,100}\.iam\.gserviceaccount\.com$")
_FEDERATION = re.compile(
    r"^projects/\d{1,30}/locations/global/workloadIdentityPools/[^/]{1,100}/providers/[^/]{1,100}$", re.ASCII
)

ROLE_ARN = "eks.amazonaws.com/role-arn"
TENANT_ID = "azure.workload.identity/tenant-id"
CLIENT_ID = "azure.workload.identity/client-id"
GCP_ACCOUNT = "iam.gke.io/gcp-service-account"
GCP_FEDERATION = "gcp.auth.fluxcd.io/workload-identity-provider"


@dataclass(frozen=True)
class CloudAccess:
    """What is asked of a cloud: credentials of `provider` (aws, azure, gcp) for a registry, as the ServiceAccount, or
    as the operator itself (None)."""

    provider: str
    registry: str
    account: ServiceAccount | None = None
    proxy: Proxy | None = None
    """On the way to the cloud; None for that of the environment."""


def ecr_region(registry: str) -> str:
    """The AWS region of a private ECR registry, or PUBLIC_ECR. Raises CloudError for any other host."""
    if registry in _PUBLIC_ECRS:
        return PUBLIC_ECR
    found = _ECR.fullmatch(registry)
    if not found:
        raise CloudError(f"invalid AWS registry: '{registry}'. must match {_ECR.pattern} or be {PUBLIC_ECR}")
    return found["region"]


def acr_host(registry: str, suffix: str = "") -> str:
    """The host of an ACR registry; one of a private cloud ends in `suffix`. Raises CloudError for any other host."""
    if _ACR.fullmatch(registry):
        return registry
    if suffix:
        if registry.endswith("." + suffix.lstrip(".")):
            return registry
        raise CloudError(f"invalid Azure registry: '{registry}'. must end with {suffix}")
    raise CloudError(f"invalid Azure registry: '{registry}'. must match {_ACR.pattern}")


def check_gar(registry: str) -> None:
    """Raises CloudError unless the registry is one of Google's."""
    if not _GAR.fullmatch(registry):
        raise CloudError(f"invalid GCP registry: '{registry}'. must match {_GAR.pattern}")


def role_arn(account: ServiceAccount) -> str:
    """The AWS role that the ServiceAccount may assume. Raises CloudError."""
    return _annotated(account, ROLE_ARN, _ROLE, required=True)


def azure_identity(account: ServiceAccount) -> tuple[str, str]:
    """Tenant and client id of the ServiceAccount's Azure identity. Raises CloudError."""
    found = []
    for what, key in (("tenant", TENANT_ID), ("client", CLIENT_ID)):
        if not account.annotations.get(key):
            raise _unusable(account, f"azure {what} ID is not set in the service account annotation {key}")
        found.append(_annotated(account, key, _DIRECTORY))
    return found[0], found[1]


def gcp_email(account: ServiceAccount) -> str:
    """The Google service account that the ServiceAccount stands for, "" if it stands for itself. Raises CloudError."""
    return _annotated(account, GCP_ACCOUNT, _EMAIL)


def gcp_federation(account: ServiceAccount) -> str:
    """The audience of the workload identity provider that the ServiceAccount names, "" if the cluster is GKE's.
    Raises CloudError."""
    named = _annotated(account, GCP_FEDERATION, _FEDERATION)
    return f"//iam.googleapis.com/{named}" if named else ""


def _annotated(account: ServiceAccount, key: str, pattern: re.Pattern[str], *, required: bool = False) -> str:
    value = account.annotations.get(key, "")
    if (value or required) and not pattern.fullmatch(value):
        raise _unusable(account, f"invalid {key} annotation: '{value}'. must match {pattern.pattern}")
    return value


def _unusable(account: ServiceAccount, problem: str) -> CloudError:
    return CloudError(f"failed to get provider identity from service account '{account}' annotations: {problem}")
