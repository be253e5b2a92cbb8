"""One request to a registry, with everything that applies to every request: scheme, authorization, redirects,
retries, bounds. Nothing here knows what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import urlencode

import aiohttp
from yarl import URL

from ocisource.domain.access import Access
from ocisource.domain.certificates import TLS
from ocisource.domain.errors import RegistryError
from ocisource.domain.proxies import DIRECT, Environment
from ocisource.registry import places
from ocisource.registry.certificates import Certificates
from ocisource.registry.challenges import Challenge, parse_challenges, usable
from ocisource.registry.errors import Unanswered, refusal, shown, unanswered
from ocisource.registry.limits import TOKEN_BYTES, Limits
from ocisource.registry.origins import Origins
from ocisource.registry.pools import Pools
from ocisource.registry.replies import Reply, some, whole
from ocisource.registry.retries import STATUSES, Clock, Pauses, Retries, Sleep
from ocisource.registry.tokens import BASIC, TokenRequest, Tokens
from ocisource.registry.ways import Ways

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# What a proxy answers by itself: it wants to be shown other credentials, or does not reach the server.
_OF_PROXIES = frozenset({407, 502, 503, 504})


@dataclass(frozen=True)
class _Send:
    """One exchange without authorization: what goes over the wire, and the rule for the next address."""

    method: str
    url: URL
    access: Access
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = None
    realm_plain: bool | None = None  # a token server is asked: its rule about addresses holds for redirects too


class Transport:
    """Asks registries. Opens connections in the running loop when first needed."""

    def __init__(
        self,
        limits: Limits,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = monotonic,
        environment: Environment = DIRECT,
    ) -> None:
        self._limits = limits
        self._sleep = sleep
        self._origins = Origins(self._knock)
        self._tokens = Tokens(self._token, self._greet, clock)
        self._pauses = Pauses(limits, clock)
        self._pools = Pools(limits)
        self._certificates = Certificates()
        self._ways = Ways(environment)

    async def close(self) -> None:
        """Ends every connection."""
        await self._pools.close()

    async def prepare(self, tls: TLS) -> None:
        """Raises SecretError where the material cannot be used (flux-compat C8)."""
        await self._certificates.load(tls)

    def retries(self) -> Retries:
        """The tries of one operation."""
        return Retries(self._limits, self._sleep)

    async def fetch(
        self, access: Access, method: str, path: str, *, accept: str = "", bound: int, tries: bool = True
    ) -> Reply:
        """The whole answer to `path` of the registry, whatever its status, after retries (unless not `tries`).

        Raises RegistryError: no answer, more than `bound` bytes, a redirect that our rules forbid.
        """
        headers = {"Accept": accept} if accept else {}

        async def once() -> Reply:
            return await whole(await self._exchange(access, method, path, headers), bound)

        return await _patiently(once, self.retries() if tries else None)

    async def get(self, access: Access, path: str, *, accept: str = "", bound: int) -> Reply:
        """As `fetch` with GET, but any status other than 200 is raised."""
        reply = await self.fetch(access, "GET", path, accept=accept, bound=bound)
        if reply.status != 200:
            raise reply.refused()
        return reply

    @asynccontextmanager
    async def stream(
        self, access: Access, source: str | URL, headers: Mapping[str, str], retries: Retries
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """An answer (200 or 206) whose body is still to be read (`chunks`), of a path of the registry or of an
        external address, which is never shown credentials. `retries` are the caller's: reading may need some too."""
        response = await self._opened(access, source, headers, retries)
        try:
            yield response
        finally:
            response.release()

    async def plain(self, access: Access) -> bool:
        """Whether the registry is talked to in plain HTTP."""
        return (await self._origins.of(access)).startswith("http://")

    async def _opened(
        self, access: Access, source: str | URL, headers: Mapping[str, str], retries: Retries
    ) -> aiohttp.ClientResponse:
        while True:
            try:
                if isinstance(source, URL):
                    response = await self._follow(_Send("GET", source, access, headers), None)
                else:
                    response = await self._exchange(access, "GET", source, headers)
                if response.status in (200, 206):
                    return response
                body = await some(response)
            except Unanswered as error:
                if not (error.temporary and await retries.another()):
                    raise
                continue
            after = response.headers.get("Retry-After", "")
            if not (response.status in STATUSES and await retries.another(after)):
                raise refusal("GET", response.url, response.status, body)

    async def _exchange(
        self, access: Access, method: str, path: str, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """One try at the registry itself, with the authorization that it asks for."""
        self._pauses.check(access)
        origin = await self._origins.of(access)
        plain = origin.startswith("http://")
        send = _Send(method, places.address(origin, path), access, headers)
        used = await self._tokens.header(access, plain=plain)
        response = await self._follow(send, used)
        if not places.same_origin(response.url, send.url):
            return response
        self._pauses.note(access, response.status, response.headers.get("Retry-After", ""))
        if response.status != 401:
            return response
        try:
            other = await self._tokens.answer(access, _challenge(response), used, plain=plain)
        except BaseException:
            response.close()
            raise
        if other is None:
            return response
        await some(response)
        return await self._follow(send, other)

    async def _follow(self, send: _Send, authorization: str | None) -> aiohttp.ClientResponse:
        """Sends, and follows redirects. An Authorization header never leaves its origin, and does not come back."""
        url = send.url
        for _ in range(places.MAX_REDIRECTS + 1):
            response = await self._once(send, url, authorization)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or location is None:
                return response
            if send.form is not None and not places.stays(response.status, url, location):
                return response
            await some(response)
            target = places.hop(send.method, url, location, send.access)
            if send.realm_plain is not None:
                target = places.realm(str(target), send.access, plain=send.realm_plain)
            if not places.same_origin(url, target):
                authorization = None
            url = target
        raise RegistryError(f'{send.method.title()} "{shown(url)}": stopped after {places.MAX_REDIRECTS} redirects')

    async def _once(self, send: _Send, url: URL, authorization: str | None) -> aiohttp.ClientResponse:
        headers = dict(send.headers)
        if authorization is not None:
            headers["Authorization"] = authorization
        form = None if send.form is None else urlencode(send.form).encode()
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        certificates = await self._certificates.of(send.access)
        way = self._ways.to(url, send.access)
        if url.scheme == "http":  # there is no tunnel: the proxy reads the request itself, every time
            headers |= way.shown
        try:
            return await self._pools.session(send.access, way).request(
                send.method,
                url,
                headers=headers,
                data=form,
                allow_redirects=False,
                ssl=certificates,
                proxy=way.http_proxy,
                proxy_headers=way.shown or None,
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = unanswered(send.method, url, error)
            if failure.temporary and places.is_registry(url, send.access):
                self._origins.forget(send.access)
            raise failure from error

    async def _knock(self, access: Access, origin: str) -> bool:
        send = _Send("GET", places.address(origin, "/v2/"), access)
        response = await self._once(send, send.url, None)
        body = await some(response)
        if response.status in _OF_PROXIES and self._ways.to(send.url, access).http_proxy is not None:
            raise Unanswered(str(refusal("GET", send.url, response.status, body)), temporary=response.status != 407)
        # A TLS server answers plain HTTP with 400, and one that wants TLS redirects to it.
        wants_tls = response.status in _REDIRECTS and places.leads_to_tls(
            send.url, response.headers.get("Location", "")
        )
        return origin.startswith("https://") or not (response.status == 400 or wants_tls)

    async def _greet(self, access: Access) -> Challenge | None:
        """How the registry wants to be asked. What is not Bearer is Basic, also where all is open: there may be more
        to see for those who say who they are."""
        send = _Send("GET", places.address(await self._origins.of(access), "/v2/"), access)
        response = await self._follow(send, None)
        await some(response)
        if response.status not in (200, 401) or not places.same_origin(response.url, send.url):
            return None
        return _challenge(response) or BASIC

    async def _token(self, access: Access, request: TokenRequest) -> tuple[int, bytes]:
        """Asks a token server, with retries of its own."""
        send = _Send(request.method, request.url, access, {}, request.form, request.plain)

        async def once() -> Reply:
            return await whole(await self._follow(send, request.authorization), TOKEN_BYTES)

        reply = await _patiently(once, self.retries())
        return reply.status, reply.body


def _challenge(response: aiohttp.ClientResponse) -> Challenge | None:
    return usable(parse_challenges(response.headers.getall("WWW-Authenticate", [])))


async def _patiently(once: Callable[[], Awaitable[Reply]], retries: Retries | None) -> Reply:
    """The answer after as many tries as there are; the last one counts, whatever it is."""
    while True:
        try:
            reply = await once()
        except Unanswered as error:
            if retries is None or not (error.temporary and await retries.another()):
                raise
            continue
        wanting = retries is not None and reply.status in STATUSES
        if retries is None or not (wanting and await retries.another(reply.headers.get("Retry-After", ""))):
            return reply
