"""The life of one object, from its declaration to its deletion (flux-compat B1 to B20)."""

from __future__ import annotations

from fakes.world import APP, World, layer
from ocisource.domain.errors import StoreError


async def test_a_declared_source_becomes_a_ready_artifact(world: World) -> None:
    digest = world.push("1.0.0", {"app.yaml": b"kind: App\n"}, **{"org.opencontainers.image.revision": "main/abc"})
    world.declare()

    result = await world.passes()

    artifact = world.status()["artifact"]
    assert world.conditions() == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}
    assert artifact["revision"] == f"1.0.0@{digest}"
    assert artifact["path"] == f"ocirepository/team/app/{digest}.tar.gz"
    assert artifact["url"] == f"http://source.example/ocirepository/team/app/{digest}.tar.gz"
    assert artifact["metadata"] == {"org.opencontainers.image.revision": "main/abc"}
    assert world.status()["url"] == "http://source.example/ocirepository/team/app/latest.tar.gz"
    assert world.served() == {"app.yaml": b"kind: App\n"}
    assert world.recorder.told("app") == [("Normal", "NewArtifact")]
    assert result.after == 300.0


async def test_a_first_sync_takes_two_writes(world: World) -> None:
    """J9 allows three; a pass that is over in a second needs no word on its progress."""
    world.push("1.0.0")
    world.declare()

    await world.passes()

    assert world.cluster.writes == [("app", "finalizer"), ("app", "status")]


async def test_the_operator_leaves_nothing_of_its_own_on_the_object(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    before = world.cluster.get("team", "app")

    await world.passes()

    after = world.cluster.get("team", "app")
    assert after["metadata"].pop("finalizers") == ["finalizers.fluxcd.io"]
    for obj in (before, after):
        obj["metadata"].pop("resourceVersion")
        obj.pop("status")
    assert after == before


async def test_a_pass_without_news_writes_and_tells_nothing(world: World) -> None:
    """B9, J9."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    writes, events = list(world.cluster.writes), list(world.recorder.events)

    await world.passes()

    assert (world.cluster.writes, world.recorder.events) == (writes, events)


async def test_a_new_version_in_the_range_replaces_the_old_one(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    digest = world.push("1.1.0")

    await world.passes()

    assert world.revision() == f"1.1.0@{digest}"
    assert world.served() == {"app.yaml": b"version: 1.1.0\n"}
    assert world.recorder.told("app") == [("Normal", "NewArtifact")] * 2


async def test_a_tag_that_moved_is_pulled_again(world: World) -> None:
    world.push("stable", {"a": b"1"})
    world.declare(ref={"tag": "stable"})
    await world.passes()
    digest = world.push("stable", {"a": b"2"})

    await world.passes()

    assert world.revision() == f"stable@{digest}"
    assert world.served() == {"a": b"2"}


async def test_a_digest_is_its_own_revision(world: World) -> None:
    """D4."""
    digest = world.push("1.0.0")
    world.declare(ref={"digest": digest, "tag": "ignored", "semver": "ignored"})

    await world.passes()

    assert world.revision() == digest


async def test_without_ref_the_tag_is_latest(world: World) -> None:
    digest = world.push("latest")
    world.declare(ref=None)

    await world.passes()

    assert world.revision() == f"latest@{digest}"


async def test_changed_ignore_rules_rebuild_the_artifact_of_the_same_revision(world: World) -> None:
    """B8."""
    world.push("1.0.0", {"a.yaml": b"a", "b.md": b"b"})
    world.declare()
    await world.passes()
    assert set(world.served()) == {"a.yaml", "b.md"}

    world.cluster.edit("app", ignore="*.md")
    await world.passes()

    assert set(world.served()) == {"a.yaml"}
    assert world.status()["observedIgnore"] == "*.md"
    assert world.status()["observedGeneration"] == 2


async def test_a_suspended_object_is_left_alone_until_it_is_resumed(world: World) -> None:
    """B4."""
    world.push("1.0.0")
    world.declare(suspend=True)
    result = await world.passes()
    assert (result.after, world.status()) == (None, {"observedGeneration": -1})

    world.cluster.edit("app", suspend=False)
    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_suspended_object_keeps_its_artifact(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    artifact = world.status()["artifact"]
    world.push("2.0.0")

    world.cluster.edit("app", suspend=True)
    await world.passes()

    assert world.status()["artifact"] == artifact
    assert world.status()["observedGeneration"] == 2


async def test_a_request_is_marked_as_handled(world: World) -> None:
    """B14; `flux reconcile` waits for it."""
    world.push("1.0.0")
    world.declare()
    await world.passes()

    world.cluster.request("app", "token-1")
    await world.passes()

    assert world.status()["lastHandledReconcileAt"] == "token-1"


async def test_a_request_without_a_text_ends_the_one_before(world: World) -> None:
    """B14: the status takes the annotation's value, and the original's does, too."""
    world.push("1.0.0")
    world.declare()
    world.cluster.request("app", "token-1")
    await world.passes()
    world.cluster.request("app", "")
    await world.passes()

    assert "lastHandledReconcileAt" not in world.status()


async def test_conditions_of_others_stay_as_they_are(world: World) -> None:
    """B17: an observedGeneration is not made up, as it is not by the original."""
    world.push("1.0.0")
    theirs = {
        "type": "Theirs",
        "status": "True",
        "reason": "R",
        "message": "m",
        "lastTransitionTime": "2024-01-01T00:00:00Z",
    }
    world.declare()
    world.cluster.objects["team", "app"]["status"]["conditions"] = [theirs]
    world.cluster.edit("app")

    await world.passes()

    assert world.status()["conditions"][-1] == theirs


async def test_others_who_still_hold_a_deleted_object_see_no_artifact(world: World) -> None:
    """B13, B14, B20: the files are gone, the generation of the deletion was seen, and requests are answered."""
    world.push("1.0.0")
    world.declare()
    world.cluster.objects["team", "app"]["metadata"]["finalizers"] = ["example.com/theirs"]
    await world.passes()
    world.cluster.delete("app")
    world.cluster.request("app", "late")

    await world.passes()

    assert world.tarballs() == []
    assert world.cluster.get("team", "app")["metadata"]["finalizers"] == ["example.com/theirs"]
    assert "artifact" not in world.status()
    assert world.status()["lastHandledReconcileAt"] == "late"
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_deletion_that_storage_refuses_answers_requests_and_is_retried(world: World) -> None:
    """B14, C3."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    world.cluster.delete("app")
    world.cluster.request("app", "late")
    world.store.remove = _refuse  # type: ignore[method-assign]

    result = await world.passes()

    assert result.failed
    assert world.status()["lastHandledReconcileAt"] == "late"
    assert world.recorder.told("app")[-1] == ("Warning", "GarbageCollectionFailed")
    assert world.cluster.get("team", "app")["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]


async def test_every_event_carries_the_annotations_for_its_receivers(world: World) -> None:
    """B21: also that of a deletion."""
    world.push("1.0.0")
    world.declare()
    world.cluster.annotate("app", **{"event.toolkit.fluxcd.io/team": "a"})
    await world.passes()
    world.cluster.delete("app")
    await world.passes()

    said = [{**event.annotations}.get("event.toolkit.fluxcd.io/team") for _, event in world.recorder.events]
    assert said == ["a", "a"]


async def test_a_deleted_object_takes_its_files_along_and_is_let_go(world: World) -> None:
    """B20."""
    world.push("1.0.0")
    world.declare()
    await world.passes()

    world.cluster.delete("app")
    await world.passes()

    assert ("team", "app") not in world.cluster.objects
    assert world.tarballs() == []
    assert world.recorder.told("app")[-1] == ("Normal", "GarbageCollectionSucceeded")


async def test_a_suspended_object_can_be_deleted_and_needs_no_registry(world: World) -> None:
    world.declare(suspend=True, url="oci://127.0.0.1:1/nobody/there")
    await world.passes()

    world.cluster.delete("app")
    await world.passes()

    assert ("team", "app") not in world.cluster.objects


async def test_an_object_that_vanished_without_us_leaves_no_files(world: World) -> None:
    """Somebody took the finalizer off: nothing asked us, and nothing is kept."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    world.cluster.objects["team", "app"]["metadata"]["finalizers"] = []

    world.cluster.delete("app")
    await world.passes()

    assert world.tarballs() == []


async def test_a_restart_pulls_nothing_that_is_still_there_and_whole(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    status = world.status()
    world.content.repositories["team/app"].blobs.clear()

    world.start()
    await world.passes()

    assert world.status() == status


async def test_what_the_original_left_is_taken_over_without_a_pull_or_an_event(world: World) -> None:
    """A swap: its lock file, the address that it was served at, and conditions that it wrote, here in their own order
    and with their times. Only the address is another one afterwards (G2)."""
    digest = world.push("1.0.0")
    world.declare()
    await world.passes()
    there = world.cluster.objects["team", "app"]["status"]
    before = {one["type"]: one["lastTransitionTime"] for one in there["conditions"]}
    path = there["artifact"]["path"]
    there["artifact"]["url"] = f"http://theirs.example/{path}"
    there["url"] = "http://theirs.example/ocirepository/team/app/latest.tar.gz"
    (world.root / f"{path}.lock").touch()
    world.content.repositories["team/app"].blobs.clear()
    world.recorder.events.clear()

    world.start()
    await world.passes()

    assert world.revision() == f"1.0.0@{digest}"
    assert world.status()["artifact"]["url"] == f"http://source.example/{path}"
    assert world.status()["url"] == "http://source.example/ocirepository/team/app/latest.tar.gz"
    assert {one["type"]: one["lastTransitionTime"] for one in world.status()["conditions"]} == before
    assert world.recorder.events == []


async def test_a_tarball_that_was_tampered_with_is_told_and_made_again(world: World) -> None:
    """C2."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    path = world.root / world.status()["artifact"]["path"]
    path.chmod(0o600)
    path.write_bytes(b"something else")

    await world.passes()

    assert world.served() == {"app.yaml": b"version: 1.0.0\n"}
    assert ("Warning", "ArtifactVerificationFailed") in world.recorder.told("app")
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_tarball_that_disappeared_is_made_again(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    (world.root / world.status()["artifact"]["path"]).unlink()

    await world.passes()

    assert world.served() == {"app.yaml": b"version: 1.0.0\n"}


async def test_another_writer_does_not_lose_what_the_pass_found(world: World) -> None:
    """A conflict reads again and computes again."""
    world.push("1.0.0")
    world.declare()
    stale = world.cluster.get("team", "app")
    world.cluster.annotate("app", note="written by somebody else")
    world.controller._objects["team", "app"] = stale

    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")
    assert world.cluster.get("team", "app")["metadata"]["annotations"] == {"note": "written by somebody else"}


async def test_an_interval_of_zero_means_never_again(world: World) -> None:
    """B12."""
    world.push("1.0.0")
    world.declare(interval="0s")

    assert (await world.passes()).after is None


async def test_symbolic_links_are_left_out_and_named(world: World) -> None:
    """J8."""
    world.content.push(APP, "1.0.0", layer({"a.yaml": b"a"}, links=[("current.yaml", "a.yaml")]))
    world.declare()

    await world.passes()

    assert set(world.served()) == {"a.yaml"}
    notes = [event.message for _, event in world.recorder.events if event.reason == "SymlinksDropped"]
    assert notes == ["symbolic links left out of the artifact (1): current.yaml"]


async def test_two_objects_with_the_same_content_are_fetched_once(world: World) -> None:
    world.push("1.0.0")
    world.declare("one")
    world.declare("two")
    await world.passes("one")
    world.content.repositories["team/app"].blobs.clear()

    await world.passes("two")

    assert world.served("two") == world.served("one") == {"app.yaml": b"version: 1.0.0\n"}
    assert world.status("two")["artifact"]["path"].startswith("ocirepository/team/two/")


async def _refuse(*_object: str) -> bool:
    raise StoreError("GarbageCollectionFailed", "garbage collection for deleted resource failed: permission denied")
