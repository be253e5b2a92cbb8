"""What happened to an object, told to whoever watches: core/v1 Events, and the notification controller (flux-compat
B21, B22). Telling never delays a pass and never fails one."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ocisource.cluster.correlator import Correlator, Telling
from ocisource.cluster.errors import NotFoundError
from ocisource.cluster.objects import MANAGER, reference
from ocisource.cluster.outbox import Outbox
from ocisource.domain.conditions import cut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocisource.cluster.api import KubeAPI
    from ocisource.cluster.webhook import Webhook
    from ocisource.domain.status import Event

COMPONENT = "source-controller"
LANES = 8
"""Events that are posted at a time, each about another object: who reads them asks why, and asks now."""

WAITING = 500
"""Events that may wait to be posted in each lane."""


@dataclass(frozen=True)
class _Occurrence:
    about: dict[str, str]
    event: Event
    when: float


class EventRecorder:
    """Fits `ports.Recorder`. The same event about the same object counts up one Event instead of making another;
    floods are thinned out as client-go does (correlator.py). `api` should have a pace of its own (`apart`); `component`
    is who tells."""

    def __init__(
        self,
        api: KubeAPI,
        webhook: Webhook | None = None,
        clock: Callable[[], float] = time.time,
        component: str = COMPONENT,
    ) -> None:
        self._api = api
        self._webhook = webhook
        self._clock = clock
        self._component = component
        self._correlator = Correlator()
        self._outbox: Outbox[_Occurrence] = Outbox("events", self._post, WAITING, LANES)

    def start(self) -> None:
        """Begins to post. Call it inside the loop, before kopf runs: kopf cancels what was started after it."""
        self._outbox.start()
        if self._webhook is not None:
            self._webhook.start()

    async def stop(self, within: float) -> None:
        """Posts what waits, for at most `within` seconds."""
        stopping = [self._outbox.stop(within)]
        if self._webhook is not None:
            stopping.append(self._webhook.stop(within))
        await asyncio.gather(*stopping)

    def record(self, obj: Mapping[str, Any], event: Event) -> None:
        """Tells `event` about `obj`, which is an OCIRepository unless it says its kind."""
        about, now = reference(obj), self._clock()
        self._outbox.put(_Occurrence(about, event, now), about.get("uid", ""))
        if self._webhook is not None:
            self._webhook.put(about, event, _timestamp(now))

    async def _post(self, occurrence: _Occurrence) -> None:
        about = occurrence.about
        obj = (about.get("namespace", ""), about.get("name", ""), about.get("uid", ""))
        telling = self._correlator.correlate(obj, occurrence.event, occurrence.when)
        if telling is None:
            return
        where = f"/api/v1/namespaces/{about.get('namespace') or 'default'}/events"
        if telling.posted:
            change = {
                "count": telling.count,
                "lastTimestamp": _timestamp(occurrence.when),
                "message": cut(telling.message),
            }
            try:
                await self._api.patch(f"{where}/{telling.name}", change, MANAGER)
            except NotFoundError:  # the API server keeps Events for an hour
                telling.posted = False
            else:
                return
        await self._api.post(where, _document(occurrence, telling, self._component), MANAGER)
        telling.posted = True


def _document(occurrence: _Occurrence, telling: Telling, component: str) -> dict[str, Any]:
    """A core/v1 Event."""
    metadata: dict[str, Any] = {
        "name": telling.name,
        "namespace": occurrence.about.get("namespace") or "default",
    }
    if occurrence.event.annotations:
        metadata["annotations"] = dict(occurrence.event.annotations)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": metadata,
        "involvedObject": occurrence.about,
        "type": occurrence.event.type,
        "reason": occurrence.event.reason,
        "message": cut(telling.message),
        "count": telling.count,
        "firstTimestamp": _timestamp(telling.first),
        "lastTimestamp": _timestamp(occurrence.when),
        "source": {"component": component},
        "reportingComponent": component,
        "reportingInstance": "",
    }


def _timestamp(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
