"""`ocisource verify oci://…:tag --key cosign.pub`: the verdict on one reference. Nothing of it is fetched."""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from ocisource.cli.corridors import corridor
from ocisource.cli.documents import BadInput, FileSecrets
from ocisource.cli.exits import BAD_INPUT, NOT_READY, READY
from ocisource.domain.errors import InvalidSource
from ocisource.domain.source import GROUP, KIND, Source, parse_source
from ocisource.domain.status import Report, Status

NAMESPACE, KEYS, PULL = "command-line", "keys", "pull"
_TAG = re.compile(r"(?P<url>oci://.+?)(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?P<digest>@.*)?")


def main(arguments: list[str]) -> int:
    """Runs the command; the exit status: 0 verified, 1 not, 2 bad input."""
    options = _parser().parse_args(arguments)
    try:
        source = parse_source(_object(options))
        secrets = _secrets(options)
    except (BadInput, InvalidSource) as error:
        print(f"ocisource verify: {error}", file=sys.stderr)
        return BAD_INPUT
    report = asyncio.run(_verify(source, secrets, options.platform))
    if report.failure is not None:
        print(f"NOT VERIFIED  {report.failure.message}")
        return BAD_INPUT if report.failure.stalls else NOT_READY
    print(f"VERIFIED  {report.verified}")
    return READY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocisource verify",
        description="Resolves one reference and verifies its cosign signature with public keys. Exit status 0: "
        "verified, 1: not verified, 2: bad input.",
    )
    parser.add_argument("reference", help="oci://registry/repository[:tag][@sha256:…]")
    parser.add_argument("--key", action="append", required=True, metavar="FILE", help="PEM public key; repeat for more")
    parser.add_argument("--insecure", action="store_true", help="allow plain HTTP")
    parser.add_argument("--timeout", default="60s", help="bound on everything (default: %(default)s)")
    parser.add_argument("--registry-config", metavar="FILE", help="credentials: a Docker config.json")
    parser.add_argument("--platform", default="linux/amd64", help="child of an index to take (default: %(default)s)")
    return parser


def _object(options: argparse.Namespace) -> dict[str, Any]:
    match = _TAG.fullmatch(options.reference)
    if match is None:
        raise BadInput(f"{options.reference}: a reference begins with oci://, like oci://registry.example.com/app:1.0")
    spec: dict[str, Any] = {
        "url": match["url"],
        "interval": "0s",
        "timeout": options.timeout,
        "insecure": options.insecure,
        "ref": {"tag": (match["tag"] or "")[1:], "digest": (match["digest"] or "")[1:]},
        "verify": {"provider": "cosign", "secretRef": {"name": KEYS}},
    }
    if options.registry_config:
        spec["secretRef"] = {"name": PULL}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": KIND,
        "metadata": {"namespace": NAMESPACE, "name": "reference"},
        "spec": spec,
    }


def _secrets(options: argparse.Namespace) -> FileSecrets:
    secrets = FileSecrets()
    # The rooms take keys from entries that end in .pub, whatever the file was called.
    keys = {_entry(path): _bytes(path) for path in options.key}
    secrets.put(NAMESPACE, KEYS, "Opaque", keys)
    if options.registry_config:
        data = {".dockerconfigjson": _bytes(options.registry_config)}
        secrets.put(NAMESPACE, PULL, "kubernetes.io/dockerconfigjson", data)
    return secrets


def _entry(path: str) -> str:
    return path if path.endswith(".pub") else f"{path}.pub"


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error


async def _verify(source: Source, secrets: FileSecrets, platform: str) -> Report:
    with tempfile.TemporaryDirectory(prefix="ocisource-verify-") as root:
        async with corridor(root, secrets, platform) as way:
            return await way.judge(source, Status(), lambda step, told: print(f"{step:9} {told}"))
