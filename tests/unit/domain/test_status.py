"""What a client sees of a pass: the end states of flux-compat B18, their events (B21) and when nothing changes."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

import fakes.sources
from ocisource.domain import conditions as c
from ocisource.domain import status as s
from ocisource.domain import telling
from ocisource.domain.content import Artifact, Revision
from ocisource.domain.errors import Failure
from ocisource.domain.source import LayerSelector, Source, Verify

NOW, LATER = "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"
OLD = Revision("1.0.0", "sha256:" + "a" * 64)
NEW = Revision("1.1.0", "sha256:" + "b" * 64)
REF = "registry.example.com/team/app:1.1.0"
LATEST = "http://source/ocirepository/team/app/latest.tar.gz"
SOURCE = replace(fakes.sources.SOURCE, verify=Verify("cosign", "pub"))
UNSIGNED = Failure(c.SOURCE_VERIFIED, "VerificationError", "failed to verify the signature using provider 'cosign': no")
NO_ANSWER = Failure(c.FETCH_FAILED, "OCIArtifactPullFailed", "failed to determine artifact digest: no answer")
BAD_URL = Failure(c.FETCH_FAILED, "URLInvalid", "URL validation failed for 'oci://x'", stalls=True)


def artifact(revision: Revision, **metadata: str) -> Artifact:
    path = f"ocirepository/team/app/{revision.digest}.tar.gz"
    digest = "sha256:" + revision.tag[2] * 64
    return Artifact(path, f"http://source/{path}", str(revision), digest, 100, NOW, MappingProxyType(metadata))


def a_report(**facts: Any) -> s.Report:
    defaults: dict[str, Any] = {"reference": REF, "latest_url": LATEST}
    return s.Report(**defaults | facts)


FIRST_SYNC = a_report(resolved=OLD, verified=f"verified signature of revision {OLD}", stored=artifact(OLD))


def ready_status() -> s.Status:
    return s.concluded(SOURCE, s.Status(), FIRST_SYNC, NOW)


def told(status: s.Status) -> dict[str, tuple[str, str]]:
    return {condition.type: (condition.status, condition.reason) for condition in status.conditions}


def message(status: s.Status, kind: str) -> str:
    condition = status.condition(kind)
    assert condition is not None
    return condition.message


def test_a_first_sync_ends_ready_with_the_artifact() -> None:
    status = ready_status()

    assert told(status) == {
        "Ready": ("True", "Succeeded"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "SourceVerified": ("True", "Succeeded"),
    }
    assert message(status, "Ready") == f"stored artifact for digest '{OLD}'"
    assert (status.observed_generation, status.url, status.artifact) == (1, LATEST, artifact(OLD))


def test_an_upstream_blip_keeps_the_artifact_and_retries() -> None:
    found = ready_status()

    status = s.concluded(SOURCE, found, a_report(kept=found.artifact, failure=NO_ANSWER), LATER)

    assert told(status) == {
        "Reconciling": ("True", "ProgressingWithRetry"),
        "Ready": ("False", "OCIArtifactPullFailed"),
        "FetchFailed": ("True", "OCIArtifactPullFailed"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "SourceVerified": ("True", "Succeeded"),
    }
    assert status.artifact == found.artifact


def test_a_new_revision_that_is_not_signed_leaves_the_old_artifact_served() -> None:
    found = ready_status()
    report = a_report(kept=found.artifact, resolved=NEW, failure=UNSIGNED)

    status = s.concluded(SOURCE, found, report, LATER)

    assert told(status) == {
        "Reconciling": ("True", "ProgressingWithRetry"),
        "Ready": ("False", "VerificationError"),
        "ArtifactOutdated": ("True", "NewRevision"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "SourceVerified": ("False", "VerificationError"),
    }
    assert message(status, "ArtifactOutdated") == f"new revision '{NEW}' for '{REF}'"
    assert message(status, "Reconciling") == f"building artifact: new revision '{NEW}' for '{REF}'"
    assert status.artifact == artifact(OLD)


def test_an_unsigned_first_revision_has_no_artifact_and_does_not_move_the_generation() -> None:
    status = s.concluded(SOURCE, s.Status(), a_report(resolved=OLD, failure=UNSIGNED), NOW)

    assert told(status) == {
        "Reconciling": ("True", "ProgressingWithRetry"),
        "Ready": ("False", "VerificationError"),
        "SourceVerified": ("False", "VerificationError"),
    }
    assert (status.artifact, status.url, status.observed_generation) == (None, "", -1)


def test_a_bad_url_stalls_and_counts_as_observed() -> None:
    status = s.concluded(SOURCE, s.Status(), a_report(failure=BAD_URL), NOW)

    assert told(status) == {
        "Stalled": ("True", "URLInvalid"),
        "Ready": ("False", "URLInvalid"),
        "FetchFailed": ("True", "URLInvalid"),
    }
    assert status.observed_generation == 1


def test_a_failure_without_a_condition_of_its_own_is_told_by_ready_alone() -> None:
    failure = Failure(None, "FeatureGateDisabled", "not enabled", stalls=True)

    status = s.concluded(SOURCE, s.Status(), a_report(failure=failure), NOW)

    assert told(status) == {"Stalled": ("True", "FeatureGateDisabled"), "Ready": ("False", "FeatureGateDisabled")}


def test_a_mended_url_ends_the_stall() -> None:
    stalled = s.concluded(SOURCE, s.Status(), a_report(failure=BAD_URL), NOW)

    status = s.concluded(replace(SOURCE, generation=2), stalled, FIRST_SYNC, LATER)

    assert "Stalled" not in told(status)
    assert told(status)["Ready"] == ("True", "Succeeded")


def test_an_artifact_that_disappeared_is_no_longer_promised() -> None:
    found = ready_status()

    status = s.concluded(SOURCE, found, a_report(damage="", failure=NO_ANSWER), LATER)

    assert status.artifact is None
    assert status.url == ""
    assert "ArtifactInStorage" not in told(status)
    assert message(status, "Reconciling") == "building artifact: disappeared from storage"


@pytest.mark.parametrize(
    ("generation", "kept", "expected"),
    [
        (1, False, "building artifact"),
        (1, True, "reconciliation in progress"),
        (2, True, "processing object: new generation 1 -> 2"),
    ],
)
def test_a_failure_tells_how_far_the_pass_came(generation: int, kept: bool, expected: str) -> None:
    found = ready_status()
    report = a_report(kept=found.artifact if kept else None, failure=NO_ANSWER)

    status = s.concluded(replace(SOURCE, generation=generation), found, report, LATER)

    assert message(status, "Reconciling") == expected


def test_the_same_failure_again_changes_nothing() -> None:
    first = s.concluded(SOURCE, s.Status(), a_report(resolved=OLD, failure=UNSIGNED), NOW)

    second = s.concluded(SOURCE, first, a_report(resolved=OLD, failure=UNSIGNED), LATER)

    assert s.written(second) == s.written(first)


def test_a_pass_without_news_changes_nothing() -> None:
    """B9: a no-op run writes no status."""
    found = ready_status()

    status = s.concluded(SOURCE, found, a_report(kept=found.artifact, resolved=OLD), LATER)

    assert s.written(status) == s.written(found)


def test_a_verdict_that_is_no_longer_asked_for_goes() -> None:
    found = ready_status()
    source = replace(SOURCE, verify=None, generation=2)

    status = s.concluded(source, found, a_report(kept=found.artifact, resolved=OLD), LATER)

    assert "SourceVerified" not in told(status)
    assert told(status)["Ready"] == ("True", "Succeeded")


def test_a_request_is_marked_as_handled_also_when_the_pass_fails() -> None:
    """B14."""
    status = s.concluded(replace(SOURCE, requested_at="t1"), s.Status(), a_report(failure=NO_ANSWER), NOW)

    assert status.handled == "t1"


def test_a_suspended_object_keeps_its_artifact_and_is_observed_once_it_has_conditions() -> None:
    """B4."""
    found = ready_status()
    source = replace(SOURCE, generation=2, requested_at="t1")

    status = s.suspended(source, found, LATER)

    assert (status.artifact, status.url) == (found.artifact, found.url)
    assert (status.observed_generation, status.handled) == (2, "t1")
    assert s.suspended(SOURCE, s.Status(), NOW) == s.Status()


def test_a_suspended_object_is_not_stalled() -> None:
    stalled = s.concluded(SOURCE, s.Status(), a_report(failure=BAD_URL), NOW)

    assert "Stalled" not in told(s.suspended(replace(SOURCE, generation=2), stalled, LATER))


def test_a_suspended_object_that_failed_is_no_longer_in_progress_of_anything_new() -> None:
    """B4: what was told of the retry stays, and Ready with it."""
    failed = s.concluded(SOURCE, s.Status(), a_report(failure=NO_ANSWER), NOW)

    status = s.suspended(SOURCE, failed, LATER)

    assert told(status) == told(failed)
    assert message(status, "Reconciling") == message(failed, "Reconciling")


@pytest.mark.parametrize("others", [{"Stalled": "True", "Reconciling": "True"}, {"Reconciling": "False"}])
def test_what_does_not_say_that_a_pass_is_under_way_is_left_as_it_is(others: dict[str, str]) -> None:
    """B4: conditions that another controller left; the original asks for Reconciling=True without Stalled=True."""
    conditions = tuple(c.Condition(kind, status, "Old", "m", 1, NOW) for kind, status in others.items())

    status = s.suspended(SOURCE, s.Status(conditions=conditions), LATER)

    assert status.condition("Reconciling") == s.Status(conditions=conditions).condition("Reconciling")
    assert status.condition("Stalled") is None


def test_a_deleted_object_promises_no_artifact_and_is_observed() -> None:
    """B13, B20."""
    status = s.deleted(replace(SOURCE, generation=2, requested_at="t1"), ready_status(), LATER)

    assert (status.artifact, status.observed_generation, status.handled) == (None, 2, "t1")
    assert told(status) == told(ready_status())


def test_an_object_that_could_not_be_deleted_keeps_what_it_says_and_answers_the_request() -> None:
    """B14, C3."""
    found = ready_status()

    status = s.undeleted(replace(SOURCE, generation=2, requested_at="t1"), found, LATER)

    assert (status.artifact, status.observed_generation, status.handled) == (found.artifact, 1, "t1")


@pytest.mark.parametrize(
    ("generation", "requested_at", "due"),
    [(1, None, False), (2, None, True), (1, "t1", True), (1, "", True), (1, "t0", False), (2, "t0", True)],
)
def test_somebody_waits_for_a_new_generation_or_a_request_that_was_not_handled(
    generation: int, requested_at: str | None, due: bool
) -> None:
    """B5."""
    found = replace(ready_status(), handled="t0")

    assert s.is_due(replace(SOURCE, generation=generation, requested_at=requested_at), found) is due


def test_nobody_waits_for_the_retry_of_what_is_known_to_fail() -> None:
    """B5: the generation is not observed, since the pass failed (B13), and Ready already says so."""
    failed = s.concluded(SOURCE, s.Status(), a_report(failure=NO_ANSWER), NOW)
    begun = s.progress(SOURCE, s.Status(), NOW)

    assert not s.is_due(SOURCE, failed)
    assert s.is_due(replace(SOURCE, generation=2), failed)
    assert s.is_due(SOURCE, begun)
    assert s.is_due(SOURCE, s.Status())


def test_ready_is_what_the_condition_says() -> None:
    assert s.is_ready(ready_status())
    assert not s.is_ready(s.Status())
    assert not s.is_ready(s.concluded(SOURCE, ready_status(), a_report(failure=NO_ANSWER), LATER))


def test_progress_shows_what_the_pass_is_for() -> None:
    """B5, B6: the original, seen at work, says the same of a registry that takes its time."""
    status = s.progress(SOURCE, s.Status(), NOW)

    assert told(status) == {"Reconciling": ("True", "Progressing"), "Ready": ("Unknown", "Progressing")}
    assert message(status, "Reconciling") == message(status, "Ready") == "building artifact"
    assert status.observed_generation == -1
    changed = s.progress(replace(SOURCE, generation=2), ready_status(), NOW)
    assert message(changed, "Reconciling") == "processing object: new generation 1 -> 2"


def test_ready_stays_while_a_ready_object_is_looked_at_again() -> None:
    found = ready_status()

    status = s.progress(replace(SOURCE, requested_at="t1"), found, LATER)

    assert told(status)["Ready"] == ("True", "Succeeded")
    assert message(status, "Reconciling") == "reconciliation in progress"


def test_a_status_of_which_nothing_was_told_has_no_conditions() -> None:
    """B4: nor has that of an object that the original finds suspended."""
    assert s.written(s.Status()) == {"observedGeneration": -1}


def test_a_status_survives_writing_and_reading() -> None:
    status = replace(ready_status(), observed_ignore="", handled="t1", artifact=artifact(OLD, key="value"))

    assert s.parse_status({"status": s.written(status)}) == status
    assert s.parse_status({}) == s.Status()


def events(found: s.Status, report: s.Report, source: Source = SOURCE) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in telling.events(source, found, report)]


def test_a_new_artifact_is_told_with_its_origin() -> None:
    origin = {"org.opencontainers.image.source": "https://example.com/r", "org.opencontainers.image.revision": "main/1"}
    report = a_report(resolved=OLD, stored=artifact(OLD, **origin))

    message = f"stored artifact with revision '{OLD}' from '{SOURCE.url}'"
    message += ", origin source 'https://example.com/r', origin revision 'main/1'"
    assert events(s.Status(), report) == [("Normal", "NewArtifact", message)]


def test_the_event_carries_revision_digest_and_the_annotations_for_receivers() -> None:
    source = replace(SOURCE, event_annotations=MappingProxyType({"event.toolkit.fluxcd.io/team": "a"}))

    (event,) = telling.events(source, s.Status(), a_report(resolved=OLD, stored=artifact(OLD)))

    assert dict(event.annotations) == {
        "event.toolkit.fluxcd.io/team": "a",
        "source.toolkit.fluxcd.io/revision": str(OLD),
        "source.toolkit.fluxcd.io/digest": artifact(OLD).digest,
    }


def test_every_event_carries_the_annotations_for_receivers() -> None:
    """B21."""
    annotations = {"event.toolkit.fluxcd.io/team": "a"}
    source = replace(SOURCE, event_annotations=MappingProxyType(annotations))
    note = s.Event(s.NORMAL, "AuthenticationFailed", "auth secret 's' not found")
    report = a_report(damage="artifact has no digest", collected=2, notes=(note,), failure=NO_ANSWER)

    assert [dict(event.annotations) for event in telling.events(source, ready_status(), report)] == [annotations] * 4


def test_a_recovery_without_new_content_is_told_as_success() -> None:
    found = ready_status()
    failed = s.concluded(SOURCE, found, a_report(kept=found.artifact, failure=NO_ANSWER), NOW)

    told_events = events(failed, a_report(kept=found.artifact, resolved=OLD))

    assert [event[:2] for event in told_events] == [("Normal", "Succeeded")]


def test_a_pass_without_news_tells_nothing() -> None:
    """J9."""
    found = ready_status()

    assert events(found, a_report(kept=found.artifact, resolved=OLD)) == []


def test_damage_and_collection_are_told_before_the_outcome() -> None:
    found = ready_status()
    report = a_report(damage="computed digest doesn't match 'sha256:1'", collected=2, failure=NO_ANSWER)

    assert events(found, report) == [
        ("Normal", "GarbageCollectionSucceeded", "garbage collected 2 artifacts"),
        (
            "Warning",
            "ArtifactVerificationFailed",
            "failed to verify integrity of artifact: computed digest doesn't match 'sha256:1'",
        ),
        ("Warning", "OCIArtifactPullFailed", NO_ANSWER.message),
    ]


def test_a_withdrawn_artifact_leaves_nothing_outdated() -> None:
    """J15: what is not there is not old."""
    outdated = s.concluded(SOURCE, ready_status(), a_report(kept=artifact(OLD), resolved=NEW, failure=NO_ANSWER), LATER)
    assert told(outdated)["ArtifactOutdated"] == ("True", "NewRevision")

    status = s.concluded(SOURCE, outdated, a_report(resolved=NEW, failure=UNSIGNED, withdrawn=True), LATER)

    assert told(status) == {
        "Reconciling": ("True", "ProgressingWithRetry"),
        "Ready": ("False", "VerificationError"),
        "FetchFailed": ("True", "OCIArtifactPullFailed"),
        "SourceVerified": ("False", "VerificationError"),
    }
    assert (status.artifact, status.url) == (None, "")


def test_a_verdict_goes_where_the_policy_needs_none() -> None:
    """H7"""
    report = a_report(kept=artifact(OLD), resolved=OLD, unjudged="the policy says skip")
    status = s.concluded(SOURCE, ready_status(), report, LATER)

    assert "SourceVerified" not in told(status)
    assert told(status)["Ready"] == ("True", "Succeeded")


def test_an_observed_layer_selector_survives_writing_and_reading() -> None:
    """A6, B8"""
    for selector in (LayerSelector(), LayerSelector("text/plain"), LayerSelector("text/plain", "copy")):
        status = replace(ready_status(), observed_layer_selector=selector)
        assert s.parse_status({"status": s.written(status)}) == status


def test_a_pass_that_ended_with_the_verdict_says_nothing_of_an_artifact() -> None:
    """What `ocisource verify` does: nothing is stored, and nothing was."""
    report = a_report(resolved=OLD, verified=f"verified signature of revision {OLD}")
    status = s.concluded(SOURCE, s.Status(), report, NOW)
    assert told(status).keys() == {"SourceVerified", "Ready"}
    assert status.artifact is None

    recovered = replace(s.Status(), conditions=(c.Condition(c.FETCH_FAILED, c.TRUE, "R", "m"),))
    assert list(telling.events(SOURCE, recovered, report)) == []
