"""Log lines, as `flux logs` filters them (flux-compat G11)."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

from ocisource.domain.source import GROUP, KIND

CONTROLLER = "ocirepository"

ABOUT = {"controller": CONTROLLER, "controllerGroup": GROUP, "controllerKind": KIND}
"""What every line about an object says, too."""

# `trace` lies below what logging knows.
LEVELS = {"trace": 5, "debug": logging.DEBUG, "info": logging.INFO, "error": logging.ERROR}

QUIET = ("asyncio", "aiohttp", "kopf")
"""Libraries whose INFO lines say nothing to the people who run the operator."""


def about(namespace: str, name: str, **more: object) -> dict[str, Any]:
    """`extra=` for a log call that is about one object."""
    return {"fields": {**ABOUT, "namespace": namespace, "name": name, **more}}


class JSONLines(logging.Formatter):
    """One JSON object a line, with the fields that `flux logs` filters by."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        return json.dumps(line, ensure_ascii=False, default=str, separators=(",", ":"))


class ConsoleLines(logging.Formatter):
    """The same facts for a terminal: time, level, message, `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        line = _fields(record)
        head = f"{line.pop('ts')} {line.pop('level').upper():5} {line.pop('msg')}"
        return " ".join([head, *(f"{key}={json.dumps(value, default=str)}" for key, value in line.items())])


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {
        "level": _level(record.levelno),
        "ts": when.replace("+00:00", "Z"),
        "logger": record.name,
        "msg": record.getMessage(),
    }
    line.update(getattr(record, "fields", {}))
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        line["error"] = str(error) or type(error).__name__
        line["stacktrace"] = logging.Formatter().formatException(record.exc_info)
    return line


def _level(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.INFO:
        return "info"
    return "debug" if number >= logging.DEBUG else "trace"


def configure_logging(level: str, encoding: str, stream: TextIO | None = None) -> logging.Handler:
    """Sends every log line of the process to `stream` (standard error). `level` is one of LEVELS, `encoding` json
    or console. Returns the handler, so that a test can take it away again."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONLines() if encoding == "json" else ConsoleLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(LEVELS[level])
    # Libraries warn of what they read, too (an odd certificate): that is a log line like any other.
    logging.captureWarnings(capture=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(LEVELS[level], logging.WARNING))
    return handler
