"""What a registry is shown: nothing, Basic, or a Bearer token of its token server (flux-compat E10, J13;
distribution-spec token authentication, and its OAuth2 form for identity tokens)."""

from __future__ import annotations

import base64
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl, urlencode

from yarl import URL

from ocisource.domain.access import Access, Credentials
from ocisource.domain.errors import RegistryError
from ocisource.flight import Flight
from ocisource.registry import places
from ocisource.registry.challenges import Challenge
from ocisource.registry.errors import Unauthorized, refusal
from ocisource.registry.jsontext import first_value
from ocisource.registry.retries import Clock

# How many repositories' tokens are kept; beyond, the one not used for longest costs a request when it comes back.
REMEMBERED = 8192
_DEFAULT_SECONDS = 60.0
_LONGEST_SECONDS = 86_400.0
_CLIENT_ID = "oci-source-operator"
# What we say ourselves, whatever the realm has in its query.
_OURS = frozenset({"scope", "service"})

# What is not all there, where it is the whole text that counts.
_ENDS = re.compile("(unexpected )?EOF")

V = TypeVar("V")


@dataclass(frozen=True)
class TokenRequest:
    """What is asked of a token server. `form` is sent by POST, and then no redirect to another server is followed."""

    url: URL
    authorization: str | None = None
    form: Mapping[str, str] | None = None
    plain: bool = False

    @property
    def method(self) -> str:
        return "GET" if self.form is None else "POST"


# Sends it and returns status and body; raises RegistryError.
Ask = Callable[[Access, TokenRequest], Awaitable[tuple[int, bytes]]]
# What the registry's own GET /v2/ challenges us to; None where its answer does not tell. Raises RegistryError.
Greet = Callable[[Access], Awaitable[Challenge | None]]

BASIC = Challenge("basic")


@dataclass(frozen=True)
class _Pass:
    """A token, how it was come by, and until when it is good."""

    header: str
    challenge: Challenge
    until: float


class Tokens:
    """Remembers, for each access, how the registry wants to be asked. Nothing is shared across credentials.

    A registry is greeted first: some answer those who do not say who they are as if there was nothing there.
    """

    def __init__(self, ask: Ask, greet: Greet, clock: Clock) -> None:
        self._ask = ask
        self._greet = greet
        self._clock = clock
        self._passes: OrderedDict[Access, _Pass] = OrderedDict()
        self._greeted: OrderedDict[Access, Challenge] = OrderedDict()
        self._greetings: Flight[Access, Challenge | None] = Flight()
        self._flight: Flight[tuple[Access, Challenge, bool], str] = Flight()

    async def header(self, access: Access, *, plain: bool) -> str | None:
        """The Authorization to send at once, or None. A token that is over is renewed first."""
        credentials = access.credentials
        if credentials is not None and credentials.registry_token:
            return f"Bearer {credentials.registry_token}"
        known = self._passes.get(access)
        if known is not None:
            self._passes.move_to_end(access)
            if self._clock() < known.until:
                return known.header
            return await self._renewed(access, known.challenge, plain=plain)
        challenge = await self._greeting(access)
        if challenge is None or challenge.scheme == "basic":
            return basic(credentials) if challenge else None
        return await self._renewed(access, challenge, plain=plain)

    async def answer(self, access: Access, challenge: Challenge | None, used: str | None, *, plain: bool) -> str | None:
        """Another Authorization than the one `used`, which the registry answered with 401; None if we have none. Where
        nothing was used, what is no challenge that we know how to meet stands for Basic."""
        credentials = access.credentials
        if challenge is None and used is None:
            challenge = BASIC
        if challenge is None or (credentials is not None and credentials.registry_token):
            return None
        if challenge.scheme == "basic":
            self._passes.pop(access, None)
            _remember(self._greeted, access.to_registry, challenge)
            header = basic(credentials)
            return None if header == used else header
        known = self._passes.get(access)
        if known is not None and known.header != used and self._clock() < known.until:
            return known.header  # somebody else has renewed it meanwhile
        return await self._renewed(access, challenge, plain=plain)

    async def _greeting(self, access: Access) -> Challenge | None:
        registry = access.to_registry
        found = self._greeted.get(registry)
        if found is None:
            found = await self._greetings.join(registry, partial(self._greet, access))
            if found is not None:
                _remember(self._greeted, registry, found)
        return found

    async def _renewed(self, access: Access, challenge: Challenge, *, plain: bool) -> str:
        return await self._flight.join((access, challenge, plain), partial(self._fetch, access, challenge, plain=plain))

    async def _fetch(self, access: Access, challenge: Challenge, *, plain: bool) -> str:
        try:
            header, seconds = _read(await self._exchange(access, challenge, plain=plain))
        except RegistryError as error:
            # What is remembered may be out of date: the registry is asked for another challenge next time.
            self._passes.pop(access, None)
            self._greeted.pop(access.to_registry, None)
            raise Unauthorized(str(error), error.status) from error
        # A little early, so that a token does not run out on its way.
        until = self._clock() + seconds - min(seconds / 10, 10.0)
        _remember(self._passes, access, _Pass(header, challenge, until))
        return header

    async def _exchange(self, access: Access, challenge: Challenge, *, plain: bool) -> bytes:
        """The token server's answer."""
        address = challenge.parameters.get("realm", "")
        if not address:
            told = " ".join(f"{name}:{value}" for name, value in sorted(challenge.parameters.items()) if value)
            raise RegistryError(f"malformed www-authenticate, missing realm: map[{told}]")
        url = places.realm(address, access, plain=plain)
        scopes = _scopes(access, challenge)
        service = challenge.parameters.get("service", "")
        credentials = access.credentials
        if credentials is not None and credentials.identity_token:
            form = {"grant_type": "refresh_token", "refresh_token": credentials.identity_token}
            form |= {"scope": " ".join(scopes), "service": service, "client_id": _CLIENT_ID}
            posted = TokenRequest(url, None, form, plain)
            status, body = await self._ask(access, posted)
            if status != 404:  # not every token server has the OAuth2 form
                return _accepted(posted, status, body)
        own = [pair for pair in parse_qsl(url.raw_query_string, keep_blank_values=True) if pair[0] not in _OURS]
        query = urlencode([*own, *(("scope", scope) for scope in scopes), ("service", service)])
        target = URL(f"{url.with_query(None).with_fragment(None)}?{query}", encoded=True)
        got = TokenRequest(target, basic(credentials), None, plain)
        return _accepted(got, *await self._ask(access, got))


def _accepted(request: TokenRequest, status: int, body: bytes) -> bytes:
    if status != 200:
        raise refusal(request.method, request.url, status, body)
    return body


def basic(credentials: Credentials | None) -> str | None:
    """The Basic header of user and password, None where one of them is missing."""
    if credentials is None or not credentials.username or not credentials.password:
        return None
    text = f"{credentials.username}:{credentials.password}".encode("utf-8", "surrogateescape")
    return "Basic " + base64.b64encode(text).decode()


def _scopes(access: Access, challenge: Challenge) -> list[str]:
    """Pull, and what else the registry names: some look at the first scope only, so its own comes first."""
    ours = f"repository:{access.repository.path}:pull"
    named = challenge.parameters.get("scope", "")
    return [ours] if named in ("", ours) else [named, ours]


def _read(body: bytes) -> tuple[str, float]:
    try:
        document = first_value(body)
    except RegistryError as error:
        raise Unauthorized(_ENDS.sub("unexpected end of JSON input", str(error))) from error
    if not isinstance(document, dict):
        raise Unauthorized("the token server's answer is not a JSON object")
    token = document.get("access_token") or document.get("token")
    if not isinstance(token, str) or not token or not token.isprintable() or not token.isascii():
        raise Unauthorized("no token in bearer response")
    seconds = document.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= _LONGEST_SECONDS:
        seconds = _DEFAULT_SECONDS
    return f"Bearer {token}", float(seconds)


def _remember(known: OrderedDict[Access, V], access: Access, value: V) -> None:
    known[access] = value
    known.move_to_end(access)
    while len(known) > REMEMBERED:
        known.popitem(last=False)
