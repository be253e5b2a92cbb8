"""The watch of Secrets and ServiceAccounts: what changes is told, once, whatever happens to the connection
(flux-compat J4)."""

from __future__ import annotations

import asyncio
import json
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ocisource.cluster import metadatawatch
from ocisource.cluster.api import KubeAPI, TokenBucket, new_session
from ocisource.cluster.config import ClusterConfig
from ocisource.cluster.metadatawatch import ACCOUNTS, LISTED, REFUSED_WAIT, SECRETS, WATCHED, Kind, MetadataWatch

PLACES = ("/api/v1", "/api/v1/namespaces/team")
OVER = object()
"""What ends a stream well."""


def meta(name: str, version: int, namespace: str = "team") -> dict[str, Any]:
    return {"metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version)}}


def event(kind: str, name: str, version: int) -> dict[str, Any]:
    return {"type": kind, "object": meta(name, version)}


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def gone() -> dict[str, Any]:
    return {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old resource version"}}


@dataclass
class Cluster:
    """An API server whose Secrets a test sets, and whose watches it feeds."""

    secrets: dict[str, int] = field(default_factory=dict)
    version: int = 100
    page: int = 500
    lists: list[dict[str, str]] = field(default_factory=list)
    watches: list[dict[str, str]] = field(default_factory=list)
    accepts: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    refuse: dict[str, int] = field(default_factory=dict)
    """`list` or `watch` → the status that they are refused with."""
    stream: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.accepts.add(request.headers["Accept"])
        self.paths.add(request.path)
        if "watch" in request.query:
            self.watches.append(dict(request.query))
            return await self._watched(request)
        self.lists.append(dict(request.query))
        if status := self.refuse.get("list"):
            return refused(status)
        start = int(request.query.get("continue", "0"))
        found = sorted(self.secrets.items())
        onward = str(start + self.page) if start + self.page < len(found) else ""
        items = [meta(name, version) for name, version in found[start : start + self.page]]
        metadata = {"resourceVersion": str(self.version), "continue": onward}
        return web.json_response({"items": items, "metadata": metadata})

    async def _watched(self, request: web.Request) -> web.StreamResponse:
        if status := self.refuse.get("watch"):
            return refused(status)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while (thing := await self.stream.get()) is not OVER:
            if isinstance(thing, bytes):
                await response.write(thing)
            elif thing is None:
                assert request.transport is not None
                request.transport.abort()
                break
            else:
                await response.write(json.dumps(thing).encode() + b"\n")
        return response


def refused(status: int) -> web.Response:
    return web.json_response({"kind": "Status", "message": "no", "reason": "No"}, status=status)


class Naps:
    """Waiting that takes until the test allows it to end, and is remembered."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.over = 0
        self.allowed = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await self.allowed.acquire()


@dataclass
class Watching:
    watch: MetadataWatch
    cluster: Cluster
    naps: Naps
    told: list[tuple[str, str]]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def hears(self, *names: str) -> None:
        """What was told since the last time is exactly this."""
        await self.until(lambda: len(self.told) >= len(names))
        assert sorted(self.told) == [("team", name) for name in sorted(names)]
        self.told.clear()

    async def sends(self, *things: Any) -> None:
        for thing in things:
            self.cluster.stream.put_nowait(thing)

    async def pauses(self) -> None:
        """The watch has ended, in an error or well, and waits."""
        await self.until(lambda: len(self.naps.taken) > self.naps.over)

    async def breaks(self) -> None:
        """The watch ends, and goes on after a nap."""
        await self.pauses()
        self.naps.over += 1
        self.naps.allowed.release()


Begin = Callable[..., Awaitable[Watching]]


@pytest.fixture
async def begin() -> AsyncIterator[Begin]:
    """Starts a watch of the namespace `team` (or another) over what the cluster holds."""
    cluster, naps, told = Cluster(), Naps(), list[tuple[str, str]]()
    app = web.Application()
    for place in PLACES:
        for kind in (SECRETS, ACCOUNTS):
            app.router.add_get(f"{place}/{kind.resource}", cluster.handle)
    tasks: list[asyncio.Task[None]] = []
    async with TestServer(app) as server:
        config = ClusterConfig(str(server.make_url("")).rstrip("/"))
        api = KubeAPI(config, TokenBucket(1000, 1000), new_session(config, limit=8), Naps())

        async def start(namespace: str = "team", kind: Kind = SECRETS, **facts: Any) -> Watching:
            for name, value in facts.items():
                setattr(cluster, name, value)
            watch = MetadataWatch(api, kind, namespace, lambda *name: told.append(name), naps)
            tasks.append(asyncio.create_task(watch.run()))
            await asyncio.wait_for(watch.opened.wait(), 10)
            return Watching(watch, cluster, naps, told)

        yield start
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await api.close()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == metadatawatch.__name__]


async def test_what_changes_is_told_and_what_is_there_at_first_is_not(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1, "b": 2})
    await watching.sends(event("MODIFIED", "a", 101), event("ADDED", "c", 102), event("DELETED", "b", 103))

    await watching.hears("a", "b", "c")


async def test_only_metadata_is_asked_for(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1})
    await watching.until(lambda: watching.cluster.watches)

    assert watching.cluster.accepts == {LISTED, WATCHED}
    assert all("as=PartialObjectMetadata" in accept for accept in watching.cluster.accepts)
    assert watching.cluster.watches == [{"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": "100"}]


@pytest.mark.parametrize("kind", [SECRETS, ACCOUNTS], ids=lambda kind: kind.word)
@pytest.mark.parametrize("namespace", ["", "team"])
async def test_it_watches_a_kind_in_one_namespace_or_in_all(begin: Begin, namespace: str, kind: Kind) -> None:
    watching = await begin(namespace, kind)
    await watching.sends(event("ADDED", "a", 101))

    await watching.hears("a")
    where = f"/api/v1/namespaces/{namespace}/" if namespace else "/api/v1/"
    assert watching.cluster.paths == {where + kind.resource}


async def test_a_long_list_comes_in_pages(begin: Begin) -> None:
    watching = await begin(secrets={f"s{number:03}": number for number in range(7)}, page=3)
    assert [query.get("continue") for query in watching.cluster.lists] == [None, "3", "6"]
    await watching.sends(event("MODIFIED", "s006", 6), event("MODIFIED", "s005", 101))

    await watching.hears("s005")


async def test_what_is_known_already_is_not_told_again(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1})
    await watching.sends(event("ADDED", "a", 1), event("MODIFIED", "a", 101), event("MODIFIED", "a", 101))
    await watching.sends(event("ADDED", "last", 102))

    await watching.hears("a", "last")


async def test_an_event_may_come_in_pieces(begin: Begin) -> None:
    watching = await begin()
    sent = json.dumps(event("ADDED", "a", 101)).encode() + b"\n" + json.dumps(event("ADDED", "b", 102)).encode() + b"\n"
    await watching.sends(sent[:20], sent[20:150], sent[150:])

    await watching.hears("a", "b")


async def test_a_watch_that_the_server_ends_goes_on_where_it_was(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1})
    await watching.sends(event("MODIFIED", "a", 101), bookmark(150), OVER)
    await watching.breaks()
    await watching.until(lambda: len(watching.cluster.watches) == 2)

    assert watching.cluster.watches[1]["resourceVersion"] == "150"
    assert len(watching.cluster.lists) == 1
    assert watching.naps.taken == [0.0]
    await watching.hears("a")


async def test_a_connection_that_breaks_is_made_again_and_nothing_is_lost(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1})
    await watching.sends(event("MODIFIED", "a", 101), None)
    await watching.breaks()
    await watching.sends(event("MODIFIED", "a", 102))

    await watching.hears("a", "a")
    assert watching.cluster.watches[1]["resourceVersion"] == "101"
    assert len(watching.cluster.lists) == 1


async def test_a_version_that_is_too_old_is_looked_up_anew_and_the_difference_told(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    """410: what was added, changed and deleted meanwhile is found by comparing."""
    watching = await begin(secrets={"same": 1, "changed": 2, "deleted": 3})
    watching.cluster.secrets = {"same": 1, "changed": 20, "added": 21}
    watching.cluster.version = 200
    await watching.sends(gone(), OVER)
    await watching.breaks()

    await watching.hears("changed", "deleted", "added")
    await watching.until(lambda: len(watching.cluster.watches) == 2)
    assert watching.cluster.watches[1]["resourceVersion"] == "200"
    assert said(caplog) == []  # nobody's fault


async def test_a_watch_request_that_comes_too_late_begins_with_a_list(begin: Begin) -> None:
    watching = await begin(refuse={"watch": 410})
    await watching.pauses()
    watching.cluster.refuse = {}
    await watching.breaks()
    await watching.until(lambda: len(watching.cluster.watches) == 2)

    assert len(watching.cluster.lists) == 2


async def test_failures_are_waited_out_longer_and_longer_and_end_in_a_list(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    watching = await begin(refuse={"watch": 500})
    for _ in range(4):
        await watching.breaks()
    await watching.pauses()
    watching.cluster.refuse = {}
    await watching.breaks()
    await watching.sends(event("ADDED", "a", 101))
    await watching.hears("a")

    assert watching.naps.taken == [0.5, 1.0, 2.0, 4.0, 8.0]
    assert len(watching.cluster.lists) == 4  # from the third failure on, each time
    assert "the watch of Secrets broke and is tried again in 0.5 s: no" in caplog.text

    await watching.sends(None)
    await watching.breaks()
    assert watching.naps.taken[-1] == 0.5  # what worked in between counts


async def test_a_watch_that_ends_at_once_again_and_again_is_not_a_busy_one(begin: Begin) -> None:
    watching = await begin()
    await watching.sends(OVER, OVER, OVER)
    for _ in range(3):
        await watching.breaks()

    assert watching.naps.taken == [0.5, 1.0, 2.0]


async def test_a_watch_without_a_sign_of_life_is_taken_for_dead(begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bookmarks come each minute; the API server of the other end may be gone without a word."""
    monkeypatch.setattr(metadatawatch, "SILENCE", 0.05)
    watching = await begin()
    await watching.breaks()

    await watching.until(lambda: len(watching.cluster.watches) == 2)


async def test_an_answer_that_is_no_event_does_not_end_the_watching(begin: Begin) -> None:
    watching = await begin()
    await watching.sends({"type": "ADDED", "object": {}}, OVER)
    await watching.breaks()
    await watching.sends(event("ADDED", "a", 101))

    await watching.hears("a")


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("namespace", ["", "team"])
async def test_where_rbac_refuses_it_the_log_says_so_once_and_names_the_rule(
    begin: Begin, caplog: pytest.LogCaptureFixture, verb: str, namespace: str
) -> None:
    caplog.set_level(logging.INFO)
    watching = await begin(namespace, refuse={verb: 403})
    for _ in range(3):
        await watching.breaks()

    where = " in namespace team" if namespace else ""
    (line,) = said(caplog)
    assert line == (
        "Secrets cannot be watched, so a change of keys, roots or credentials is seen at the next interval only: "
        "grant the operator's account the RBAC rule apiGroups: [''], resources: ['secrets'], "
        f"verbs: ['list', 'watch']{where}"
    )
    assert set(watching.naps.taken) == {REFUSED_WAIT}
    assert watching.told == []

    await watching.pauses()
    watching.cluster.refuse = {}
    await watching.breaks()
    await watching.sends(event("ADDED", "a", 101))
    await watching.hears("a")
    assert said(caplog)[1:] == ["Secrets are watched now"]


async def test_where_rbac_refuses_service_accounts_the_line_is_about_them(
    begin: Begin, caplog: pytest.LogCaptureFixture
) -> None:
    watching = await begin("", ACCOUNTS, refuse={"list": 403})
    await watching.pauses()

    (line,) = said(caplog)
    assert line == (
        "ServiceAccounts cannot be watched, so a change of pull secrets or identities is seen at the next interval "
        "only: grant the operator's account the RBAC rule apiGroups: [''], resources: ['serviceaccounts'], "
        "verbs: ['list', 'watch']"
    )


async def test_what_changed_while_rbac_refused_is_told_after_it(begin: Begin) -> None:
    watching = await begin(secrets={"a": 1})
    watching.cluster.refuse = {"watch": 403, "list": 403}
    await watching.sends(OVER)
    await watching.breaks()
    await watching.until(lambda: watching.naps.taken[-1] == REFUSED_WAIT)
    watching.cluster.refuse = {}
    watching.cluster.secrets = {"a": 2}
    await watching.breaks()

    await watching.hears("a")


async def test_five_thousand_secrets_are_little_to_keep(begin: Begin) -> None:
    """Names and versions, nothing else: well below 2 MiB."""
    cluster = {f"secret-with-a-usual-name-{number}": number for number in range(5000)}
    tracemalloc.start()
    try:
        watching = await begin(secrets=cluster)
        grown = sum(
            one.size
            for one in tracemalloc.take_snapshot()
            .filter_traces([tracemalloc.Filter(True, metadatawatch.__file__)])
            .statistics("filename")
        )
    finally:
        tracemalloc.stop()
    assert watching.told == []
    assert grown < 2 * 2**20
