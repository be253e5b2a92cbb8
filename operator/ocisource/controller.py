"""What happens to one key of the work queue: look at the object, run a pass, write what came of it, say when next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from ocisource.domain import durations, telling
from ocisource.domain import status as s
from ocisource.domain.errors import ClusterError, Conflict, Failure, NotFound, StoreError
from ocisource.domain.reviews import Reviews
from ocisource.domain.secretindex import SecretIndex, named_by
from ocisource.domain.sightings import Asks, age, lane, read_source, same_object
from ocisource.domain.source import FINALIZER, Source
from ocisource.ports import Gauges, Objects, Recorder, Store
from ocisource.reconcile import Corridor
from ocisource.telemetry import about
from ocisource.workqueue import Key, Queue, Result

logger = logging.getLogger(__name__)

FAILED = "Reconciler error"
"""The headline of a pass that failed, as controllers in Go have it (flux-compat G11)."""

WRITE_TRIES = 5
PROGRESS_AFTER = 1.0
"""Seconds after which a pass is worth to be seen in the status. Most end sooner, and their one write says it all."""


@dataclass(frozen=True)
class Desk:
    """What the controller works with. `monotonic` counts seconds; with `verify_interval` (seconds, 0: off) verdicts
    are made anew after that time. `index` is told elsewhere which Secrets a ServiceAccount brings; `default_account` is
    the one that asks a cloud for objects that name none (flux-compat G8)."""

    corridor: Corridor
    objects: Objects
    recorder: Recorder
    store: Store
    queue: Queue
    gauges: Gauges
    clock: Callable[[], str]
    uniform: Callable[[], float]
    jitter_percent: float = 5.0
    verify_interval: float = 0.0
    monotonic: Callable[[], float] = time.monotonic
    index: SecretIndex = field(default_factory=SecretIndex)
    default_account: str = ""


class Controller:
    """Keeps the newest known state of every object, and turns events into work and work into status."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._objects: dict[Key, dict[str, Any]] = {}
        self._seen: dict[Key, Asks] = {}
        self._index = desk.index
        self._reviews = Reviews(desk.verify_interval)

    def known(self) -> dict[Key, dict[str, Any]]:
        """The objects that this process knows of at this moment."""
        return dict(self._objects)

    def miss(self, known: Mapping[Key, dict[str, Any]], listed: AbstractSet[Key]) -> None:
        """What was `known` before the API server made this list, and is not on it, was deleted, and nobody told. Of
        what has been heard of since, the list says nothing."""
        for key, obj in known.items():
            if key not in listed and self._objects.get(key) is obj:
                self.on_event("DELETED", obj)

    def on_event(self, kind: str | None, obj: dict[str, Any]) -> None:
        """An event of the watch. Only what asks for a pass becomes work: a new object, a new generation, a request
        or a deletion (flux-compat B1). Our own writes come back as events, too, and must not."""
        metadata = obj["metadata"]
        key = (metadata["namespace"], metadata["name"])
        if kind == "DELETED":
            self._forget(key)
            self._desk.queue.add(key, "")
            return
        known = self._objects.get(key)
        if known is None or age(obj) >= age(known):
            self._objects[key] = obj
            self._index.put(key, named_by(obj, self._desk.default_account))
        before, now = self._seen.get(key), Asks.of(obj)
        self._seen[key] = now
        if now.for_a_pass_since(before):
            self._desk.queue.add(key, lane(obj))

    def on_secret(self, namespace: str, name: str) -> None:
        """A Secret was added, changed or deleted: the objects that use it have a pass now (flux-compat J4). One whose
        pass is under way gets another one, since that may have read the Secret before."""
        self._wake(self._index.users(namespace, name))

    def on_account(self, namespace: str, name: str) -> None:
        """A ServiceAccount was added, changed or deleted: the same for the objects that name it."""
        self._wake(self._index.bearers(namespace, name))

    def _wake(self, keys: Iterable[Key]) -> None:
        for key in keys:
            obj = self._objects[key]
            if not (obj.get("spec") or {}).get("suspend"):
                self._desk.queue.add(key, lane(obj))

    def _forget(self, key: Key) -> None:
        self._objects.pop(key, None)
        self._seen.pop(key, None)
        self._index.drop(key)
        self._reviews.forget(key)

    async def process(self, key: Key) -> Result:
        """One pass of the work queue. Raises only what nobody foresaw."""
        started = time.monotonic()
        try:
            result = await self._looked_after(key)
        except ClusterError as error:  # nothing of the pass can be told in the cluster; it is made again
            result = self._untold(key, f"the API server did not take the outcome of the pass: {error}")
        except StoreError as error:  # of an object that is gone, nobody else can be told
            result = self._untold(key, str(error))
        if key in self._objects:  # of what is gone, the series have ended
            self._desk.gauges.passed(*key, time.monotonic() - started, result.word)
        return result

    async def _looked_after(self, key: Key) -> Result:
        obj = self._objects.get(key)
        if obj is None:
            return await self._gone(key)
        try:
            return await self._pass(key, obj)
        except NotFound:
            return await self._gone(key)
        except Conflict:  # what the watch told is behind: look at the object itself, and begin again
            return await self._reread(key)

    def _untold(self, key: Key, problem: str) -> Result:
        """A pass that failed, and that only the log can tell about."""
        logger.error(FAILED, extra=about(*key, error=problem))
        return Result(failed=True)

    async def _pass(self, key: Key, obj: dict[str, Any]) -> Result:
        source, fault = read_source(obj)
        if source.deleting:
            return await self._delete(key)
        if not source.finalized:
            obj = self._remember(key, await self._desk.objects.add_finalizer(obj))
        if source.suspended:
            logger.info("reconciliation is suspended for this object", extra=about(*key))
            await self._write(key, obj, lambda found: s.suspended(source, found, self._desk.clock()))
            return Result()
        if fault is not None:
            found = s.parse_status(obj)
            return await self._conclude(key, obj, source, s.Report(found.artifact, latest_url=found.url, failure=fault))
        return await self._reconcile(key, obj, source)

    async def _reconcile(self, key: Key, obj: dict[str, Any], source: Source) -> Result:
        found = s.parse_status(obj)
        overdue = source.verify is not None and self._reviews.overdue(key, self._desk.monotonic())
        running = asyncio.create_task(
            self._desk.corridor.run(source, found, lambda *step: _log(key, *step), anew=overdue)
        )
        try:
            done, _ = await asyncio.wait({running}, timeout=PROGRESS_AFTER)
            if not done and s.is_due(source, found):
                obj = await self._write(key, obj, lambda then: s.progress(source, then, self._desk.clock()))
            report = await running
        finally:
            running.cancel()
        if report.failure is None:
            self._note_review(key, source, made=overdue or bool(report.verified))
        return await self._conclude(key, obj, source, report)

    def _note_review(self, key: Key, source: Source, *, made: bool) -> None:
        if source.verify is None:
            self._reviews.forget(key)
        elif made:  # spread like intervals, or objects that began together would stay together
            interval = durations.jittered(self._reviews.interval, self._desk.jitter_percent, self._desk.uniform())
            self._reviews.made(key, self._desk.monotonic() + interval)

    async def _conclude(self, key: Key, obj: dict[str, Any], source: Source, report: s.Report) -> Result:
        before = s.parse_status(obj)
        written = await self._write(key, obj, lambda found: s.concluded(source, found, report, self._desk.clock()))
        for event in telling.events(source, before, report):
            self._tell(key, written, event, report.failure)
        if report.failure is None and report.stored is None:  # a log line is all that a pass without news leaves (J9)
            logger.info("artifact up-to-date with remote revision: '%s'", report.resolved, extra=about(*key))
        failure = report.failure
        if failure is not None and failure.stalls:
            return Result(stalled=True)
        if failure is not None or not s.is_ready(s.parse_status(written)):
            return Result(failed=True)
        after = None  # an interval of 0 is admitted, and means never (flux-compat B12)
        if source.interval:
            after = durations.jittered(source.interval, self._desk.jitter_percent, self._desk.uniform())
        return Result(after=self._reviews.sooner(key, self._desk.monotonic(), after))

    async def _delete(self, key: Key) -> Result:
        """Flux-compat B20. Reads live before it destroys: what the watch told may be long ago."""
        obj = await self._desk.objects.get(*key)
        if obj is None:
            return await self._gone(key)
        if not obj["metadata"].get("deletionTimestamp"):
            self._remember(key, obj)
            return Result(after=0)
        source, _ = read_source(obj)
        try:
            removed = await self._desk.store.remove(*key)
        except StoreError as error:
            failure = Failure(None, error.reason, str(error))
            self._tell(
                key, obj, telling.addressed(source, s.Event(s.WARNING, failure.reason, failure.message)), failure
            )
            await self._write(key, obj, lambda found: s.undeleted(source, found, self._desk.clock()))
            return Result(failed=True)
        if removed:
            message = "garbage collected artifacts for deleted resource"
            self._tell(key, obj, telling.addressed(source, s.Event(s.NORMAL, "GarbageCollectionSucceeded", message)))
        if set(obj["metadata"].get("finalizers") or ()) - {FINALIZER}:  # others still have to do with it, and see it
            obj = await self._write(key, obj, lambda found: s.deleted(source, found, self._desk.clock()))
        await self._desk.objects.remove_finalizer(obj)
        return Result()

    async def _gone(self, key: Key) -> Result:
        """The watch says that the object is gone. If that is so, nothing of it is kept; if it only left our part of
        the cluster (a label moved it to another shard), its files are not ours to delete."""
        known = self._objects.get(key)
        live = await self._desk.objects.get(*key)
        if self._objects.get(key) is not known or (known is not None and live is not None):
            return Result(after=0)  # it came back meanwhile
        self._forget(key)
        self._desk.gauges.forget(*key)
        if live is None:
            await self._desk.store.remove(*key)
        if key not in self._objects:
            self._desk.queue.forget(key)
        return Result()

    async def _reread(self, key: Key) -> Result:
        live = await self._desk.objects.get(*key)
        if live is None:
            return await self._gone(key)
        self._remember(key, live)
        return Result(after=0)

    async def _write(self, key: Key, obj: dict[str, Any], compute: Callable[[s.Status], s.Status]) -> dict[str, Any]:
        """Writes the status that `compute` makes of the one that is there. Who loses against another writer reads
        again and computes again; facts of the pass stay what they are."""
        for _ in range(WRITE_TRIES):
            status = s.written(compute(s.parse_status(obj)))
            try:
                return self._remember(key, await self._desk.objects.patch_status(obj, status))
            except Conflict:
                fresh = await self._desk.objects.get(*key)
                if fresh is None or not same_object(fresh, obj):  # another one of its name is not the pass's to tell of
                    raise NotFound("the object was deleted during the pass") from None
                obj = fresh
        raise Conflict(f"the status was written by somebody else {WRITE_TRIES} times in a row")

    def _remember(self, key: Key, obj: dict[str, Any]) -> dict[str, Any]:
        """Keeps an answer of the API server, unless the watch was faster and knows better."""
        known = self._objects.get(key)
        if known is not None and age(obj) >= age(known):
            self._objects[key] = obj
        return obj

    def _tell(self, key: Key, obj: Mapping[str, Any], event: s.Event, failure: Failure | None = None) -> None:
        if failure is not None and event.message == failure.message:
            headline = "reconciliation stalled" if failure.stalls else FAILED
            logger.error(headline, extra=about(*key, error=event.message))
        elif event.type == s.WARNING:
            logger.error(event.message, extra=about(*key, error=event.reason))
        else:
            logger.info(event.message, extra=about(*key))
        self._desk.recorder.record(obj, event)


def _log(key: Key, step: str, outcome: str) -> None:
    logger.debug("%s: %s", step, outcome, extra=about(*key))
