"""The real cosign accepts what devkit.offline makes and refuses its mistakes, so that tests which use them prove
something.

Another opinion, sigstore-python's, is asked in tests/unit/devkit/test_offline.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from devkit.offline import OfflineSigstore
from devkit.offline.case import shared
from devkit.offline.draft import FORMS, Draft, Form, draft
from devkit.offline.mistakes import MISTAKES
from devkit.offline.variants import VARIANTS
from devkit.repository import Pushed, Repository
from devkit.seals import attach
from devkit.services import Cosign, CosignError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture(params=["registry", "distribution"])
def pushed(request: pytest.FixtureRequest) -> Pushed:
    """An artifact of the test's own, where there is a referrers API and where there is none."""
    return push(request.getfixturevalue(request.param).address)


@pytest.fixture
def anywhere(registry) -> Pushed:
    return push(registry.address)


def push(address: str) -> Pushed:
    return Repository(address, "offline/app").push("1.0.0", os.urandom(64))


@pytest.fixture
def verify(cosign: Cosign, tmp_path: Path) -> Callable[..., str]:
    """cosign's own opinion of the draft, once it is attached: "" if it accepts, else its reason."""

    def ask(pushed: Pushed, draft: Draft, *, subject: str = "", issuer: str = "") -> str:
        (tmp_path / "trusted_root.json").write_bytes(draft.root)
        try:
            cosign.run(
                "verify",
                "--offline=true",
                f"--trusted-root={tmp_path / 'trusted_root.json'}",
                f"--certificate-identity={subject or draft.signing.subject}",
                f"--certificate-oidc-issuer={issuer or draft.signing.issuer}",
                f"--new-bundle-format={str(draft.form != 'legacy').lower()}",
                "--allow-http-registry=true",
                str(pushed),
            )
        except CosignError as refused:
            return str(refused)
        return ""

    return ask


@pytest.mark.parametrize("form", FORMS)
def test_cosign_accepts_each_form_and_refuses_another_identity(verify, sigstore, pushed: Pushed, form: Form) -> None:
    good = draft(sigstore, pushed.digest, form)
    attach(pushed, good.evidence)
    assert verify(pushed, good) == ""
    why = "none of the expected identities matched" if form == "legacy" else "no matching CertificateIdentity found"
    assert why in verify(pushed, good, subject="eve@example.com")
    assert why in verify(pushed, good, issuer="https://other.example")


@pytest.mark.parametrize("form", FORMS)
def test_the_short_ways_to_a_signature_make_the_same(verify, sigstore, anywhere: Pushed, form: Form) -> None:
    """`Signing.legacy` and `Signing.bundle`, several at once."""
    signing, other = sigstore.identity(), sigstore.identity(subject="else@example.com")
    for each in (other, signing):
        bundles = [each.bundle(anywhere.digest, "v1" if form == "legacy" else form)]
        attach(anywhere, other.legacy(anywhere.digest), each.legacy(anywhere.digest), *bundles)
    assert verify(anywhere, draft(sigstore, anywhere.digest, form, signing)) == ""


@pytest.mark.parametrize(("variant", "form"), shared(VARIANTS))
def test_cosign_accepts_the_variants(verify, sigstore, anywhere: Pushed, variant: str, form: Form) -> None:
    good = VARIANTS[variant].make(sigstore, anywhere.digest, form)
    attach(anywhere, good.evidence)
    assert verify(anywhere, good) == ""


@pytest.mark.parametrize(("mistake", "form"), shared(MISTAKES))
def test_cosign_refuses_the_mistakes(verify, sigstore, anywhere: Pushed, mistake: str, form: Form) -> None:
    wrong = MISTAKES[mistake].make(sigstore, anywhere.digest, form)
    attach(anywhere, wrong.evidence)
    assert verify(anywhere, wrong) != ""
