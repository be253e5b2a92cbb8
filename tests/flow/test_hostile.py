"""Registries that answer differently the second time, too slowly or too much: all over HTTP, through the whole
corridor (signatures.md rules 1 and 6). Whatever they do, what is stored is what was verified."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from devkit.ocicontent import MANIFEST, NOTATION
from devkit.ocifaults import answer, dripping, endless, replaced, when
from devkit.ocihttp import Fault, Proceed, RegistryServer
from devkit.offline import NOW, OfflineSigstore, Window
from devkit.offline.notary import JWS, Notary, Order, trust_policy
from devkit.signer import Signer
from fakes.world import APP, World, fake_world, http_world
from ocisource.domain.access import Access

ALICE, MALLORY = Signer.generate(), Signer.generate()
SIGSTORE, STRANGERS = OfflineSigstore.create(), OfflineSigstore.create()
NOTARY, FORGER = (Notary.create(Window.around(NOW)) for _ in range(2))
READY = ("True", "Succeeded")
REFUSED = ("False", "VerificationError")
EVIL = {"app.yaml": b"evil"}
FORMS = ["legacy", "bundle", "keyless legacy", "keyless v1", "keyless v2", "notation"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with http_world(tmp_path) as made:
        yield made


def registry_of(world: World) -> RegistryServer:
    assert isinstance(world.content, RegistryServer)
    return world.content


def sign(content: RegistryServer, digest: str, form: str, *, by_us: bool = True) -> None:
    """A good signature of the form; or one that is as good, by somebody whom nobody trusts."""
    signer, signing = (ALICE, SIGSTORE.identity()) if by_us else (MALLORY, STRANGERS.identity())
    notary = NOTARY if by_us else FORGER
    if form in ("legacy", "keyless legacy"):
        made = signer.legacy(digest) if form == "legacy" else signing.legacy(digest)
        content.sign_legacy(APP, digest, [(made.payload, made.annotations)])
    elif form == "notation":
        media_type, manifest = content.repositories[APP].manifests[digest]
        envelope = notary.sign(Order(media_type, digest, len(manifest), NOW), JWS)
        content.attach(APP, digest, envelope, media_type=JWS, artifact_type=NOTATION)
    else:
        content.attach(APP, digest, signer.bundle(digest) if form == "bundle" else signing.bundle(digest, form[-2:]))


def trust(world: World, form: str) -> dict[str, object]:
    """The `verify` that trusts us."""
    if form in ("legacy", "bundle"):
        return world.trust(ALICE)
    if form == "notation":
        world.secrets.put("notation", {"trustpolicy.json": trust_policy(), "ca.crt": NOTARY.root_pem()})
        return {"provider": "notation", "secretRef": {"name": "notation"}}
    world.secrets.put("root", {"trusted_root.json": SIGSTORE.trusted_root()})
    identity = {"issuer": "^https://issuer.example$", "subject": "^ci@example.com$"}
    return {"provider": "cosign", "trustedRootSecretRef": {"name": "root"}, "matchOIDCIdentity": [identity]}


# Another answer the second time


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Turncoat:
    """Answers some requests honestly, by their number, and all others as if it had always been another artifact: what
    the tag names, what any digest names, the blobs, the signatures. The other one is signed, too, by a stranger."""

    def __init__(self, world: World, form: str, honest: Callable[[int], bool]) -> None:
        self.honest = honest
        self.asked = 0
        self.digest = world.push("unlisted", EVIL)
        sign(registry_of(world), self.digest, form, by_us=False)
        content = registry_of(world).repositories[APP]
        del content.tags["unlisted"]
        self.manifest = content.manifests[self.digest]
        self.layer = json.loads(self.manifest[1])["layers"][0]["digest"]

    async def __call__(self, request: web.Request, proceed: Proceed) -> web.StreamResponse:
        if request.path == "/v2/":
            return await proceed()
        self.asked += 1
        if self.honest(self.asked):
            return await proceed()
        registry = request.url.origin()
        kind, _, reference = request.path.removeprefix(f"/v2/{APP}/").partition("/")
        if kind == "blobs":
            reference = self.layer
        elif reference.endswith(".sig"):
            reference = self.digest.replace(":", "-") + ".sig"
        else:
            reference = self.digest
        async with (
            ClientSession() as session,
            session.get(f"{registry}/v2/{APP}/{kind}/{reference}", headers={"Turned": "yes"}) as answer,
        ):
            told = {name: value for name, value in answer.headers.items() if name in ("Content-Type", "Link")}
            told["Docker-Content-Digest"] = reference
            return web.Response(status=answer.status, body=await answer.read(), headers=told)


def turned(fault: Turncoat) -> Fault:
    """What the turncoat asks itself is answered honestly."""

    async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
        return await (proceed() if "Turned" in request.headers else fault(request, proceed))

    return apply


async def outcome(root: Path, form: str, honest: Callable[[int], bool]) -> tuple[bool, int]:
    """Whether an object became ready, in a world whose registry turns, and how many requests that took. What is
    stored is what we signed, or nothing."""
    root.mkdir()
    async with http_world(root) as world:
        registry = registry_of(world)
        digest = world.push("1.0.0", {"app.yaml": b"good"})
        sign(registry, digest, form)
        world.declare(ref={"tag": "1.0.0"}, verify=trust(world, form))
        fault = Turncoat(world, form, honest)
        registry.fault = turned(fault)

        await world.passes()

        ready = world.conditions()["Ready"] == READY
        if ready:
            assert world.revision() == f"1.0.0@{digest}"
            assert world.served() == {"app.yaml": b"good"}
        else:
            assert world.on_disk() == b""
        return ready, fault.asked


async def test_a_registry_that_becomes_another_one_during_a_pass_is_found_out(tmp_path: Path, form: str) -> None:
    """The verdict and the fetch see one manifest, whenever the registry turns."""
    ready, requests = await outcome(tmp_path / "never", form, lambda _: True)
    assert ready
    for last in range(requests):
        ready, _ = await outcome(tmp_path / f"after {last}", form, lambda number, last=last: number <= last)
        assert not ready
        # It may have resolved to the other one first: whoever signed that is nobody whom we trust.
        ready, _ = await outcome(tmp_path / f"until {last}", form, lambda number, last=last: number > last)
        assert ready == (last == 0)


@pytest.mark.parametrize("form", ["legacy", "notation"])
async def test_a_registry_that_lies_now_and_then_is_found_out(tmp_path: Path, form: str) -> None:
    """Every choice of the requests that are answered honestly: resolved once means asked once by the tag."""
    _, requests = await outcome(tmp_path / "never", form, lambda _: True)
    for chosen in range(1 << requests):
        ready, _ = await outcome(tmp_path / str(chosen), form, lambda number, chosen=chosen: chosen >> number - 1 & 1)
        assert not ready or chosen == (1 << requests) - 1


async def test_a_pass_asks_for_the_tag_once(world: World, form: str) -> None:
    """From there on every request names the digest: another answer to the tag has nobody who reads it."""
    digest = world.push("1.0.0")
    sign(registry_of(world), digest, form)
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, form))

    await world.passes()

    assert world.conditions()["Ready"] == READY
    asked = [one.path.rpartition("/")[2] for one in registry_of(world).asked if "/manifests/" in one.path]
    assert asked.count("1.0.0") == 1
    assert {one for one in asked if not one.startswith("sha256")} == {"1.0.0"}
    if form != "notation":
        assert asked.count(digest.replace(":", "-") + ".sig") == 1
        assert asked.count(digest) == 1


async def test_a_tag_that_moved_within_the_minute_is_verified_anew(world: World, form: str) -> None:
    """A verdict is remembered for a digest, never for a tag."""
    good = world.push("1.0.0", {"app.yaml": b"good"})
    sign(registry_of(world), good, form)
    verify = trust(world, form)
    world.declare("first", ref={"tag": "1.0.0"}, verify=verify)
    await world.passes("first")
    assert world.conditions("first")["Ready"] == READY

    moved = world.push("1.0.0", EVIL)
    world.declare("second", ref={"tag": "1.0.0"}, verify=verify)
    for name in ("first", "second"):
        await world.passes(name)
        assert world.conditions(name)["SourceVerified"] == REFUSED
    assert world.served("first") == {"app.yaml": b"good"}
    assert moved not in world.revision("first")
    assert "artifact" not in world.status("second")

    sign(registry_of(world), moved, form, by_us=False)  # by a stranger, and in the place of the good one
    await world.passes("second")
    assert world.conditions("second")["SourceVerified"] == REFUSED

    registry_of(world).repositories[APP].tags["1.0.0"] = good
    for name in ("first", "second"):
        await world.passes(name)
        assert world.served(name) == {"app.yaml": b"good"}


@pytest.mark.parametrize("which", ["manifest", "blob"])
async def test_what_was_verified_is_what_is_fetched_whatever_the_digest_gives_later(world: World, which: str) -> None:
    """An object was verified and stored; another one shares the verdict, and fetches for itself."""
    good = world.push("1.0.0", {"app.yaml": b"good"})
    sign(registry_of(world), good, "legacy")
    verify = trust(world, "legacy")
    world.declare("first", ref={"tag": "1.0.0"}, verify=verify)
    await world.passes("first")
    other = world.push("2.0.0", EVIL)
    content = registry_of(world).repositories[APP]
    layer = json.loads(content.manifests[other][1])["layers"][0]["digest"]
    evil = content.manifests[other][1] if which == "manifest" else content.blobs[layer]
    registry_of(world).fault = when(f"/manifests/{good}" if which == "manifest" else "/blobs/", replaced(evil))
    world.declare("second", ref={"tag": "1.0.0"}, verify=verify, ignore="unlike.first")

    await world.passes("second")

    assert world.conditions("second")["Ready"][0] == "False"
    assert "artifact" not in world.status("second")
    assert [path.split("/")[2] for path in world.tarballs()] == ["first"]


async def test_a_child_of_a_verified_index_is_the_one_that_it_names(world: World) -> None:
    registry = registry_of(world)
    good, evil = world.push("a", {"app.yaml": b"good"}), world.push("b", EVIL)
    size = len(registry.repositories[APP].manifests[good][1])
    index = registry.index(APP, "1.0.0", [{"mediaType": MANIFEST, "digest": good, "size": size}])
    sign(registry, index, "legacy")
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, "legacy"))
    registry.fault = when(f"/manifests/{good}", replaced(registry.repositories[APP].manifests[evil][1]))

    await world.passes()
    assert "does not match requested digest" in world.message()
    assert world.on_disk() == b""

    registry.fault = None
    await world.passes()
    assert world.served() == {"app.yaml": b"good"}
    assert world.revision() == f"1.0.0@{index}"


# Too slow, too much

PLACES = {
    "legacy": [".sig", "/blobs/", "/manifests/sha256:"],
    "bundle": [".sig", "/referrers/", "/manifests/sha256:", "/blobs/"],
    "notation": ["/manifests/sha256:", "/referrers/", "/blobs/"],
}
EVERYWHERE = [(form, place) for form, places in PLACES.items() for place in places]


@pytest.mark.parametrize(("form", "place"), EVERYWHERE)
async def test_an_answer_that_takes_a_second_a_byte_ends_with_the_timeout(world: World, form: str, place: str) -> None:
    """`spec.timeout` is over the whole pass, however the time is lost (flux-compat J6)."""
    sign(registry_of(world), world.push("1.0.0"), form)
    world.declare(ref={"tag": "1.0.0"}, timeout="300ms", verify=trust(world, form))
    registry_of(world).fault = when(place, dripping(1))
    started = time.monotonic()

    result = await world.passes()

    assert time.monotonic() - started < 20
    assert result.failed
    assert "no answer within spec.timeout (300ms)" in world.message()
    assert world.on_disk() == b""


@pytest.mark.parametrize(("form", "place"), EVERYWHERE)
async def test_an_answer_without_an_end_ends(world: World, form: str, place: str) -> None:
    """At the bound; and what is stored is verified and whole."""
    digest = world.push("1.0.0", {"app.yaml": b"good"})
    sign(registry_of(world), digest, form)
    world.declare(ref={"tag": "1.0.0"}, timeout="30s", verify=trust(world, form))
    registry_of(world).fault = when(place, endless(b"{", b" " * 65536, MANIFEST))
    started = time.monotonic()

    await world.passes()

    assert time.monotonic() - started < 25
    if world.conditions()["Ready"] == READY:  # a bundle does not need the old tag
        assert (form, place) == ("bundle", ".sig")
        assert world.served() == {"app.yaml": b"good"}
    else:
        assert world.on_disk() == b""


@pytest.mark.parametrize("status", [404, 405, 400, 406, 501])
@pytest.mark.parametrize("form", ["bundle", "keyless v1", "keyless v2", "notation"])
async def test_a_registry_without_the_referrers_api_is_as_good(world: World, form: str, status: int) -> None:
    digest = world.push("1.0.0")
    sign(registry_of(world), digest, form)
    registry_of(world).tag_referrers(APP, digest)
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, form))
    registry_of(world).fault = when("/referrers/", answer(status))

    await world.passes()

    assert world.conditions()["SourceVerified"] == READY


@pytest.mark.parametrize("form", ["bundle", "notation"])
async def test_a_referrers_api_that_fails_is_no_verdict_unless_the_signature_is_found(world: World, form: str) -> None:
    """What was verified before is not the worse for it; what is found in spite of it counts."""
    digest = world.push("1.0.0")
    sign(registry_of(world), digest, form)
    registry_of(world).tag_referrers(APP, digest)
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, form))
    registry_of(world).fault = when("/referrers/", answer(500))
    await world.passes()
    assert world.conditions()["SourceVerified"] == READY


async def test_a_hundred_strangers_hide_no_good_signature_within_the_bounds(world: World) -> None:
    """64 legacy signatures and 64 bundles are looked at."""
    registry, digest = registry_of(world), world.push("1.0.0")
    made = [MALLORY.legacy(digest) for _ in range(63)]
    registry.sign_legacy(APP, digest, [(one.payload, one.annotations) for one in [*made, *made]])
    for _ in range(63):
        sign(registry, digest, "bundle", by_us=False)
    sign(registry, digest, "bundle")
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, "bundle"))

    await world.passes()
    assert world.conditions()["SourceVerified"] == READY


async def test_64_keyless_signatures_leave_the_loop_to_others(world: World) -> None:
    """Each of them holds, and is somebody else's: all the work is done. It is done in threads."""
    registry, digest = registry_of(world), world.push("1.0.0")
    signing = SIGSTORE.identity(subject="mallory@example.com")
    for number in range(64):
        registry.attach(APP, digest, signing.bundle(digest, "v2" if number % 2 else "v1"))
    world.declare(ref={"tag": "1.0.0"}, verify=trust(world, "keyless v1"))
    gaps: list[float] = []

    async def heartbeat() -> None:
        last = time.perf_counter()
        while True:
            await asyncio.sleep(0)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    beating = asyncio.create_task(heartbeat())
    before = time.process_time()
    await world.passes()
    spent = time.process_time() - before
    beating.cancel()

    assert world.conditions()["SourceVerified"] == REFUSED
    assert "none of the expected identities matched" in world.message()
    assert registry.count("/blobs/") == 64
    assert len(gaps) > 64
    assert max(gaps) < 2
    assert spent < 20


async def test_among_many_tags_is_chosen_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """J6: a hundred thousand tags take a second, which other objects do not have."""
    choosing: list[threading.Thread] = []

    class Tags(tuple[str, ...]):
        def __reversed__(self) -> Iterator[str]:
            choosing.append(threading.current_thread())
            return iter(self[::-1])

    async def tags(_access: Access) -> Tags:
        return Tags(["1.0.0"] * 1000)

    async with fake_world(tmp_path) as world:
        world.push("1.0.0")
        world.declare(ref={"semver": "1.x"})
        monkeypatch.setattr(world.registry, "tags", tags)
        await world.passes()

        assert world.conditions()["Ready"] == ("True", "Succeeded")
        assert [thread is threading.main_thread() for thread in choosing] == [False]
