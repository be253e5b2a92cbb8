"""AWS: a role's session, and a token of the Elastic Container Registry for it (flux-compat E6). Over botocore, which
reads endpoints, proxies, regions and the operator's own identity from its environment and files."""

from __future__ import annotations

import base64
import binascii
from contextlib import closing
from typing import Any

import botocore.session  # type: ignore[import-untyped]  # botocore has no types
from botocore.config import Config  # type: ignore[import-untyped]  # as above
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # as above

from ocisource.clouds.tokens import Token
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import PUBLIC_ECR, ecr_region, role_arn
from ocisource.domain.errors import CloudError

AUDIENCE = "sts.amazonaws.com"
CONNECT_SECONDS, ANSWER_SECONDS, TRIES = 5, 10, 2
LONGEST_SESSION_NAME = 64
PUBLIC_REGION = "us-east-1"
"""The one region that public ECR gives tokens in."""


class AWS:
    """Fits `room.Provider`. A place is the region of a private registry, or PUBLIC_ECR."""

    def place(self, registry: str) -> str:
        return ecr_region(registry)

    def identity(self, account: ServiceAccount) -> str:
        return role_arn(account)

    def audience(self, _account: ServiceAccount) -> str:
        return AUDIENCE

    def own(self, place: str, proxy: str) -> Token:
        """The operator's own identity: environment, web identity (IRSA), pod identity, or the node's."""
        return _registry_token(_session(place), place, proxy)

    def granted(self, place: str, account: ServiceAccount, token: str, proxy: str) -> Token:
        """The role that the ServiceAccount is annotated with, by its token."""
        region = _region(place)
        # Nobody else's credentials may come in: the request is not signed, and the session holds what it brings.
        stranger = botocore.session.Session()
        name = f"{account.name}.{account.namespace}.{region}.fluxcd.io"[:LONGEST_SESSION_NAME]
        config = _config(proxy, signature_version=botocore.UNSIGNED)
        with closing(stranger.create_client("sts", region, config=config)) as sts:
            answer = _answer(
                sts.assume_role_with_web_identity,
                RoleArn=role_arn(account),
                RoleSessionName=name,
                WebIdentityToken=token,
            )
        session = botocore.session.Session()
        found = answer["Credentials"]
        session.set_credentials(found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
        return _registry_token(session, place, proxy)


def open_provider() -> AWS:
    return AWS()


def _session(place: str) -> Any:
    session = botocore.session.Session()
    session.set_config_variable("region", _region(place))
    session.set_config_variable("metadata_service_timeout", CONNECT_SECONDS)
    try:
        found = session.get_credentials()
    except (BotoCoreError, ClientError) as error:
        raise CloudError(f"failed to create provider access token for the controller: {_told(error)}") from error
    if found is None:
        raise CloudError(
            "failed to create provider access token for the controller: the operator has no AWS identity. configure "
            "IAM Roles for Service Accounts (IRSA) or EKS Pod Identity for its service account and restart the pod, or "
            "let its node have a role"
        )
    return session


def _registry_token(session: Any, place: str, proxy: str) -> Token:
    public = place == PUBLIC_ECR
    service = "ecr-public" if public else "ecr"
    with closing(session.create_client(service, _region(place), config=_config(proxy))) as client:
        found = _answer(client.get_authorization_token).get("authorizationData")
    data = found if public or not found else found[0]
    if not data:
        raise CloudError("failed to create artifact registry credentials: no authorization data returned")
    token, expires = data.get("authorizationToken"), data.get("expiresAt")
    if not token or not expires:
        raise CloudError("failed to create artifact registry credentials: authorization token or its expiration is nil")
    try:
        username, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if not colon:
        raise CloudError("failed to create artifact registry credentials: invalid authorization token format")
    return Token(Credentials(username, password), expires.timestamp())


def _region(place: str) -> str:
    return PUBLIC_REGION if place == PUBLIC_ECR else place


def _config(proxy: str, **more: Any) -> Any:
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        retries={"total_max_attempts": TRIES, "mode": "standard"},
        proxies={"http": proxy, "https": proxy} if proxy else None,
        **more,
    )


def _answer(call: Any, **parameters: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = call(**parameters)
    except (BotoCoreError, ClientError, OSError) as error:
        raise CloudError(_told(error)) from error
    return answer


def _told(error: Exception) -> str:
    return " ".join(str(error).split())
