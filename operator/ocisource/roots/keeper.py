"""Who has the public trusted root ready at any moment, and sees to it that it stays fresh.

A pass takes what is there and never waits. The refresh runs beside it, in a child process; whatever goes wrong there
is a log line and a number in the metrics, and the last good copy stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ocisource.domain.durations import backoff, jittered
from ocisource.domain.errors import RoomError, TrustError, Unjudged
from ocisource.roots import copies, shipped
from ocisource.roots.copies import Copy
from ocisource.roots.mirror import Mirror, fetch, public

logger = logging.getLogger(__name__)

SOON, EVERY, JITTER_PERCENT = 2.0, 24 * 3600.0, 10.0
"""Seconds from the first need to the first refresh, and between refreshes; how far both are spread."""

FIRST_RETRY, LAST_RETRY = 60.0, 3600.0
LIMIT = 120.0
"""Seconds that one refresh may take."""


@dataclass(frozen=True)
class Plan:
    """When things are done, in seconds; `uniform` draws a number in [0, 1]."""

    soon: float = SOON
    every: float = EVERY
    first_retry: float = FIRST_RETRY
    last_retry: float = LAST_RETRY
    limit: float = LIMIT
    uniform: Callable[[], float] = field(default=random.random, repr=False)

    def spread(self, seconds: float) -> float:
        return jittered(seconds, JITTER_PERCENT, self.uniform())


class RootKeeper:
    """Keeps the trusted root of one TUF repository, with what is on disk below `folder`.

    `validate` raises TrustError for a document that is no trusted root; it is only called once somebody needs a root.
    `on_failure` is called for each refresh that failed. `now` is the time in Unix seconds.
    """

    def __init__(
        self,
        folder: Path,
        validate: Callable[[bytes], object],
        mirror: Mirror | None = None,
        *,
        on_failure: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.time,
        plan: Plan | None = None,
    ) -> None:
        self._mirror = mirror or public()
        self._folder = folder / self._mirror.folder
        self._validate = validate
        self._on_failure = on_failure
        self._now = now
        self._plan = plan or Plan()
        self._fallback = None if self._mirror.private else Copy(shipped.trusted_root(), shipped.taken(), shipped=True)
        self._found = self._on_disk()
        self._used: Copy | None = None
        self._problem = ""
        self._lock = threading.Lock()
        self._wake: Callable[[], object] = lambda: None

    def current(self) -> bytes:
        """The trusted root of this moment. No I/O, from any thread.

        Raises Unjudged only for a private repository of which there never was a copy: the public root would trust
        others than those who were asked for.
        """
        with self._lock:
            if self._used is None:
                self._used = self._best()
                self._wake()
            if self._used is None:
                why = f": {self._problem}" if self._problem else ", it is on its way"
                raise Unjudged(f"the trusted root of {self._mirror.url} was never fetched yet{why}")
            return self._used.document

    def age(self) -> float:
        """Seconds since TUF vouched for the copy in use or, of the shipped one, since it was taken. 0 while nobody
        needs a root."""
        used = self._used
        return max(self._now() - used.confirmed, 0.0) if used else 0.0

    async def run(self) -> None:
        """Refreshes from the first need on, until it is cancelled."""
        needed = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self._lock:
            self._wake = partial(loop.call_soon_threadsafe, needed.set)
            if self._used is not None:
                needed.set()
        try:
            await needed.wait()
            await self._keep_fresh()
        finally:
            with self._lock:
                self._wake = lambda: None

    async def _keep_fresh(self) -> None:
        plan, failures = self._plan, 0
        await asyncio.sleep(plan.spread(plan.soon))
        while True:
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001 - whatever broke, the copy stays and another try comes
                failures += 1
                self._failed(str(error) if isinstance(error, RoomError) else repr(error))
                await asyncio.sleep(plan.spread(backoff(failures, plan.first_retry, plan.last_retry)))
            else:
                failures = 0
                await asyncio.sleep(plan.spread(plan.every))

    async def refresh(self) -> None:
        """Replaces the copy in use by what the repository has now. Raises RefreshError, TrustError."""
        document = await fetch(self._mirror, self._folder, self._plan.limit)
        self._validate(document)
        copy = Copy(document, self._now())
        try:
            await asyncio.to_thread(copies.save, self._folder, copy)
        except OSError as error:
            # In use all the same: only a restart will have to do without it.
            logger.error("the trusted root could not be kept on disk: %s", error)  # noqa: TRY400 - one line
        with self._lock:
            changed = self._used is None or self._used.document != document
            self._used, self._problem = copy, ""
        logger.info("the trusted root of %s %s", self._mirror.url, "has changed" if changed else "is still the same")

    def _failed(self, problem: str) -> None:
        self._on_failure()
        self._problem = problem
        stays = "there is none to go on with"
        if self._used is not None:
            day = datetime.fromtimestamp(self._used.confirmed, UTC).date().isoformat()
            stays = f"the copy of {day} stays in use"
        logger.error("the trusted root was not refreshed: %s; %s", problem, stays)

    def _on_disk(self) -> Copy | None:
        try:
            return copies.load(self._folder)
        except OSError as error:
            logger.error("the last trusted root cannot be read: %s", error)  # noqa: TRY400 - one line
            return None

    def _best(self) -> Copy | None:
        """The copy that was confirmed last: what is on disk, unless it is broken or this version has a later one."""
        found, fallback = self._found, self._fallback
        if found is None or (fallback is not None and found.confirmed < fallback.confirmed):
            return fallback
        try:
            self._validate(found.document)
        except TrustError as error:
            logger.error("the last trusted root on disk cannot be used: %s", error)  # noqa: TRY400 - one line
            return fallback
        return found
