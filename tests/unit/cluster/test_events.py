"""Events: what is told, how often, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from ocisource.cluster.correlator import Correlator, Telling
from ocisource.cluster.events import EventRecorder
from ocisource.cluster.outbox import Outbox
from ocisource.cluster.webhook import Webhook
from ocisource.domain.status import Event

from .conftest import Answer, FakeServer, Naps

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

OBJECT = ("ns", "app", "uid-1")
EVENTS = "/api/v1/namespaces/ns/events"
NEW = Event("Normal", "NewArtifact", "stored artifact with revision '1@sha256:a' from 'oci://r/app'")


def told(correlator: Correlator, message: str = "m", now: float = 0.0, name: str = "app") -> Telling | None:
    return correlator.correlate(("ns", name, "uid"), Event("Warning", "Failed", message), now)


def test_the_same_event_again_counts_up() -> None:
    correlator = Correlator()
    first = told(correlator)
    second = told(correlator, now=5)
    assert first is second is not None
    assert (second.count, second.first) == (2, 0.0)


def test_different_events_have_different_names_even_at_the_same_moment() -> None:
    correlator = Correlator()
    one, other = told(correlator, "a", 1e9), told(correlator, "b", 1e9)
    assert one is not None
    assert other is not None
    assert one.name != other.name
    assert one.name.startswith("app.")
    assert int(one.name.removeprefix("app."), 16) >= 10**18


def test_a_long_object_name_gives_a_name_that_is_allowed() -> None:
    telling = told(Correlator(), now=1e9, name="a" * 235 + "." + "b" * 17)
    assert telling is not None
    assert len(telling.name) <= 253
    assert ".." not in telling.name


def test_many_similar_events_become_one_from_the_tenth_on() -> None:
    """client-go: ten different messages of one reason within ten minutes."""
    correlator = Correlator()
    tellings = [told(correlator, f"message {number}") for number in range(12)]
    messages = [telling.message for telling in tellings if telling]
    assert messages[:9] == [f"message {number}" for number in range(9)]
    assert messages[-1] == "(combined from similar events): message 11"
    assert tellings[9] is tellings[10] is tellings[11]
    assert tellings[11] is not None
    assert tellings[11].count == 3


def test_similar_events_of_long_ago_do_not_count() -> None:
    correlator = Correlator()
    for number in range(9):
        told(correlator, f"message {number}")
    telling = told(correlator, "later", now=601)
    assert telling is not None
    assert telling.message == "later"


def test_an_object_may_tell_25_events_and_then_one_in_five_minutes() -> None:
    """client-go's spam filter."""
    correlator = Correlator()
    assert sum(told(correlator) is not None for _ in range(40)) == 25
    assert told(correlator, now=299) is None
    after = told(correlator, now=300)
    assert after is not None
    assert after.count == 42
    assert told(correlator, now=300, name="other") is not None


def test_what_is_remembered_is_bounded() -> None:
    correlator = Correlator(remembered=10)
    for number in range(100):
        told(correlator, name=f"app-{number}")
    assert len(correlator._told) == len(correlator._buckets) == len(correlator._similar) == 10
    again = told(correlator, name="app-0")
    assert again is not None
    assert again.count == 1


def obj() -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"namespace": "ns", "name": "app", "uid": "uid-1", "resourceVersion": "7"},
    }


async def test_an_event_is_posted_whole_and_then_patched(api: KubeAPI, server: FakeServer) -> None:
    """B21"""
    moment = iter([1_700_000_000.0, 1_700_000_060.5])
    server.answer("POST", EVENTS, Answer(body={}))
    recorder = EventRecorder(api, clock=lambda: next(moment))
    recorder.start()
    recorder.record(obj(), NEW)
    await recorder.stop(10)
    name = server.requests[0].body["metadata"]["name"]
    assert server.requests[0].body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "ns"},
        "involvedObject": {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "OCIRepository",
            "namespace": "ns",
            "name": "app",
            "uid": "uid-1",
            "resourceVersion": "7",
        },
        "type": "Normal",
        "reason": "NewArtifact",
        "message": NEW.message,
        "count": 1,
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "source": {"component": "source-controller"},
        "reportingComponent": "source-controller",
        "reportingInstance": "",
    }
    server.answer("PATCH", f"{EVENTS}/{name}", Answer(body={}))
    recorder.start()
    recorder.record(obj(), NEW)
    await recorder.stop(10)
    assert server.requests[1].body == {"count": 2, "lastTimestamp": "2023-11-14T22:14:20Z", "message": NEW.message}


async def test_an_event_that_expired_is_posted_again(api: KubeAPI, server: FakeServer) -> None:
    server.answer("POST", EVENTS, Answer(body={}))
    recorder = EventRecorder(api)
    recorder.start()
    recorder.record(obj(), NEW)
    recorder.record(obj(), NEW)
    recorder.record(obj(), NEW)
    await recorder.stop(10)
    methods = [request.method for request in server.requests]
    assert methods == ["POST", "PATCH", "POST", "PATCH", "POST"]
    assert server.requests[-1].body["count"] == 3


async def test_an_event_that_cannot_be_posted_disturbs_nobody(
    api: KubeAPI, server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer("POST", EVENTS, Answer(403, {"message": "no"}), Answer(body={}))
    recorder = EventRecorder(api)
    recorder.start()
    recorder.record(obj(), NEW)
    recorder.record(obj(), NEW)
    await recorder.stop(10)
    assert "events: one could not be sent: no; grant" in caplog.text
    assert server.requests[-1].body["count"] == 2


async def test_a_long_message_is_cut_between_characters(api: KubeAPI, server: FakeServer) -> None:
    server.answer("POST", EVENTS, Answer(body={}))
    recorder = EventRecorder(api)
    recorder.start()
    recorder.record(obj(), Event("Warning", "Failed", "é" * 20_000, {"a": "b"}))
    await recorder.stop(10)
    body = server.requests[0].body
    assert body["message"] == "é" * 16_382 + "..."
    assert body["metadata"]["annotations"] == {"a": "b"}


async def test_a_full_outbox_drops_the_newest_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    sent: list[int] = []

    async def send(number: int) -> None:
        sent.append(number)

    outbox: Outbox[int] = Outbox("things", send, 3)
    with caplog.at_level(logging.WARNING):
        for number in range(10):
            outbox.put(number)
    outbox.start()
    await outbox.stop(5)
    assert sent == [0, 1, 2]
    assert outbox.dropped == 7
    assert [record.args[1] for record in caplog.records if isinstance(record.args, tuple)] == [1, 2, 4]


async def test_things_with_one_key_keep_their_order_and_wait_for_no_others() -> None:
    sent: list[int] = []
    gate = asyncio.Event()

    async def send(number: int) -> None:
        if number == 0:
            await gate.wait()
        sent.append(number)

    outbox: Outbox[int] = Outbox("things", send, 10, lanes=8)
    slow, quick = next((str(a), str(b)) for a in range(9) for b in range(9) if hash(str(a)) % 8 != hash(str(b)) % 8)
    outbox.start()
    for number, key in enumerate((slow, slow, quick, quick)):
        outbox.put(number, key)
    while len(sent) < 2:
        await asyncio.sleep(0)
    assert sent == [2, 3]
    gate.set()
    await outbox.stop(5)
    assert sent == [2, 3, 0, 1]


async def test_an_outbox_that_cannot_send_stops_in_time() -> None:
    async def send(_: int) -> None:
        await asyncio.Event().wait()

    outbox: Outbox[int] = Outbox("things", send, 3)
    outbox.start()
    outbox.put(1)
    async with asyncio.timeout(5):
        await outbox.stop(0.01)


async def webhook_posts(server: FakeServer, naps: Naps, *events: Event) -> list[Any]:
    webhook = Webhook(f"{server.url}/", "source-controller", naps)
    webhook.start()
    for event in events:
        webhook.put({"kind": "OCIRepository", "name": "app"}, event, "2024-01-01T00:00:00Z")
    await webhook.stop(10)
    return [request.body for request in server.requests]


async def test_the_notification_controller_gets_news_and_errors(server: FakeServer, naps: Naps) -> None:
    """B21, B22"""
    server.answer("POST", "/", Answer(status=202))
    first, second = await webhook_posts(
        server,
        naps,
        Event("Normal", "NewArtifact", "stored", {"source.toolkit.fluxcd.io/revision": "1"}),
        Event("Normal", "GarbageCollectionSucceeded", "garbage collected 1 artifacts"),
        Event("Warning", "VerificationError", "no"),
    )
    assert first["severity"] == "info"
    assert first["metadata"] == {"source.toolkit.fluxcd.io/revision": "1"}
    assert first["reportingController"] == "source-controller"
    assert first["involvedObject"] == {"kind": "OCIRepository", "name": "app"}
    assert (first["reason"], first["message"], first["timestamp"]) == ("NewArtifact", "stored", "2024-01-01T00:00:00Z")
    assert first["reportingInstance"]
    assert (second["severity"], second["reason"]) == ("error", "VerificationError")
    assert "metadata" not in second


@pytest.mark.parametrize(
    ("status", "tries"),
    [(202, 1), (429, 1), (400, 1), (500, 5)],
)
async def test_a_notification_is_tried_again_unless_it_is_refused_or_known(
    server: FakeServer, naps: Naps, status: int, tries: int
) -> None:
    """B22: four retries; 429 is a duplicate."""
    server.answer("POST", "/", Answer(status=status))
    assert len(await webhook_posts(server, naps, NEW)) == tries


async def test_a_notification_survives_a_broken_connection(server: FakeServer, naps: Naps) -> None:
    server.answer("POST", "/", Answer(drop=True), Answer(status=202))
    assert len(await webhook_posts(server, naps, NEW)) == 2
    assert naps.taken == [1.0]


async def test_a_notification_that_is_tried_again_holds_up_no_other_objects(server: FakeServer) -> None:
    retried = asyncio.Event()

    async def nap(_seconds: float) -> None:
        await retried.wait()

    server.answer("POST", "/", Answer(status=500), Answer(status=202))
    webhook = Webhook(f"{server.url}/", "source-controller", nap)
    webhook.start()
    webhook.put({"name": "first", "uid": "0"}, NEW, "2024-01-01T00:00:00Z")
    async with asyncio.timeout(5):
        while not server.requests:
            await asyncio.sleep(0.01)
        for number in range(1, 30):  # enough for one that is in another lane
            webhook.put({"name": "other", "uid": str(number)}, NEW, "2024-01-01T00:00:00Z")
        while len(server.requests) < 2:
            await asyncio.sleep(0.01)
    retried.set()
    await webhook.stop(10)
    assert len(server.requests) == 31


async def test_a_recorder_with_a_webhook_tells_both(api: KubeAPI, server: FakeServer, naps: Naps) -> None:
    server.answer("POST", EVENTS, Answer(body={}))
    server.answer("POST", "/", Answer(status=202))
    recorder = EventRecorder(api, Webhook(f"{server.url}/", "source-controller", naps))
    recorder.start()
    recorder.record(obj(), NEW)
    await recorder.stop(10)
    assert sorted(request.path for request in server.requests) == ["/", EVENTS]
