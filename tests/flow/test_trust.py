"""Trust stays true: what happens to verdicts and artifacts when Secrets change, signatures go, and time passes
(flux-compat H1, H2, H7, J4, J15)."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from devkit.signer import Signer
from fakes.cluster import FakeSecrets
from fakes.trust import FakePolicy, FakeTrust
from fakes.world import APP, World
from ocisource.domain.evidence import Judgement

ALICE, MALLORY = Signer.generate(), Signer.generate()
REFUSED = ("False", "VerificationError")
WITHDRAWN = ("Warning", "ArtifactWithdrawn")


@pytest.fixture
async def settled(world: World) -> World:
    """An object whose artifact is signed by ALICE, verified and stored."""
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()
    assert world.conditions()["SourceVerified"] == ("True", "Succeeded")
    return world


def forget_signatures(world: World) -> None:
    repository = world.content.repositories[APP]
    repository.tags = {tag: digest for tag, digest in repository.tags.items() if not tag.endswith(".sig")}


# When a Secret changes (J4)


async def test_a_changed_secret_brings_its_objects_to_a_pass(settled: World) -> None:
    async with settled.at_work():
        settled.trust(MALLORY)
        await settled.until(lambda: settled.conditions()["SourceVerified"] == REFUSED)

        settled.trust(MALLORY, ALICE)
        await settled.until(lambda: settled.conditions()["SourceVerified"] == ("True", "Succeeded"))
    assert "key1.pub" in settled.message("SourceVerified")


async def test_a_secret_that_appears_ends_the_wait_of_a_failed_pass(world: World) -> None:
    """By itself the object would come back in an hour."""
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify={"provider": "cosign", "secretRef": {"name": "pub"}})
    async with world.at_work():
        await world.until(lambda: world.conditions().get("SourceVerified") == REFUSED)
        world.trust(ALICE)
        await world.until(lambda: world.conditions().get("Ready") == ("True", "Succeeded"))


async def test_a_secret_that_goes_ends_the_verdict(settled: World) -> None:
    async with settled.at_work():
        settled.secrets.delete("pub")
        await settled.until(lambda: settled.conditions()["SourceVerified"] == REFUSED)
    assert settled.message().endswith('secrets "pub" not found')


async def test_a_change_during_a_pass_asks_for_another_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass has read the Secret before it changed."""
    reading, go_on = asyncio.Event(), asyncio.Event()
    secret = FakeSecrets.secret

    async def slow(secrets: FakeSecrets, namespace: str, name: str) -> object:
        found = await secret(secrets, namespace, name)
        reading.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(FakeSecrets, "secret", slow)
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(MALLORY))
    async with world.at_work():
        await reading.wait()
        world.trust(ALICE)
        go_on.set()
        await world.until(lambda: world.conditions().get("Ready") == ("True", "Succeeded"))


async def test_what_is_no_trust_material_ends_no_verdict(settled: World) -> None:
    """Something else of the Secret has changed: a pass, and no search, no write."""
    data = settled.secrets.found["team", "pub"][1]
    searches, writes = settled.searches(), list(settled.cluster.writes)

    settled.secrets.put("pub", {**data, "README": b"whose keys these are"})
    await settled.passes()

    assert settled.searches() == searches
    assert settled.cluster.writes == writes


async def test_a_restart_keeps_the_verdict_and_notices_what_changed_meanwhile(settled: World) -> None:
    searches, status = settled.searches(), settled.status()
    settled.start()
    await settled.passes()
    assert settled.searches() == searches
    assert settled.status() == status

    settled.trust(MALLORY)
    settled.start()
    await settled.passes()
    assert settled.conditions()["SourceVerified"] == REFUSED


# What a verdict is, and what is none (J15)


@pytest.fixture
async def withdrawing(settled: World) -> World:
    settled.start(withdrawing=True)
    return settled


async def test_a_refused_artifact_is_kept_unless_it_is_to_be_withdrawn(settled: World) -> None:
    artifact, before = settled.status()["artifact"], settled.on_disk()
    settled.trust(MALLORY)
    await settled.passes()

    assert settled.status()["artifact"] == artifact
    assert settled.on_disk() == before
    assert WITHDRAWN not in settled.recorder.told("app")


async def test_a_refused_artifact_that_is_withdrawn_is_nowhere_and_comes_back(withdrawing: World) -> None:
    world = withdrawing
    artifact = world.status()["artifact"]
    world.trust(MALLORY)
    await world.passes()
    await world.passes()

    assert "artifact" not in world.status()
    assert "url" not in world.status()
    assert world.conditions() == {
        "Ready": REFUSED,
        "SourceVerified": REFUSED,
        "Reconciling": ("True", "ProgressingWithRetry"),
    }
    assert world.on_disk() == b""
    assert world.recorder.told("app").count(WITHDRAWN) == 1  # in the second pass there was nothing any more
    assert f"artifact with revision '{artifact['revision']}' withdrawn, since verification failed" in [
        event.message for _, event in world.recorder.events
    ]

    world.trust(ALICE)
    await world.passes()
    again = world.status()["artifact"]
    assert (again["digest"], again["revision"]) == (artifact["digest"], artifact["revision"])
    assert world.served() == {"app.yaml": b"version: 1.0.0\n"}
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_an_unsigned_new_version_withdraws_the_old_one(withdrawing: World) -> None:
    """The revision that the object asks for is not what it may serve, and nothing else is."""
    withdrawing.push("1.1.0")
    await withdrawing.passes()

    assert "artifact" not in withdrawing.status()
    assert "ArtifactOutdated" not in withdrawing.conditions()
    assert withdrawing.tarballs() == []


async def test_nothing_of_other_objects_is_withdrawn(withdrawing: World) -> None:
    """Equal tarballs are one file on disk under two names."""
    world = withdrawing
    world.declare("other", verify=world.trust(ALICE, secret="others"))
    await world.passes("other")
    world.trust(MALLORY)
    await world.passes()

    await world.passes("other")
    assert world.served("other") == {"app.yaml": b"version: 1.0.0\n"}
    assert [path.split("/")[2] for path in world.tarballs()] == ["other"]


@pytest.mark.parametrize(
    "verdict",
    [
        lambda world: world.trust(MALLORY),
        lambda world: world.secrets.delete("pub"),
        lambda world: world.secrets.put("pub", {"a.pub": b"no key"}),
        lambda world: world.secrets.put("pub", {}),
        lambda world: (forget_signatures(world), world.trust(ALICE, MALLORY)),
        lambda world: world.cluster.edit(
            "app", verify={**world.trust(ALICE), "trustedRootSecretRef": {"name": "gone"}}
        ),
    ],
    ids=["key replaced", "Secret gone", "key unreadable", "no key", "signature gone", "trusted root gone"],
)
async def test_these_are_verdicts(withdrawing: World, verdict: object) -> None:
    verdict(withdrawing)  # type: ignore[operator]  # one of the functions above
    await withdrawing.passes()

    assert withdrawing.conditions()["SourceVerified"] == REFUSED
    assert "artifact" not in withdrawing.status()
    assert withdrawing.tarballs() == []


@pytest.mark.parametrize(
    "outage",
    [
        lambda world: (world.trust(MALLORY), world.in_trouble()),
        lambda world: setattr(world.secrets, "refuses", "the API server does not answer"),
        lambda world: (world.trust(MALLORY), world.cluster.edit("app", timeout="200ms"), world.hang()),
    ],
    ids=["registry in trouble", "API server in trouble", "registry hangs"],
)
async def test_these_are_none(withdrawing: World, outage: object) -> None:
    """An answer is missing: nobody knows, so nothing that was verified is taken away."""
    artifact = withdrawing.status()["artifact"]
    outage(withdrawing)  # type: ignore[operator]  # one of the functions above
    result = await withdrawing.passes()

    assert result.failed
    assert withdrawing.status()["artifact"] == artifact
    assert withdrawing.served() == {"app.yaml": b"version: 1.0.0\n"}


async def test_a_trusted_root_that_cannot_be_read_now_is_no_verdict(withdrawing: World) -> None:
    """H6: unlike one that is gone."""

    async def refused(namespace: str, name: str) -> object:
        withdrawing.secrets.refuses = "" if name == "pub" else "the API server does not answer"
        return await FakeSecrets.secret(withdrawing.secrets, namespace, name)

    withdrawing.cluster.edit("app", verify={**withdrawing.trust(ALICE), "trustedRootSecretRef": {"name": "root"}})
    withdrawing.secrets.secret = refused  # type: ignore[assignment,method-assign]  # one Secret of two is refused
    await withdrawing.passes()

    assert withdrawing.message("SourceVerified").endswith(
        "failed to read trusted root from secret 'team/root': the API server does not answer"
    )
    assert "artifact" in withdrawing.status()


async def test_a_trusted_root_beside_a_key_is_read_and_means_nothing(withdrawing: World) -> None:
    """H3"""
    withdrawing.secrets.put("root", {"trusted_root.json": b"not looked at"})
    withdrawing.cluster.edit("app", verify={**withdrawing.trust(ALICE), "trustedRootSecretRef": {"name": "root"}})
    await withdrawing.passes()

    assert withdrawing.conditions()["SourceVerified"] == ("True", "Succeeded")


async def test_the_verdict_after_an_outage_counts(withdrawing: World) -> None:
    withdrawing.trust(MALLORY)
    withdrawing.in_trouble()
    await withdrawing.passes()
    withdrawing.in_trouble(trouble=False)
    await withdrawing.passes()

    assert "artifact" not in withdrawing.status()


async def test_what_storage_does_not_let_go_is_tried_again(withdrawing: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It leaves the status at once, and the disk as soon as it can."""
    folder = withdrawing.root / "ocirepository" / "team" / "app"
    monkeypatch.setattr("shutil.rmtree", refuse)
    withdrawing.trust(MALLORY)
    await withdrawing.passes()
    assert "artifact" not in withdrawing.status()
    assert folder.exists()
    told = [event.message for _, event in withdrawing.recorder.events if event.reason == "GarbageCollectionFailed"]
    assert len(told) == 1
    assert told[0].startswith("the artifact could not be taken out of storage: ")

    monkeypatch.undo()
    await withdrawing.passes()
    assert not folder.exists()


def refuse(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


# When time passes (J15)


async def test_without_a_verify_interval_a_verdict_holds_while_nothing_changes(settled: World) -> None:
    forget_signatures(settled)
    settled.elapsed += 1e6

    assert (await settled.passes()).after == 300
    assert settled.conditions()["SourceVerified"] == ("True", "Succeeded")


async def test_a_verify_interval_makes_verdicts_anew(settled: World) -> None:
    settled.start(verify_interval=3600)
    await settled.passes()
    forget_signatures(settled)

    settled.elapsed += 3599
    result = await settled.passes()
    assert result.after == 1  # and not the 300 of the interval
    assert settled.conditions()["SourceVerified"] == ("True", "Succeeded")

    settled.elapsed += 1
    await settled.passes()
    assert settled.conditions()["SourceVerified"] == REFUSED


async def test_a_verdict_that_is_made_anew_writes_nothing_if_it_is_the_same(settled: World) -> None:
    settled.start(verify_interval=3600)
    searches, writes = settled.searches(), list(settled.cluster.writes)
    for passed in range(1, 4):
        await settled.passes()
        settled.elapsed += 3600
        assert settled.searches() == searches + passed

    assert settled.cluster.writes == writes


async def test_the_interval_counts_where_it_ends_first(settled: World) -> None:
    settled.start(verify_interval=3600)

    assert (await settled.passes()).after == 300


async def test_an_interval_of_0_means_never_but_for_the_verdict(settled: World) -> None:
    """B12"""
    settled.start(verify_interval=3600)
    settled.cluster.edit("app", interval="0s")

    assert (await settled.passes()).after == 3600


async def test_a_failed_look_is_made_again_as_failures_are(settled: World) -> None:
    """And stays due until one succeeds."""
    settled.start(verify_interval=3600)
    settled.in_trouble()
    assert (await settled.passes()).failed
    settled.in_trouble(trouble=False)
    searches = settled.searches()
    await settled.passes()

    assert settled.searches() == searches + 1
    assert settled.conditions()["Ready"] == ("True", "Succeeded")


async def test_what_is_not_to_be_verified_has_no_time_to_keep(settled: World) -> None:
    settled.start(verify_interval=3600)
    await settled.passes()
    settled.cluster.edit("app", verify=None)
    settled.elapsed += 3600

    assert (await settled.passes()).after == 300


# What a policy lets pass (H7), and what it leaves open


async def judged_by(world: World, policy: FakePolicy) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    world.room = FakeTrust(policy)
    await world.passes()


async def test_a_waived_verification_accepts_without_a_look_and_without_a_verdict(world: World) -> None:
    """Notation's level skip: in every pass anew."""
    await judged_by(world, FakePolicy(waived="the trust policy says skip"))
    await world.passes()

    assert world.conditions() == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}
    assert world.searches() == 0


async def test_a_tolerated_failure_accepts_without_a_verdict_and_is_looked_at_in_every_pass(world: World) -> None:
    """Notation's level audit."""
    policy = FakePolicy(Judgement(ignored="the signature has expired"))
    await judged_by(world, policy)
    await world.passes()

    assert world.conditions() == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}
    assert len(policy.asked) == 2


@pytest.mark.parametrize(
    "policy",
    [FakePolicy(waived="the trust policy says skip"), FakePolicy(Judgement(ignored="the signature has expired"))],
    ids=["skip", "audit"],
)
async def test_a_verdict_of_before_goes_where_the_policy_needs_none(settled: World, policy: FakePolicy) -> None:
    settled.room = FakeTrust(policy)
    await settled.passes()

    assert "SourceVerified" not in settled.conditions()
    assert settled.conditions()["Ready"] == ("True", "Succeeded")


async def test_tolerated_failures_are_looked_at_again_at_the_interval_and_no_sooner(world: World) -> None:
    world.start(verify_interval=3600)
    await judged_by(world, FakePolicy(Judgement(ignored="the signature has expired")))

    assert (await world.passes()).after == 300


async def test_an_open_policy_warns_of_whom_it_accepted_when_it_judged(world: World) -> None:
    """Not in every pass."""
    await judged_by(world, FakePolicy(Judgement(signer="alice@example.com"), open="anybody may sign; it was"))
    await world.passes()

    told = [event for _, event in world.recorder.events if event.reason == "IdentityNotRestricted"]
    assert [(event.type, event.message) for event in told] == [
        ("Warning", "anybody may sign; it was alice@example.com"),
    ]
    assert world.conditions()["SourceVerified"] == ("True", "Succeeded")


async def test_objects_that_are_verified_alike_share_a_search(world: World) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    verify = world.trust(ALICE)
    for number in range(5):
        world.declare(f"app-{number}", verify=verify)
    async with world.at_work():
        await world.until(lambda: all(world.status(f"app-{n}").get("artifact") for n in range(5)))

    assert world.searches() == 1


async def test_a_signature_that_is_gone_ends_the_verdict_when_the_spec_changes(settled: World) -> None:
    """H1, as in the original. What was seen a moment ago does not count: nobody would look a second time."""
    forget_signatures(settled)
    settled.cluster.edit("app", interval="20m")

    await settled.passes()

    assert settled.conditions()["SourceVerified"] == REFUSED


async def test_a_secret_that_takes_long_to_read_holds_nobody_up(world: World) -> None:
    """Keys, roots and trust policies are read beside the loop: their size is a tenant's to choose."""
    turned = threading.Event()

    class Slow(FakeTrust):
        def policy(self, *asked: Any) -> FakePolicy:
            assert turned.wait(10), "the loop stood still"
            return super().policy(*asked)

    world.room = Slow(FakePolicy())
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    asyncio.get_running_loop().call_later(0.01, turned.set)

    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")
