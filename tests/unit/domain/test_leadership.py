"""Who leads (flux-compat G9). The expected fields are those of client-go's leaderelection."""

from __future__ import annotations

from hashlib import sha256

import pytest

from ocisource.domain.leadership import Candidacy, Record, Terms, lease_name, parse_record, written_record

TERMS = Terms(duration=35, renew_deadline=30, retry_period=5)
THEIRS = Record("theirs", 35, "2026-01-01T00:00:00.000000Z", "2026-01-01T00:00:10.000000Z", 4)


@pytest.fixture
def candidacy() -> Candidacy:
    return Candidacy("ours", TERMS)


def test_a_lease_that_nobody_made_is_made(candidacy: Candidacy) -> None:
    candidacy.see(None, 100)
    assert candidacy.claim(100, "now") == Record("ours", 35, "now", "now", 0)
    assert candidacy.holder == ""


def test_a_lease_that_is_renewed_is_left_alone(candidacy: Candidacy) -> None:
    for second in range(0, 200, 10):
        candidacy.see(Record("theirs", 35, "then", f"second {second}", 4), second)
        assert candidacy.claim(second + 9.9, "now") is None
    assert not candidacy.leads(200)


def test_a_lease_ends_when_we_have_not_seen_it_change_for_its_own_duration(candidacy: Candidacy) -> None:
    """Whatever the clocks of others say; and by their duration, not by ours."""
    candidacy.see(Record("theirs", 50, "then", "2099-01-01T00:00:00.000000Z", 4), 100)
    candidacy.see(Record("theirs", 50, "then", "2099-01-01T00:00:00.000000Z", 4), 149)
    assert candidacy.claim(149.9, "now") is None
    assert candidacy.claim(150, "now") == Record("ours", 35, "now", "now", 5)


def test_a_lease_that_was_released_is_taken_at_once(candidacy: Candidacy) -> None:
    candidacy.see(Record("", 1, "then", "then", 4), 100)
    assert candidacy.claim(100, "now") == Record("ours", 35, "now", "now", 5)


def test_a_lease_that_vanishes_is_left_to_its_holder_until_its_time_is_over(candidacy: Candidacy) -> None:
    """Somebody deleted it by hand; the holder does not know before it renews, which makes the Lease again."""
    candidacy.see(THEIRS, 100)
    candidacy.see(None, 101)
    candidacy.see(None, 100 + THEIRS.duration - 0.1)
    assert candidacy.claim(100 + THEIRS.duration - 0.1, "now") is None
    assert candidacy.claim(100 + THEIRS.duration, "now") is not None


def test_a_lease_that_vanishes_after_its_release_is_free(candidacy: Candidacy) -> None:
    candidacy.see(Record("", 1, "then", "then", 4), 100)
    candidacy.see(None, 101)
    assert candidacy.claim(101, "now") == Record("ours", 35, "now", "now", 0)


def test_a_renewal_keeps_since_when_and_how_often(candidacy: Candidacy) -> None:
    candidacy.see(None, 100)
    first = candidacy.claim(100, "first")
    assert first is not None
    candidacy.won(first, 100, 101)
    assert candidacy.claim(105, "second") == Record("ours", 35, "first", "second", 0)


def test_who_leads_stops_before_others_may_begin(candidacy: Candidacy) -> None:
    """The deadline counts from before the request: the others may have seen it then already."""
    candidacy.see(None, 100)
    claimed = candidacy.claim(100, "first")
    assert claimed is not None
    candidacy.won(claimed, 100, 115)
    other = Candidacy("other", TERMS)
    other.see(claimed, 100)
    assert candidacy.leads(129.9)
    assert not candidacy.leads(130)
    assert other.claim(134.9, "now") is None
    assert other.claim(135, "now") is not None


@pytest.mark.parametrize("found", [THEIRS, None], ids=["taken", "deleted"])
def test_a_lease_that_is_another_one_now_is_lost_at_once(candidacy: Candidacy, found: Record | None) -> None:
    candidacy.won(Record("ours", 35, "a", "b"), 100, 100)
    candidacy.see(found, 101)
    assert not candidacy.leads(101)


def test_only_who_holds_it_releases_it(candidacy: Candidacy) -> None:
    assert candidacy.release("now") is None
    candidacy.see(THEIRS, 100)
    assert candidacy.release("now") is None
    candidacy.won(Record("ours", 35, "a", "b", 5), 100, 100)
    assert candidacy.release("now") == Record("", 1, "now", "now", 5)


def test_candidates_look_again_after_the_retry_period_and_not_all_at_once(candidacy: Candidacy) -> None:
    assert [candidacy.pause(100, uniform) for uniform in (0, 0.5, 1)] == [5, 8, 11]
    candidacy.see(THEIRS, 100)
    assert [candidacy.pause(100, uniform) for uniform in (0, 1)] == [5, 11]
    assert [candidacy.pause(132, uniform) for uniform in (0, 1)] == [3, 4]
    assert candidacy.pause(140, 0) == 0


def test_each_shard_elects_on_its_own() -> None:
    selector = "sharding.fluxcd.io/key=shard1"
    digest = sha256(selector.encode()).hexdigest()
    assert lease_name("") == "source-controller-leader-election"
    assert lease_name(selector) == f"source-controller-leader-election-{digest[:8]}"


def test_a_spec_is_read_as_it_was_written() -> None:
    spec = written_record(THEIRS)
    assert spec == {
        "holderIdentity": "theirs",
        "leaseDurationSeconds": 35,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:10.000000Z",
        "leaseTransitions": 4,
    }
    assert parse_record(spec) == THEIRS


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None, "leaseDurationSeconds": None, "leaseTransitions": "1"}])
def test_what_a_spec_does_not_say_counts_as_released(spec: dict[str, object], candidacy: Candidacy) -> None:
    candidacy.see(parse_record(spec), 100)
    claimed = candidacy.claim(100, "now")
    assert claimed is not None
    assert claimed.transitions == 1


def test_others_never_wait_shorter_than_the_terms_say() -> None:
    """A Lease counts in whole seconds."""
    candidacy = Candidacy("ours", Terms(1.5, 1, 0.2))
    claimed = candidacy.claim(0, "now")
    assert claimed is not None
    assert claimed.duration == 2
