"""What is asked of the API server, counted as clients in Go count it (flux-compat G7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

METRIC = "rest_client_requests_total"

Count = Callable[[str, str, Mapping[str, str]], None]
"""Adds one to the counter of that name, meaning and labels."""


def counted(count: Count) -> aiohttp.TraceConfig:
    """Has every request counted by the code of its answer, by host and by method; the watches of the door, too."""

    def note(asked: aiohttp.TraceRequestEndParams | aiohttp.TraceRequestExceptionParams, code: str) -> None:
        labels = {"code": code, "host": f"{asked.url.host}:{asked.url.port}", "method": asked.method}
        count(METRIC, "Requests to the API server.", labels)

    async def answered(_: aiohttp.ClientSession, __: Any, asked: aiohttp.TraceRequestEndParams) -> None:
        note(asked, str(asked.response.status))

    async def failed(_: aiohttp.ClientSession, __: Any, asked: aiohttp.TraceRequestExceptionParams) -> None:
        note(asked, "<error>")

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    return trace
