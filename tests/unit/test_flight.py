"""Work that several callers need at the same time is done once."""

from __future__ import annotations

import asyncio

import pytest

from ocisource.flight import Flight


class Work:
    """Counts how often it is begun, and ends when told."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.gate = asyncio.Event()
        self.error: Exception | None = None

    async def __call__(self) -> int:
        self.begun += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return self.begun


async def boarding(count: int, flight: Flight[str, int], work: Work) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flight.join("key", work)) for _ in range(count)]
    while not work.begun:
        await asyncio.sleep(0)
    return tasks


async def test_callers_at_the_same_time_share_one_piece_of_work() -> None:
    flight, work = Flight[str, int](), Work()
    tasks = await boarding(3, flight, work)

    work.gate.set()

    assert await asyncio.gather(*tasks) == [1, 1, 1]


async def test_the_next_caller_after_the_end_begins_anew() -> None:
    flight, work = Flight[str, int](), Work()
    work.gate.set()

    assert [await flight.join("key", work), await flight.join("key", work)] == [1, 2]


async def test_other_keys_do_not_wait() -> None:
    flight, work, other = Flight[str, int](), Work(), Work()
    tasks = await boarding(1, flight, work)
    other.gate.set()

    assert await flight.join("other", other) == 1

    work.gate.set()
    await asyncio.gather(*tasks)


async def test_a_caller_whose_time_is_up_leaves_the_others_their_answer() -> None:
    flight, work = Flight[str, int](), Work()
    first, second = await boarding(2, flight, work)

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    work.gate.set()

    assert await second == 1


async def test_work_that_nobody_waits_for_any_longer_is_cancelled() -> None:
    flight, work = Flight[str, int](), Work()
    (only,) = await boarding(1, flight, work)

    only.cancel()
    with pytest.raises(asyncio.CancelledError):
        await only
    while not work.cancelled:
        await asyncio.sleep(0)
    work.gate.set()

    assert await flight.join("key", work) == 2, "cancelled work must not be joined"


async def test_an_error_reaches_everybody_who_waits() -> None:
    flight, work = Flight[str, int](), Work()
    work.error = LookupError("gone")
    tasks = await boarding(2, flight, work)

    work.gate.set()

    assert [type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)] == [LookupError, LookupError]


async def test_who_asks_after_a_change_does_not_get_the_old_answer() -> None:
    flight: Flight[str, int] = Flight()
    old, new = Work(), Work()
    before = await boarding(2, flight, old)
    flight.drop("key")
    flight.drop("another key")
    new.begun = 10
    after = asyncio.create_task(flight.join("key", new))
    new.gate.set()
    assert await after == 11

    old.gate.set()
    assert await asyncio.gather(*before) == [1, 1]


async def test_the_end_of_old_work_does_not_end_new_work_of_the_same_key() -> None:
    flight: Flight[str, int] = Flight()
    old, new = Work(), Work()
    (before,) = await boarding(1, flight, old)
    flight.drop("key")
    (after,) = await boarding(1, flight, new)
    old.gate.set()
    await before
    late = asyncio.create_task(flight.join("key", Work()))
    await asyncio.sleep(0)
    new.gate.set()

    assert await asyncio.gather(after, late) == [1, 1]
