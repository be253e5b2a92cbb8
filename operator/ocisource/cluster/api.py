"""A small client of the Kubernetes API: JSON in, JSON out, errors of one family."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from ocisource.cluster.errors import ApiError, LeadershipLostError, UnavailableError, api_error

if TYPE_CHECKING:
    from ocisource.cluster.config import ClusterConfig

AGENT = "oci-source-operator"
MERGE_PATCH = "application/merge-patch+json"
TIMEOUT = 30.0
"""Seconds for one request, from the first byte sent to the last one read."""

TRIES = 5
LONGEST_WAIT = 20.0
"""Seconds; an API server that asks for more than this is not waited for any longer than this."""

Document = dict[str, Any]
Params = Mapping[str, str]


class TokenBucket:
    """At most `burst` requests at once and `rate` a second after them, in the order of asking. Whoever is cancelled
    while waiting has taken nothing."""

    def __init__(
        self,
        rate: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._tokens = float(burst)
        self._clock = clock
        self._sleep = sleep
        self._filled = clock()
        self._turn = asyncio.Lock()

    def another(self) -> TokenBucket:
        """A full bucket of the same size and rate."""
        return TokenBucket(self._rate, int(self._burst), self._clock, self._sleep)

    async def take(self) -> None:
        """Returns when a request may be made."""
        async with self._turn:
            self._fill()
            while self._tokens < 1:
                # Not shorter than a clock can tell: what is missing may be no more than a rounding error.
                await self._sleep(max((1 - self._tokens) / self._rate, 0.001))
                self._fill()
            self._tokens -= 1

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now


def new_session(
    config: ClusterConfig, limit: int, middlewares: Sequence[aiohttp.ClientMiddlewareType] = ()
) -> aiohttp.ClientSession:
    """Connections to the API server of `config`, at most `limit` at once (0: no limit)."""
    return aiohttp.ClientSession(
        middlewares=middlewares,
        trace_configs=list(config.traces),
        connector=aiohttp.TCPConnector(limit=limit, ssl=True if config.ssl is None else config.ssl),
        timeout=aiohttp.ClientTimeout(total=TIMEOUT),
        headers={"User-Agent": AGENT, "Accept": "application/json"},
    )


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    body: Document | None
    params: Params | None
    headers: Mapping[str, str]


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    retry_after: float | None


class KubeAPI:
    """One API server. Made inside the event loop that uses it; `close` at the end.

    Every request takes a token of `bucket`, has 30 seconds, and is tried again when the server asks for that, when
    nothing was sent yet, or when it only reads. Raises ApiError; LeadershipLostError for whatever writes while
    `may_write` says no.
    """

    def __init__(
        self,
        config: ClusterConfig,
        bucket: TokenBucket,
        session: aiohttp.ClientSession,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        may_write: Callable[[], bool] = lambda: True,
    ) -> None:
        self._config = config
        self._bucket = bucket
        self._session = session
        self._sleep = sleep
        self._may_write = may_write

    @classmethod
    def connect(
        cls, config: ClusterConfig, qps: float, burst: int, may_write: Callable[[], bool] = lambda: True
    ) -> KubeAPI:
        """The API server of `config` over connections of its own."""
        return cls(config, TokenBucket(qps, burst), new_session(config, limit=64), may_write=may_write)

    def paced_by(self, bucket: TokenBucket) -> KubeAPI:
        """The same connections under another pace."""
        return KubeAPI(self._config, bucket, self._session, self._sleep, self._may_write)

    def apart(self) -> KubeAPI:
        """The same connections under an equal pace of its own: objects, their statuses, Secrets and events are
        resources of their own, and one does not wait for another (flux-compat G8)."""
        return self.paced_by(self._bucket.another())

    async def close(self) -> None:
        await self._session.close()

    async def get(self, path: str, params: Params | None = None, accept: str = "application/json") -> Document:
        return await self.request("GET", path, params=params, headers={"Accept": accept})

    async def post(self, path: str, body: Document, params: Params | None = None) -> Document:
        return await self.request("POST", path, body, params)

    async def patch(self, path: str, body: Document, params: Params | None = None) -> Document:
        """A JSON merge patch (RFC 7386)."""
        return await self.request("PATCH", path, body, params, {"Content-Type": MERGE_PATCH})

    async def request(
        self,
        method: str,
        path: str,
        body: Document | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Document:
        """One request and its JSON answer. Raises ApiError."""
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                answer = await self._send(_Request(method, path, body, params, headers or {}))
            except UnavailableError as error:
                if last or not (method == "GET" or error.reason == "NotSent"):
                    raise
                await self._sleep(0.1 * 2**attempt)
                continue
            if answer.status < 400:
                return _document(answer.body)
            wait = _wait(method, answer, attempt)
            if last or wait is None:
                raise _refusal(method, path, answer)
            await self._sleep(wait)
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def stream(
        self, path: str, params: Params | None = None, accept: str = "application/json", silence: float = TIMEOUT
    ) -> AsyncGenerator[Document]:
        """The JSON documents of a watch, one a line, until the server ends it. It is taken for dead after `silence`
        seconds without a byte. Nothing is tried again. Raises ApiError."""
        request = _Request("GET", path, None, params, {"Accept": accept})
        patience = aiohttp.ClientTimeout(total=None, sock_connect=TIMEOUT, sock_read=silence)
        async with self._exchange(request, patience) as response:
            if response.status >= 400:
                raise _refusal("GET", path, _Answer(response.status, await response.read(), None))
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield _document(line)

    async def _send(self, request: _Request) -> _Answer:
        async with self._exchange(request, aiohttp.ClientTimeout(total=TIMEOUT)) as response:
            return _Answer(response.status, await response.read(), _retry_after(response.headers))

    @asynccontextmanager
    async def _exchange(
        self, request: _Request, patience: aiohttp.ClientTimeout
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A request and its answer, whose body is still to be read. Raises UnavailableError, also while it is read."""
        await self._bucket.take()
        if request.method != "GET" and not self._may_write():
            raise LeadershipLostError("nothing is written while another replica may lead")
        sent = dict(request.headers)
        if request.body is not None:
            sent.setdefault("Content-Type", "application/json")
        if token := self._config.token():
            sent["Authorization"] = f"Bearer {token}"
        try:
            async with self._session.request(
                request.method,
                self._config.server + request.path,
                params=request.params,
                data=None if request.body is None else json.dumps(request.body, separators=(",", ":")).encode(),
                headers=sent,
                proxy=self._config.proxy or None,
                allow_redirects=False,
                timeout=patience,
            ) as response:
                yield response
        except aiohttp.ClientConnectorError as error:
            raise UnavailableError(0, "NotSent", f"the API server cannot be reached: {error}") from error
        except TimeoutError as error:
            seconds = patience.total or patience.sock_read
            raise UnavailableError(0, "Timeout", f"the API server did not answer within {seconds:.0f}s") from error
        except aiohttp.ClientError as error:
            text = str(error) or type(error).__name__
            raise UnavailableError(0, "", f"the connection to the API server broke: {text}") from error


def _wait(method: str, answer: _Answer, attempt: int) -> float | None:
    """Seconds until the request may be made again, None if it may not be. An answer with Retry-After was not acted
    upon; without it only a request that reads is repeated."""
    if answer.status in (429, 503) and answer.retry_after is not None:
        return min(answer.retry_after, LONGEST_WAIT)
    if answer.status == 429 or (method == "GET" and answer.status in (500, 502, 503, 504)):
        return float(0.25 * 2**attempt)
    return None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get("Retry-After", "")
    return float(text) if re.fullmatch(r"[0-9]{1,6}", text) else None


def _document(body: bytes) -> Document:
    try:
        document = json.loads(body)
    except ValueError as error:
        raise ApiError(200, "BadAnswer", "the API server answered with something that is not JSON") from error
    if not isinstance(document, dict):
        raise ApiError(200, "BadAnswer", "the API server answered with JSON that is not an object")
    return document


def _refusal(method: str, path: str, answer: _Answer) -> ApiError:
    reason, message, causes = "", "", []
    try:
        status = json.loads(answer.body)
        reason, message = str(status.get("reason") or ""), str(status.get("message") or "")
        causes = [cause.get("reason") for cause in (status.get("details") or {}).get("causes") or ()]
    except (ValueError, AttributeError):
        message = answer.body[:256].decode(errors="replace").strip()
    message = message or f"the API server answered {answer.status} to {method} {path}"
    if answer.status == 403 and "NamespaceTerminating" not in causes:
        message += f"; {missing_rule(method, path)}"
    if answer.status == 401:
        message = f"the API server does not accept the credentials (401 {message}); check the token or certificate"
    return api_error(answer.status, reason, message)


_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<resource>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?"
)


def missing_rule(method: str, path: str) -> str:
    """The RBAC rule that a request needs, for the message of a refusal."""
    found = _PATH.fullmatch(path)
    if not found:
        return f"the operator's account needs {method.lower()} on {path}"
    verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "PUT": "update"}.get(method)
    verb = verb or ("get" if found["name"] else "list")
    resource = found["resource"] + (f"/{found['subresource']}" if found["subresource"] else "")
    where = f" in namespace {found['namespace']}" if found["namespace"] else ""
    group = found["group"] or ""
    return (
        f"grant the operator's account the RBAC rule apiGroups: [{group!r}], resources: [{resource!r}], "
        f"verbs: [{verb!r}]{where}"
    )
