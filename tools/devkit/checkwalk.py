"""`make run` without an API server: `ocisource check` against a registry in this process."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

from devkit.failures import WalkError
from devkit.keeper import Keeper
from devkit.narration import columns, commands, heading, tell
from devkit.ocihttp import EmbeddedRegistry
from devkit.workshop import Workshop, furnish

if TYPE_CHECKING:
    from pathlib import Path


def walk(missing: str, *, once: bool) -> None:
    """All of it; `missing` says why there is no API server. Raises WalkError."""
    heading("Without a cluster: `ocisource check` does what the operator does, with files in its place")
    tell(missing)
    tell("With it, this command shows the operator at work on a Kubernetes API server.")
    with EmbeddedRegistry() as registry, Keeper() as keeper:
        workshop = furnish(keeper.folder, registry.address)
        workshop.publish_signed()
        heading("Checking this, with the public key in a Secret beside it")
        tell(workshop.source.read_text())
        heading("It would be Ready: the newest version is found, its signature verified, its content stored")
        _check(workshop, expected=0)
        workshop.publish_unsigned()
        heading("It is refused, and the status would say why")
        _check(workshop, expected=1)
        tell("In a cluster, the artifact of 1.1.0 would still be served.")
        if not once:
            _play(workshop)


def _check(workshop: Workshop, *, expected: int) -> None:
    files = [workshop.source.name, workshop.secret.name]
    tell(f"$ ocisource check {shlex.join(files)}")
    done = subprocess.run(
        [sys.executable, "-m", "ocisource", "check", *files],
        cwd=workshop.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    tell(done.stdout)
    if done.returncode != expected:
        raise WalkError(f"ocisource check ended with exit code {done.returncode}, expected was {expected}")


def _play(workshop: Workshop) -> None:
    check = _command("check", workshop.source, workshop.secret)
    reference = f"oci://{workshop.repository}:1.0.0"
    heading("The registry stays up for you until Ctrl-C; from another terminal:")
    commands(
        ("push a version that is signed, and check again: READY", f"{shlex.quote(str(workshop.push))} 1.3.0", check),
        (
            "a mistake to make: a tag in the url; what does the check say?",
            f"sed -i '/url:/s/$/:1.1.0/' {shlex.quote(str(workshop.source))}",
            check,
        ),
        ("one reference by itself", _command("verify", "--insecure", "--key", workshop.seal.keys.public, reference)),
    )
    tell("")
    tell(columns([*workshop.facts(), ("the YAML", str(workshop.source))]))
    workshop.stay(lambda: None)


def _command(*words: str | Path) -> str:
    return shlex.join([sys.executable, "-m", "ocisource", *map(str, words)])
