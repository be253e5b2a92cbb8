"""A process pays for what it uses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.signer import Signer
from fakes.world import APP

Put = Callable[[str, bytes], Path]

PROGRAM = """
import json, sys
from ocisource.cli.commands import dispatch
status = dispatch(json.loads(sys.argv[1]))
heavy = ["sigstore", "tuf", "cbor2", "kopf", "aiohttp.web", "re2", "cryptography", "kubernetes", "oras"]
print(json.dumps([status, [name for name in heavy if name in sys.modules]]))
"""


def loaded(*arguments: str) -> tuple[int, list[str]]:
    """Exit status of the command, and what heavy modules it loaded."""
    command = [sys.executable, "-c", PROGRAM, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    status, names = json.loads(done.stdout.splitlines()[-1])
    return status, names


def test_a_verdict_by_key_loads_cryptography_only(registry: EmbeddedRegistry, alice: Signer, put: Put) -> None:
    key = put("alice.pub", alice.public_pem())

    assert loaded("verify", f"oci://{registry.address}/{APP}:1.0.0", "--key", str(key)) == (0, ["cryptography"])


def test_a_verdict_by_identity_loads_no_tuf(registry: EmbeddedRegistry) -> None:
    """The public root is the shipped copy: this command refreshes nothing."""
    flags = ["--certificate-identity", "a@b.example", "--certificate-oidc-issuer", "https://b.example"]

    status, names = loaded("verify", f"oci://{registry.address}/{APP}:1.0.0", *flags)
    assert (status, names) == (1, ["re2", "cryptography"])


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_to_ask_for_help_loads_nothing(arguments: list[str]) -> None:
    assert loaded(*arguments)[1] == []
