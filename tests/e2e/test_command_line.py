"""`ocisource verify` as people run it, on what the real cosign and the real notation signed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from devkit.offline.notary import COSE, JWS, Notary, trust_policy
from devkit.offline.windows import Window
from devkit.services import KeyPair
from real.images import Image, Repository

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.live.notation import Notation
    from devkit.services import Cosign

pytestmark = pytest.mark.e2e

NOW = int(time.time())


@dataclass(frozen=True)
class Said:
    """What the process said; `report` is its JSON."""

    status: int
    report: dict[str, Any]


def verify(reference: str, *flags: object) -> Said:
    command = [sys.executable, "-m", "ocisource", "verify", f"oci://{reference}", "-o", "json", *map(str, flags)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    return Said(done.returncode, json.loads(done.stdout))


@pytest.fixture(params=["registry", "distribution"])
def repository(request: pytest.FixtureRequest) -> Repository:
    """A repository of the test's own, with and without the referrers API."""
    return Repository(request.getfixturevalue(request.param).address, f"command-line/{os.urandom(4).hex()}")


@pytest.fixture
def image(repository: Repository) -> Image:
    return repository.publish("1.0.0", {"app.yaml": os.urandom(16).hex().encode()})


@pytest.fixture(scope="module")
def key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("command-line")


@pytest.fixture(scope="module")
def other_key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("command-line-other")


def test_both_formats_of_cosign_are_found_and_each_is_judged(
    cosign: Cosign, key: KeyPair, other_key: KeyPair, image: Image
) -> None:
    cosign.sign(image.reference, key, bundle=False)
    cosign.sign(image.reference, key, bundle=True)
    cosign.sign(image.reference, other_key, bundle=True)

    said = verify(image.reference, "--key", key.public)

    assert (said.status, said.report["verified"], said.report["digest"]) == (0, True, image.digest)
    found = [(one["form"], one["accepted"]) for one in said.report["signatures"]]
    assert sorted(found) == [("cosign-legacy", True), ("sigstore-bundle", False), ("sigstore-bundle", True)]


def test_another_key_is_a_no_with_advice(cosign: Cosign, key: KeyPair, other_key: KeyPair, image: Image) -> None:
    cosign.sign(image.reference, other_key, bundle=True)

    said = verify(image.reference, "--key", key.public)

    assert (said.status, said.report["verified"], said.report["signer"]) == (1, False, "")
    assert said.report["advice"][0].startswith("if whoever signed it is to be trusted, give its public key with --key")


def test_the_advice_to_who_signed_nothing_works(cosign: Cosign, key: KeyPair, image: Image) -> None:
    said = verify(image.reference, "--key", key.public)

    assert said.status == 1
    assert said.report["advice"] == [f"sign this digest: cosign sign --key cosign.key {image.reference}"]
    cosign.sign(said.report["advice"][0].split()[-1], key, bundle=True)
    assert verify(image.reference, "--key", key.public).status == 0


def test_what_is_not_there_is_neither_yes_nor_no(key: KeyPair, repository: Repository) -> None:
    assert verify(f"{repository}:1.0.0", "--key", key.public).status == 3


@pytest.mark.parametrize("form", [JWS, COSE])
def test_notation_is_judged_by_a_trust_policy(notation: Notation, image: Image, form: str, tmp_path: Path) -> None:
    notary, stranger = (Notary.create(Window(NOW - 86400, NOW + 86400)) for _ in range(2))
    notation.sign(image.reference, notary, form)
    for name, one in (("root.crt", notary), ("stranger.crt", stranger)):
        (tmp_path / name).write_bytes(one.root_pem())
    (tmp_path / "trustpolicy.json").write_bytes(trust_policy())
    flags = ("--provider", "notation", "--trust-policy", tmp_path / "trustpolicy.json")

    said = verify(image.reference, *flags, "--certificate", tmp_path / "root.crt")
    assert (said.status, said.report["signatures"][0]["form"]) == (0, "notation"), said
    refused = verify(image.reference, *flags, "--certificate", tmp_path / "stranger.crt")
    assert refused.status == 1
    assert [check["name"] for check in refused.report["signatures"][0]["checks"] if not check["passed"]] == [
        "authenticity"
    ]
