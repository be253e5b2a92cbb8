"""The Lease that says which replica leads (coordination.k8s.io/v1; flux-compat G9). The rules are in
domain/leadership.py; here they meet the API server and the clock."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from ocisource.cluster.errors import ApiError, ConflictError, ForbiddenError, LeadershipLostError, NotFoundError
from ocisource.domain.errors import ClusterError
from ocisource.domain.leadership import STAGGER, Candidacy, Record, Terms, parse_record, written_record

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

logger = logging.getLogger(__name__)

MANAGER = {"fieldManager": "source-controller"}


def uptime() -> float:
    """Seconds that also pass while the machine sleeps, where the system can tell them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


@dataclass(frozen=True)
class Surroundings:
    """What the election is timed by: seconds that never go back, the time of day, and a wait."""

    clock: Callable[[], float] = uptime
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    uniform: Callable[[], float] = random.random


class Lease:
    """One Lease at the API server. Every method raises ApiError."""

    def __init__(self, api: KubeAPI, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._object: dict[str, Any] | None = None

    @property
    def object(self) -> dict[str, Any]:
        """As it was read or written last; only its name if it has not been."""
        return self._object or {"metadata": {"namespace": self._namespace, "name": self._name}}

    def __str__(self) -> str:
        return f"Lease {self._namespace}/{self._name}"

    async def read(self) -> Record | None:
        """What it says now, None if there is none."""
        try:
            self._object = await self._api.get(f"{self._folder}/{self._name}")
        except NotFoundError:
            self._object = None
            return None
        return parse_record(self._object.get("spec") or {})

    async def write(self, record: Record) -> None:
        """Writes it, if nobody has since it was read; else raises ConflictError. Annotations and labels stay."""
        if self._object is None:
            head = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            names = {"namespace": self._namespace, "name": self._name}
            body = {**head, "metadata": names, "spec": written_record(record)}
            self._object = await self._api.post(self._folder, body, MANAGER)
        else:
            body = {**self._object, "spec": {**(self._object.get("spec") or {}), **written_record(record)}}
            self._object = await self._api.request("PUT", f"{self._folder}/{self._name}", body, MANAGER)

    async def change(self) -> None:
        """Returns when it is another one than was read, or may be."""
        version = self._object["metadata"]["resourceVersion"] if self._object else ""
        params = {"watch": "true", "fieldSelector": f"metadata.name={self._name}"}
        if version:
            params["resourceVersion"] = version
        async with aclosing(self._api.stream(self._folder, params, silence=3600)) as changes:
            async for _ in changes:
                return


class Election:
    """Makes one process the leader, and tells it when it is not any more. `api` should be a connection of its own, so
    that renewals wait for nothing else."""

    def __init__(self, lease: Lease, identity: str, terms: Terms, surroundings: Surroundings | None = None) -> None:
        self._lease = lease
        self._terms = terms
        self._with = surroundings or Surroundings()
        self._candidacy = Candidacy(identity, terms)
        self._problem: ClusterError | None = None

    def leads(self) -> bool:
        """Whether nobody else can lead at this moment. Any thread may ask."""
        return self._candidacy.leads(self._with.clock())

    async def win(self) -> None:
        """Returns when this process leads. Raises ForbiddenError where RBAC does not let it."""
        waited_for = None
        while not await self._try(self._terms.renew_deadline / 2):
            if isinstance(self._problem, ForbiddenError):
                raise self._problem
            if self._candidacy.holder and self._candidacy.holder != waited_for:
                waited_for = self._candidacy.holder
                logger.info("standing by: %s is held by %s", self._lease, waited_for)
            await self._wait(self._candidacy.pause(self._with.clock(), self._with.uniform()))
        logger.info("leading: %s is held by %s", self._lease, self._candidacy.identity)

    async def keep(self) -> NoReturn:
        """Renews until that is impossible. Raises LeadershipLostError, in time for nobody else to lead before."""
        while True:
            await self._with.sleep(min(self._terms.retry_period, self._left()))
            if self.leads():  # else there is no time to ask, and what went wrong before is what to tell
                await self._try(min(self._terms.renew_deadline / 2, self._left()))
            if not self.leads():
                raise LeadershipLostError(f"{self._lease} is lost: {self._loss()}")

    def _loss(self) -> str:
        if self._candidacy.holder not in ("", self._candidacy.identity):
            return f"it is held by {self._candidacy.holder}"
        return str(self._problem or "this process stood still for too long")

    async def release(self) -> None:
        """Lets the next one lead at once, if this process leads. Never raises."""
        try:
            async with asyncio.timeout(self._terms.retry_period):
                self._candidacy.see(await self._lease.read(), self._with.clock())
                record = self._candidacy.release(self._stamp())
                if record is not None:
                    await self._lease.write(record)
                    self._candidacy.see(record, self._with.clock())
                    logger.info("%s is released", self._lease)
        except (ApiError, TimeoutError) as error:
            logger.warning("%s could not be released: %s", self._lease, str(error) or "no answer in time")

    def _left(self) -> float:
        return max(self._candidacy.leads_until - self._with.clock(), 0.0)

    async def _try(self, patience: float) -> bool:
        """One look at the Lease and, if it may be had, one write, within `patience` seconds. Whether that made this
        process the leader, or keeps it so; if not, `_problem` says what went wrong."""
        self._problem = None
        try:
            async with asyncio.timeout(patience):
                return await self._claim()
        except TimeoutError:
            self._problem = ClusterError(f"no answer from the API server within {patience:.1f} s")
        except ApiError as error:  # another candidate may have been faster: then there is a conflict
            self._problem = error
        logger.log(
            logging.DEBUG if isinstance(self._problem, ConflictError) else logging.WARNING,
            "%s: %s",
            self._lease,
            self._problem,
        )
        return False

    async def _claim(self) -> bool:
        began = self._with.clock()
        self._candidacy.see(await self._lease.read(), self._with.clock())
        record = self._candidacy.claim(self._with.clock(), self._stamp())
        if record is None:
            return False
        await self._lease.write(record)
        self._candidacy.won(record, began, self._with.clock())
        return True

    async def _wait(self, seconds: float) -> None:
        """Waits that long, or until the Lease changes: a released one is taken at once."""
        change = asyncio.ensure_future(self._lease.change())
        pause = asyncio.ensure_future(self._with.sleep(seconds))
        try:
            await asyncio.wait({change, pause}, return_when=asyncio.FIRST_COMPLETED)
            if change.done() and change.exception() is not None:
                await pause  # without a watch it is looked at from time to time
            elif change.done():  # all who stand by wake at this moment
                await self._with.sleep(self._terms.retry_period * STAGGER * self._with.uniform())
        finally:
            for each in (change, pause):
                each.cancel()
            await asyncio.gather(change, pause, return_exceptions=True)

    def _stamp(self) -> str:
        """RFC 3339 with microseconds, in UTC: what Kubernetes calls MicroTime."""
        return self._with.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
