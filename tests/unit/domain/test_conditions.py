"""The summary into Ready and the mechanics of conditions (flux-compat B15 to B17)."""

from __future__ import annotations

import pytest

from ocisource.domain import conditions as c

NOW, BEFORE = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"


def summary(*given: tuple[str, str]) -> c.Condition | None:
    marks = c.Conditions((), generation=1, now=NOW)
    for kind, status in given:
        marks.set(kind, status, f"{kind}Reason", f"{kind} message")
    marks.summarize()
    return marks["Ready"]


@pytest.mark.parametrize(
    ("given", "status", "told_by"),
    [
        ([(c.ARTIFACT_IN_STORAGE, c.TRUE)], c.TRUE, c.ARTIFACT_IN_STORAGE),
        ([(c.ARTIFACT_IN_STORAGE, c.TRUE), (c.SOURCE_VERIFIED, c.TRUE)], c.TRUE, c.ARTIFACT_IN_STORAGE),
        ([(c.ARTIFACT_IN_STORAGE, c.TRUE), (c.FETCH_FAILED, c.TRUE)], c.FALSE, c.FETCH_FAILED),
        ([(c.RECONCILING, c.TRUE), (c.ARTIFACT_OUTDATED, c.TRUE)], c.FALSE, c.ARTIFACT_OUTDATED),
        ([(c.STALLED, c.TRUE), (c.FETCH_FAILED, c.TRUE)], c.FALSE, c.FETCH_FAILED),
        ([(c.FETCH_FAILED, c.TRUE), (c.STORAGE_OPERATION_FAILED, c.TRUE)], c.FALSE, c.STORAGE_OPERATION_FAILED),
        ([(c.FETCH_FAILED, c.TRUE), (c.SOURCE_VERIFIED, c.FALSE)], c.FALSE, c.SOURCE_VERIFIED),
        ([(c.SOURCE_VERIFIED, c.UNKNOWN)], c.UNKNOWN, c.SOURCE_VERIFIED),
        # Nobody of this API writes the next one; the original reads it so, where another hand did.
        ([(c.SOURCE_VERIFIED, c.UNKNOWN), (c.FETCH_FAILED, c.FALSE)], c.TRUE, c.FETCH_FAILED),
        ([(c.SOURCE_VERIFIED, c.UNKNOWN), (c.ARTIFACT_IN_STORAGE, c.TRUE)], c.TRUE, c.ARTIFACT_IN_STORAGE),
    ],
)
def test_ready_is_told_by_the_most_telling_condition(given: list[tuple[str, str]], status: str, told_by: str) -> None:
    ready = summary(*given)

    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == (status, f"{told_by}Reason", f"{told_by} message")


def test_without_conditions_ready_is_not_touched() -> None:
    assert summary() is None


def test_the_transition_time_moves_with_status_reason_or_message_only() -> None:
    found = c.Condition(c.FETCH_FAILED, c.TRUE, "R", "m", observed_generation=1, changed=BEFORE)
    marks = c.Conditions([found], generation=2, now=NOW)

    marks.set(c.FETCH_FAILED, c.TRUE, "R", "m")
    unchanged = marks[c.FETCH_FAILED]
    marks.set(c.FETCH_FAILED, c.TRUE, "R", "another message")
    changed = marks[c.FETCH_FAILED]

    assert unchanged is not None
    assert (unchanged.changed, unchanged.observed_generation) == (BEFORE, 2)
    assert changed is not None
    assert changed.changed == NOW


def test_a_detour_within_a_pass_leaves_no_trace() -> None:
    found = c.Condition(c.READY, c.TRUE, "Succeeded", "stored", observed_generation=1, changed=BEFORE)
    marks = c.Conditions([found], generation=1, now=NOW)

    marks.set(c.READY, c.UNKNOWN, "Progressing", "building")
    marks.set(c.READY, c.TRUE, "Succeeded", "stored")

    assert marks[c.READY] == found


def test_conditions_stand_in_the_order_that_clients_print() -> None:
    """B17: Stalled, Reconciling, Ready, then the newest observation first, then by type."""
    old = c.Condition(c.ARTIFACT_IN_STORAGE, c.TRUE, "R", "m", observed_generation=1, changed=BEFORE)
    marks = c.Conditions([old], generation=2, now=NOW)
    for kind in (c.SOURCE_VERIFIED, c.FETCH_FAILED, c.READY, c.RECONCILING, c.STALLED):
        marks.set(kind, c.TRUE, "R", "m")

    assert [condition.type for condition in marks] == [
        c.STALLED,
        c.RECONCILING,
        c.READY,
        c.FETCH_FAILED,
        c.SOURCE_VERIFIED,
        c.ARTIFACT_IN_STORAGE,
    ]


def test_a_message_is_cut_to_what_the_api_accepts() -> None:
    marks = c.Conditions((), generation=1, now=NOW)

    marks.set(c.FETCH_FAILED, c.TRUE, "R", "x" * 40_000)

    condition = marks[c.FETCH_FAILED]
    assert condition is not None
    assert len(condition.message) == 32_768
    assert condition.message.endswith("x...")


def test_a_long_message_is_measured_in_bytes_and_cut_between_characters() -> None:
    """B17, as the original measures it."""
    assert c.cut("é" * 16_384) == "é" * 16_384
    assert c.cut("é" * 16_385) == "é" * 16_382 + "..."


def test_a_condition_without_a_generation_is_written_without() -> None:
    found = {"type": "Theirs", "status": "True", "reason": "R", "message": "m", "lastTransitionTime": NOW}

    assert c.written(c.read([found])) == [found]


def test_conditions_survive_writing_and_reading() -> None:
    marks = c.Conditions((), generation=3, now=NOW)
    marks.set(c.READY, c.FALSE, "R", "m")

    assert c.read(c.written(marks)) == tuple(marks)
