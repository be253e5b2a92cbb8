"""https or http: what is left of the question when nobody waits for the answer any more (flux-compat E8)."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from ocisource.domain.access import Access
from ocisource.domain.reference import parse_url
from ocisource.registry.errors import Unanswered
from ocisource.registry.origins import Origins


async def test_who_leaves_while_a_try_fails_leaves_no_unheard_error_behind() -> None:
    """asyncio would complain about it, on whatever is next on standard error."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    asked, closing = asyncio.Event(), asyncio.Event()

    async def knock(_access: Access, _origin: str) -> bool:
        asked.set()
        await closing.wait()
        raise Unanswered("Connector is closed.", temporary=False)

    async def ask() -> None:
        access = Access(parse_url("oci://127.0.0.1:5000/team/app"))
        await Origins(knock).of(access)

    asking = asyncio.create_task(ask())
    await asked.wait()
    closing.set()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.sleep(0)
    while len(asyncio.all_tasks()) > 1:
        await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
