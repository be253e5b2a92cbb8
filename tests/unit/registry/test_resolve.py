"""Tags and digests (flux-compat D3, D7)."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from aiohttp import web

from devkit.ocicontent import sha256
from devkit.ocifaults import answer, chain, endless, hang, headers, held, replaced, reset, when
from devkit.ocihttp import Proceed, RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.errors import ManifestError, RegistryError
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import Limits


async def test_a_tag_is_resolved_by_head_alone(registry, client, to):
    digest = registry.push("team/app", "1.0.0", b"layer")
    assert await client.resolve(to(registry), "1.0.0") == digest
    assert [(a.method, a.path) for a in registry.asked if "manifests" in a.path] == [
        ("HEAD", "/v2/team/app/manifests/1.0.0")
    ]


async def test_requests_say_who_asks_and_take_no_compression(registry, client, to):
    registry.push("team/app", "1.0.0", b"layer")
    await client.resolve(to(registry), "1.0.0")
    asked = registry.asked[-1].headers
    assert "flux/v2" in asked["User-Agent"]  # E10
    assert asked["Accept-Encoding"] == "identity"
    for media_type in (
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.index.v1+json",
    ):
        assert media_type in asked["Accept"]  # D3


@pytest.mark.parametrize(
    "fault",
    [
        headers({"Docker-Content-Digest": None}),
        headers({"Docker-Content-Digest": "sha256:short"}),
        headers({"Docker-Content-Digest": "sha512:" + "0" * 128}),
        headers({"Content-Type": None}),
        answer(401),
        answer(404),
        answer(405),
        answer(500),
        answer(200),
        reset(),
    ],
)
async def test_whatever_is_wrong_with_head_get_decides(registry, client, to, fault):
    """D3: the digest is then the SHA-256 of the body."""
    digest = registry.push("team/app", "1.0.0", b"layer")
    registry.fault = when("/manifests/", fault, method="HEAD")
    assert await client.resolve(to(registry), "1.0.0") == digest


async def test_the_digest_of_a_get_is_computed_whatever_its_header_says(registry, client, to):
    digest = registry.push("team/app", "1.0.0", b"layer")
    lie = headers({"Docker-Content-Digest": "sha256:" + "0" * 64})
    registry.fault = chain(when("/manifests/", answer(500), method="HEAD"), when("/manifests/", lie, method="GET"))
    assert await client.resolve(to(registry), "1.0.0") == digest


async def test_a_missing_tag_has_the_text_that_clients_know(registry, client, to):
    """As recorded from the original: golden case err_missing_tag."""
    registry.push("team/app", "1.0.0", b"layer")
    with pytest.raises(RegistryError) as caught:
        await client.resolve(to(registry), "nope")
    assert str(caught.value) == (
        f"GET http://{registry.address}/v2/team/app/manifests/nope: MANIFEST_UNKNOWN: manifest unknown; map[Tag:nope]"
    )
    assert caught.value.status == 404


async def test_a_registry_in_trouble_is_tried_three_times_and_its_words_are_told(registry, client, to):
    """E10. GET comes on top once, for the text: HEAD has no body."""
    registry.fault = when("/manifests/", answer(503, "down for maintenance"))
    with pytest.raises(RegistryError, match="unexpected status code 503 Service Unavailable: down for maintenance"):
        await client.resolve(to(registry), "1")
    assert [a.method for a in registry.asked if "manifests" in a.path] == ["HEAD", "HEAD", "HEAD", "GET"]


async def test_a_login_page_is_no_manifest(registry, client, to):
    page = answer(200, "<html>login</html>", {"Content-Type": "text/html"})
    registry.fault = when("/v2/team", page)
    digest = await client.resolve(to(registry), "1")
    said = "invalid character '<' looking for beginning of value"  # the original's words, C10 and C14
    with pytest.raises(ManifestError, match=f"^failed to parse artifact manifest: {said}$"):
        await client.manifest(to(registry), digest)
    with pytest.raises(RegistryError, match=f"^{said}$"):
        await client.tags(to(registry))


async def test_a_manifest_without_an_end_is_given_up(registry, client, to):
    registry.fault = when("/manifests/", endless(b'{"x":"', b"a" * 65536, "application/vnd.oci.image.manifest.v1+json"))
    with pytest.raises(RegistryError, match="the answer is larger than 4194304 bytes"):
        await client.resolve(to(registry), "1")


async def test_a_tag_cannot_name_another_endpoint(registry, client, to):
    registry.push("team/app", "1.0.0", b"layer")
    for tag in ("../tags/list", "x/../../blobs/y", "/", ".", ".."):
        with pytest.raises(RegistryError, match="cannot be a tag"):
            await client.resolve(to(registry), tag)
    assert registry.asked == []


@pytest.mark.parametrize(
    ("tag", "asked"),
    [
        ("1.0.0+b", "1.0.0+b"),
        ("a:b", "a:b"),
        ("1?x=2", "1%3Fx=2"),
        ("1#x", "1%23x"),
        ("%2e%2e", "%252e%252e"),
        ("1 2", "1%202"),
        ("\u00fc", "%C3%BC"),
        ('"', "%22"),
        ("a" * 129, "a" * 129),
    ],
)
async def test_the_registry_says_what_is_wrong_with_an_odd_tag(registry, client, to, tag, asked):
    """C11: with the address that the original asks, too."""
    registry.fault = when("/manifests/", answer(404, '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"none"}]}'))
    said = f"/v2/team/app/manifests/{asked}: MANIFEST_UNKNOWN: none"
    with pytest.raises(RegistryError, match=f"{re.escape(said)}$"):
        await client.resolve(to(registry), tag)


async def test_all_pages_of_the_tags_are_read(registry, client, to):
    """D7: n=1000 is asked for, and the registry's own page size is followed by Link."""
    tags = [f"1.0.{n}" for n in range(25)]
    for tag in tags:
        registry.push("team/app", tag, b"layer")
    registry.page_size = 7
    assert sorted(await client.tags(to(registry))) == sorted(tags)
    lists = [a.query for a in registry.asked if "tags" in a.path]
    assert lists[0] == "n=1000"
    assert len(lists) == 4


def _linked(link: str):
    async def fault(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        response = await proceed()
        if "last" not in request.query:
            response.headers["Link"] = link
        return response

    return when("/tags/list", fault)


@pytest.mark.parametrize(
    "link",
    [
        '</v2/team/app/tags/list?last=1>; rel="next"',
        "</v2/team/app/tags/list?last=1>; rel=next",
        "<list?last=1>",
        '<http://{host}/v2/team/app/tags/list?last=1>; rel="next"',
        '<https://{host}/v2/team/app/tags/list?last=1>; rel="next"',  # a proxy's idea of the scheme
        '</other>; rel="prev", </v2/team/app/tags/list?last=1>; rel="next"',
    ],
)
async def test_links_are_followed_relative_and_absolute(registry, client, to, link):
    registry.push("team/app", "1", b"layer")
    registry.push("team/app", "2", b"layer")
    registry.fault = _linked(link.replace("{host}", registry.address))
    assert await client.tags(to(registry)) == ("1", "2", "2")


async def test_a_link_to_another_host_is_not_followed(registry, client, to):
    registry.push("team/app", "1", b"layer")
    async with RegistryServer() as other:
        registry.fault = _linked(f'<http://{other.address}/v2/team/app/tags/list?last=1>; rel="next"')
        with pytest.raises(RegistryError, match="the link to the next page leads to another host"):
            await client.tags(to(registry))
        assert other.asked == []


@pytest.mark.parametrize(
    ("link", "missing"), [("/v2/x/tags/list", "<"), ("</v2/x/tags/list", ">"), ('x; y="<a>"', "<")]
)
async def test_a_link_that_does_not_parse_does_not_end_the_list(registry, client, to, link, missing):
    """In the words of the original: a list that is cut short would name another version the latest."""
    registry.push("team/app", "1", b"layer")
    registry.fault = when("/tags/list", headers({"Link": link}))
    said = f"failed to parse link header: missing '{missing}' in: {link}"
    with pytest.raises(RegistryError, match=f"^{re.escape(said)}$"):
        await client.tags(to(registry))


async def test_links_that_go_in_a_circle_end_in_an_error(registry, client, to):
    registry.push("team/app", "1", b"layer")
    registry.fault = when("/tags/list", headers({"Link": '</v2/team/app/tags/list?n=1000&last=x>; rel="next"'}))
    with pytest.raises(RegistryError, match="leads back to a page seen before"):
        await client.tags(to(registry))
    assert registry.count("/tags/list") == 2


async def test_links_without_an_end_end_in_an_error(registry, client, to):
    count = 0

    async def fault(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        nonlocal count
        count += 1
        return web.Response(text='{"tags": ["x"]}', headers={"Link": f"</v2/team/app/tags/list?last={count}>"})

    registry.fault = when("/tags/list", fault)
    with pytest.raises(RegistryError, match="does not come to an end"):
        await client.tags(to(registry))
    assert count == 1000


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"tags": "1"}', "field tags must be a list"),
        (b'{"tags": [1]}', "field tags must be a list of strings"),
        (b"[]", "the tag list must be a JSON object"),
        (b"{", "unexpected EOF"),
        (b"\xff", "invalid character '\u00ff' looking for beginning of value"),
        (b'{"tags": NaN}', "invalid character 'N' looking for beginning of value"),
    ],
)
async def test_a_tag_list_that_is_none_is_an_error(registry, client, to, body, said):
    """C10. What is no JSON is told in the words of the original."""
    registry.push("team/app", "1", b"layer")
    registry.fault = when("/tags/list", replaced(body))
    with pytest.raises(RegistryError, match=f"^{said}$"):
        await client.tags(to(registry))


async def test_a_repository_without_tags_has_none(registry, client, to):
    registry.fault = when("/tags/list", answer(200, json.dumps({"name": "team/app", "tags": None})))
    assert await client.tags(to(registry)) == ()


async def test_equal_questions_at_the_same_time_are_asked_once(registry, client, to):
    """J13: with the same access; other credentials ask for themselves."""
    digest = registry.push("team/app", "1.0.0", b"layer")
    gate = asyncio.Event()
    registry.fault = when("/v2/team", held(gate))
    same, others = to(registry), to(registry, credentials=Credentials("u", "p"))
    answers = asyncio.gather(
        *(client.resolve(same, "1.0.0") for _ in range(5)),
        *(client.tags(same) for _ in range(5)),
        client.resolve(others, "1.0.0"),
    )
    while len([a for a in registry.asked if a.path.startswith("/v2/team")]) < 3:
        await asyncio.sleep(0)
    gate.set()
    found = await answers
    assert found == [digest] * 5 + [("1.0.0",)] * 5 + [digest]
    assert registry.count("/manifests/1.0.0") == 2
    assert registry.count("/tags/list") == 1
    # Under way at the same time, not remembered: the next one sees what is there then.
    moved = registry.push("team/app", "1.0.0", b"another")
    assert await client.resolve(same, "1.0.0") == moved


async def test_one_that_gives_up_waiting_takes_nobody_along(registry, client, to):
    digest = registry.push("team/app", "1.0.0", b"layer")
    gate = asyncio.Event()
    registry.fault = when("/manifests/", held(gate))
    impatient = asyncio.create_task(client.resolve(to(registry), "1.0.0"))
    patient = asyncio.create_task(client.resolve(to(registry), "1.0.0"))
    while not registry.count("/manifests/"):
        await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    gate.set()
    assert await patient == digest
    assert registry.count("/manifests/") == 1


async def test_a_registry_that_hangs_can_be_left_and_does_not_hold_up_others(registry, client, to):
    """J6: the corridor's timeout is the only one, and it leaves nothing behind."""
    digest = registry.push("team/app", "1.0.0", b"layer")
    registry.fault = when("/v2/hang", hang())
    before = len(asyncio.all_tasks())
    async with RegistryServer(fault=hang()) as dead:  # not even /v2/ is answered there
        for access in (to(registry, "hang/app"), to(dead), to(dead, insecure=True)):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.gather(client.resolve(access, "1"), client.tags(access), client.resolve(access, "1"))
        assert await client.resolve(to(registry), "1.0.0") == digest
        await client.close()
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) <= before


async def test_the_client_can_be_closed_unused_and_used_after():
    client = OCIRegistry(Limits())
    await client.close()
    await client.close()


async def test_the_lying_head_is_found_out_when_the_manifest_is_read(registry, client, to):
    """D5: what HEAD tells is only a name; the bytes are held against it."""
    registry.push("team/app", "1.0.0", b"layer")
    lie = sha256(b"something else")
    registry.fault = when("/manifests/1.0.0", headers({"Docker-Content-Digest": lie}))
    digest = await client.resolve(to(registry), "1.0.0")
    with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
        await client.manifest(to(registry), digest)
