"""A TUF repository to refresh from, and the child process that does it."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from ocisource.domain.errors import RoomError
from ocisource.roots import shipped

MAX_REASON = 300


class RefreshError(RoomError):
    """Nothing newer could be had; the text says why."""


@dataclass(frozen=True)
class Mirror:
    """A TUF repository: where it is, and the root metadata that vouches for it. `private` is one with a root of trust
    of its own, in place of the public Sigstore's."""

    url: str
    bootstrap: bytes = field(repr=False)
    private: bool = False

    @property
    def folder(self) -> str:
        """A name for what is known of this repository and of no other one. Newer bootstrap metadata of the public one
        changes nothing about what is known."""
        identity = self.url.encode() + (b"\n" + self.bootstrap if self.private else b"")
        return hashlib.sha256(identity).hexdigest()[:16]


def public(url: str = "") -> Mirror:
    """The public repository, or a mirror of it at `url`."""
    return Mirror(url or shipped.URL, shipped.bootstrap())


async def fetch(mirror: Mirror, folder: Path, seconds: float) -> bytes:
    """The trusted root of the repository, as a child process finds it within `seconds`; what TUF remembers is kept in
    `folder`. The child does not outlive the call. Raises RefreshError."""
    # In seconds of its own, later than ours: for a child that nobody waits for any more.
    command = [sys.executable, "-P", "-m", "ocisource.roots.refresh", mirror.url, str(folder), str(int(seconds) + 5)]
    pipe = asyncio.subprocess.PIPE
    try:
        # A session of its own: what interrupts the operator in a terminal leaves it to the operator to end its child.
        child = await asyncio.create_subprocess_exec(
            *command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise RefreshError(f"no process could be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(seconds):
            document, said = await child.communicate(mirror.bootstrap)
    except TimeoutError as error:
        raise RefreshError(f"{mirror.url} did not give it within {seconds:g} seconds") from error
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise RefreshError(_last_line(said) or f"the process ended with {child.returncode}")
    return document


def _last_line(said: bytes) -> str:
    lines = said.decode("utf-8", "replace").splitlines() or [""]
    line = "".join(char if char.isprintable() else "?" for char in lines[-1])
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 3]}..."
