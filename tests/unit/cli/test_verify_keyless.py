"""`ocisource verify` with identities: what the private Sigstore signs, and what people read when it is not enough."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.offline import OfflineSigstore
from devkit.signer import Signer
from fakes.world import APP, layer
from unit.cli.conftest import Answer

Verify = Callable[..., Answer]
Put = Callable[[str, bytes], Path]

ISSUER, SUBJECT = "https://issuer.example", "ci+deploy@example.com"
EXACT = ("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER)
CHECKS = [
    "format",
    "certificate",
    "signature",
    "digest",
    "log entry",
    "time",
    "certificate chain",
    "certificate transparency",
    "identity",
]


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(scope="module")
def foreign() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture
def signed(registry: EmbeddedRegistry, sigstore: OfflineSigstore) -> str:
    """The digest at tag `keyless`: signed in all three forms by one identity."""
    content = registry.content
    digest = content.push(APP, "keyless", layer({"app.yaml": b"version: 3\n"}))
    signing = sigstore.identity(ISSUER, SUBJECT)
    content.sign_legacy(APP, digest, [signing.legacy(digest)])
    content.attach(APP, digest, signing.bundle(digest))
    content.attach(APP, digest, signing.bundle(digest, rekor="v2"))
    return digest


@pytest.fixture
def root(sigstore: OfflineSigstore, put: Put) -> tuple[str, Path]:
    return ("--trusted-root", put("trusted_root.json", sigstore.trusted_root()))


def test_all_three_forms_are_accepted_with_every_check(signed: str, verify: Verify, root: tuple[str, Path]) -> None:
    said = verify("keyless", *EXACT, *root, "-o", "json")

    assert said.status == 0
    assert said.json["digest"] == signed
    assert said.json["signer"].startswith(f"identity '{SUBJECT}' of issuer '{ISSUER}', log index ")
    assert sorted(one["form"] for one in said.json["signatures"]) == [
        "cosign-legacy",
        "sigstore-bundle",
        "sigstore-bundle",
    ]
    for one in said.json["signatures"]:
        assert one["accepted"], one
        assert [check["name"] for check in one["checks"] if check["passed"]] == CHECKS


@pytest.mark.usefixtures("signed")
def test_people_read_whom_they_trust(verify: Verify, root: tuple[str, Path]) -> None:
    said = verify("keyless", *EXACT[:2], "--certificate-oidc-issuer-regexp", "^https://issuer", *root)

    assert said.status == 0
    assert said.told("trusts") == [
        f"who is {SUBJECT} and whose issuer matches ^https://issuer, under --trusted-root {root[1]}"
    ]


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    ("subject", "issuer", "status"),
    [
        ("example.com", "issuer", 0),  # found anywhere (signatures.md rule 5)
        (r"^ci\+deploy@example\.com$", "^https://issuer.example$", 0),
        ("^ci$", "issuer", 1),
        ("example.com", "^issuer", 1),
    ],
)
def test_expressions_are_searched_for(
    subject: str, issuer: str, status: int, verify: Verify, root: tuple[str, Path]
) -> None:
    flags = ("--certificate-identity-regexp", subject, "--certificate-oidc-issuer-regexp", issuer)

    assert verify("keyless", *flags, *root).status == status


@pytest.mark.usefixtures("signed")
@pytest.mark.parametrize(
    "wrong",
    [
        ("--certificate-identity", "deploy@example.com", *EXACT[2:]),  # only a part of it
        ("--certificate-identity", "ci+deploy@example.com.evil.example", *EXACT[2:]),
        ("--certificate-identity", "ci+deploy@example?com", *EXACT[2:]),
        (*EXACT[:2], "--certificate-oidc-issuer", "https://issuerXexample"),
        (*EXACT[:2], "--certificate-oidc-issuer", ".*"),
    ],
)
def test_what_is_given_exactly_is_no_expression(wrong: tuple[str, ...], verify: Verify, root: tuple[str, Path]) -> None:
    assert verify("keyless", *wrong, *root).status == 1


@pytest.mark.usefixtures("signed")
def test_the_identity_that_was_seen_comes_with_the_flags_that_accept_it(verify: Verify, root: tuple[str, Path]) -> None:
    said = verify("keyless", "--certificate-identity", "bob@example.com", *EXACT[2:], *root)

    assert said.status == 1
    (advice,) = said.told("advice")
    assert advice == f"if that identity is to be trusted: {' '.join(EXACT)}"
    assert verify("keyless", *advice.partition(": ")[2].split(), *root).status == 0


def test_an_identity_that_would_do_something_to_a_shell_is_quoted(
    registry: EmbeddedRegistry, sigstore: OfflineSigstore, verify: Verify, root: tuple[str, Path]
) -> None:
    """What a certificate says is a stranger's text, and advice is there to be copied."""
    digest = registry.content.push(APP, "odd", layer({"odd": b"1"}))
    registry.content.attach(APP, digest, sigstore.identity(ISSUER, "https://example.com/$(reboot)").bundle(digest))

    said = verify("odd", *EXACT, *root)

    assert said.status == 1
    assert "--certificate-identity 'https://example.com/$(reboot)' " in said.told("advice")[0]


@pytest.mark.usefixtures("signed")
def test_another_root_is_told_as_such(foreign: OfflineSigstore, verify: Verify, put: Put) -> None:
    said = verify("keyless", *EXACT, "--trusted-root", put("root.json", foreign.trusted_root()))

    assert said.status == 1
    (advice,) = said.told("advice")
    assert advice.startswith(
        "if it was signed with a Sigstore of your own, give its trusted root with --trusted-root; "
    )


@pytest.mark.usefixtures("signed")
def test_without_a_root_it_is_the_public_one_that_was_shipped(verify: Verify) -> None:
    said = verify("keyless", *EXACT)

    assert said.status == 1
    assert said.told("trusts")[0].endswith("under the public trusted root that came with this version")
    assert said.out.count("FAIL log entry: log entry is from a log that is not in the trusted root") == 3


def test_a_signature_with_a_key_says_so(alice: Signer, verify: Verify, root: tuple[str, Path], put: Put) -> None:
    said = verify("1.0.0", *EXACT, *root)

    assert said.status == 1
    (advice,) = said.told("advice")
    assert advice.startswith("it is signed with a key: to trust that, use --key in place of --certificate-identity ")
    assert verify("1.0.0", "--key", put("alice.pub", alice.public_pem())).status == 0


@pytest.mark.usefixtures("signed")
def test_a_keyless_signature_says_so_to_who_has_a_key(alice: Signer, verify: Verify, put: Put) -> None:
    said = verify("keyless", "--key", put("alice.pub", alice.public_pem()))

    assert said.status == 1
    (advice,) = said.told("advice")
    assert advice.startswith("it is signed keyless: to trust whoever did that, use --certificate-identity and ")
    assert "not with one given with --key" in said.out


def test_who_signed_nothing_learns_how_to(registry: EmbeddedRegistry, verify: Verify, root: tuple[str, Path]) -> None:
    said = verify("2.0.0", *EXACT, *root)

    digest = registry.content.found(APP).tags["2.0.0"]
    assert said.status == 1
    assert said.told("advice") == [f"sign this digest: cosign sign {registry.address}/{APP}@{digest}"]


def test_a_signature_of_something_else_asks_for_one_of_this(
    registry: EmbeddedRegistry, sigstore: OfflineSigstore, signed: str, verify: Verify, root: tuple[str, Path]
) -> None:
    digest = registry.content.found(APP).tags["2.0.0"]
    registry.content.attach(APP, digest, sigstore.identity(ISSUER, SUBJECT).bundle(signed))

    said = verify("2.0.0", *EXACT, *root)

    assert said.status == 1
    assert "FAIL digest: " in said.out
    assert said.told("advice") == [f"sign this digest: cosign sign {registry.address}/{APP}@{digest}"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--certificate-identity-regexp", "(", *EXACT[2:]), "--certificate-identity-regexp: error parsing regexp"),
        ((*EXACT[:2], "--certificate-oidc-issuer-regexp", "(?"), "--certificate-oidc-issuer-regexp: error parsing"),
    ],
)
def test_an_expression_that_is_none_is_told_by_its_flag(
    flags: tuple[str, ...], told: str, registry: EmbeddedRegistry, verify: Verify, root: tuple[str, Path]
) -> None:
    said = verify("1.0.0", *flags, *root)

    assert said.status == 2
    assert said.err.startswith(f"ocisource verify: {told}")
    assert registry.content.asked == []


def test_a_root_that_is_none_is_told_by_its_file_and_field(verify: Verify, put: Put, sigstore: OfflineSigstore) -> None:
    broken = put("root.json", sigstore.trusted_root(without={"rawBytes"}))

    said = verify("1.0.0", *EXACT, "--trusted-root", broken)

    assert said.status == 2
    assert said.err.startswith("ocisource verify: unable to parse trusted root: ")
    assert said.err.endswith(f" (--trusted-root {broken})\n")
    assert "rawBytes" in said.err
