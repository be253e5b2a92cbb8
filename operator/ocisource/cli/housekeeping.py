"""`ocisource run` at work, until a signal or the end of the watch: the workers, and what is tidied up beside them."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ocisource.controller import Controller, Desk
from ocisource.domain.errors import ClusterError, RoomError
from ocisource.ports import Objects, Store

logger = logging.getLogger(__name__)

OnEvent = Callable[[str | None, dict[str, Any]], None]
Watching = Callable[[OnEvent], Awaitable[None]]

ENDS = (signal.SIGINT, signal.SIGTERM)

GRACE = 6.0
"""Seconds that passes under way get when the operator stops. The pod of a stock Deployment gets 10 in all."""

TIDY_EVERY = 3600.0
GAP_PAUSE = 10.0
"""Seconds after a gap of the watch until what was missed is looked for: what exists is told again meanwhile."""


@dataclass
class State:
    """What the process is at. `standing_by` holds until it leads, `ready` once the watch is up; `stop` ends the watch.
    `grace` is how many seconds whatever is under way still gets: none if the second signal has come."""

    standing_by: asyncio.Event
    ready: asyncio.Event
    stop: asyncio.Event
    grace: float = GRACE
    stopping: bool = False

    def is_fine(self) -> bool:
        """For the probe: this process does what it is there for, be it to stand by."""
        return self.standing_by.is_set() or self.ready.is_set()


async def work(controller: Controller, desk: Desk, watching: Watching, state: State) -> None:
    """Watches and works until a signal or until the watch breaks. Kopf cancels what was started after it, so the
    workers are started before it and stopped before it is."""
    gap = asyncio.Event()

    def on_event(kind: str | None, obj: dict[str, Any]) -> None:
        if kind is None and state.ready.is_set():  # what exists is told again
            gap.set()
        controller.on_event(kind, obj)

    workers = asyncio.create_task(desk.queue.run(controller.process))
    caretaker = asyncio.create_task(_keep_house(controller, desk, state, gap))
    try:
        await watching(on_event)
    finally:
        caretaker.cancel()
        await desk.queue.stop(0)
        await workers


async def _keep_house(controller: Controller, desk: Desk, state: State, gap: asyncio.Event) -> None:
    """Once the watch is up: takes the signals over, and tidies up now and then, and after each gap of the watch."""
    await state.ready.wait()
    loop, stopping = asyncio.get_running_loop(), set[asyncio.Task[None]]()
    for number in ENDS:
        loop.add_signal_handler(number, lambda: stopping.add(asyncio.ensure_future(_stop(desk, state))))
    while True:
        try:
            await tidy(controller, desk.objects, desk.store)
        except RoomError as error:
            logger.error("what is gone was not looked for: %s", error)  # noqa: TRY400 - a sentence for the user
            if isinstance(error, ClusterError):  # what a gap hid is hidden still
                gap.set()
        except Exception:  # whatever nobody foresaw, the next round comes
            logger.exception("what is gone was not looked for")
        with suppress(TimeoutError):
            async with asyncio.timeout(TIDY_EVERY):
                await gap.wait()
        await asyncio.sleep(GAP_PAUSE)
        gap.clear()


async def tidy(controller: Controller, objects: Objects, store: Store) -> None:
    """A deletion during a gap of the watch is never told: what is known, and what is stored, is held against a fresh
    list. Raises ClusterError, StoreError."""
    known = controller.known()
    listed = await objects.keys()
    controller.miss(known, listed)
    # The files of what only moved to another shard are not ours to delete (flux-compat G9).
    swept = await store.sweep(await objects.keys(everybodys=True) | controller.known().keys())
    if swept:
        logger.info("deleted the artifacts of %d objects that no longer exist", swept)


async def _stop(desk: Desk, state: State) -> None:
    """The first signal lets passes under way end, the next one ends them: nothing of them is left but what they have
    made whole."""
    if state.stopping:
        state.grace = 0.0
        logger.info("stopping at once: passes under way are given up")
    else:
        state.stopping = True
        logger.info("stopping: passes under way get %.0f seconds", state.grace)
    await desk.queue.stop(state.grace)
    state.stop.set()
