"""The commands by name, and what holds for all of them."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from devkit.signer import Signer
from ocisource.cli.commands import dispatch
from ocisource.trust.chains import read_certificate


def odd_certificate() -> bytes:
    """A country of three letters, which the standard does not have and certificates do."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "USA", _validate=False)])
        day = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        made = x509.CertificateBuilder(name, name, key.public_key(), 7, day, day).sign(key, SHA256())
        return made.public_bytes(Encoding.DER)


def test_what_a_library_thinks_of_a_certificate_is_not_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Anybody can put a certificate into a registry, and with it lines on our standard error."""
    content = odd_certificate()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dispatch(["help"]) == 0
        assert read_certificate(content, "certificate").serial_number == 7
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("arguments", "status"), [(["help"], 0), (["--help"], 0), ([], 2)])
def test_without_a_command_the_commands_are_listed(
    arguments: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        assert dispatch(arguments) == status
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in ("run", "check", "verify"))


def test_a_command_that_is_none_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        assert dispatch(["verfy"]) == 2
    assert "there is no command 'verfy'" in capsys.readouterr().err


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    project = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())["project"]
    with warnings.catch_warnings():
        assert [dispatch([asked]) for asked in ("version", "--version")] == [0, 0]
    assert capsys.readouterr().out == f"{project['version']}\n" * 2


def test_who_interrupts_it_sees_no_traceback_and_no_verdict(tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_bytes(Signer.generate().public_pem())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reference = f"oci://127.0.0.1:{silent.getsockname()[1]}/app:1"
        command = [sys.executable, "-m", "ocisource", "verify", reference, "--key", str(key)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with process, silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, b"")


def test_who_stops_reading_gets_no_verdict() -> None:
    """0 means a verdict, and nothing else does."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "ocisource", "help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, timeout=30)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_flags_alone_are_those_of_the_operator(capsys: pytest.CaptureFixture[str]) -> None:
    """G8: the arguments of the stock Deployment begin with a flag."""
    with warnings.catch_warnings():
        assert dispatch(["--watch-all-namespaces", "--no-such-flag"]) == 2
    assert capsys.readouterr().err == "ocisource run: unknown flag --no-such-flag (see --help)\n"
