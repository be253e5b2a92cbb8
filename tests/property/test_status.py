"""What must hold for every history of passes (ARCHITECTURE.md, "The noticeboard").

MUST: Ready=True excludes Stalled and Reconciling, and needs an artifact.
MUST: a transition time moves only with status, reason or message.
MUST: observedGeneration moves only when a pass ends well, is suspended, or stalls.
MUST: the same facts give the same status.
MUST: while SourceVerified is False, the artifact is none that this pass stored.
MUST: what was withdrawn is not in the status, and neither is anything about it.
MUST: where the policy let a revision pass without a verdict, there is none.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fakes.sources import SOURCE
from ocisource.domain import conditions as c
from ocisource.domain import status as s
from ocisource.domain.content import Artifact, Revision
from ocisource.domain.errors import Failure
from ocisource.domain.plan import verified_message
from ocisource.domain.source import Source, Verify

History = list[tuple[Source, s.Status, s.Report | None, s.Status]]
"""Passes over one object: what was declared, found, reported (None: it was suspended) and concluded."""

REVISIONS = [Revision(f"1.{n}.0", "sha256:" + f"{n:x}" * 64) for n in range(3)]

failures = st.builds(
    Failure,
    st.sampled_from([c.FETCH_FAILED, c.STORAGE_OPERATION_FAILED, c.SOURCE_VERIFIED, None]),
    st.sampled_from(["OneReason", "AnotherReason"]),
    st.sampled_from(["one message", "another message"]),
    stalls=st.booleans(),
)


@st.composite
def reports(draw: st.DrawFn, source: Source, found: s.Status) -> s.Report:
    """A report as the corridor makes them: each fact only if the pass came so far."""
    kept = found.artifact if draw(st.booleans()) else None
    damage = draw(st.sampled_from(["", "broken"])) if kept is None and found.artifact else None
    report = s.Report(
        kept=kept, damage=damage, reference="registry.example.com/team/app:1", latest_url="http://s/latest"
    )
    failure = draw(st.none() | failures)
    resolved = draw(st.sampled_from(REVISIONS))
    if failure is not None and draw(st.booleans()):
        return replace(report, failure=failure)
    report = replace(report, resolved=resolved)
    if failure is not None:
        withdrawn = failure.condition == c.SOURCE_VERIFIED and draw(st.booleans())
        return replace(report, failure=failure, withdrawn=withdrawn, kept=None if withdrawn else kept)
    verified, unjudged = "", ""
    if source.verify:
        unjudged = draw(st.sampled_from(["", "the policy says skip"]))
        verified = "" if unjudged else verified_message(resolved, "key 'a.pub'", "0f" * 32)
    report = replace(report, verified=verified, unjudged=unjudged)
    if kept is not None and kept.revision == str(resolved):
        return report
    path = f"ocirepository/team/app/{resolved.digest}.tar.gz"
    stored = Artifact(path, f"http://s/{path}", str(resolved), "sha256:" + resolved.tag[2] * 64, 1, "t")
    return replace(report, stored=stored)


@st.composite
def histories(draw: st.DrawFn) -> History:
    found, source = s.Status(), SOURCE
    passes: History = []
    for step in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            verify = draw(st.sampled_from([None, Verify("cosign", "pub")]))
            source = replace(source, generation=source.generation + 1, verify=verify)
        now = f"2026-01-01T00:00:0{step}Z"
        report = draw(reports(source, found)) if draw(st.integers(0, 4)) else None
        status = s.concluded(source, found, report, now) if report else s.suspended(source, found, now)
        passes.append((source, found, report, status))
        found = status
    return passes


@given(histories())
def test_ready_needs_an_artifact_and_a_settled_object(
    history: History,
) -> None:
    for _, _, report, status in history:
        if report is not None and s.is_ready(status):
            assert status.artifact is not None
            assert status.condition(c.STALLED) is None
            assert status.condition(c.RECONCILING) is None
            assert report.failure is None


@given(histories())
def test_a_transition_time_moves_only_with_what_is_said(
    history: History,
) -> None:
    for _, found, _, status in history:
        for condition in status.conditions:
            before = found.condition(condition.type)
            if before is not None and before.says_the_same(condition):
                assert condition.changed == before.changed


@given(histories())
def test_the_observed_generation_moves_only_when_a_pass_is_over(
    history: History,
) -> None:
    for source, found, report, status in history:
        if status.observed_generation != found.observed_generation:
            assert status.observed_generation == source.generation
            assert report is None or report.failure is None or report.failure.stalls


@given(histories())
def test_the_same_facts_give_the_same_status(history: History) -> None:
    for source, _, report, status in history:
        if report is None:
            again = s.suspended(source, status, "2027-01-01T00:00:00Z")
        else:
            settled = replace(report, kept=status.artifact, stored=None, damage=None) if status.artifact else report
            again = s.concluded(source, status, settled, "2027-01-01T00:00:00Z")
            if report.damage is not None or report.failure is not None:
                # How far a pass came is part of what a failure says: a second pass from another start says it anew.
                assert {one.type for one in again.conditions} == {one.type for one in status.conditions}
                continue
        assert s.written(again) == s.written(status)


@given(histories())
def test_what_was_refused_is_not_what_is_served(history: History) -> None:
    for _, found, report, status in history:
        verdict = status.condition(c.SOURCE_VERIFIED)
        if report is not None and verdict is not None and verdict.status == c.FALSE:
            assert status.artifact in (None, found.artifact)
            assert not s.is_ready(status)


@given(histories())
def test_every_status_survives_writing_and_reading(
    history: History,
) -> None:
    for _, _, _, status in history:
        assert s.parse_status({"status": s.written(status)}) == status


@given(histories())
def test_what_was_withdrawn_is_gone(history: History) -> None:
    for _, _, report, status in history:
        if report is not None and report.withdrawn:
            assert status.artifact is None
            assert status.url == ""
            assert status.condition(c.ARTIFACT_IN_STORAGE) is None
            assert status.condition(c.ARTIFACT_OUTDATED) is None
            assert not s.is_ready(status)


@given(histories())
def test_without_a_verdict_nothing_claims_one(history: History) -> None:
    for _, _, report, status in history:
        if report is not None and report.unjudged:
            assert status.condition(c.SOURCE_VERIFIED) is None
