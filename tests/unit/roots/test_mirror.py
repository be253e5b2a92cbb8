"""The child process that refreshes, against a real TUF repository."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devkit.startup import free_ports
from devkit.tufmirror import Answer, TufMirror
from ocisource.roots.mirror import Mirror, RefreshError, fetch
from unit.roots.conftest import root

SECONDS = 30.0


async def test_what_the_repository_vouches_for_is_fetched(mirror: Mirror, tmp_path: Path) -> None:
    assert await fetch(mirror, tmp_path, SECONDS) == root(1)


async def test_what_nobody_answers_is_told(tmp_path: Path, tuf: TufMirror) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"

    with pytest.raises(RefreshError, match=r"^no answer: .*127\.0\.0\.1.*Connection refused$"):
        await fetch(Mirror(nobody, tuf.bootstrap), tmp_path, SECONDS)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "ocisource.roots.refresh" in child.cmdline()]


def _dripping(_path: str, _honest: Answer) -> Iterator[bytes]:
    while True:
        yield b"{"
        time.sleep(0.05)


async def test_a_mirror_that_drips_is_given_up_with_its_process(tuf: TufMirror, mirror: Mirror, tmp_path: Path) -> None:
    tuf.fault = _dripping

    with pytest.raises(RefreshError, match=r"http://127\.0\.0\.1:\d+/tuf did not give it within 0\.5 seconds"):
        await fetch(mirror, tmp_path, 0.5)
    assert _children() == []


async def test_who_gives_up_waiting_leaves_no_process(tuf: TufMirror, mirror: Mirror, tmp_path: Path) -> None:
    tuf.fault = _dripping
    waiting = asyncio.create_task(fetch(mirror, tmp_path, SECONDS))
    while not tuf.asked:
        await asyncio.sleep(0.01)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert _children() == []


async def test_a_process_that_nobody_waits_for_ends_itself(tuf: TufMirror, mirror: Mirror, tmp_path: Path) -> None:
    tuf.fault = _dripping
    command = ["-m", "ocisource.roots.refresh", mirror.url, str(tmp_path), "1"]
    child = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    assert child.stdin is not None
    child.stdin.write(mirror.bootstrap)
    child.stdin.close()

    assert await asyncio.wait_for(child.wait(), SECONDS) == -14  # SIGALRM
