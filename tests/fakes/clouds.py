"""The endpoints of clouds that give out credentials for registries, as far as the clouds' own libraries can tell.

Each knows who may come: what is shown to it is held against that, and what it gives out is good at the next of its
doors only. `asked` tells what was asked of it, in order."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aiohttp import web


def jwt(**claims: Any) -> str:
    """A token as registries give them, without a signature that anybody could check."""
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "."


@dataclass
class FakeCloud:
    """A server on loopback. `refuses` maps a door (`sts`, `registry`, …) to the status that it answers with."""

    tls: ssl.SSLContext | None = None
    asked: list[str] = field(default_factory=list)
    refuses: dict[str, int] = field(default_factory=dict)
    lasts: float = 3600.0
    """Seconds for which what it gives is good."""
    url: str = ""
    address: str = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._once)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"
        self.url = f"{'https' if self.tls else 'http'}://{self.address}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner.server is not None
        async with asyncio.timeout(5):
            while self._runner.server.connections:
                await asyncio.sleep(0.005)
        await self._runner.cleanup()

    async def _once(self, request: web.Request) -> web.StreamResponse:
        """Libraries leave their connections open until nobody remembers them; none is to outlive the test."""
        response = await self._handle(request)
        response.force_close()
        return response

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    def _refused(self, door: str, answer: Callable[[int], web.StreamResponse]) -> web.StreamResponse | None:
        self.asked.append(door)
        status = self.refuses.get(door)
        return answer(status) if status else None

    def _until(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.lasts)


class FakeAWS(FakeCloud):
    """STS, ECR, public ECR, the metadata of an EC2 instance, and the agent of EKS Pod Identity. Each role has an access
    key of its own."""

    def __init__(self, *roles: str) -> None:
        super().__init__()
        self.roles = {role: f"ASIA{index}" for index, role in enumerate(roles)}
        self.token = "eks-jwt"
        """The token of the cluster that lets somebody in."""
        self.given = "AWS:password of {key}"
        """What is in the token of a registry; `lacks` are fields that its answer goes without."""
        self.lacks: set[str] = set()
        self.sessions: list[str] = []
        """Names of the sessions that were begun."""
        self.users: list[tuple[str, str, str]] = []
        """Access key, region and service of each request to a registry."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path.startswith("/latest/"):
            return self._instance(request)
        if request.path == "/pod-identity":
            return self._pod(request)
        if "X-Amz-Target" in request.headers:
            return self._registry(request)
        return self._sts(await request.post())

    def environment(self) -> dict[str, str]:
        """Where botocore finds all of it."""
        return {
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ENDPOINT_URL_ECR": self.url,
            "AWS_ENDPOINT_URL_ECR_PUBLIC": self.url,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
        }

    def _sts(self, form: Mapping[str, Any]) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            error = "<Error><Code>AccessDenied</Code><Message>Not authorized to assume the role</Message></Error>"
            return web.Response(status=status, text=f"<ErrorResponse>{error}</ErrorResponse>", content_type="text/xml")

        refused = self._refused("sts", no)
        key = self.roles.get(str(form["RoleArn"]))
        if refused or key is None or form["WebIdentityToken"] != self.token:
            return refused or no(403)
        self.sessions.append(str(form["RoleSessionName"]))
        given = {"AccessKeyId": key, "SecretAccessKey": "secret", "SessionToken": "session"}
        given["Expiration"] = self._until().isoformat()
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        result = (
            f"<AssumeRoleWithWebIdentityResult><Credentials>{inner}</Credentials></AssumeRoleWithWebIdentityResult>"
        )
        body = f"<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"
        return web.Response(text=body, content_type="text/xml")

    def _registry(self, request: web.Request) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            return web.json_response({"__type": "AccessDeniedException", "message": "not yours"}, status=status)

        refused = self._refused("registry", no)
        signed = re.search(r"Credential=([^/]+)/\d{8}/([^/]+)/([^/]+)/", request.headers.get("Authorization", ""))
        if refused or signed is None:
            return refused or no(403)
        key, region, service = signed.groups()
        self.users.append((key, region, service))
        token = base64.b64encode(self.given.format(key=key).encode()).decode()
        data: Any = {"authorizationToken": token, "expiresAt": self._until().timestamp()}
        data = {name: value for name, value in data.items() if name not in self.lacks}
        public = request.headers["X-Amz-Target"].startswith("Spencer")
        return web.json_response({"authorizationData": data if public else [data]})

    def _instance(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("instance")
        path = request.path.removeprefix("/latest/")
        if path == "api/token":
            return web.Response(text="imds")
        if request.headers.get("X-aws-ec2-metadata-token") != "imds":
            return web.Response(status=401)
        if path.endswith("security-credentials/"):
            return web.Response(text="node-role")
        return web.json_response(self._container("AKIANODE") | {"Code": "Success", "Type": "AWS-HMAC"})

    def _pod(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("pod")
        if request.headers.get("Authorization") != "pod-token":
            return web.Response(status=403)
        return web.json_response(self._container("ASIAPOD"))

    def _container(self, key: str) -> dict[str, str]:
        expires = self._until().strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"AccessKeyId": key, "SecretAccessKey": "secret", "Token": "session", "Expiration": expires}


class FakeAzure(FakeCloud):
    """Entra ID, a registry that exchanges its tokens, and the metadata of a virtual machine."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(tls)
        self.clients: dict[tuple[str, str], str] = {}
        """Tenant and client → the assertion (or secret) that lets it in."""
        self.scopes: list[str] = []
        self.lacks_expiry = False

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/oauth2/exchange":
            return self._exchange(await request.post())
        if request.path == "/metadata/identity/oauth2/token":
            return self._machine(request)
        tenant, _, door = request.path.lstrip("/").partition("/")
        if door == "v2.0/.well-known/openid-configuration":
            base = f"{self.url}/{tenant}/oauth2/v2.0"
            known = {"token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/authorize"}
            return web.json_response(known | {"issuer": f"{self.url}/{tenant}/v2.0"})
        if door == "oauth2/v2.0/token":
            return self._entra(tenant, await request.post())
        return web.Response(status=404)

    def _entra(self, tenant: str, form: Mapping[str, Any]) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            told = "AADSTS70021: No matching federated identity record found. Trace ID: 1 Correlation ID: 2"
            return web.json_response({"error": "invalid_request", "error_description": told}, status=status)

        client = str(form["client_id"])
        shown = form.get("client_assertion") or form.get("client_secret")
        if refused := self._refused("entra", no):
            return refused
        if self.clients.get((tenant, client)) != shown:
            return no(400)
        self.scopes.append(str(form["scope"]).split()[0])
        token = {"access_token": f"access of {client}", "token_type": "Bearer", "expires_in": int(self.lasts)}
        return web.json_response(token)

    def _machine(self, request: web.Request) -> web.StreamResponse:
        self.asked.append("machine")
        client = request.query.get("client_id", "the machine")
        expires = str(int(self._until().timestamp()))
        token = {"access_token": f"access of {client}", "token_type": "Bearer", "resource": request.query["resource"]}
        return web.json_response(token | {"expires_on": expires, "expires_in": str(int(self.lasts))})

    def _exchange(self, form: Mapping[str, Any]) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            headers = {"Location": "https://127.0.0.1:1/"} if status == 307 else {}
            error = {"errors": [{"code": "UNAUTHORIZED", "message": "not yours"}]}
            return web.json_response(error, status=status, headers=headers)

        if refused := self._refused("registry", no):
            return refused
        access = str(form["access_token"])
        if (form["grant_type"], form["service"]) != ("access_token", self.address) or not access.startswith("access"):
            return no(401)
        expiry = {} if self.lacks_expiry else {"exp": self._until().timestamp()}
        return web.json_response({"refresh_token": jwt(sub=access, **expiry)})


class FakeGoogle(FakeCloud):
    """The metadata server of a GKE node, the exchange of tokens, and the door to other Google service accounts."""

    def __init__(self) -> None:
        super().__init__()
        self.metadata = {
            "project/project-id": "project",
            "instance/attributes/cluster-location": "europe-west1",
            "instance/attributes/cluster-name": "cluster",
        }
        self.exchanged: list[tuple[str, str]] = []
        """Audience and token of the cluster, of each exchange."""

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/sts":
            return self._sts(await request.post())
        if request.path.startswith("/iam/"):
            return self._iam(request)
        return self._metadata(request)

    def _metadata(self, request: web.Request) -> web.StreamResponse:
        google = {"Metadata-Flavor": "Google"}
        path = request.path.removeprefix("/computeMetadata/v1/")
        if path in ("", "/"):
            return web.Response(headers=google)
        self.asked.append(path)
        if request.headers.get("Metadata-Flavor") != "Google" or "metadata" in self.refuses:
            return web.Response(status=self.refuses.get("metadata", 403))
        if path.endswith("/token"):
            token = {"access_token": "access of the node", "expires_in": int(self.lasts), "token_type": "Bearer"}
            return web.json_response(token, headers=google)
        if path.startswith("instance/service-accounts/"):
            account = {"email": "node@project.iam.gserviceaccount.com", "scopes": [], "aliases": ["default"]}
            return web.json_response(account, headers=google)
        value = self.metadata.get(path)
        return web.Response(status=404) if value is None else web.Response(text=value, headers=google)

    def _sts(self, form: Mapping[str, Any]) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            return web.json_response({"error": "invalid_grant", "error_description": "not of this pool"}, status=status)

        if refused := self._refused("sts", no):
            return refused
        self.exchanged.append((str(form["audience"]), str(form["subject_token"])))
        token = {"access_token": f"access of {form['subject_token']}", "expires_in": int(self.lasts)}
        return web.json_response(token | {"token_type": "Bearer", "issued_token_type": "access_token"})

    def _iam(self, request: web.Request) -> web.StreamResponse:
        def no(status: int) -> web.StreamResponse:
            return web.json_response({"error": {"code": status, "message": "not for you"}}, status=status)

        refused = self._refused("iam", no)
        if refused or not request.headers.get("Authorization", "").startswith("Bearer access of "):
            return refused or no(403)
        email = request.path.rpartition("/")[2].partition(":")[0]
        expires = self._until().strftime("%Y-%m-%dT%H:%M:%SZ")
        return web.json_response({"accessToken": f"access of {email}", "expireTime": expires})
