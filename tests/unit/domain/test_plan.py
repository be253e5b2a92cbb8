"""When a signature is looked at again and when content is fetched again (flux-compat B7 to B9, H1, J4)."""

from __future__ import annotations

from dataclasses import replace

import pytest

import fakes.sources
from ocisource.domain import conditions as c
from ocisource.domain.content import Artifact, Revision
from ocisource.domain.plan import Situation, must_fetch, must_look, must_verify, verified_message
from ocisource.domain.source import LayerSelector, Verify
from ocisource.domain.status import Status

REVISION = Revision("1.0.0", "sha256:" + "a" * 64)
OTHER = Revision("1.1.0", "sha256:" + "b" * 64)
SIGNER = "key 'cosign.pub' of secret 'pub' (SHA256:abc)"
TRUST = "0123456789abcdef" * 4
SOURCE = replace(fakes.sources.SOURCE, generation=3, verify=Verify("cosign", "pub"))


def verdict(
    revision: Revision = REVISION, status: str = c.TRUE, generation: int = 3, trust: str = TRUST
) -> c.Condition:
    return c.Condition(c.SOURCE_VERIFIED, status, "R", verified_message(revision, SIGNER, trust), generation)


def situation(**changes: object) -> Situation:
    stored = Artifact("p", "u", str(REVISION), "sha256:" + "c" * 64, 1, "t")
    settled = Situation(SOURCE, Status(3, (verdict(),), stored), REVISION, whole=True, trust=TRUST)
    return replace(settled, **changes)  # type: ignore[arg-type]


def with_verdict(condition: c.Condition | None) -> Situation:
    settled = situation()
    return replace(settled, status=replace(settled.status, conditions=(condition,) if condition else ()))


def test_a_settled_object_needs_nothing() -> None:
    assert must_verify(situation()) == ""
    assert must_fetch(situation()) == ""


def test_without_verify_no_signature_is_looked_at() -> None:
    assert must_verify(situation(source=replace(SOURCE, verify=None), revision=OTHER)) == ""


@pytest.mark.parametrize(
    "unsettled",
    [
        pytest.param(situation(revision=OTHER), id="another revision"),
        pytest.param(situation(whole=False), id="storage lost"),
        pytest.param(situation(source=replace(SOURCE, generation=4)), id="spec changed"),
        pytest.param(situation(trust="f" + TRUST[1:]), id="another key, root or trust policy in the Secrets"),
        pytest.param(situation(overdue=True), id="the verdict has grown old"),
        pytest.param(with_verdict(None), id="never verified"),
        pytest.param(with_verdict(verdict(status=c.FALSE)), id="refused before"),
        pytest.param(with_verdict(verdict(revision=OTHER)), id="the verdict is about another revision"),
        pytest.param(with_verdict(verdict(generation=2)), id="the verdict is about another generation"),
        pytest.param(
            with_verdict(replace(verdict(), message=f"verified signature of revision {REVISION}")),
            id="a verdict that says nothing of trust",
        ),
    ],
)
def test_a_verdict_holds_for_one_revision_one_generation_and_one_trust(unsettled: Situation) -> None:
    assert must_verify(unsettled) != ""


@pytest.mark.parametrize(
    ("asking", "itself"),
    [
        pytest.param(with_verdict(None), False, id="for the first time"),
        pytest.param(with_verdict(verdict(revision=OTHER)), False, id="about another revision than before"),
        pytest.param(with_verdict(verdict()), True, id="about the same revision again"),
        pytest.param(with_verdict(verdict(status=c.FALSE)), True, id="after a refusal"),
        pytest.param(
            with_verdict(replace(verdict(), message=f"verified signature of revision {REVISION}")),
            True,
            id="after a verdict of another controller",
        ),
        pytest.param(replace(with_verdict(None), overdue=True), True, id="since the verdict has grown old"),
    ],
)
def test_who_asks_again_looks_at_the_signatures_itself(asking: Situation, itself: bool) -> None:
    """H1: what others saw a moment ago stands in for the first look only."""
    assert must_look(asking) is itself


@pytest.mark.parametrize(
    ("unsettled", "reason"),
    [
        (situation(revision=OTHER), "another revision is in storage"),
        (situation(whole=False), "no whole artifact is in storage"),
        (situation(source=replace(SOURCE, ignore="")), "spec.ignore has changed"),
        (situation(source=replace(SOURCE, layer_selector=LayerSelector("m"))), "spec.layerSelector has changed"),
    ],
)
def test_content_is_fetched_again_when_it_would_differ(unsettled: Situation, reason: str) -> None:
    assert must_fetch(unsettled) == reason


def test_the_same_digest_under_another_tag_is_another_revision() -> None:
    """D11."""
    assert must_fetch(situation(revision=Revision("2.0.0", REVISION.digest))) == "another revision is in storage"
