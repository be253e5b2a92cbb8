"""The other way out for events: the notification controller (flux-compat B22)."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import aiohttp

from ocisource.cluster.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ocisource.domain.status import Event

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
RETRIES = 4
LANES = 8
"""Notifications that are on their way at a time, each about another object: one that is tried again holds up no
other object's."""

WAITING = 250
"""Notifications that may wait in each lane."""

FORWARDED = {"NewArtifact", "Succeeded"}
"""Normal events that are worth a notification (flux-compat B21); of Warnings all are."""


class Webhook:
    """Posts events as JSON to `address` (the value of --events-addr, an http(s) URL) in the background."""

    def __init__(
        self, address: str, component: str, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self._address = address
        self._component = component
        self._instance = socket.gethostname()
        self._sleep = sleep
        self._outbox: Outbox[dict[str, Any]] = Outbox("notifications", self._post, WAITING, LANES)
        self._session: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT))
        self._outbox.start()

    async def stop(self, within: float) -> None:
        await self._outbox.stop(within)
        if self._session is not None:
            await self._session.close()

    def put(self, reference: dict[str, str], event: Event, timestamp: str) -> None:
        """Sends the event if it is one that is worth it."""
        severity = "error" if event.type == "Warning" else "info"
        if severity == "info" and event.reason not in FORWARDED:
            return
        body = {
            "involvedObject": reference,
            "severity": severity,
            "timestamp": timestamp,
            "message": event.message,
            "reason": event.reason,
            "reportingController": self._component,
            "reportingInstance": self._instance,
        }
        if event.annotations:
            body["metadata"] = dict(event.annotations)
        self._outbox.put(body, reference.get("uid", ""))

    async def _post(self, body: dict[str, Any]) -> None:
        problem = ""
        for attempt in range(RETRIES + 1):
            if attempt:
                await self._sleep(2.0 ** (attempt - 1))
            status, problem = await self._try(body)
            if status < 300 and not problem:
                return
            if status == 429:  # the receiver has had the same event a moment ago
                return
            if 400 <= status < 500:
                break
        logger.error("the event was not taken by %s: %s", self._address, problem)

    async def _try(self, body: dict[str, Any]) -> tuple[int, str]:
        if self._session is None:
            raise RuntimeError("the webhook was not started")
        try:
            async with self._session.post(self._address, json=body, allow_redirects=False) as response:
                return response.status, "" if response.status < 300 else f"HTTP {response.status}"
        except TimeoutError:
            return 0, f"no answer within {TIMEOUT:.0f}s"
        except aiohttp.ClientError as error:
            return 0, str(error) or type(error).__name__
