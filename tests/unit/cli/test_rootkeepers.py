"""The public trusted root as the flags of `ocisource run` ask for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from devkit.offline import OfflineSigstore
from devkit.tufmirror import TufMirror
from ocisource.cli.rootkeepers import public_root
from ocisource.domain.errors import Unjudged
from ocisource.roots import shipped
from ocisource.roots.keeper import Plan
from ocisource.settings import Settings, SettingsError, parse_settings
from ocisource.telemetry import Metrics

Put = Callable[[str, bytes], Path]
TARGET = "trusted_root.json"
AT_ONCE = Plan(soon=0)


@pytest.fixture(scope="module")
def document() -> bytes:
    return OfflineSigstore.create().trusted_root()


@pytest.fixture
def tuf(document: bytes) -> Iterator[TufMirror]:
    with TufMirror({TARGET: document}) as mirror:
        yield mirror


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    def parse(*flags: str) -> Settings:
        return parse_settings([f"--storage-path={tmp_path}", *flags], {}, "host")

    return parse


def value(metrics: Metrics, name: str) -> float:
    (line,) = (line for line in metrics.render().splitlines() if line.startswith(f"{name} "))
    return float(line.split()[1])


AGE, FAILURES = "ocisource_trusted_root_age_seconds", "ocisource_trusted_root_refresh_failures_total"


async def test_a_private_repository_replaces_the_public_root(
    document: bytes, tuf: TufMirror, settings: Callable[..., Settings], put: Put
) -> None:
    flags = (f"--tuf-mirror={tuf.url}", f"--tuf-root={put('root.json', tuf.bootstrap)}")
    metrics = Metrics()
    async with public_root(settings(*flags), metrics, asyncio.Event(), AT_ONCE) as current:
        with pytest.raises(Unjudged, match="it is on its way"):
            current()
        async with asyncio.timeout(30):
            while not _has(current, document):
                await asyncio.sleep(0.05)
        assert value(metrics, AGE) < 30
        assert value(metrics, FAILURES) == 0

    tuf.asked.clear()
    async with public_root(settings(*flags, "--offline-trust"), Metrics(), asyncio.Event(), AT_ONCE) as current:
        assert current() == document, "the last good copy is on disk"
        await asyncio.sleep(0.1)
    assert tuf.asked == []


def _has(current: Callable[[], bytes], document: bytes) -> bool:
    try:
        return current() == document
    except Unjudged:
        return False


async def test_a_mirror_that_is_no_mirror_is_counted_and_the_shipped_copy_stays(
    tuf: TufMirror, settings: Callable[..., Settings]
) -> None:
    """It has the name of a mirror of the public repository, and metadata that the public keys did not sign."""
    metrics = Metrics()
    async with public_root(settings(f"--tuf-mirror={tuf.url}"), metrics, asyncio.Event(), AT_ONCE) as current:
        assert value(metrics, AGE) == 0, "nothing needs it yet"
        assert current() == shipped.trusted_root()
        assert value(metrics, AGE) > 0
        async with asyncio.timeout(30):
            while value(metrics, FAILURES) == 0:
                await asyncio.sleep(0.05)
        assert current() == shipped.trusted_root()


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://[::1]:8080/tuf", "https://mirror.example/tuf"])
def test_a_mirror_is_asked_in_secret_or_on_loopback(url: str, settings: Callable[..., Settings]) -> None:
    assert settings(f"--tuf-mirror={url}").tuf_mirror == url


async def test_offline_nobody_is_asked(tuf: TufMirror, settings: Callable[..., Settings]) -> None:
    before = asyncio.all_tasks()
    async with public_root(
        settings(f"--tuf-mirror={tuf.url}", "--offline-trust"), Metrics(), asyncio.Event()
    ) as current:
        assert current() == shipped.trusted_root()
        assert asyncio.all_tasks() == before, "there is nobody who could ask"
    assert tuf.asked == []


async def test_a_refresh_ends_with_the_operator(tuf: TufMirror, settings: Callable[..., Settings]) -> None:
    """At once, not when all else is over."""
    began, stop = asyncio.all_tasks(), asyncio.Event()
    tuf.fault = lambda _path, _honest: _drips()
    async with public_root(settings(f"--tuf-mirror={tuf.url}"), Metrics(), stop, AT_ONCE) as current:
        current()
        async with asyncio.timeout(30):
            while not tuf.asked:
                await asyncio.sleep(0.05)
        stop.set()
        async with asyncio.timeout(2):
            while asyncio.all_tasks() != began:
                await asyncio.sleep(0.01)


def _drips() -> Iterator[bytes]:
    while True:
        yield b"{"
        time.sleep(0.05)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"signed": {"_type": "timestamp"}}', b"\xff"])
async def test_a_bootstrap_root_that_is_none_is_told_at_the_start(
    content: bytes, settings: Callable[..., Settings], put: Put
) -> None:
    path = put("root.json", content)

    with pytest.raises(SettingsError, match=r"--tuf-root=.*: must be root metadata of a TUF repository"):
        async with public_root(settings(f"--tuf-root={path}"), Metrics(), asyncio.Event()):
            pass


async def test_a_bootstrap_root_that_is_missing_is_told_at_the_start(settings: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"--tuf-root=nowhere\.json: No such file or directory"):
        async with public_root(settings("--tuf-root=nowhere.json"), Metrics(), asyncio.Event()):
            pass
