"""What the watch tells, and what of it becomes work (flux-compat B1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fakes.cluster import FakeObjects
from fakes.world import World, fake_world
from ocisource.domain.errors import ClusterError
from ocisource.workqueue import Key, WorkQueue


class Noted(WorkQueue):
    """A work queue that never runs, and tells what was added to which lane."""

    def __init__(self) -> None:
        super().__init__(float)
        self.added: list[tuple[Key, str]] = []

    def add(self, key: Key, lane: str) -> None:
        self.added.append((key, lane))
        super().add(key, lane)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("fakes.world.WorkQueue", lambda _backoff: Noted())
    async with fake_world(tmp_path) as made:
        yield made


def added(world: World) -> int:
    assert isinstance(world.queue, Noted)
    return len(world.queue.added)


def test_a_new_object_is_added_to_the_lane_of_its_registry(world: World) -> None:
    world.declare()

    assert isinstance(world.queue, Noted)
    assert world.queue.added == [(("team", "app"), "registry.example.com")]


def test_an_object_with_a_bad_url_waits_in_a_lane_of_its_kind(world: World) -> None:
    world.declare(url="oci://x")

    assert isinstance(world.queue, Noted)
    assert world.queue.added == [(("team", "app"), "")]


async def test_our_own_writes_ask_for_nothing(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    before = added(world)

    await world.passes()

    assert len(world.cluster.writes) == 2
    assert added(world) == before


def test_a_changed_spec_asks_for_a_pass(world: World) -> None:
    world.declare()
    world.cluster.edit("app", interval="1m")

    assert added(world) == 2


def test_labels_and_foreign_annotations_ask_for_nothing(world: World) -> None:
    world.declare()
    world.cluster.annotate("app", someone="else")

    assert added(world) == 1


def test_a_request_asks_once_and_its_removal_for_nothing(world: World) -> None:
    world.declare()
    world.cluster.request("app", "t1")
    world.cluster.request("app", "t1")
    assert added(world) == 2

    world.cluster.request("app", "t2")
    assert added(world) == 3

    world.cluster.request("app", None)
    assert added(world) == 3


def test_a_request_without_a_text_is_one_too(world: World) -> None:
    """B1: the annotation counts, as in the original, whatever it says."""
    world.declare()

    world.cluster.request("app", "")
    assert added(world) == 2


async def test_a_deletion_asks_for_a_pass(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    before = added(world)

    world.cluster.delete("app")

    assert added(world) == before + 1


async def test_an_event_from_before_our_last_write_does_not_turn_back_time(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    old = world.cluster.get("team", "app")
    await world.passes()
    writes = list(world.cluster.writes)

    world.controller.on_event("MODIFIED", old)
    await world.passes()

    assert world.cluster.writes == writes


async def test_an_object_that_was_deleted_and_made_again_is_a_new_one(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    world.cluster.delete("app")
    await world.controller.process(("team", "app"))
    before = added(world)

    world.declare()
    await world.passes()

    assert added(world) == before + 1
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_an_object_that_moved_to_another_shard_keeps_its_files(world: World) -> None:
    """The watch says DELETED when a label takes an object out of the selection; it still exists."""
    world.push("1.0.0")
    world.declare()
    await world.passes()

    world.controller.on_event("DELETED", world.cluster.get("team", "app"))
    await world.controller.process(("team", "app"))

    assert len(world.tarballs()) == 1
    assert world.controller.known() == {}


async def test_a_deletion_that_the_watch_dreamed_of_destroys_nothing(world: World) -> None:
    """What is destroyed is looked at live first."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    dreamed = world.cluster.get("team", "app")
    dreamed["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    dreamed["metadata"]["resourceVersion"] = "999"

    world.controller.on_event("MODIFIED", dreamed)
    result = await world.controller.process(("team", "app"))

    assert result.after == 0
    assert len(world.tarballs()) == 1


VERIFIED = {"provider": "cosign", "secretRef": {"name": "keys"}}


async def test_what_the_api_server_does_not_say_of_an_object_that_is_gone_costs_a_retry(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of that is unexpected: one line without a traceback, and no crash is counted."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    gone = world.cluster.get("team", "app")

    async def refused(_namespace: str, _name: str) -> None:
        raise ClusterError("no answer")

    with monkeypatch.context() as patched:
        patched.setattr("fakes.cluster.FakeObjects.get", lambda _self, *key: refused(*key))
        world.controller.on_event("DELETED", gone)
        result = await world.controller.process(("team", "app"))

    assert result.failed
    assert [record.exc_info for record in caplog.records if record.levelname == "ERROR"] == [None]
    assert not (await world.controller.process(("team", "app"))).failed


async def test_files_of_an_object_that_is_gone_that_the_disk_does_not_let_go_are_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    gone = world.cluster.get("team", "app")
    world.cluster.objects.clear()

    def refused(_folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", refused)
        world.controller.on_event("DELETED", gone)
        assert (await world.controller.process(("team", "app"))).failed
    assert len(world.tarballs()) == 1

    await world.controller.process(("team", "app"))
    assert world.tarballs() == []


async def test_a_pass_tells_nothing_of_another_object_that_has_the_name_now(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who takes the finalizer away and makes the object anew does not get the artifact of the old one."""
    world.push("1.0.0")
    world.push("2.0.0")
    world.declare(ref={"tag": "1.0.0"})
    usual = FakeObjects.patch_status

    async def too_late(self: FakeObjects, obj: Any, status: Any) -> Any:
        monkeypatch.setattr(FakeObjects, "patch_status", usual)
        world.cluster.objects.clear()
        world.declare(ref={"tag": "2.0.0"})
        return await usual(self, obj, status)

    monkeypatch.setattr(FakeObjects, "patch_status", too_late)
    result = await world.controller.process(("team", "app"))

    assert world.status() == {"observedGeneration": -1}
    assert result.after == 0
    await world.passes()
    assert world.revision().startswith("2.0.0@")


def test_what_needs_no_registry_waits_for_none(world: World) -> None:
    """J6: a registry that does not answer holds up neither a deletion nor a suspension."""
    world.declare()
    world.cluster.edit("app", suspend=True)
    world.cluster.edit("app", suspend=None)
    leaving = world.cluster.get("team", "app")
    leaving["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    world.controller.on_event("MODIFIED", leaving)

    assert isinstance(world.queue, Noted)
    assert [lane for _, lane in world.queue.added] == ["registry.example.com", "", "registry.example.com", ""]


def test_a_changed_secret_asks_for_passes_of_the_objects_that_name_it(world: World) -> None:
    """J4"""
    world.declare("app", verify=VERIFIED)
    world.declare("other", secretRef={"name": "pull"})
    before = added(world)

    world.controller.on_secret("team", "keys")
    world.controller.on_secret("team", "nobody's")
    world.controller.on_secret("elsewhere", "keys")

    assert isinstance(world.queue, Noted)
    assert world.queue.added[before:] == [(("team", "app"), "registry.example.com")]


def test_a_secret_reaches_the_objects_that_name_it_now(world: World) -> None:
    world.declare(verify=VERIFIED)
    world.cluster.edit("app", verify={**VERIFIED, "secretRef": {"name": "others"}})
    before = added(world)

    world.controller.on_secret("team", "keys")
    assert added(world) == before
    world.controller.on_secret("team", "others")
    assert added(world) == before + 1


async def test_a_secret_reaches_no_object_that_is_gone(world: World) -> None:
    world.declare(verify=VERIFIED)
    world.cluster.delete("app")
    await world.controller.process(("team", "app"))
    before = added(world)

    world.controller.on_secret("team", "keys")

    assert added(world) == before


def test_a_secret_does_not_wake_what_is_suspended(world: World) -> None:
    world.declare(verify=VERIFIED, suspend=True)
    before = added(world)

    world.controller.on_secret("team", "keys")

    assert added(world) == before
