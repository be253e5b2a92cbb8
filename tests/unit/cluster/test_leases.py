"""The election at an API server that keeps one Lease, as real ones do (flux-compat G9). Time is the tests' own."""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ocisource.cluster.api import KubeAPI
from ocisource.cluster.config import ClusterConfig
from ocisource.cluster.errors import ForbiddenError, LeadershipLostError
from ocisource.cluster.leases import Election, Lease, Surroundings
from ocisource.domain.leadership import Record, Terms

TERMS = Terms(duration=35, renew_deadline=30, retry_period=5)
FOLDER = "/apis/coordination.k8s.io/v1/namespaces/flux-system/leases"


class LeaseServer:
    """One Lease: create, read, update with its version checked, watch. `refusal` is answered instead."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.refusal: tuple[int, str] | None = None
        self.versions = itertools.count(1)
        self.changed = asyncio.Event()
        self.watches = asyncio.Event()
        self.watchable = True
        self.writes: list[dict[str, Any]] = []

    def put(self, spec: dict[str, Any]) -> None:
        self.lease = {"metadata": {"name": "lease", "annotations": {"team": "a"}}, "spec": spec}
        self._stamp()

    def _stamp(self) -> None:
        assert self.lease is not None
        self.lease["metadata"]["resourceVersion"] = str(next(self.versions))
        self.changed.set()
        self.changed = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.refusal is not None:
            status, reason = self.refusal
            return web.json_response({"reason": reason, "message": "no"}, status=status)
        if request.method == "GET":
            return await self._watch(request) if "watch" in request.query else self._read()
        body = json.loads(await request.text())
        theirs = body["metadata"].get("resourceVersion")
        mine = self.lease["metadata"]["resourceVersion"] if self.lease else None
        if theirs != mine:
            return web.json_response({"reason": "Conflict", "message": "another version"}, status=409)
        self.lease = body
        self.writes.append(body["spec"])
        self._stamp()
        return web.json_response(self.lease)

    def _read(self) -> web.Response:
        if self.lease is None:
            return web.json_response({"reason": "NotFound", "message": "none"}, status=404)
        return web.json_response(self.lease)

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        if not self.watchable:
            return web.json_response({"reason": "Forbidden", "message": "no watch"}, status=403)
        changed = self.changed
        response = web.StreamResponse()
        await response.prepare(request)
        self.watches.set()
        await changed.wait()
        await response.write(json.dumps({"type": "MODIFIED", "object": self.lease}).encode() + b"\n")
        return response


class Time:
    """Stands still until the test moves it."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.slept = asyncio.Event()

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.seconds + seconds, future))
        self.slept.set()
        await future

    async def pass_(self, seconds: float) -> None:
        """Moves on, once somebody waits for that."""
        async with asyncio.timeout(5):
            while not any(not future.done() for _, future in self.sleepers):
                self.slept.clear()
                await self.slept.wait()
        self.seconds += seconds
        for when, future in self.sleepers:
            if when <= self.seconds and not future.done():
                future.set_result(None)
        self.sleepers = [each for each in self.sleepers if not each[1].done()]


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def server() -> AsyncIterator[LeaseServer]:
    kept = LeaseServer()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", kept.handle)
    http = TestServer(application)
    await http.start_server()
    kept.url = str(http.make_url("")).rstrip("/")  # type: ignore[attr-defined]  # known only now
    yield kept
    kept.changed.set()
    await http.close()


@pytest.fixture
async def elect(server: LeaseServer, time: Time) -> AsyncIterator[Callable[[str], Election]]:
    async def nap(_: float) -> None:
        return

    api = KubeAPI.connect(ClusterConfig(server=server.url), 1000, 1000)  # type: ignore[attr-defined]
    api._sleep = nap

    def make(identity: str) -> Election:
        surroundings = Surroundings(lambda: time.seconds, time.now, time.sleep, lambda: 0.0)
        return Election(Lease(api, "flux-system", "lease"), identity, TERMS, surroundings)

    yield make
    await api.close()


@asynccontextmanager
async def running(work: Any) -> AsyncIterator[asyncio.Task[Any]]:
    task = asyncio.ensure_future(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def soon(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


THEIRS = {
    "holderIdentity": "theirs",
    "leaseDurationSeconds": 35,
    "acquireTime": "2026-01-01T00:00:00.000000Z",
    "renewTime": "2026-01-01T00:00:00.000000Z",
    "leaseTransitions": 3,
}


async def test_a_lease_that_is_not_there_is_made(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    election = elect("ours")
    assert not election.leads()
    await election.win()
    assert election.leads()
    stamp = "2026-01-01T00:16:40.000000Z"
    assert server.writes == [
        {
            "holderIdentity": "ours",
            "leaseDurationSeconds": 35,
            "acquireTime": stamp,
            "renewTime": stamp,
            "leaseTransitions": 0,
        }
    ]


async def test_it_is_renewed_and_what_else_is_in_it_stays(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    server.put({**THEIRS, "holderIdentity": "", "preferredHolder": "somebody"})
    election = elect("ours")
    await election.win()
    async with running(election.keep()):
        for renewals in range(2, 12):
            await time.pass_(5)
            await soon(lambda renewals=renewals: len(server.writes) == renewals)
        assert election.leads()
    assert server.lease is not None
    assert server.lease["metadata"]["annotations"] == {"team": "a"}
    assert server.writes[-1]["preferredHolder"] == "somebody"
    assert server.writes[-1]["acquireTime"] == "2026-01-01T00:16:40.000000Z"
    assert server.writes[-1]["renewTime"] == "2026-01-01T00:17:30.000000Z"
    assert server.writes[-1]["leaseTransitions"] == 4


async def test_a_candidate_takes_over_at_once_what_is_released(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    """Without any time passing."""
    server.put(THEIRS)
    election = elect("ours")
    async with running(election.win()) as winning:
        await soon(server.watches.is_set)
        assert not winning.done()
        server.put({**THEIRS, "holderIdentity": "", "leaseDurationSeconds": 1})
        async with asyncio.timeout(5):
            await winning
    assert election.leads()


@pytest.mark.parametrize("watchable", [True, False], ids=["watched", "only read"])
async def test_a_candidate_takes_over_from_who_falls_silent(
    server: LeaseServer, time: Time, elect: Callable[[str], Election], *, watchable: bool
) -> None:
    server.put(THEIRS)
    server.watchable = watchable
    began = time.seconds
    election = elect("ours")
    async with running(election.win()) as winning:
        while not winning.done():
            assert time.seconds - began < 36
            await time.pass_(0.5)
            await asyncio.sleep(0.01)
    assert time.seconds - began >= 35


async def test_a_leader_that_cannot_renew_ends_before_the_next_one_begins(
    server: LeaseServer, time: Time, elect: Callable[[str], Election], caplog: pytest.LogCaptureFixture
) -> None:
    election = elect("ours")
    await election.win()
    server.refusal = (503, "ServiceUnavailable")
    began = time.seconds
    async with running(election.keep()) as keeping:
        while not keeping.done():
            await time.pass_(1)
            await asyncio.sleep(0.01)
        assert time.seconds - began == 30
        with pytest.raises(LeadershipLostError) as lost:
            await keeping
    assert str(lost.value) == "Lease flux-system/lease is lost: no", "what the API server said last"
    assert not election.leads()


async def test_a_leader_that_recovers_goes_on(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    election = elect("ours")
    await election.win()
    async with running(election.keep()) as keeping:
        server.refusal = (500, "InternalError")
        for _ in range(20):
            await time.pass_(1)
            await asyncio.sleep(0.01)
        server.refusal = None
        await time.pass_(5)
        await soon(lambda: len(server.writes) == 2)
        assert election.leads()
        assert not keeping.done()


async def test_a_leader_that_was_replaced_says_by_whom(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    election = elect("ours")
    await election.win()
    async with running(election.keep()) as keeping:
        server.put(THEIRS)
        await time.pass_(5)
        with pytest.raises(LeadershipLostError, match="is lost: it is held by theirs"):
            async with asyncio.timeout(5):
                await keeping
    assert not election.leads()
    await election.release()
    assert len(server.writes) == 1, "what is another one's is not released"


async def test_who_stood_still_for_too_long_does_not_lead_even_before_it_notices(
    time: Time, elect: Callable[[str], Election]
) -> None:
    election = elect("ours")
    await election.win()
    async with running(election.keep()) as keeping:
        await time.pass_(30)
        assert not election.leads()
        with pytest.raises(LeadershipLostError, match=r"is lost: this process stood still for too long$"):
            await keeping


async def test_what_is_released_is_free(server: LeaseServer, time: Time, elect: Callable[[str], Election]) -> None:
    election, other = elect("ours"), elect("other")
    await election.win()
    await election.release()
    assert not election.leads()
    assert server.writes[-1]["holderIdentity"] == ""
    assert server.writes[-1]["leaseDurationSeconds"] == 1
    await other.win()
    assert other.leads()


async def test_a_release_that_fails_is_a_log_line(
    server: LeaseServer, time: Time, elect: Callable[[str], Election], caplog: pytest.LogCaptureFixture
) -> None:
    election = elect("ours")
    await election.win()
    server.refusal = (500, "InternalError")
    await election.release()
    assert "Lease flux-system/lease could not be released: no" in caplog.text


async def test_of_two_that_are_equally_fast_one_wins(
    server: LeaseServer, time: Time, elect: Callable[[str], Election]
) -> None:
    server.put({**THEIRS, "holderIdentity": ""})
    elections = [elect("one"), elect("two")]
    tasks = [asyncio.ensure_future(each.win()) for each in elections]
    await soon(lambda: any(task.done() for task in tasks))
    await soon(server.watches.is_set)
    assert [each.leads() for each in elections].count(True) == 1
    assert len(server.writes) == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_without_the_right_the_rule_is_named(server: LeaseServer, elect: Callable[[str], Election]) -> None:
    server.refusal = (403, "Forbidden")
    with pytest.raises(ForbiddenError, match=r"resources: \['leases'\], verbs: \['get'\] in namespace flux-system"):
        await elect("ours").win()


async def test_who_waits_says_for_whom_once(
    server: LeaseServer, time: Time, elect: Callable[[str], Election], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    server.put(THEIRS)
    async with running(elect("ours").win()):
        for second in range(5):
            await soon(server.watches.is_set)
            server.watches.clear()
            server.put({**THEIRS, "renewTime": f"2026-01-01T00:00:0{second}.000000Z"})
    assert caplog.text.count("standing by: Lease flux-system/lease is held by theirs") == 1


async def test_nothing_is_written_by_who_may_not(server: LeaseServer) -> None:
    leading = [True]
    api = KubeAPI.connect(ClusterConfig(server=server.url), 1000, 1000, lambda: leading[0])  # type: ignore[attr-defined]
    twin = api.apart()
    lease = Lease(twin, "flux-system", "lease")
    try:
        assert await lease.read() is None
        leading[0] = False
        with pytest.raises(LeadershipLostError):
            await lease.write(Record("ours"))
        assert await lease.read() is None
    finally:
        await api.close()
    assert server.writes == []
