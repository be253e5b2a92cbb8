"""What is put in order beside the work: what was deleted while nobody watched."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from fakes.cluster import FakeObjects
from fakes.world import World, fake_world
from ocisource.cli import housekeeping
from ocisource.cli.housekeeping import State, tidy, work
from ocisource.controller import Desk
from ocisource.domain.errors import ClusterError

KEY = ("team", "app")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """One object, reconciled."""
    async with fake_world(tmp_path) as made:
        made.push("1.0.0")
        made.declare()
        await made.passes()
        assert len(made.tarballs()) == 1
        yield made


async def test_what_was_deleted_while_nobody_watched_is_forgotten(world: World) -> None:
    """Else it would be reconciled for ever, its files served, and its series told."""
    world.cluster.objects.clear()

    await tidy(world.controller, FakeObjects(world.cluster), world.store)
    assert world.controller.known() == {}
    await world.controller.process(KEY)

    assert world.tarballs() == []
    assert world.queue.stats().scheduled == 0


class Shard(FakeObjects):
    """Nothing is ours: all objects bear the label of another shard."""

    async def keys(self, *, everybodys: bool = False) -> set[tuple[str, str]]:
        return await super().keys() if everybodys else set()


async def test_what_moved_to_another_shard_is_forgotten_and_its_files_are_left_alone(world: World) -> None:
    """G9, also long after: only what no shard knows is swept."""
    os.utime((world.root / world.tarballs()[0]).parent, (0, 0))

    await tidy(world.controller, Shard(world.cluster), world.store)

    assert world.controller.known() == {}
    assert len(world.tarballs()) == 1
    world.cluster.objects.clear()
    await tidy(world.controller, Shard(world.cluster), world.store)
    assert world.tarballs() == []


async def test_what_is_on_the_list_stays(world: World) -> None:
    await tidy(world.controller, FakeObjects(world.cluster), world.store)

    assert list(world.controller.known()) == [KEY]


@pytest.mark.parametrize("heard", ["before", "after"])
async def test_an_object_that_is_younger_than_the_list_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, heard: str
) -> None:
    """One made while the list was, and one made again under the name of one that was deleted before."""
    if heard == "after":
        world.cluster.objects.clear()

    async def outrun(_objects: FakeObjects, *, everybodys: bool = False) -> set[Any]:
        listed = set(world.cluster.objects)
        world.declare("app" if heard == "after" else "younger")
        return listed

    monkeypatch.setattr(FakeObjects, "keys", outrun)
    await tidy(world.controller, FakeObjects(world.cluster), world.store)

    assert set(world.controller.known()) == set(world.cluster.objects)


@pytest.mark.parametrize("trouble", ["none", "lasting", "unforeseen"])
async def test_after_a_gap_of_the_watch_what_is_gone_is_looked_for_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    """What ends a watch may last: then it is looked for again, and not an hour later. And what nobody foresaw ends a
    round, not all of them."""
    monkeypatch.setattr(housekeeping, "GAP_PAUSE", 0.0)
    lasting = [ClusterError("the API server does not answer")] if trouble == "lasting" else []
    unforeseen = [TypeError("what nobody foresaw")] if trouble == "unforeseen" else []

    async def keys(_objects: FakeObjects, *, everybodys: bool = False) -> set[Any]:
        if unforeseen:
            raise unforeseen.pop()
        if ("team", "other") not in world.cluster.objects and lasting:
            raise lasting.pop()
        return set(world.cluster.objects)

    monkeypatch.setattr(FakeObjects, "keys", keys)
    state = State(asyncio.Event(), asyncio.Event(), asyncio.Event())
    listed = world.cluster.get(*KEY)
    world.declare("other")

    async def watching(on_event: Callable[[str | None, dict[str, Any]], None]) -> None:
        on_event(None, listed)
        state.ready.set()
        await world.until(lambda: world.cluster.get("team", "other")["status"].get("artifact"))
        del world.cluster.objects["team", "other"]
        on_event(None, listed)
        await world.until(lambda: len(world.tarballs()) == 1)

    # Of its desk the caretaker needs no more than these.
    desk: Any = type("Desk", (), {"queue": world.queue, "objects": FakeObjects(world.cluster), "store": world.store})
    assert {"queue", "objects", "store"} <= Desk.__annotations__.keys()
    await work(world.controller, desk, watching, state)

    assert list(world.controller.known()) == [KEY]
