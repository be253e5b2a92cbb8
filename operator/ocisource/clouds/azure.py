"""Azure: a token of Entra ID, exchanged for one of the Container Registry (flux-compat E6). Over azure-identity,
which reads the authority, proxies and the operator's own identity from its environment."""

from __future__ import annotations

import base64
import binascii
import json
import os
from contextlib import closing
from pathlib import Path
from typing import Any

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.core.rest import HttpRequest
from azure.identity import (
    ClientAssertionCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)

from ocisource.clouds.tokens import Token
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import acr_host, azure_identity
from ocisource.domain.errors import CloudError

AUDIENCE = "api://AzureADTokenExchange"
ACR_SCOPE = "https://containerregistry.azure.net/.default"
USERNAME = "00000000-0000-0000-0000-000000000000"
"""The user that a registry knows its refresh tokens by."""

PRIVATE_CLOUD = "AZURE_ENVIRONMENT_FILEPATH"
"""Names the file that describes a private cloud: containerRegistryDNSSuffix, resourceManagerEndpoint, tokenAudience."""

CONNECT_SECONDS, ANSWER_SECONDS, RETRIES = 5, 10, 1


class Azure:
    """Fits `room.Provider`. A place is the host of a registry."""

    def place(self, registry: str) -> str:
        suffix = _private_cloud("containerRegistryDNSSuffix") if PRIVATE_CLOUD in os.environ else ""
        return acr_host(registry, suffix)

    def identity(self, account: ServiceAccount) -> str:
        return "/".join(azure_identity(account))

    def audience(self, _account: ServiceAccount) -> str:
        return AUDIENCE

    def own(self, place: str, proxy: str) -> Token:
        """The operator's own identity: a service principal or a workload identity of the environment, or the managed
        identity of where it runs."""
        try:
            credential = _own_credential(_options(proxy))
        except ValueError as error:
            raise CloudError(f"failed to create provider access token for the controller: {_told(error)}") from error
        with closing(credential):
            return _registry_token(credential, place, proxy, "the controller")

    def granted(self, place: str, account: ServiceAccount, token: str, proxy: str) -> Token:
        """The identity that the ServiceAccount is annotated with, by its token."""
        tenant, client = azure_identity(account)
        try:
            credential = ClientAssertionCredential(tenant, client, lambda: token, **_options(proxy))
        except ValueError as error:
            told = f"failed to create provider access token for service account '{account}': {_told(error)}"
            raise CloudError(told) from error
        with closing(credential):
            return _registry_token(credential, place, proxy, f"service account '{account}'")


def open_provider() -> Azure:
    return Azure()


def _own_credential(
    options: dict[str, Any],
) -> EnvironmentCredential | WorkloadIdentityCredential | ManagedIdentityCredential:
    """The first that is configured, and no other one. Nothing is started to ask for one."""
    known = os.environ
    principal = {"AZURE_TENANT_ID", "AZURE_CLIENT_ID"} <= known.keys()
    if principal and ("AZURE_CLIENT_SECRET" in known or "AZURE_CLIENT_CERTIFICATE_PATH" in known):
        # An authority that is no public one, which the environment names, is known to nobody else.
        return EnvironmentCredential(disable_instance_discovery="AZURE_AUTHORITY_HOST" in known, **options)
    if principal and "AZURE_FEDERATED_TOKEN_FILE" in known:
        return WorkloadIdentityCredential(**options)
    return ManagedIdentityCredential(client_id=known.get("AZURE_CLIENT_ID"), **options)


def _registry_token(credential: TokenCredential, registry: str, proxy: str, who: str) -> Token:
    scope = ACR_SCOPE
    if PRIVATE_CLOUD in os.environ:
        _private_cloud("tokenAudience")
        scope = f"{_private_cloud('resourceManagerEndpoint')}/.default"
    try:
        access = credential.get_token(scope).token
    except (AzureError, ValueError, OSError) as error:
        raise CloudError(f"failed to create provider access token for {who}: {_told(error)}") from error
    refresh = _exchanged(registry, access, proxy)
    return Token(Credentials(USERNAME, refresh), _expiry(refresh))


def _exchanged(registry: str, access: str, proxy: str) -> str:
    """The registry's refresh token for an access token of Entra ID. No redirect is followed with it."""
    form = {"grant_type": "access_token", "service": registry, "access_token": access}
    request = HttpRequest(
        "POST", f"https://{registry}/oauth2/exchange", params={"api-version": "2021-07-01"}, data=form
    )
    try:
        with PipelineClient[HttpRequest, Any](f"https://{registry}", policies=[]) as client:
            answer = client.send_request(request, **_options(proxy, tries=False))
            body = answer.read()
    except AzureError as error:
        raise CloudError(f"failed to create artifact registry credentials: {_told(error)}") from error
    if answer.status_code != 200:
        told = f"POST https://{registry}/oauth2/exchange: {answer.status_code} {body[:256].decode(errors='replace')}"
        raise CloudError(f"failed to create artifact registry credentials: {' '.join(told.split())}")
    token = _field(body, "refresh_token")
    if not isinstance(token, str):
        raise CloudError("failed to create artifact registry credentials: the registry gave no refresh token")
    return token


def _expiry(token: str) -> float:
    """When the refresh token, a JWT, runs out. The registry itself judges its signature."""
    _, _, rest = token.partition(".")
    payload = rest.partition(".")[0]
    try:
        expiry = _field(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)), "exp")
    except binascii.Error:
        expiry = None
    if isinstance(expiry, bool) or not isinstance(expiry, (int, float)):
        raise CloudError("failed to create artifact registry credentials: the refresh token has no time of expiry")
    return float(expiry)


def _field(document: bytes, name: str) -> Any:
    try:
        found = json.loads(document)
    except (ValueError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None


def _private_cloud(name: str) -> str:
    path = os.environ[PRIVATE_CLOUD]
    try:
        value = _field(Path(path).read_bytes(), name)
    except OSError as error:
        raise CloudError(f"{PRIVATE_CLOUD}={path}: {error.strerror}") from error
    if not isinstance(value, str) or not value:
        raise CloudError(f"{PRIVATE_CLOUD}={path}: {name} must be set in the environment file")
    return value


def _options(proxy: str, *, tries: bool = True) -> dict[str, Any]:
    options: dict[str, Any] = {"connection_timeout": CONNECT_SECONDS, "read_timeout": ANSWER_SECONDS}
    if tries:
        options |= {"retry_total": RETRIES, "retry_status": RETRIES}
    return options | ({"proxies": {"http": proxy, "https": proxy}} if proxy else {})


def _told(error: Exception) -> str:
    """What the library says, less what is another one each time: the condition would change with every try."""
    text = " ".join(str(error).split())
    return text.partition(" Trace ID:")[0]
