"""Work beside the loop: bounded, and left alone when nobody waits for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

from ocisource.threads import Threads


async def test_what_the_work_returns_or_raises_comes_back() -> None:
    threads = Threads("cloud", 1)

    assert await threads.run(lambda: threading.current_thread().name) == "cloud"
    with pytest.raises(KeyError, match=r"x"):
        await threads.run(lambda: {}["x"])


async def test_no_more_than_so_many_are_at_work() -> None:
    threads, gate, begun = Threads("cloud", 2), threading.Event(), threading.Semaphore(0)
    working = 0

    def work() -> None:
        nonlocal working
        working += 1
        begun.release()
        gate.wait(10)

    tasks = [asyncio.create_task(threads.run(work)) for _ in range(3)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    assert working == 2
    gate.set()
    await asyncio.gather(*tasks)
    assert working == 3


async def test_whoever_leaves_leaves_the_place_taken_until_the_work_has_ended() -> None:
    """Else a cloud that does not answer would pile up threads."""
    threads, gate = Threads("cloud", 1), threading.Event()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(lambda: gate.wait(10)), 0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(lambda: None), 0.01)
    gate.set()

    assert await threads.run(lambda: "next") == "next"


async def test_an_error_that_nobody_waits_for_is_nobodys() -> None:
    threads, gate = Threads("cloud", 1), threading.Event()

    def work() -> None:
        gate.wait(10)
        raise ValueError

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(work), 0.01)
    gate.set()
    assert await threads.run(lambda: True)


async def test_a_thread_that_cannot_begin_takes_no_place_with_it() -> None:
    """As where a container may have no more of them, or no more memory for one."""
    threads = Threads("cloud", 1)
    before = threading.stack_size(1 << 46)
    try:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await threads.run(lambda: None)
    finally:
        threading.stack_size(before)

    assert await asyncio.wait_for(threads.run(lambda: "next"), 10) == "next"


def test_a_process_ends_without_waiting_for_a_cloud() -> None:
    program = """
import asyncio, threading
from contextlib import suppress
from ocisource.threads import Threads
async def main():
    with suppress(TimeoutError):
        await asyncio.wait_for(Threads("cloud", 1).run(lambda: threading.Event().wait(600)), 0.01)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
