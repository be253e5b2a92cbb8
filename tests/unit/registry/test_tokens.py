"""Basic, Bearer and tokens (flux-compat E3, E10, J13; distribution-spec token authentication)."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from aiohttp import web

from devkit.ocifaults import answer, chain, endless, held, redirect, reset, when
from devkit.ocihttp import Fault, Proceed, RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.errors import RegistryError
from ocisource.registry.challenges import parse_challenges, usable
from ocisource.registry.client import OCIRegistry

USER = Credentials("u", "p:ä")
WRONG = Credentials("u", "wrong")
USERS = {"u": "p:ä"}


def _authorizations(registry: RegistryServer, path_part: str) -> list[str]:
    return [a.authorization.partition(" ")[0] for a in registry.asked if path_part in a.path]


async def test_basic_is_sent_at_once_to_a_registry_that_asks_for_it_when_greeted(client, to):
    async with RegistryServer(auth="basic", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.push("team/other", "1", b"layer")
        for repository in ("team/app", "team/app", "team/other"):
            assert await client.tags(to(registry, repository, USER)) == ("1",)
        assert _authorizations(registry, "/tags/") == ["Basic", "Basic", "Basic"]
        # another pair of eyes knows nothing of it
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.tags(to(registry))
        assert _authorizations(registry, "/tags/")[3:] == [""]


async def test_a_wrong_password_has_the_text_that_clients_know(client, to):
    """As recorded from the original: golden case auth_basic_wrong_password."""
    async with RegistryServer(auth="basic", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        with pytest.raises(RegistryError) as caught:
            await client.resolve(to(registry, credentials=WRONG), "1")
        assert str(caught.value) == (
            f"GET http://{registry.address}/v2/team/app/manifests/1: UNAUTHORIZED: authentication required; "
            "[map[Action:pull Class: Name:team/app Type:repository]]"
        )
        assert caught.value.status == 401
        # A wrong password counts against an account: it is shown once for HEAD and once for GET, which has the text.
        shown = [(a.method, bool(a.authorization)) for a in registry.asked if "/team/" in a.path]
        assert shown == [("HEAD", True), ("GET", True)]


async def test_a_token_is_fetched_once_and_used_for_everything(client, to, spool):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        digest = registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        await client.tags(access)
        await client.resolve(access, "1")
        manifest = await client.manifest(access, digest)
        await client.blob(access, manifest.layers[0], spool)
        assert _authorizations(registry, "/v2/team") == ["Bearer", "Bearer", "Bearer", "Bearer"]
        asked = [a for a in registry.asked if a.path == "/token"]
        assert len(asked) == 1
        assert asked[0].query == "scope=repository:team/app:pull&service=devkit"
        assert asked[0].authorization.startswith("Basic ")


async def test_an_anonymous_pull_gets_a_token_too(client, to):
    async with RegistryServer(auth="bearer", anonymous=True) as registry:
        registry.push("team/app", "1", b"layer")
        assert await client.tags(to(registry)) == ("1",)
        assert _authorizations(registry, "/token") == [""]


async def test_tokens_are_not_shared_across_credentials_or_repositories(client, to):
    """J13."""
    async with RegistryServer(auth="bearer", users=USERS, anonymous=True) as registry:
        for repository in ("team/app", "team/other"):
            registry.push(repository, "1", b"layer")
        for repository, credentials in (("team/app", USER), ("team/app", None), ("team/other", USER)):
            await client.tags(to(registry, repository, credentials))
        assert _authorizations(registry, "/token") == ["Basic", "", "Basic"]
        assert len({a.authorization for a in registry.asked if "/tags/" in a.path}) == 3


async def test_many_at_once_ask_for_one_token(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        digests = [registry.push("team/app", str(n), str(n).encode()) for n in range(10)]
        gate = asyncio.Event()
        registry.fault = when("/token", held(gate))
        answers = asyncio.gather(*(client.resolve(to(registry, credentials=USER), str(n)) for n in range(10)))
        while not registry.count("/token"):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)  # time for the others to join; too little fails nothing
        gate.set()
        assert await answers == digests
        assert registry.count("/token") == 1


async def test_one_that_gives_up_does_not_take_the_token_along(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        digest = registry.push("team/app", "1", b"layer")
        gate = asyncio.Event()
        registry.fault = when("/token", held(gate))
        first = asyncio.create_task(client.tags(to(registry, credentials=USER)))
        while not registry.count("/token"):
            await asyncio.sleep(0)
        second = asyncio.create_task(client.resolve(to(registry, credentials=USER), "1"))
        await asyncio.sleep(0.02)  # time for the second to join; too little fails nothing
        first.cancel()
        gate.set()
        assert await second == digest
        assert registry.count("/token") == 1


async def test_a_token_that_the_registry_no_longer_takes_is_renewed(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        await client.tags(access)
        registry.expire_tokens()
        assert await client.tags(access) == ("1",)
        assert _authorizations(registry, "/tags/") == ["Bearer", "Bearer", "Bearer"]


async def test_a_token_that_another_request_has_renewed_meanwhile_is_used(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        digest = registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        await client.tags(access)
        gate = asyncio.Event()
        registry.fault = when("/manifests/", held(gate), times=1)
        slow = asyncio.create_task(client.resolve(access, "1"))
        while not registry.count("/manifests/"):
            await asyncio.sleep(0)
        registry.expire_tokens()
        await client.tags(access)
        gate.set()  # now comes the 401 for the old token
        assert await slow == digest
        assert registry.count("/token") == 2


async def test_a_token_whose_time_is_up_is_renewed_before_it_is_refused(to):
    now = 0.0
    client = OCIRegistry(clock=lambda: now)
    async with RegistryServer(auth="bearer", users=USERS, token_seconds=100) as registry:
        registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        await client.tags(access)
        now = 89.0
        await client.tags(access)
        assert registry.count("/token") == 1
        now = 91.0
        await client.tags(access)
        assert registry.count("/token") == 2
        assert _authorizations(registry, "/tags/") == ["Bearer", "Bearer", "Bearer"]
    await client.close()


def _token_answer(body: object) -> Fault:
    return when("/token", answer(200, body if isinstance(body, str) else json.dumps(body)))


async def test_without_a_word_about_it_a_token_is_good_for_a_minute(to):
    now = 0.0
    client = OCIRegistry(clock=lambda: now)
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.tokens["known"] = ("repository:team/app:pull", float("inf"))
        registry.fault = _token_answer({"token": "known"})
        access = to(registry, credentials=USER)
        for now, count in ((0.0, 1), (50.0, 1), (61.0, 2)):
            await client.tags(access)
            assert registry.count("/token") == count
    await client.close()


@pytest.mark.parametrize("key", ["token", "access_token"])
async def test_the_token_may_have_either_name(client, to, key):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.tokens["known"] = ("repository:team/app:pull", float("inf"))
        registry.fault = _token_answer({key: "known", "expires_in": "soon"})
        assert await client.tags(to(registry, credentials=USER)) == ("1",)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "no token in bearer response"),
        ({"token": 5}, "no token in bearer response"),
        ({"token": ""}, "no token in bearer response"),
        ({"token": "a\r\nX-Evil: 1"}, "no token in bearer response"),
        ("<html>", "invalid character '<' looking for beginning of value"),
        ("[]", "the token server's answer is not a JSON object"),
        ("", "unexpected end of JSON input"),
        ('{"token":', "unexpected end of JSON input"),
        ("x" * 100_000, "larger than 65536 bytes"),
    ],
)
async def test_a_token_answer_that_is_none_is_an_error(client, to, body, said):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.fault = _token_answer(body)
        with pytest.raises(RegistryError, match=said):
            await client.tags(to(registry, credentials=USER))


async def test_a_refused_token_is_told_once_and_not_asked_for_again(client, to):
    """A wrong password counts against an account: HEAD's failure is not repeated by GET."""
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        with pytest.raises(
            RegistryError, match=r"GET http://.*/token\?scope=.*: UNAUTHORIZED: authentication required"
        ):
            await client.resolve(to(registry, credentials=WRONG), "1")
        assert registry.count("/token") == 1


async def test_a_token_server_in_trouble_is_waited_for(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.fault = chain(when("/token", answer(503), times=1), when("/token", answer(500), times=1))
        assert await client.tags(to(registry, credentials=USER)) == ("1",)
        registry.expire_tokens()
        registry.fault = when("/token", reset())
        with pytest.raises(RegistryError, match=r"/token.*: EOF"):
            await client.tags(to(registry, credentials=USER))


async def test_a_token_that_does_not_help_is_not_asked_for_again_and_again(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.fault = _token_answer({"token": "worthless"})
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.tags(to(registry, credentials=USER))
        assert registry.count("/token") == 2  # for what the registry says when greeted, and for what it says then


async def test_a_token_of_another_scope_than_was_asked_for_is_not_used_for_ever(client, to):
    """The registry refuses it, and the token server would only give another one of the same."""
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.tokens["narrow"] = ("repository:team/other:pull", float("inf"))
        registry.fault = _token_answer({"token": "narrow", "expires_in": 300})
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.tags(to(registry, credentials=USER))
        assert registry.count("/token") == 2
        assert _authorizations(registry, "/tags/") == ["Bearer", "Bearer"]
        registry.fault = None
        assert await client.tags(to(registry, credentials=USER)) == ("1",)


async def test_an_identity_token_goes_by_post(client, to):
    """E3; the OAuth2 form: the token is in the body, never in an address."""
    async with RegistryServer(auth="bearer", identity_tokens={"secret-id": "u"}) as registry:
        registry.push("team/app", "1", b"layer")
        assert await client.tags(to(registry, credentials=Credentials(identity_token="secret-id"))) == ("1",)
        asked = [a for a in registry.asked if a.path == "/token"]
        assert [(a.method, a.query, a.authorization) for a in asked] == [("POST", "", "")]


async def test_an_identity_token_is_not_posted_to_where_a_redirect_leads(client, to):
    async with RegistryServer(auth="bearer") as registry, RegistryServer() as other:
        registry.fault = when("/token", redirect(f"http://{other.address}/token"))
        with pytest.raises(RegistryError, match="unexpected status code 307"):
            await client.tags(to(registry, credentials=Credentials(identity_token="secret-id")))
        assert other.asked == []


async def test_an_identity_token_is_posted_again_to_the_same_server(client, to):
    """The original does so, seen by running it."""
    async with RegistryServer(auth="bearer", identity_tokens={"secret-id": "u"}) as registry:
        registry.push("team/app", "1", b"layer")
        registry.fault = when("/token", redirect("/token?again"), times=1)
        assert await client.tags(to(registry, credentials=Credentials(identity_token="secret-id"))) == ("1",)
        assert [(a.method, a.query) for a in registry.asked if a.path == "/token"] == [("POST", ""), ("POST", "again")]
        registry.expire_tokens()
        registry.fault = when("/token", redirect("/token?again", 302))
        with pytest.raises(RegistryError, match="unexpected status code 302"):
            await client.tags(to(registry, credentials=Credentials(identity_token="secret-id")))


async def test_a_token_server_on_another_port_of_this_machine_is_asked(client, to):
    """E10: the usual set-up on a developer's machine; the original does so, seen by running it."""
    async with (
        RegistryServer(auth="bearer", users=USERS) as registry,
        RegistryServer(auth="bearer", users=USERS) as other,
    ):
        other.tokens = registry.tokens
        registry.push("team/app", "1", b"layer")
        registry.realm = other.url.replace("127.0.0.1", "localhost") + "/token"
        assert await client.tags(to(registry, credentials=USER)) == ("1",)
        assert _authorizations(other, "/token") == ["Basic"]


async def test_a_token_server_without_the_post_form_is_asked_by_get(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.fault = when("/token", answer(404), method="POST")
        credentials = Credentials("u", "p:ä", identity_token="secret-id")
        assert await client.tags(to(registry, credentials=credentials)) == ("1",)
        assert [a.method for a in registry.asked if a.path == "/token"] == ["POST", "GET"]


async def test_a_registry_token_is_shown_at_once(client, to):
    async with RegistryServer(auth="bearer") as registry:
        registry.push("team/app", "1", b"layer")
        registry.tokens["given"] = ("repository:team/app:pull", float("inf"))
        assert await client.tags(to(registry, credentials=Credentials(registry_token="given"))) == ("1",)
        assert _authorizations(registry, "/tags/") == ["Bearer"]
        registry.expire_tokens()
        with pytest.raises(RegistryError, match="UNAUTHORIZED"):
            await client.tags(to(registry, credentials=Credentials(registry_token="given")))
        assert registry.count("/token") == 0


async def test_credentials_go_to_no_token_server_on_a_private_address(client, to):
    """127.0.0.1 with another port is not the registry."""
    async with RegistryServer(auth="bearer", users=USERS) as registry, RegistryServer() as other:
        registry.realm = f"http://{other.address}/token"
        with pytest.raises(RegistryError, match=r"invalid realm in www-authenticate: .* private or link-local"):
            await client.resolve(to(registry, credentials=USER), "1")
        registry.realm = f"{registry.url}/token"
        registry.fault = when("/token", redirect(f"http://{other.address}/token"))
        with pytest.raises(RegistryError, match=r"invalid realm in www-authenticate: .* private or link-local"):
            await client.resolve(to(registry, credentials=USER), "1")
        assert other.asked == []


@pytest.mark.parametrize(
    ("own", "kept"),
    [("account=a%20b", "account=a b"), ("service=z&account=a&scope=y", "account=a")],
    ids=["another", "scope-and-service"],
)
async def test_the_realms_own_query_is_kept_but_scope_and_service_are_ours_to_say(client, to, own, kept):
    """As the original asks of such a realm."""
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        registry.realm = f"{registry.url}/token?{own}"
        assert await client.tags(to(registry, credentials=USER)) == ("1",)
        query = next(a.query for a in registry.asked if a.path == "/token")
        assert query == f"{kept}&scope=repository:team/app:pull&service=devkit"


async def test_another_scope_that_the_registry_names_is_asked_for_first(client, to):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        challenge = f'Bearer realm="{registry.url}/token",service="devkit",scope="aws"'

        async def fault(request: web.Request, proceed: Proceed) -> web.StreamResponse:
            response = await proceed()
            if response.status == 401:
                response.headers["WWW-Authenticate"] = challenge
            return response

        registry.fault = fault
        assert await client.tags(to(registry, credentials=USER)) == ("1",)
        query = next(a.query for a in registry.asked if a.path == "/token")
        assert query == "scope=aws&scope=repository:team/app:pull&service=devkit"


async def test_a_registry_that_changes_its_mind_about_the_way_in_is_followed(client, to):
    async with RegistryServer(auth="basic", users=USERS) as registry:
        registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER)
        for way in ("basic", "bearer", "bearer", "basic", "basic"):
            registry.auth = way
            assert await client.tags(access) == ("1",)
        # greeted by Basic; Bearer asked for, remembered; Basic asked for, remembered
        assert _authorizations(registry, "/tags/") == [
            "Basic",
            "Basic",
            "Bearer",
            "Bearer",
            "Bearer",
            "Basic",
            "Basic",
        ]


async def _hides(request: web.Request, proceed: Proceed) -> web.StreamResponse:
    """Says nothing of the way in but when greeted, and knows nothing of what not everybody may see."""
    if request.path == "/v2/" or "Authorization" in request.headers:
        return await proceed()
    return web.Response(status=404, text="no such repository")


@pytest.mark.parametrize("way", ["basic", "bearer"])
async def test_a_registry_that_hides_what_it_holds_from_strangers_is_shown_who_asks(client, to, way):
    """E10; the original does so, seen by running it."""
    async with RegistryServer(auth=way, users=USERS, fault=_hides) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, credentials=USER), "1") == digest
        with pytest.raises(RegistryError):
            await client.resolve(to(registry), "1")


async def test_a_registry_that_is_open_is_shown_who_asks_all_the_same(client, to):
    """E10: there may be more to see; the original does so, seen by running it."""
    async with RegistryServer() as registry:
        registry.push("team/app", "1", b"layer")
        for credentials, shown in ((USER, "Basic"), (None, "")):
            registry.asked.clear()
            await client.tags(to(registry, credentials=credentials))
            assert _authorizations(registry, "/tags/") == [shown]
            assert _authorizations(registry, "/v2/")[0] == ""


@pytest.mark.parametrize("challenge", [None, "Negotiate", 'Digest realm="x", nonce="y"'])
async def test_a_401_without_a_challenge_that_we_know_means_basic(client, to, challenge):
    """E10; the original does so, seen by running it."""
    async with RegistryServer(auth="basic", users=USERS) as registry:
        digest = registry.push("team/app", "1", b"layer")

        async def fault(request: web.Request, proceed: Proceed) -> web.StreamResponse:
            response = await proceed()
            if response.headers.pop("WWW-Authenticate", None) and challenge is not None:
                response.headers["WWW-Authenticate"] = challenge
            return response

        registry.fault = fault
        assert await client.resolve(to(registry, credentials=USER), "1") == digest
        # A registry whose greeting does not tell is asked without, and then with.
        registry.fault = chain(when("/v2/", answer(404), times=2), fault)
        assert await client.resolve(to(registry, credentials=USER, insecure=True), "1") == digest


@pytest.mark.parametrize("status", [403, 404, 500])
async def test_a_registry_that_does_not_answer_greetings_is_asked_all_the_same(client, to, status):
    async with RegistryServer(auth="bearer", users=USERS) as registry:
        digest = registry.push("team/app", "1", b"layer")

        async def rude(request: web.Request, proceed: Proceed) -> web.StreamResponse:
            return web.Response(status=status) if request.path == "/v2/" else await proceed()

        registry.fault = rude
        assert await client.resolve(to(registry, credentials=USER), "1") == digest


async def test_an_endless_401_is_cut_off(client, to):
    async with RegistryServer(auth="basic", users=USERS) as registry:
        registry.fault = when("/v2/team", endless(b"a", b"a" * 65536, "text/plain"))

        async def unauthorized(request: web.Request, proceed: Proceed) -> web.StreamResponse:
            response = await proceed()
            response.set_status(401)
            response.headers["WWW-Authenticate"] = 'Basic realm="x"'
            return response

        registry.fault = chain(when("/v2/team", unauthorized), registry.fault)
        with pytest.raises(RegistryError, match="401 Unauthorized: aaa"):
            await client.tags(to(registry, credentials=USER))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (['Bearer realm="https://a/t",service="s"'], [("bearer", {"realm": "https://a/t", "service": "s"})]),
        (
            ['Bearer realm="https://a/t",scope="repository:a:pull,push repository:b:pull"'],
            [("bearer", {"realm": "https://a/t", "scope": "repository:a:pull,push repository:b:pull"})],
        ),
        (
            ['Negotiate, Basic realm="a, b", charset=UTF-8, BEARER Realm = "x"'],
            [("negotiate", {}), ("basic", {"realm": "a, b", "charset": "UTF-8"}), ("bearer", {"realm": "x"})],
        ),
        (["Negotiate", 'Basic realm="x"'], [("negotiate", {}), ("basic", {"realm": "x"})]),
        ([r'Basic realm="say \"hi\", \\"'], [("basic", {"realm": 'say "hi", \\'})]),
        (['Bearer realm="first",realm="second"'], [("bearer", {"realm": "first"})]),
        (["Basic"], [("basic", {})]),
        ([""], []),
        (['="x"'], []),
        (['realm="x"'], []),
        (['Bearer realm="open'], [("bearer", {})]),
    ],
)
def test_challenges_are_read_as_rfc_9110_writes_them(lines, expected):
    assert [(one.scheme, dict(one.parameters)) for one in parse_challenges(lines)] == expected


def test_of_several_challenges_the_first_that_can_be_met_is_taken():
    found = usable(parse_challenges(['Negotiate, Bearer realm="x", Basic realm="y"']))
    assert found is not None
    assert found.scheme == "bearer"
    assert usable(parse_challenges(["Negotiate"])) is None


@pytest.mark.parametrize(
    ("challenge", "told"),
    [
        ("Bearer", "map[]"),
        ('Bearer service="svc",realm=""', "map[service:svc]"),
        ('Bearer service="svc",Scope="x",a="b"', "map[a:b scope:x service:svc]"),
    ],
)
async def test_a_challenge_without_a_realm_is_told_as_the_original_tells_it(registry, client, to, challenge, told):
    registry.fault = when("/v2/", answer(401, headers={"WWW-Authenticate": challenge}))
    with pytest.raises(RegistryError, match=f"^{re.escape(f'malformed www-authenticate, missing realm: {told}')}$"):
        await client.resolve(to(registry), "1")
