"""The real cosign accepts what devkit.offline makes, so that tests which use it prove something (issue 4, "Proof").

Another opinion, sigstore-python's, is asked in tests/unit/devkit/test_offline.py.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import pytest

from devkit.offline import Authority, CTLog, OfflineSigstore, RekorLog, TimestampAuthority, Window
from devkit.offline.windows import NOW
from devkit.repository import Pushed, Repository
from devkit.seals import attach
from devkit.services import Cosign, CosignError
from devkit.signer import KINDS, Kind, Signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devkit.offline import Signing

pytestmark = pytest.mark.e2e

ISSUER = "https://issuer.example"
SUBJECT = "ci@example.com"
WINDOW = Window.around(NOW)

Form = Literal["legacy", "v1", "v2"]
FORMS: tuple[Form, ...] = ("legacy", "v1", "v2")
"""A legacy signature, a bundle with a Rekor v1 entry, a bundle with a Rekor v2 entry and a timestamp."""

Verify = Callable[..., str] if TYPE_CHECKING else object


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(params=["registry", "distribution"])
def pushed(request: pytest.FixtureRequest) -> Pushed:
    """An artifact of the test's own, where there is a referrers API and where there is none."""
    return Repository(request.getfixturevalue(request.param).address, "offline/app").push("1.0.0", os.urandom(64))


@pytest.fixture
def anywhere(registry) -> Pushed:
    return Repository(registry.address, "offline/app").push("1.0.0", os.urandom(64))


@pytest.fixture
def verify(cosign: Cosign, tmp_path: Path) -> Verify:
    """cosign's own opinion: "" if it accepts, else its reason."""

    def ask(pushed: Pushed, root: bytes, form: Form, subject: str = SUBJECT, issuer: str = ISSUER) -> str:
        (tmp_path / "trusted_root.json").write_bytes(root)
        try:
            cosign.run(
                "verify",
                f"--trusted-root={tmp_path / 'trusted_root.json'}",
                f"--certificate-identity={subject}",
                f"--certificate-oidc-issuer={issuer}",
                f"--new-bundle-format={str(form != 'legacy').lower()}",
                "--allow-http-registry=true",
                str(pushed),
            )
        except CosignError as refused:
            return str(refused)
        return ""

    return ask


def signed(pushed: Pushed, signing: Signing, form: Form) -> None:
    attach(pushed, signing.legacy(pushed.digest) if form == "legacy" else signing.bundle(pushed.digest, form))


@pytest.mark.parametrize("form", FORMS)
def test_cosign_accepts_each_form_and_refuses_another_identity(
    verify: Verify, sigstore: OfflineSigstore, pushed: Pushed, form: Form
) -> None:
    signed(pushed, sigstore.identity(ISSUER, SUBJECT), form)
    root = sigstore.trusted_root()
    assert verify(pushed, root, form) == ""
    why = "none of the expected identities matched" if form == "legacy" else "no matching CertificateIdentity found"
    assert why in verify(pushed, root, form, subject="eve@example.com")
    assert why in verify(pushed, root, form, issuer="https://other.example")


@pytest.mark.parametrize("form", FORMS)
def test_cosign_refuses_another_root(verify: Verify, sigstore: OfflineSigstore, anywhere: Pushed, form: Form) -> None:
    signed(anywhere, sigstore.identity(ISSUER, SUBJECT), form)
    assert verify(anywhere, OfflineSigstore.create().trusted_root(), form) != ""


@pytest.mark.parametrize("form", ["v1", "v2"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in {"p256", "rsa4096"}])
def test_cosign_accepts_bundles_of_every_kind_of_key(
    verify: Verify, sigstore: OfflineSigstore, anywhere: Pushed, kind: Kind, form: Form
) -> None:
    signed(anywhere, sigstore.identity(ISSUER, SUBJECT, kind), form)
    assert verify(anywhere, sigstore.trusted_root(), form) == ""


@pytest.mark.parametrize("kind", ["p384", "p521", "rsa2048"])
def test_cosign_accepts_legacy_signatures_with_sha256(
    verify: Verify, sigstore: OfflineSigstore, anywhere: Pushed, kind: Kind
) -> None:
    """It takes no other hash from a hashedrekord, so none of a pure Ed25519 key at all."""
    key = Signer.generate(kind, always_sha256=True)
    signed(anywhere, sigstore.identity(ISSUER, SUBJECT, key), "legacy")
    assert verify(anywhere, sigstore.trusted_root(), "legacy") == ""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("subject", ["https://ci.example/workflow@refs/heads/main", "spiffe://example.com/ci"])
def test_cosign_accepts_uris_as_subjects(
    verify: Verify, sigstore: OfflineSigstore, anywhere: Pushed, subject: str, form: Form
) -> None:
    signed(anywhere, sigstore.identity(ISSUER, subject), form)
    assert verify(anywhere, sigstore.trusted_root(), form, subject=subject) == ""


VARIANTS: dict[str, Callable[[OfflineSigstore], OfflineSigstore]] = {
    "a CA of one certificate": lambda one: replace(one, authority=Authority.create(WINDOW, kinds=["p256"])),
    "a CA with two intermediates": lambda one: replace(one, authority=Authority.create(WINDOW, kinds=["p256"] * 3)),
    "a CA that signs with SHA-384": lambda one: replace(one, authority=Authority.create(WINDOW, kinds=["p384"] * 2)),
    "a CA with an RSA key": lambda one: replace(one, authority=Authority.create(WINDOW, kinds=["p256", "rsa2048"])),
    "a CT log with an RSA key": lambda one: replace(one, ctlog=CTLog.create(WINDOW, "rsa2048")),
    "a Rekor v2 with an ECDSA key": lambda one: replace(one, rekor_v2=RekorLog.create("v2", WINDOW, "p256")),
    "a TSA right below its root": lambda one: replace(one, tsa=TimestampAuthority.create(WINDOW)),
    "a TSA with an intermediate": lambda one: replace(
        one, tsa=TimestampAuthority.create(WINDOW, authorities=["p256", "p256"])
    ),
    "a TSA that signs with SHA-384": lambda one: replace(one, tsa=TimestampAuthority.create(WINDOW, kind="p384")),
    "a TSA with an RSA key": lambda one: replace(one, tsa=TimestampAuthority.create(WINDOW, kind="rsa2048")),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_cosign_accepts_other_services_too(
    verify: Verify, sigstore: OfflineSigstore, anywhere: Pushed, variant: str
) -> None:
    other = VARIANTS[variant](sigstore)
    signing = other.identity(ISSUER, SUBJECT)
    attach(anywhere, signing.legacy(anywhere.digest), signing.bundle(anywhere.digest, "v2"))
    assert [verify(anywhere, other.trusted_root(), form) for form in ("legacy", "v2")] == ["", ""]
