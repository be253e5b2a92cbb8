"""A small, honest OCI registry (distribution-spec: pull, push, content discovery) on a free loopback port.

In memory, real HTTP. `RegistryServer` lives in a running event loop (tests), `EmbeddedRegistry` in a thread of its
own (`make run` without a Go toolchain, synchronous tests). What misbehaves is a Fault: a function around the honest
answer, set at any time; ready-made ones are in devkit.ocifaults.

    async with RegistryServer(auth="bearer", users={"user": "pass"}) as registry:
        digest = registry.push("team/app", "1.0.0", layer)
        ...  # oci://{registry.address}/team/app
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

from aiohttp import web

from devkit.ocicontent import DIGEST, INDEX, MANIFEST, Content, sha256

if TYPE_CHECKING:
    from ssl import SSLContext

Proceed = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Proceed], Awaitable[web.StreamResponse]]

_ROUTE = re.compile(r"/v2/(?P<name>.+?)/(?P<kind>blobs/uploads|blobs|manifests|tags|referrers)/(?P<rest>[^/]*)$")
_UPLOAD_LIMIT = 1 << 31


@dataclass(frozen=True)
class Asked:
    """One request that the registry saw, before any fault. `authorization` is the header as sent, or ""."""

    method: str
    path: str
    query: str
    authorization: str
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)


def _error(
    status: int, code: str, message: str, detail: Any = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    entry: dict[str, Any] = {"code": code, "message": message}
    if detail is not None:
        entry["detail"] = detail
    return web.json_response({"errors": [entry]}, status=status, headers=headers)


class RegistryServer(Content):
    """The registry in a running event loop. `address` is `127.0.0.1:<port>`, `url` has the scheme as well.

    `auth`: "none", "basic", or "bearer" with a token endpoint of its own at `/token`; `users` are user → password.
    `anonymous` lets everybody pull under "bearer". Identity tokens (`identity_tokens`: token → user) go to the token
    endpoint by POST. `asked` records every request; `fault` stands around every answer.
    """

    def __init__(
        self,
        *,
        auth: Literal["none", "basic", "bearer"] = "none",
        users: Mapping[str, str] | None = None,
        identity_tokens: Mapping[str, str] | None = None,
        anonymous: bool = False,
        token_seconds: int = 300,
        referrers_api: bool = True,
        fault: Fault | None = None,
        tls: SSLContext | None = None,
        port: int = 0,
    ) -> None:
        super().__init__()
        self.auth = auth
        self.users = dict(users or {})
        self.identity_tokens = dict(identity_tokens or {})
        self.anonymous = anonymous
        self.token_seconds = token_seconds
        self.referrers_api = referrers_api
        self.fault = fault
        self.realm: str | None = None
        self.page_size = 100
        self.asked: list[Asked] = []
        self.tokens: dict[str, tuple[str, float]] = {}
        self._uploads: dict[str, bytearray] = {}
        self._tls = tls
        self._port = port
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=_UPLOAD_LIMIT)
        app.router.add_route("*", "/{tail:.*}", self._answer)
        # A request that hangs on purpose ends with its client, and does not hold up the end of a test.
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.05, auto_decompress=False, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, ssl_context=self._tls)
        await site.start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def expire_tokens(self) -> None:
        """Every token handed out so far is worth nothing from now on."""
        self.tokens.clear()

    def count(self, path_part: str, method: str | None = None) -> int:
        """How many requests were seen whose path holds `path_part`."""
        return sum(path_part in a.path and method in (None, a.method) for a in self.asked)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        self.asked.append(
            Asked(request.method, request.path, request.query_string, authorization, dict(request.headers))
        )

        async def proceed() -> web.StreamResponse:
            return await self._honest(request)

        if self.fault is None:
            return await proceed()
        return await self.fault(request, proceed)

    async def _honest(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            return await self._token(request)
        match = _ROUTE.fullmatch(request.path)
        if refusal := self._refuse(request, match["name"] if match else ""):
            return refusal
        if request.path in ("/v2/", "/v2"):
            return web.json_response({})
        if match is None:
            return web.Response(status=404, text="404 page not found\n")
        name, kind, rest = match["name"], match["kind"], match["rest"]
        match kind:
            case "blobs/uploads":
                return await self._upload(request, name, rest)
            case "blobs":
                return self._blob(request, name, rest)
            case "manifests":
                return await self._manifest(request, name, rest)
            case "tags":
                return self._tags(request, name)
            case _:
                return self._referrers(name, rest)

    # -- authentication ------------------------------------------------------------------------------------------

    def _refuse(self, request: web.Request, name: str) -> web.Response | None:
        if self.auth == "none":
            return None
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if self.auth == "basic" and kind == "Basic" and self._user(value):
            return None
        if self.auth == "bearer" and kind == "Bearer":
            scope, expiry = self.tokens.get(value, ("", 0.0))
            if time.monotonic() < expiry and (not name or f"repository:{name}:pull" in scope.split()):
                return None
        scope = f',scope="repository:{name}:pull"' if name else ""
        realm = self.realm or f"{self.url}/token"
        challenge = (
            'Basic realm="devkit"' if self.auth == "basic" else f'Bearer realm="{realm}",service="devkit"{scope}'
        )
        detail = [{"Type": "repository", "Class": "", "Name": name, "Action": "pull"}] if name else None
        return _error(401, "UNAUTHORIZED", "authentication required", detail, {"WWW-Authenticate": challenge})

    def _user(self, encoded: str) -> str:
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return ""
        return user if password and self.users.get(user) == password else ""

    async def _token(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            form = await request.post()
            user = self.identity_tokens.get(str(form.get("refresh_token", "")), "")
            scope = str(form.get("scope", ""))
            key = "access_token"
        else:
            kind, _, value = request.headers.get("Authorization", "").partition(" ")
            user = self._user(value) if kind == "Basic" else ("anonymous" if self.anonymous else "")
            scope = " ".join(request.query.getall("scope", []))
            key = "token"
        if not user:
            return _error(401, "UNAUTHORIZED", "authentication required")
        token = secrets.token_urlsafe(24)
        self.tokens[token] = (scope, time.monotonic() + self.token_seconds)
        return web.json_response({key: token, "expires_in": self.token_seconds})

    # -- content -------------------------------------------------------------------------------------------------

    async def _upload(self, request: web.Request, name: str, session: str) -> web.Response:
        if request.method == "POST":
            session = secrets.token_hex(8)
            self._uploads[session] = bytearray()
            return web.Response(status=202, headers={"Location": f"/v2/{name}/blobs/uploads/{session}"})
        if session not in self._uploads:
            return _error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")
        self._uploads[session] += await request.read()
        if request.method == "PATCH":
            end = max(len(self._uploads[session]) - 1, 0)
            return web.Response(status=202, headers={"Location": request.path, "Range": f"0-{end}"})
        content = bytes(self._uploads.pop(session))
        if request.query.get("digest") != sha256(content):
            return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
        digest = self.blob(name, content)
        headers = {"Location": f"/v2/{name}/blobs/{digest}", "Docker-Content-Digest": digest}
        return web.Response(status=201, headers=headers)

    def _blob(self, request: web.Request, name: str, digest: str) -> web.Response:
        content = self.found(name).blobs.get(digest)
        if content is None:
            return _error(404, "BLOB_UNKNOWN", "blob unknown to registry", digest)
        headers = {"Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        status = 200
        if wanted := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", "")):
            start, end = int(wanted[1]), min(int(wanted[2] or len(content)), len(content) - 1)
            if start > end:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
            headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
            content, status = content[start : end + 1], 206
        return web.Response(status=status, body=content, headers=headers, content_type="application/octet-stream")

    async def _manifest(self, request: web.Request, name: str, reference: str) -> web.Response:
        if request.method == "PUT":
            content = await request.read()
            if DIGEST.fullmatch(reference) and reference != sha256(content):
                return _error(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
            digest = self.manifest(name, reference, content, request.headers.get("Content-Type", MANIFEST))
            headers = {"Location": f"/v2/{name}/manifests/{digest}", "Docker-Content-Digest": digest}
            if self.referrers_api and (subject := json.loads(content).get("subject")):
                headers["OCI-Subject"] = subject["digest"]
            return web.Response(status=201, headers=headers)
        repository = self.found(name)
        digest = repository.tags.get(reference, reference)
        if digest not in repository.manifests:
            by_digest = DIGEST.fullmatch(reference)
            detail = {"Name": name, "Revision": reference} if by_digest else {"Tag": reference}
            return _error(404, "MANIFEST_UNKNOWN", "manifest unknown", detail)
        media_type, content = repository.manifests[digest]
        headers = {"Docker-Content-Digest": digest, "Content-Type": media_type}
        return web.Response(body=content, headers=headers)

    def _tags(self, request: web.Request, name: str) -> web.Response:
        if name not in self.repositories:
            return _error(404, "NAME_UNKNOWN", "repository name not known to registry", {"name": name})
        tags = sorted(self.repositories[name].tags)
        size = min(int(request.query.get("n", self.page_size)), self.page_size)
        rest = [tag for tag in tags if tag > request.query.get("last", "")]
        page, headers = rest[:size], {}
        if len(rest) > size:
            headers["Link"] = f'</v2/{name}/tags/list?n={size}&last={page[-1]}>; rel="next"'
        return web.json_response({"name": name, "tags": page}, headers=headers)

    def _referrers(self, name: str, digest: str) -> web.Response:
        if not self.referrers_api:
            return web.Response(status=404, text="404 page not found\n")
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": self.referrers(name, digest)}
        return web.Response(body=json.dumps(document).encode(), headers={"Content-Type": INDEX})


class EmbeddedRegistry:
    """A RegistryServer in a thread with its own loop, for callers that are not asynchronous.

    with EmbeddedRegistry() as registry: … registry.address, registry.content.push(…)
    """

    def __init__(self, content: RegistryServer | None = None) -> None:
        self.content = content if content is not None else RegistryServer()
        self._started = threading.Event()
        self._stop: Callable[[], object] = lambda: None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="embedded-registry", daemon=True)

    @property
    def address(self) -> str:
        return self.content.address

    def _run(self) -> None:
        async def serve() -> None:
            stopped = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with self.content:
                self._stop = partial(loop.call_soon_threadsafe, stopped.set)
                self._started.set()
                await stopped.wait()

        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - handed to the thread that waits in __enter__
            self._failure = error
        finally:
            self._started.set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join()
