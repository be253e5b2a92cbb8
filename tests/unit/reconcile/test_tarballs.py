"""One fetch for all who want the same tarball, and to each the one that it asked for."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from devkit.ocicontent import Content
from fakes.registry import FakeRegistry
from fakes.world import layer
from ocisource.domain.access import Access, Repository
from ocisource.reconcile.tarballs import Tarballs, Wanted
from ocisource.storage.store import FileStore

APP = Access(Repository("registry.example.com", "team/app"))


async def test_what_goes_on_for_others_does_not_take_the_place_of_what_the_object_wants_now(tmp_path: Path) -> None:
    """Its first pass ran out of time while another object waited for the same tarball, and then its spec changed."""
    content = Content()
    digest = content.push("team/app", "1", layer({"a.yaml": b"a", "b.yaml": b"b"}))
    gate, asked = asyncio.Event(), asyncio.Event()
    registry, store = FakeRegistry(content), FileStore(tmp_path)

    async def slow(call: str) -> None:
        if call == "blob" and not asked.is_set():
            asked.set()
            await gate.wait()

    registry.fault = slow
    tarballs = Tarballs(registry, store)
    before, now = (Wanted(APP, digest, "", False, ignore) for ignore in (None, "b.yaml"))
    first = asyncio.create_task(tarballs.get("team", "app", before))
    await asked.wait()
    other = asyncio.create_task(tarballs.get("team", "other", before))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    changed = asyncio.create_task(tarballs.get("team", "app", now))
    await asyncio.wait({changed}, timeout=0.2)  # as long as it would take if nothing held it up
    gate.set()

    found = await changed
    assert (await other).file.digest != found.file.digest
    assert f"sha256:{hashlib.sha256((tmp_path / found.file.path).read_bytes()).hexdigest()}" == found.file.digest
    store.close()


async def test_what_was_given_up_and_takes_its_time_to_end_is_not_in_the_way_of_the_next_try(tmp_path: Path) -> None:
    content = Content()
    digest = content.push("team/app", "1", layer({"a.yaml": b"a"}))
    asked, ended, gate = asyncio.Event(), asyncio.Event(), asyncio.Event()
    registry, store = FakeRegistry(content), FileStore(tmp_path)

    async def slow(call: str) -> None:
        if call == "blob" and not asked.is_set():
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                await ended.wait()
        elif call == "blob":
            ended.set()
            await gate.wait()

    registry.fault = slow
    tarballs = Tarballs(registry, store)
    wanted = Wanted(APP, digest, "", False, None)
    first = asyncio.create_task(tarballs.get("team", "app", wanted))
    await asked.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first

    again = asyncio.create_task(tarballs.get("team", "app", wanted))
    await ended.wait()
    await asyncio.wait({again}, timeout=0.05)  # what was given up ends meanwhile
    gate.set()

    assert (tmp_path / (await again).file.path).exists()
    store.close()
