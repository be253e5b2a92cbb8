"""The client of the API server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ocisource.cluster import traffic
from ocisource.cluster.api import KubeAPI, TokenBucket, missing_rule, new_session
from ocisource.cluster.config import ClusterConfig
from ocisource.cluster.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, UnavailableError
from ocisource.domain.errors import Conflict, NotFound

from .conftest import Answer, FakeServer, Naps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

PATH = "/api/v1/namespaces/ns/secrets/a"


def status(reason: str, message: str) -> dict[str, str]:
    return {"kind": "Status", "reason": reason, "message": message}


async def test_a_request_carries_the_token_and_brings_the_document(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(body={"kind": "Secret"}))
    assert await api.get(PATH, {"limit": "1"}) == {"kind": "Secret"}
    (request,) = server.requests
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert request.query == {"limit": "1"}


async def test_requests_are_counted_as_clients_in_go_count_them(server: FakeServer, naps: Naps) -> None:
    """G7: by code, host and method, each try for itself; one without an answer has a code, too."""
    counted: list[Mapping[str, str]] = []
    config = ClusterConfig(server.url, traces=(traffic.counted(lambda _, __, labels: counted.append(labels)),))
    server.answer("GET", PATH, Answer(503), Answer(body={}))
    async with new_session(config, limit=1) as session:
        await KubeAPI(config, TokenBucket(1000, 1000), session, naps).get(PATH)
        gone = ClusterConfig("http://127.0.0.1:1")
        with pytest.raises(UnavailableError):
            await KubeAPI(gone, TokenBucket(1000, 1000), session, naps).patch(PATH, {})
    here = server.url.removeprefix("http://")
    assert counted[:2] == [{"code": code, "host": here, "method": "GET"} for code in ("503", "200")]
    assert counted[2] == {"code": "<error>", "host": "127.0.0.1:1", "method": "PATCH"}


async def test_a_patch_is_a_json_merge_patch(api: KubeAPI, server: FakeServer) -> None:
    server.answer("PATCH", PATH, Answer(body={"kind": "Secret"}))
    await api.patch(PATH, {"metadata": {"finalizers": None}}, {"fieldManager": "source-controller"})
    (request,) = server.requests
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"metadata": {"finalizers": None}}
    assert request.query == {"fieldManager": "source-controller"}


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (404, "NotFound", NotFoundError),
        (409, "Conflict", ConflictError),
        (403, "Forbidden", ForbiddenError),
        (422, "Invalid", ApiError),
        (500, "InternalError", UnavailableError),
    ],
)
async def test_a_refusal_is_an_error_of_the_family(
    api: KubeAPI, server: FakeServer, code: int, reason: str, kind: type[ApiError]
) -> None:
    server.answer("POST", PATH, Answer(code, status(reason, "because")))
    with pytest.raises(kind, match="because") as caught:
        await api.post(PATH, {})
    assert (caught.value.status, caught.value.reason) == (code, reason)
    assert type(caught.value) is kind


def test_what_the_controller_waits_for_is_what_the_domain_calls_so() -> None:
    assert issubclass(NotFoundError, NotFound)
    assert issubclass(ConflictError, Conflict)


async def test_forbidden_names_the_rule_that_is_missing(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(403, status("Forbidden", "secrets is forbidden")))
    with pytest.raises(ForbiddenError, match=r"resources: \['secrets'\], verbs: \['get'\] in namespace ns"):
        await api.get(PATH)


async def test_no_rule_is_asked_for_where_a_namespace_is_on_its_way_out(api: KubeAPI, server: FakeServer) -> None:
    told = 'events "app.1" is forbidden: unable to create new content in namespace ns because it is being terminated'
    causes = [{"reason": "NamespaceTerminating", "message": "namespace ns is being terminated", "field": "metadata"}]
    body = {**status("Forbidden", told), "details": {"name": "app.1", "kind": "events", "causes": causes}}
    server.answer("POST", PATH, Answer(403, body))
    with pytest.raises(ForbiddenError) as caught:
        await api.post(PATH, {})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("method", "path", "rule"),
    [
        ("PATCH", "/apis/g.io/v1/namespaces/ns/things/a/status", "resources: ['things/status'], verbs: ['patch']"),
        ("GET", "/apis/g.io/v1/things", "['g.io'], resources: ['things'], verbs: ['list']"),
        ("POST", "/api/v1/namespaces/ns/events", "[''], resources: ['events'], verbs: ['create'] in namespace ns"),
        ("GET", "/version", "get on /version"),
    ],
)  # fmt: skip
def test_the_rule_of_a_request_is_read_from_its_path(method: str, path: str, rule: str) -> None:
    assert rule in missing_rule(method, path)


async def test_an_unauthorized_token_says_what_to_check(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(401, status("Unauthorized", "Unauthorized")))
    with pytest.raises(ApiError, match="check the token or certificate"):
        await api.get(PATH)


async def test_a_server_that_asks_for_patience_gets_it(api: KubeAPI, server: FakeServer, naps: Naps) -> None:
    busy = Answer(429, status("TooManyRequests", "slow down"), {"Retry-After": "3"})
    server.answer("PATCH", PATH, busy, busy, Answer(body={"ok": 1}))
    assert await api.patch(PATH, {}) == {"ok": 1}
    assert naps.taken == [3, 3]


async def test_patience_has_an_end(api: KubeAPI, server: FakeServer, naps: Naps) -> None:
    server.answer("GET", PATH, Answer(429, status("TooManyRequests", "slow down"), {"Retry-After": "9999"}))
    with pytest.raises(UnavailableError, match="slow down"):
        await api.get(PATH)
    assert naps.taken == [20, 20, 20, 20]


async def test_a_broken_connection_is_tried_again_where_nothing_is_written(
    api: KubeAPI, server: FakeServer, naps: Naps
) -> None:
    server.answer("GET", PATH, Answer(drop=True), Answer(drop=True), Answer(body={"ok": 1}))
    assert await api.get(PATH) == {"ok": 1}
    server.answer("POST", PATH, Answer(drop=True), Answer(body={"ok": 1}))
    with pytest.raises(UnavailableError):
        await api.post(PATH, {})
    assert [request.method for request in server.requests].count("POST") == 1


async def test_an_error_of_the_server_is_tried_again_for_reads_only(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer(503, status("", "later")), Answer(body={"ok": 1}))
    assert await api.get(PATH) == {"ok": 1}
    server.answer("PATCH", PATH, Answer(500, status("", "broken")), Answer(body={"ok": 1}))
    with pytest.raises(UnavailableError, match="broken"):
        await api.patch(PATH, {})


async def test_a_server_that_is_not_there_is_tried_for_writes_too(naps: Naps, unused_tcp_port: int) -> None:
    config = ClusterConfig(server=f"http://127.0.0.1:{unused_tcp_port}")
    api = KubeAPI(config, TokenBucket(1000, 1000), new_session(config, limit=1), naps)
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await api.post(PATH, {})
    assert len(naps.taken) == 4
    await api.close()


@pytest.mark.parametrize("body", [b"<html>", b"[1]"])
async def test_an_answer_that_is_no_document_is_an_error(api: KubeAPI, server: FakeServer, body: bytes) -> None:
    server.answer("GET", PATH, Answer(body=body))
    with pytest.raises(ApiError, match="JSON"):
        await api.get(PATH)


async def test_an_error_page_that_is_no_status_is_told_in_part(api: KubeAPI, server: FakeServer) -> None:
    server.answer("POST", PATH, Answer(502, b"<h1>bad gateway</h1>" + b"x" * 5000))
    with pytest.raises(UnavailableError) as caught:
        await api.post(PATH, {})
    assert str(caught.value).startswith("<h1>bad gateway")
    assert len(str(caught.value)) < 300


class Time:
    """A clock that waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def bucket(
    rate: float, burst: int, time: Time, sleep: Callable[[float], Awaitable[object]] | None = None
) -> TokenBucket:
    return TokenBucket(rate, burst, time, sleep or time.sleep)


async def test_the_pace_is_a_burst_and_then_a_rate() -> None:
    time = Time()
    paced = bucket(10, 5, time)
    for _ in range(5):
        await paced.take()
    assert time.now == 0
    for _ in range(20):
        await paced.take()
    assert time.now == pytest.approx(2)


async def test_rest_fills_the_bucket_up_to_the_burst() -> None:
    time = Time()
    paced = bucket(10, 5, time)
    for _ in range(5):
        await paced.take()
    time.now = 1000
    for _ in range(5):
        await paced.take()
    assert time.now == 1000
    await paced.take()
    assert time.now == pytest.approx(1000.1)


async def test_tokens_are_given_in_the_order_of_asking_and_the_cancelled_take_none() -> None:
    time, gate, served = Time(), asyncio.Event(), list[int]()

    async def sleep(seconds: float) -> None:
        await gate.wait()
        time.now += seconds

    paced = bucket(1, 1, time, sleep)
    await paced.take()

    async def take(number: int) -> None:
        await paced.take()
        served.append(number)

    tasks = [asyncio.create_task(take(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert served == [1, 3]
    assert time.now == pytest.approx(2)


async def test_another_pace_leaves_the_first_one_alone(api: KubeAPI, server: FakeServer) -> None:
    server.answer("GET", PATH, Answer())
    never = asyncio.Event()

    async def forever(_: float) -> None:
        await never.wait()

    slow = api.paced_by(bucket(1, 1, Time(), forever))
    await slow.get(PATH)
    waiting = asyncio.create_task(slow.get(PATH))
    await api.get(PATH)
    assert not waiting.done()
    waiting.cancel()
