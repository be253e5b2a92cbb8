"""The keeper: what is in use, when, and what happens when the refresh fails."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from devkit.tufmirror import TufMirror
from ocisource.domain.errors import TrustError, Unjudged
from ocisource.roots import shipped
from ocisource.roots.keeper import Plan, RootKeeper
from ocisource.roots.mirror import Mirror, public
from unit.roots.conftest import TARGET, root, validate

DAY = 24 * 3600.0
QUICK = Plan(soon=0, every=DAY, first_retry=0.01, last_retry=0.02, limit=30, uniform=lambda: 0.5)


@dataclass
class Clock:
    """Unix seconds that stand still until they are moved."""

    seconds: float = field(default_factory=lambda: shipped.taken() + 10 * DAY)

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def running(keeper: RootKeeper) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(keeper.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def keeper_of(folder: Path, mirror: Mirror | None, **more: object) -> RootKeeper:
    return RootKeeper(folder, validate, mirror, **{"plan": QUICK, **more})  # type: ignore[arg-type]


@pytest.fixture
def as_public(mirror: Mirror) -> Mirror:
    """The same repository as a mirror of the public one, so that the shipped copy stands in for it."""
    return replace(mirror, private=False)


def test_without_anything_else_it_is_the_shipped_copy(tmp_path: Path) -> None:
    clock = Clock(shipped.taken() + 60)
    keeper = keeper_of(tmp_path, None, now=clock)

    assert keeper.current() == shipped.trusted_root()
    assert keeper.age() == 60


def test_the_public_repository_is_sigstores_own() -> None:
    assert public() == Mirror("https://tuf-repo-cdn.sigstore.dev", shipped.bootstrap())
    assert public("https://mirror.example") == Mirror("https://mirror.example", shipped.bootstrap())


async def test_the_first_need_brings_a_refresh(as_public: Mirror, tmp_path: Path) -> None:
    clock = Clock()
    keeper = keeper_of(tmp_path, as_public, now=clock)
    async with running(keeper):
        assert keeper.current() == shipped.trusted_root()
        assert keeper.age() == 10 * DAY
        await until(lambda: keeper.current() == root(1))

    assert keeper.age() == 0
    clock.seconds += 5
    assert keeper.age() == 5


async def test_what_nobody_needs_is_not_refreshed(tuf: TufMirror, as_public: Mirror, tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, as_public)
    async with running(keeper):
        await asyncio.sleep(0.1)  # long enough for a child to be started; that it never asks is held below
        assert keeper.age() == 0
    assert tuf.asked == []
    assert list(tmp_path.iterdir()) == []


async def test_a_need_from_before_it_runs_counts(as_public: Mirror, tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, as_public)
    keeper.current()
    async with running(keeper):
        await until(lambda: keeper.current() == root(1))


async def test_a_need_may_come_from_another_thread(as_public: Mirror, tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, as_public)
    async with running(keeper):
        await asyncio.sleep(0)
        await asyncio.to_thread(keeper.current)
        await until(lambda: keeper.current() == root(1))


async def test_it_is_refreshed_again_and_again(tuf: TufMirror, as_public: Mirror, tmp_path: Path) -> None:
    keeper = keeper_of(tmp_path, as_public, plan=replace(QUICK, every=0.01))
    async with running(keeper):
        await until(lambda: keeper.current() == root(1))
        tuf.publish({TARGET: root(2)})
        await until(lambda: keeper.current() == root(2))


async def test_the_last_good_copy_outlives_the_process(tuf: TufMirror, as_public: Mirror, tmp_path: Path) -> None:
    clock = Clock()
    await keeper_of(tmp_path, as_public, now=clock).refresh()
    tuf.asked.clear()

    clock.seconds += DAY
    keeper = keeper_of(tmp_path, as_public, now=clock)
    assert keeper.current() == root(1)
    assert keeper.age() == DAY
    assert tuf.asked == [], "without running, it is offline"


async def test_a_later_version_of_the_operator_may_know_better_than_the_disk(as_public: Mirror, tmp_path: Path) -> None:
    clock = Clock(shipped.taken() - DAY)
    await keeper_of(tmp_path, as_public, now=clock).refresh()

    assert keeper_of(tmp_path, as_public).current() == shipped.trusted_root()


async def test_a_copy_of_one_repository_does_not_count_for_another(mirror: Mirror, tmp_path: Path) -> None:
    await keeper_of(tmp_path, mirror).refresh()

    assert keeper_of(tmp_path, public("https://mirror.example")).current() == shipped.trusted_root()
    with pytest.raises(Unjudged):
        keeper_of(tmp_path, replace(mirror, bootstrap=b"other")).current()


async def test_newer_bootstrap_metadata_of_the_public_one_keeps_the_copy(as_public: Mirror, tmp_path: Path) -> None:
    await keeper_of(tmp_path, as_public, now=Clock()).refresh()

    assert keeper_of(tmp_path, replace(as_public, bootstrap=b"newer")).current() == root(1)


async def test_a_failure_is_a_line_and_a_number_and_changes_nothing(
    tuf: TufMirror, as_public: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[int] = []
    keeper = keeper_of(tmp_path, as_public, now=Clock(), on_failure=lambda: failures.append(1))
    await keeper.refresh()
    tuf.publish({TARGET: root(2)})
    tuf.fault = lambda path, honest: b"{}" if path.startswith("targets/") else honest
    async with running(keeper):
        keeper.current()
        await until(lambda: len(failures) >= 2)
        assert keeper.current() == root(1)
        tuf.fault = None
        await until(lambda: keeper.current() == root(2))

    told = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == len(failures)
    assert told[0].startswith("the trusted root was not refreshed: ")
    assert told[0].endswith("; the copy of 2026-12-01 stays in use")


async def test_what_is_no_trusted_root_is_never_taken(tuf: TufMirror, as_public: Mirror, tmp_path: Path) -> None:
    """Even if TUF vouches for it."""
    keeper = keeper_of(tmp_path, as_public, now=Clock())
    await keeper.refresh()
    tuf.publish({TARGET: b"[]"})

    with pytest.raises(TrustError, match="not a trusted root"):
        await keeper.refresh()
    assert keeper.current() == root(1)
    assert keeper_of(tmp_path, as_public).current() == root(1)


async def test_what_nobody_foresaw_is_a_failure_like_any_other(
    as_public: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The next try comes all the same."""
    seen: list[bytes] = []

    def stumbles(document: bytes) -> None:
        seen.append(document)
        if len(seen) == 1:
            raise ZeroDivisionError

    keeper = RootKeeper(tmp_path, stumbles, as_public, plan=QUICK)
    async with running(keeper):
        await until(lambda: keeper.current() == root(1))

    assert "the trusted root was not refreshed: ZeroDivisionError(); the copy of " in caplog.text


@pytest.mark.parametrize("content", [b"", b"\0garbage", b"{" * 2_000_000])
async def test_a_broken_copy_on_disk_falls_back_to_the_shipped_one(
    content: bytes, as_public: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await keeper_of(tmp_path, as_public).refresh()
    (copy,) = (path for path in tmp_path.rglob(TARGET) if path.parent.name == as_public.folder)
    copy.write_bytes(content)

    assert keeper_of(tmp_path, as_public).current() == shipped.trusted_root()
    assert "the last trusted root on disk cannot be used: not a trusted root" in caplog.text


def test_a_copy_that_cannot_be_read_falls_back_to_the_shipped_one(
    as_public: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / as_public.folder / TARGET).mkdir(parents=True)

    assert keeper_of(tmp_path, as_public).current() == shipped.trusted_root()
    assert "the last trusted root cannot be read" in caplog.text


async def test_a_disk_that_refuses_does_not_keep_news_away(
    as_public: Mirror, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = keeper_of(tmp_path, as_public)
    (tmp_path / as_public.folder / TARGET).mkdir(parents=True)  # nothing can be renamed to it
    await keeper.refresh()

    assert keeper.current() == root(1)
    assert "the trusted root could not be kept on disk" in caplog.text
    assert [path.name for path in (tmp_path / as_public.folder).iterdir() if path.name.startswith(".")] == []


async def test_the_copy_on_disk_is_dated(as_public: Mirror, tmp_path: Path) -> None:
    await keeper_of(tmp_path, as_public, now=Clock()).refresh()

    assert (tmp_path / as_public.folder / TARGET).stat().st_mtime == Clock().seconds


async def test_a_private_repository_is_never_stood_in_for_by_the_public_root(
    tuf: TufMirror, mirror: Mirror, tmp_path: Path
) -> None:
    """The public root trusts others than those whom the private one names: better no verdict than theirs."""
    keeper = keeper_of(tmp_path, mirror)
    place = mirror.url
    with pytest.raises(Unjudged, match=f"^the trusted root of {place} was never fetched yet, it is on its way$"):
        keeper.current()
    assert keeper.age() == 0

    tuf.fault = lambda _path, _honest: None
    async with running(keeper):
        await until(lambda: "HTTP" in _refusal(keeper))
        assert _refusal(keeper).startswith(f"the trusted root of {place} was never fetched yet: ")
        tuf.fault = None
        await until(lambda: _refusal(keeper) == "")
    assert keeper.current() == root(1)


def _refusal(keeper: RootKeeper) -> str:
    try:
        keeper.current()
    except Unjudged as error:
        return str(error)
    return ""


async def test_the_end_does_not_wait_for_a_mirror(tuf: TufMirror, as_public: Mirror, tmp_path: Path) -> None:
    def drips(_path: str, _honest: object):  # type: ignore[no-untyped-def]
        while True:
            yield b"{"
            time.sleep(0.05)

    tuf.fault = drips
    keeper = keeper_of(tmp_path, as_public)
    async with running(keeper):
        keeper.current()
        await until(lambda: bool(tuf.asked))
        began = time.monotonic()
    assert time.monotonic() - began < 2


def test_retries_are_spread() -> None:
    assert replace(QUICK, uniform=lambda: 0).spread(100) == 90
    assert replace(QUICK, uniform=lambda: 1).spread(100) == pytest.approx(110)
