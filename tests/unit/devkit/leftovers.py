"""What a process that has ended may not leave behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path


def left_in(folder: Path, patience: float = 10) -> list[str]:
    """Processes that name the folder or run in it, and what lies in it; empty as soon as there is nothing."""
    deadline = time.monotonic() + patience
    while found := [*processes_that_name(folder), *map(str, folder.iterdir())]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    return found


def processes_that_name(folder: Path) -> list[str]:
    """Every part is started with paths in its folder, and runs in it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd", "status"]):
        told = " ".join(process.info["cmdline"] or []) + (process.info["cwd"] or "")
        if str(folder) in told and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(told)
    return found
