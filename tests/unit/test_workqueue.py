"""The work queue, on a clock that the tests move by hand."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import time
from typing import TYPE_CHECKING

import pytest

from ocisource.workqueue import Key, Result, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

LANE = "registry.example"
A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class HandClock:
    """Time stands still until the test moves it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.alarms: list[tuple[float, int, Callable[[], object]]] = []
        self.number = itertools.count()
        self.cancelled: set[int] = set()

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        number = next(self.number)
        heapq.heappush(self.alarms, (when, number, callback))
        return Alarm(self, number)

    def move(self, seconds: float) -> None:
        end = self.now + seconds
        while self.alarms and self.alarms[0][0] <= end:
            when, number, callback = heapq.heappop(self.alarms)
            if number not in self.cancelled:
                self.now = max(self.now, when)
                callback()
        self.now = end

    def pending(self) -> int:
        return sum(number not in self.cancelled for _, number, _ in self.alarms)


class Alarm:
    def __init__(self, clock: HandClock, number: int) -> None:
        self.clock = clock
        self.number = number

    def cancel(self) -> None:
        self.clock.cancelled.add(self.number)


class World:
    """A queue whose passes end when the test says so, or at once with what `answers` holds."""

    def __init__(self, width: int = 2) -> None:
        self.clock = HandClock()
        self.queue = WorkQueue(lambda failures: 0.75 * 2 ** (failures - 1), lane_width=width, clock=self.clock)
        self.started: list[Key] = []
        self.gates: dict[Key, asyncio.Future[Result]] = {}
        self.answers: dict[Key, Result | Exception] = {}
        self.runner: asyncio.Task[None] | None = None

    async def process(self, key: Key) -> Result:
        self.started.append(key)
        if key in self.answers:
            answer = self.answers[key]
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.gates[key] = asyncio.get_running_loop().create_future()
        return await self.gates[key]

    async def go(self) -> None:
        self.runner = asyncio.create_task(self.queue.run(self.process))
        await settle()

    async def end(self, key: Key, result: Result | None = None) -> None:
        self.gates.pop(key).set_result(result or Result())
        await settle()

    def running(self) -> set[Key]:
        return {key for key, gate in self.gates.items() if not gate.done()}


async def settle() -> None:
    """Lets every task run that can."""
    for _ in range(6):
        await asyncio.sleep(0)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.queue.stop(0)
    if world.runner:
        await world.runner


async def test_a_key_that_waits_is_not_added_twice(world: World) -> None:
    world.queue.add(A, LANE)
    world.queue.add(A, LANE)
    await world.go()
    await world.end(A)
    assert world.started == [A]


async def test_a_key_added_while_it_runs_is_run_once_more_afterwards(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.add(A, LANE)
    world.queue.add(A, LANE)
    await settle()
    assert world.started == [A]
    await world.end(A)
    assert world.started == [A, A]
    await world.end(A)
    assert world.started == [A, A]


async def test_a_key_is_never_processed_by_two_passes_at_once(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.add(A, "other.example")
    world.queue.add_after(A, "third.example", 1)
    world.clock.move(2)
    await settle()
    assert world.started == [A]


async def test_a_lane_runs_as_many_passes_as_it_is_wide(world: World) -> None:
    await world.go()
    for key in (A, B, C):
        world.queue.add(key, LANE)
    await settle()
    assert world.running() == {A, B}
    assert world.queue.stats().depth == 1
    await world.end(A)
    assert world.running() == {B, C}


async def test_a_lane_that_hangs_holds_no_other_lane(world: World) -> None:
    await world.go()
    for number in range(50):
        world.queue.add(("dead", str(number)), "dead.example")
    for number in range(50):
        world.queue.add(("live", str(number)), f"live-{number}.example")
    await settle()
    assert len([key for key in world.running() if key[0] == "live"]) == 50
    assert len([key for key in world.running() if key[0] == "dead"]) == 2


async def test_keys_of_a_lane_run_in_the_order_they_came(world: World) -> None:
    for name in "dbca":
        world.queue.add(("ns", name), LANE)
        world.answers["ns", name] = Result()
    await world.go()
    assert [name for _, name in world.started] == list("dbca")


async def test_a_waiting_key_moves_to_its_new_lane(world: World) -> None:
    await world.go()
    for key in (A, B, C):
        world.queue.add(key, "dead.example")
    await settle()
    assert C not in world.running()
    world.queue.add(C, "live.example")
    await settle()
    assert C in world.running()
    await world.end(A)
    assert world.started.count(C) == 1


async def test_a_pass_that_asks_for_it_comes_back_after_its_time(world: World) -> None:
    world.answers[A] = Result(after=60)
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.clock.move(59.9)
    await settle()
    assert world.started == [A]
    world.clock.move(0.2)
    await settle()
    assert world.started == [A, A]


async def test_a_pass_that_asks_for_nothing_does_not_come_back(world: World) -> None:
    """Suspended and stalled objects wait for an event (flux-compat B4, B10)."""
    world.answers[A] = Result()
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.clock.move(1e6)
    await settle()
    assert world.started == [A]
    assert world.queue.stats().scheduled == 0


async def test_failures_back_off_and_success_resets_them(world: World) -> None:
    """B11: 750 ms, doubled, reset by any success."""
    world.answers[A] = Result(failed=True)
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    for delay, passes in ((0.75, 2), (1.5, 3), (3.0, 4)):
        world.clock.move(delay - 0.01)
        await settle()
        assert len(world.started) == passes - 1
        world.clock.move(0.02)
        await settle()
        assert len(world.started) == passes
    assert world.queue.failures(A) == 4
    world.answers[A] = Result(after=10)
    world.queue.add(A, LANE)
    await settle()
    assert world.queue.failures(A) == 0


async def test_an_exception_is_logged_counted_and_retried(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.answers[A] = ValueError("boom")
    world.answers[B] = Result()
    await world.go()
    with caplog.at_level(logging.ERROR):
        world.queue.add(A, LANE)
        world.queue.add(B, LANE)
        await settle()
    assert world.started == [A, B]
    assert world.queue.stats().crashes == 1
    assert caplog.records[0].exc_info is not None
    assert caplog.records[0].fields["name"] == "a"  # type: ignore[attr-defined]  # set by `about`
    world.clock.move(0.8)
    await settle()
    assert world.started == [A, B, A]


async def test_an_event_overtakes_the_timer(world: World) -> None:
    world.answers[A] = Result()
    await world.go()
    world.queue.add_after(A, LANE, 60)
    world.queue.add(A, LANE)
    await settle()
    world.clock.move(120)
    await settle()
    assert world.started == [A]


async def test_the_earlier_of_two_times_counts(world: World) -> None:
    world.answers[A] = Result()
    await world.go()
    world.queue.add_after(A, LANE, 60)
    world.queue.add_after(A, LANE, 5)
    world.queue.add_after(A, LANE, 30)
    world.clock.move(6)
    await settle()
    assert world.started == [A]
    world.clock.move(100)
    await settle()
    assert world.started == [A]


async def test_a_time_that_comes_during_a_pass_is_not_lost(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.add_after(A, LANE, 5)
    world.clock.move(6)
    await world.end(A)
    assert world.started == [A, A]


async def test_a_forgotten_key_is_gone(world: World) -> None:
    world.answers[A] = Result(failed=True)
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.forget(A)
    assert world.queue.failures(A) == 0
    world.clock.move(1e6)
    await settle()
    assert world.started == [A]
    assert world.queue._items == {}


async def test_a_key_forgotten_while_it_runs_does_not_come_back(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.add(A, LANE)
    world.queue.forget(A)
    await world.end(A, Result(failed=True))
    world.clock.move(1e6)
    await settle()
    assert world.started == [A]
    assert world.queue._items == {}


async def test_a_key_forgotten_while_it_runs_and_added_again_comes_back(world: World) -> None:
    """The object was deleted and made again under the same name."""
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.queue.forget(A)
    world.queue.add(A, LANE)
    await world.end(A)
    assert world.started == [A, A]


async def test_one_timer_serves_all_keys(world: World) -> None:
    await world.go()
    for number in range(100):
        world.queue.add_after(("ns", str(number)), LANE, 100 - number)
    assert world.clock.pending() == 1


async def test_the_heap_holds_each_key_about_once(world: World) -> None:
    """5,000 objects that get events do not leave 5,000 old times behind."""
    world.answers = {("ns", str(number)): Result(after=600) for number in range(200)}
    await world.go()
    for _ in range(20):
        for key in world.answers:
            world.queue.add(key, key[1])
        await settle()
    assert world.queue.stats().scheduled == 200
    assert len(world.queue._schedule._heap) <= 2 * 200 + 1


async def test_the_numbers_of_the_queue(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.clock.move(7)
    world.queue.add(B, LANE)
    world.queue.add(C, LANE)
    world.queue.add_after(("ns", "d"), LANE, 5)
    await settle()
    stats = world.queue.stats()
    assert (stats.depth, stats.running, stats.scheduled) == (1, 2, 1)
    assert stats.longest_running == pytest.approx(7)


async def test_stop_waits_for_passes_within_the_grace_and_starts_none(world: World) -> None:
    await world.go()
    for key in (A, B, C):
        world.queue.add(key, LANE)
    await settle()
    stopping = asyncio.create_task(world.queue.stop(30))
    await settle()
    await world.end(A)
    assert not stopping.done()
    await world.end(B)
    await stopping
    assert world.started == [A, B]


async def test_stop_cancels_what_outlives_the_grace(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    await world.queue.stop(0)
    assert world.gates[A].cancelled()
    assert world.queue.stats().running == 0


async def test_a_pass_cancelled_from_outside_is_retried(world: World) -> None:
    await world.go()
    world.queue.add(A, LANE)
    await settle()
    world.gates.pop(A).cancel()
    await settle()
    world.clock.move(0.8)
    await settle()
    assert world.started == [A, A]


async def test_lanes_and_keys_without_work_cost_no_memory(world: World) -> None:
    world.answers = {("ns", str(number)): Result() for number in range(100)}
    await world.go()
    for key in world.answers:
        world.queue.add(key, f"{key[1]}.example")
    await settle()
    assert world.queue._items == {}
    assert world.queue._lanes == {}


async def test_the_cost_of_a_key_does_not_grow_with_their_number() -> None:
    """5,000 keys in one lane and their times; a quadratic queue would need minutes."""
    world = World(width=16)
    world.answers = {("ns", str(number)): Result(after=600 + number % 60) for number in range(5000)}
    await world.go()
    begin = time.process_time()
    for key in world.answers:
        world.queue.add(key, LANE)
    while world.queue.stats().scheduled < 5000:
        await asyncio.sleep(0)
    assert len(world.started) == 5000
    assert time.process_time() - begin < 3
    await world.queue.stop(0)
    await world.runner
