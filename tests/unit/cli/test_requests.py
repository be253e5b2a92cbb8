"""Flags of `ocisource verify` that do not go together, or without each other: each is named, with the mend."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from ocisource.cli.requests import add_flags, read_request
from ocisource.cli.verify import main

REFERENCE = "oci://registry.example.com/app:1.0"
KEY = ("--key", "k.pub")
IDENTITY, ISSUER = ("--certificate-identity", "ann"), ("--certificate-oidc-issuer", "https://issuer.example")
NOTATION, POLICY, CERTIFICATE = ("--provider", "notation"), ("--trust-policy", "p.json"), ("--certificate", "c.crt")


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        ((), "say whose signature counts: --key FILE; or --certificate-identity and --certificate-oidc-issuer"),
        (("--trusted-root", "r.json"), "--certificate-identity (or --certificate-identity-regexp) is missing"),
        (IDENTITY, "--certificate-oidc-issuer (or --certificate-oidc-issuer-regexp) is missing"),
        (ISSUER, "--certificate-identity (or --certificate-identity-regexp) is missing"),
        ((*IDENTITY, "--certificate-identity-regexp", "b", *ISSUER), "say the same thing twice: leave one of them out"),
        (
            (*ISSUER, "--certificate-oidc-issuer-regexp", "b", *IDENTITY),
            "--certificate-oidc-issuer-regexp say the same",
        ),
        (("--certificate-identity", "", *ISSUER), "--certificate-identity is empty: to accept any, write"),
        ((*IDENTITY, "--certificate-oidc-issuer-regexp", ""), "--certificate-oidc-issuer-regexp is empty: to accept"),
        ((*KEY, *IDENTITY), "--certificate-identity is for keyless signatures and --key for those of a key"),
        ((*KEY, "--certificate-oidc-issuer-regexp", "x"), "--certificate-oidc-issuer-regexp is for keyless signatures"),
        ((*KEY, "--trusted-root", "r.json"), "--trusted-root is for keyless signatures and --key for those of a key"),
        ((*KEY, *POLICY), "--trust-policy is for Notation: add --provider notation, or leave it out"),
        ((*IDENTITY, *ISSUER, *CERTIFICATE), "--certificate is for Notation: add --provider notation"),
        (NOTATION, "--trust-policy is missing: --provider notation needs a trust policy and its certificates"),
        ((*NOTATION, *POLICY), "--certificate is missing: --provider notation needs"),
        (
            (*NOTATION, *POLICY, *CERTIFICATE, *KEY),
            "--key is for cosign: leave it out, or leave out --provider notation",
        ),
        ((*NOTATION, *POLICY, *CERTIFICATE, "--trusted-root", "r"), "--trusted-root is for cosign: leave it out"),
        (
            (*IDENTITY, *ISSUER, "--trusted-root", "no-root.json"),
            "--trusted-root no-root.json: No such file or directory",
        ),
        (("--key", ""), "--key is empty: it takes the name of a file"),
        ((*NOTATION, *POLICY, *CERTIFICATE), "--certificate c.crt: No such file or directory"),
    ],
)
def test_what_does_not_go_together_is_bad_input(
    flags: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([REFERENCE, *flags]) == 2

    said = capsys.readouterr()
    assert told in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    "flags",
    [("--provider", "gpg", *KEY), ("--keys", "k.pub"), (*KEY, "--platform", "linux/arm64"), (*KEY, "-o", "yaml")],
)
def test_flags_that_do_not_exist_are_bad_input(flags: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([REFERENCE, *flags])

    assert ended.value.code == 2
    assert "usage: ocisource verify" in capsys.readouterr().err


def test_help_tells_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])

    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "Exit status 0: verified by one of them; 1: not verified; 2: bad input; 3: nothing to judge" in told


def test_texts_about_fields_are_told_in_flags(tmp_path: Path) -> None:
    """What a room says about the object that this command makes of its flags. A name that looks like another thing of
    the object stays as it is."""
    policy, certificate = tmp_path / "trustpolicy.json", tmp_path / "spec.timeout"
    for path in (policy, certificate):
        path.write_bytes(b"")
    parser = argparse.ArgumentParser()
    add_flags(parser)
    flags = [REFERENCE, *NOTATION, "--trust-policy", str(policy), "--certificate", str(certificate)]
    request = read_request(parser.parse_args(flags))

    assert request.told("not within spec.timeout (1s)") == "not within --timeout (1s)"
    assert request.told("statement 'x' of trustpolicy.json") == f"statement 'x' of --trust-policy {policy}"
    told = request.told("secret 'command-line/trust' entry 'certificate-1.pem': not a PEM certificate")
    assert told == f"--certificate {certificate}: not a PEM certificate"
