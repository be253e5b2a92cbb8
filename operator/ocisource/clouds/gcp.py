"""Google Cloud: an access token, which its registries take as a password (flux-compat E6). Over google-auth, which
reads the operator's own identity from its environment and the metadata server."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from typing import Any

import google.auth
from google.auth import identity_pool
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from ocisource.clouds.tokens import Token
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import check_gar, gcp_email, gcp_federation
from ocisource.domain.errors import CloudError

SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")
USERNAME = "oauth2accesstoken"
ANSWER_SECONDS = 10


@dataclass(frozen=True)
class Endpoints:
    """Where Google exchanges a cluster's token, and where one Google service account stands for another."""

    sts: str = "https://sts.googleapis.com/v1/token"
    iam: str = "https://iamcredentials.googleapis.com/v1"


class GCP:
    """Fits `room.Provider`. All registries are one place: an access token is good for each of them."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._cluster = _Cluster()

    def place(self, registry: str) -> str:
        check_gar(registry)
        return "gcp"

    def identity(self, account: ServiceAccount) -> str:
        return gcp_email(account)

    def audience(self, account: ServiceAccount) -> str:
        return gcp_federation(account) or self._cluster.pool()

    def own(self, _place: str, proxy: str) -> Token:
        """The operator's own identity: application default credentials, or the metadata server's."""
        try:
            with closing(_Request(proxy)) as request:
                credentials, _ = google.auth.default(SCOPES, request)
                credentials.refresh(request)  # type: ignore[no-untyped-call]  # the library has types here and there
        except (GoogleAuthError, ValueError, OSError) as error:
            raise CloudError(f"failed to create provider access token for the controller: {_told(error)}") from error
        return _token(credentials)

    def granted(self, _place: str, account: ServiceAccount, token: str, proxy: str) -> Token:
        """The ServiceAccount itself, or the Google service account that it is annotated with, by its token."""
        email = gcp_email(account)
        iam = f"{self._endpoints.iam}/projects/-/serviceAccounts/{email}:generateAccessToken" if email else None
        credentials = identity_pool.Credentials(  # type: ignore[no-untyped-call]  # as above
            gcp_federation(account) or self._cluster.audience(),
            "urn:ietf:params:oauth:token-type:jwt",
            self._endpoints.sts,
            subject_token_supplier=_Shown(token),
            service_account_impersonation_url=iam,
            scopes=list(SCOPES),
        )
        try:
            with closing(_Request(proxy)) as request:
                credentials.refresh(request)  # type: ignore[no-untyped-call]  # as above
        except (GoogleAuthError, ValueError, OSError) as error:
            told = f"failed to create provider access token for service account '{account}': {_told(error)}"
            raise CloudError(told) from error
        return _token(credentials)


def open_provider() -> GCP:
    return GCP(Endpoints())


class _Shown(identity_pool.SubjectTokenSupplier):
    """The token of the cluster that is to be exchanged."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_subject_token(self, context: Any, request: Any) -> str:  # noqa: ARG002 - what the library calls it with
        return self._token


class _Request(Request):
    """HTTP by the proxy of the object, if it has one, with an end to each request."""

    def __init__(self, proxy: str = "", *, straight: bool = False) -> None:
        super().__init__()
        if proxy:
            self.session.proxies = {"http": proxy, "https": proxy}
        if proxy or straight:
            self.session.trust_env = False

    def close(self) -> None:
        self.session.close()

    def __call__(
        self, url: str, method: str = "GET", body: Any = None, headers: Any = None, timeout: Any = None, **more: Any
    ) -> Any:
        seconds = min(timeout or ANSWER_SECONDS, ANSWER_SECONDS)
        return super().__call__(url, method, body, headers, seconds, **more)  # type: ignore[no-untyped-call]  # as above


class _Cluster:
    """Which GKE cluster this is, as its metadata server says; asked once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._facts: dict[str, str] = {}

    def pool(self) -> str:
        """The workload identity pool, for whom tokens of the cluster are."""
        return f"{self._fact('project/project-id', 'project ID')}.svc.id.goog"

    def audience(self) -> str:
        """The cluster as an identity provider of that pool."""
        project = self._fact("project/project-id", "project ID")
        location = self._fact("instance/attributes/cluster-location", "location")
        name = self._fact("instance/attributes/cluster-name", "name")
        cluster = f"https://container.googleapis.com/v1/projects/{project}/locations/{location}/clusters/{name}"
        return f"identitynamespace:{self.pool()}:{cluster}"

    def _fact(self, path: str, what: str) -> str:
        with self._lock:
            if path not in self._facts:
                self._facts[path] = _metadata(path, what)
            return self._facts[path]


def _metadata(path: str, what: str) -> str:
    host = os.environ.get("GCE_METADATA_HOST") or "metadata.google.internal"
    told = f"failed to get GKE cluster {what} from the metadata service"
    hint = "(outside of GKE the service account needs the annotation gcp.auth.fluxcd.io/workload-identity-provider)"
    try:
        with closing(_Request(straight=True)) as request:  # the metadata server is on the node itself
            answer = request(f"http://{host}/computeMetadata/v1/{path}", headers={"Metadata-Flavor": "Google"})
    except TransportError as error:
        raise CloudError(f"{told}: no answer from {host} {hint}") from error
    value = str(answer.data.decode(errors="replace")).strip()
    if answer.status != 200 or not value:
        raise CloudError(f"{told}: {host} answered {answer.status} {hint}")
    return value


def _token(credentials: Any) -> Token:
    if not credentials.token or credentials.expiry is None:
        raise CloudError("failed to create artifact registry credentials: no access token returned")
    return Token(Credentials(USERNAME, credentials.token), credentials.expiry.replace(tzinfo=UTC).timestamp())


def _told(error: Exception) -> str:
    """The library's sentence; the answer that it is about stands behind it."""
    text = error.args[0] if error.args else type(error).__name__
    return " ".join(str(text).split())
