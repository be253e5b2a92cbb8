"""`ocisource verify`: the verdict on one reference."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.signer import Signer
from fakes.world import APP
from ocisource.cli.commands import dispatch
from ocisource.cli.verify import main


@pytest.fixture
def key(alice: Signer, tmp_path: Path) -> str:
    path = tmp_path / "alice.pem"
    path.write_bytes(alice.public_pem())
    return str(path)


def test_a_signed_reference_is_verified(
    registry: EmbeddedRegistry, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"oci://{registry.address}/{APP}:1.0.0", "--key", key]) == 0

    assert "VERIFIED  verified signature of revision 1.0.0@sha256:" in capsys.readouterr().out
    layer = json.loads(registry.content.found(APP).manifests[registry.content.found(APP).tags["1.0.0"]][1])["layers"][0]
    assert not [one for one in registry.content.asked if layer["digest"] in one.path], "a verdict needs no content"


def test_a_digest_counts_before_the_tag(
    registry: EmbeddedRegistry, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = registry.content.found(APP).tags["1.0.0"]

    assert main([f"oci://{registry.address}/{APP}:2.0.0@{signed}", "--key", key]) == 0
    assert f"verified signature of revision {signed}" in capsys.readouterr().out


def test_an_unsigned_reference_is_not(registry: EmbeddedRegistry, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"oci://{registry.address}/{APP}:2.0.0", "--key", key]) == 1
    assert "NOT VERIFIED  failed to verify the signature using provider 'cosign'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["registry.example.com/app:1.0"], "a reference begins with oci://"),
        (["oci://registry.example.com/app:1.0", "--timeout", "soon"], "--timeout: must be a duration"),
        (["oci://registry.example.com/app:1.0", "--key", "nowhere.pub"], "nowhere.pub: No such file or directory"),
    ],
)
def test_bad_input_is_told(arguments: list[str], told: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--key", key]) == 2
    assert told in capsys.readouterr().err


def test_a_digest_that_is_none_is_bad_input(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oci://registry.example.com/app@sha256:123", "--key", key]) == 2
    assert "wrong number of hex digits for sha256: 123" in capsys.readouterr().out


def test_without_a_command_there_is_a_list_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([]) == 2
    assert dispatch(["--help"]) == 0
    assert dispatch(["chekc"]) == 2

    told = capsys.readouterr()
    assert "check    resolve, verify and fetch" in told.out
    assert "there is no command 'chekc'" in told.err
