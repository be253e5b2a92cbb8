"""`ocisource verify --provider notation`."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from devkit.ocihttp import EmbeddedRegistry
from devkit.offline.notary import COSE, JWS, SIGNATURE, Notary, Order, trust_policy
from devkit.offline.windows import Window
from devkit.signer import MANIFEST
from fakes.world import APP, layer
from unit.cli.conftest import Answer

Verify = Callable[..., Answer]
Put = Callable[[str, bytes], Path]

NOTATION = ("--provider", "notation")
NOW = time.time()
# A whole run of all tests fits into it.
WINDOW = Window(NOW - 86400, NOW + 86400)


@pytest.fixture(scope="module")
def notary() -> Notary:
    return Notary.create(WINDOW)


@pytest.fixture(autouse=True)
def signed(registry: EmbeddedRegistry, notary: Notary) -> str:
    """The digest at tag `notation`: signed in both envelopes."""
    content = registry.content
    digest = content.push(APP, "notation", layer({"app.yaml": b"version: 4\n"}))
    order = Order(MANIFEST, digest, len(content.found(APP).manifests[digest][1]), NOW - 60)
    for media_type in (JWS, COSE):
        envelope = notary.sign(order, media_type)
        content.attach(APP, digest, envelope, media_type=media_type, artifact_type=SIGNATURE)
    return digest


@pytest.fixture
def trusted(notary: Notary, put: Put) -> tuple[str, Path]:
    return ("--certificate", put("ca.crt", notary.root_pem()))


def test_both_envelopes_are_accepted(signed: str, verify: Verify, trusted: tuple[str, Path], put: Put) -> None:
    policy = put("policy.json", trust_policy())

    said = verify("notation", *NOTATION, "--trust-policy", policy, *trusted, "-o", "json")

    assert said.status == 0
    assert said.json["digest"] == signed
    assert [(one["form"], one["accepted"]) for one in said.json["signatures"]] == [("notation", True)] * 2
    assert "secure builder" in said.json["signer"]


def test_another_certificate_is_told_as_such(verify: Verify, put: Put) -> None:
    other = Notary.create(WINDOW)
    policy, certificate = put("policy.json", trust_policy()), put("other.crt", other.root_pem())

    said = verify("notation", *NOTATION, "--trust-policy", policy, "--certificate", certificate)

    assert said.status == 1
    assert said.out.count("FAIL authenticity: ") == 2
    (advice,) = said.told("advice")
    assert "--certificate" in advice
    assert "--trust-policy" in advice


@pytest.mark.parametrize(("level", "told"), [("skip", "skips verification"), ("audit", "does not lead to a trusted")])
def test_a_policy_that_asks_for_no_verdict_gives_none(level: str, told: str, verify: Verify, put: Put) -> None:
    """The operator would let it pass without SourceVerified (flux-compat H7); this command answers another question."""
    other = Notary.create(WINDOW)
    stores = {"stores": (), "identities": ()} if level == "skip" else {}
    policy = put("policy.json", trust_policy(level=level, **stores))

    said = verify("notation", *NOTATION, "--trust-policy", policy, "--certificate", put("other.crt", other.root_pem()))

    assert said.status == 1
    assert said.lines[-1].startswith("NOT VERIFIED  the policy lets it pass without a verdict: ")
    assert told in said.lines[-1]
    assert said.told("advice") == ["--trust-policy asks for no verdict here: set the level of its statement to strict"]


def test_certificates_that_ask_for_a_look_at_their_revocation_are_told_as_such(
    registry: EmbeddedRegistry, verify: Verify, put: Put
) -> None:
    """Under strict nobody is asked yet, so it fails closed (signatures.md, "Notation")."""
    place = x509.DistributionPoint([x509.UniformResourceIdentifier("http://crl.example/1")], None, None, None)
    asking = Notary.create(WINDOW, more=[(x509.CRLDistributionPoints([place]), False)])
    digest = registry.content.push(APP, "asking", layer({"app.yaml": b"version: 5\n"}))
    order = Order(MANIFEST, digest, len(registry.content.found(APP).manifests[digest][1]), NOW - 60)
    registry.content.attach(APP, digest, asking.sign(order), media_type=JWS, artifact_type=SIGNATURE)
    certificate = put("asking.crt", asking.root_pem())
    flags = (*NOTATION, "--certificate", certificate, "--trust-policy")

    said = verify("asking", *flags, put("strict.json", trust_policy()))

    assert said.status == 1
    assert "FAIL revocation: " in said.out
    (advice,) = said.told("advice")
    assert '"override": {"revocation": "skip"}' in advice
    followed = put("override.json", trust_policy(override={"revocation": "skip"}))
    assert verify("asking", *flags, followed).status == 0


def test_a_signature_of_something_else_asks_for_one_of_this(
    registry: EmbeddedRegistry, notary: Notary, signed: str, verify: Verify, trusted: tuple[str, Path], put: Put
) -> None:
    unsigned = registry.content.found(APP).tags["2.0.0"]
    other = notary.sign(Order(MANIFEST, signed, 1, NOW - 60))
    registry.content.attach(APP, unsigned, other, media_type=JWS, artifact_type=SIGNATURE)

    said = verify("2.0.0", *NOTATION, "--trust-policy", put("policy.json", trust_policy()), *trusted)

    assert said.status == 1
    assert "FAIL digest: " in said.out
    assert said.told("advice") == [f"sign this digest: notation sign {registry.address}/{APP}@{unsigned}"]


def test_a_policy_about_other_repositories_says_so(verify: Verify, trusted: tuple[str, Path], put: Put) -> None:
    policy = put("policy.json", trust_policy(scopes=("registry.example.com/other",)))

    said = verify("notation", *NOTATION, "--trust-policy", policy, *trusted)

    assert said.status == 1
    assert f"no statement of --trust-policy {policy} applies to this repository (registryScopes)" in said.out
    assert said.told("advice") == [], "the reason says all of it"


def test_who_signed_nothing_learns_how_to(
    registry: EmbeddedRegistry, verify: Verify, trusted: tuple[str, Path], put: Put
) -> None:
    said = verify("2.0.0", *NOTATION, "--trust-policy", put("policy.json", trust_policy()), *trusted)

    digest = registry.content.found(APP).tags["2.0.0"]
    assert said.status == 1
    assert said.told("advice") == [f"sign this digest: notation sign {registry.address}/{APP}@{digest}"]


def test_a_policy_that_is_none_is_told_by_its_file(verify: Verify, trusted: tuple[str, Path], put: Put) -> None:
    policy = put("trustpolicy.json", b"version: 1.0")

    said = verify("notation", *NOTATION, "--trust-policy", policy, *trusted)

    assert said.status == 2
    assert said.err.startswith(f"ocisource verify: error occurred while parsing --trust-policy {policy}: ")


def test_a_certificate_that_is_none_is_told_by_its_file(verify: Verify, put: Put) -> None:
    policy = put("policy.json", trust_policy())

    said = verify("notation", *NOTATION, "--trust-policy", policy, "--certificate", policy)

    assert said.status == 2
    assert said.err.startswith(f"ocisource verify: --certificate {policy}: ")
