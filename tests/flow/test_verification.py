"""What fails verification is never fetched, never stored, never served (signatures.md, flux-compat H1 to H4)."""

from __future__ import annotations

import pytest

from devkit.signer import Signer
from fakes.world import APP, World

ALICE, MALLORY = Signer.generate(), Signer.generate()
PREFIX = "failed to verify the signature using provider 'cosign': "


@pytest.fixture(params=[False, True], ids=["legacy", "bundle"])
def bundle(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_a_signed_artifact_is_verified_and_says_by_whom(world: World, bundle: bool) -> None:
    digest = world.push("1.0.0")
    world.sign(digest, ALICE, bundle=bundle)
    world.declare(verify=world.trust(ALICE))

    await world.passes()

    assert world.conditions() == {
        "Ready": ("True", "Succeeded"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "SourceVerified": ("True", "Succeeded"),
    }
    plain, _, signer = world.message("SourceVerified").partition(", signed by ")
    assert plain == f"verified signature of revision 1.0.0@{digest}"
    assert "key0.pub" in signer
    assert "pub" in signer


async def test_a_verdict_of_the_original_is_given_anew(world: World) -> None:
    """A swap: it does not say whom it trusted, so nothing tells that it would be trusted now (H1). No event."""
    digest = world.push("1.0.0")
    world.sign(digest, ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()
    told = world.status()
    there = world.cluster.objects["team", "app"]["status"]
    verdict = next(one for one in there["conditions"] if one["type"] == "SourceVerified")
    verdict["message"] = f"verified signature of revision 1.0.0@{digest}"
    world.recorder.events.clear()

    world.start()
    await world.passes()

    said = {one["type"]: one["message"] for one in world.status()["conditions"]}
    assert said == {one["type"]: one["message"] for one in told["conditions"]}
    assert world.recorder.events == []


async def expect_refused(world: World, reason: str) -> None:
    result = await world.passes()

    assert result.failed
    assert world.conditions()["SourceVerified"] == ("False", "VerificationError")
    assert world.conditions()["Ready"] == ("False", "VerificationError")
    assert world.message().startswith(PREFIX)
    assert reason in world.message()
    assert "artifact" not in world.status()
    assert world.tarballs() == []
    assert world.on_disk() == b""


async def test_an_unsigned_artifact_is_refused(world: World) -> None:
    world.push("1.0.0")
    world.declare(verify=world.trust(ALICE))

    await expect_refused(world, "no matching signatures were found for")


async def test_a_signature_by_another_key_is_refused(world: World, bundle: bool) -> None:
    world.sign(world.push("1.0.0"), MALLORY, bundle=bundle)
    world.declare(verify=world.trust(ALICE))

    await expect_refused(world, "signed by another key")


async def test_a_signature_of_another_digest_is_refused(world: World, bundle: bool) -> None:
    signed, unsigned = world.push("1.0.0"), world.push("1.1.0")
    if bundle:
        world.content.attach(APP, unsigned, ALICE.bundle(signed))
    else:
        borrowed = ALICE.legacy(signed)
        world.content.sign_legacy(APP, unsigned, [(borrowed.payload, borrowed.annotations)])
    world.declare(verify=world.trust(ALICE))

    await expect_refused(world, "no matching signatures were found for")


async def test_an_attestation_of_another_kind_is_no_signature(world: World) -> None:
    digest = world.push("1.0.0")
    world.content.attach(APP, digest, ALICE.bundle(digest, "https://slsa.dev/provenance/v1"))
    world.declare(verify=world.trust(ALICE))

    await expect_refused(world, "no matching signatures were found for")


async def test_a_missing_secret_is_named(world: World) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify={"provider": "cosign", "secretRef": {"name": "pub"}})

    await expect_refused(world, 'secrets "pub" not found')


async def test_an_unreadable_key_is_named_and_never_falls_through(world: World) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    world.secrets.put("pub", {"a.pub": ALICE.public_pem(), "broken.pub": b"not a key"})
    world.declare(verify={"provider": "cosign", "secretRef": {"name": "pub"}})

    await expect_refused(world, "broken.pub")


async def test_a_good_signature_counts_beside_bad_ones(world: World, bundle: bool) -> None:
    digest = world.push("1.0.0")
    bad = MALLORY.legacy(digest)
    world.content.sign_legacy(APP, digest, [(bad.payload, bad.annotations), (b"garbage", {})])
    world.content.attach(APP, digest, b"garbage")
    if bundle:
        world.sign(digest, ALICE, bundle=True)
    else:
        good = ALICE.legacy(digest)
        world.content.sign_legacy(
            APP, digest, [(bad.payload, bad.annotations), (b"garbage", {}), (good.payload, good.annotations)]
        )
    world.declare(verify=world.trust(ALICE))

    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_any_key_of_the_secret_may_have_signed(world: World, bundle: bool) -> None:
    world.sign(world.push("1.0.0"), ALICE, bundle=bundle)
    world.declare(verify=world.trust(MALLORY, ALICE))

    await world.passes()

    assert "key1.pub" in world.message("SourceVerified")


async def test_an_unsigned_new_version_leaves_the_old_artifact_served(world: World) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()
    artifact = world.status()["artifact"]
    unsigned = world.push("1.1.0")

    await world.passes()

    assert world.conditions()["SourceVerified"] == ("False", "VerificationError")
    assert world.conditions()["ArtifactOutdated"] == ("True", "NewRevision")
    assert world.status()["artifact"] == artifact
    assert world.tarballs() == [artifact["path"]]
    assert unsigned not in world.on_disk().decode("latin-1")


async def test_signing_it_later_makes_it_ready(world: World, bundle: bool) -> None:
    digest = world.push("1.0.0")
    world.declare(verify=world.trust(ALICE))
    await world.passes()

    world.sign(digest, ALICE, bundle=bundle)
    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_key_that_left_the_secret_ends_the_verdict_at_the_next_pass(world: World) -> None:
    """J4: trust stays true when keys change, also with an unchanged revision."""
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()

    world.trust(MALLORY)
    await world.passes()

    assert world.conditions()["SourceVerified"] == ("False", "VerificationError")
    assert "signed by another key" in world.message()


async def test_a_verdict_is_not_made_again_while_it_holds(world: World) -> None:
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()
    repository = world.content.repositories[APP]
    repository.tags = {tag: digest for tag, digest in repository.tags.items() if not tag.endswith(".sig")}

    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_changed_spec_asks_for_a_new_verdict(world: World) -> None:
    """H1."""
    world.sign(world.push("1.0.0"), ALICE)
    world.declare(verify=world.trust(ALICE))
    await world.passes()

    world.cluster.edit("app", verify=world.trust(MALLORY, secret="others"))
    await world.passes()

    assert world.conditions()["SourceVerified"] == ("False", "VerificationError")


async def test_verification_that_is_no_longer_asked_for_leaves_no_verdict(world: World) -> None:
    world.push("1.0.0")
    world.declare(verify=world.trust(ALICE))
    await world.passes()

    world.cluster.edit("app", verify=None)
    await world.passes()

    assert world.conditions() == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}


async def test_shared_content_is_verified_for_each_object_by_its_own_keys(world: World) -> None:
    """An artifact that one object may store is not one that another may."""
    world.sign(world.push("1.0.0"), ALICE)
    world.declare("trusting", verify=world.trust(ALICE))
    world.declare("strict", verify=world.trust(MALLORY, secret="others"))
    await world.passes("trusting")

    await world.passes("strict")

    assert world.conditions("strict")["Ready"] == ("False", "VerificationError")
    assert "artifact" not in world.status("strict")
    assert [path.split("/")[2] for path in world.tarballs()] == ["trusting"]
