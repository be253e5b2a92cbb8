"""When a verdict has grown too old (flux-compat J15)."""

from __future__ import annotations

from ocisource.domain.reviews import Reviews

APP, OTHER = ("team", "app"), ("team", "other")


def test_a_verdict_that_this_process_did_not_make_is_made_anew() -> None:
    assert Reviews(3600).overdue(APP, 5.0)


def test_a_verdict_is_good_until_it_is_due() -> None:
    reviews = Reviews(3600)
    reviews.made(APP, 100.0)

    assert not reviews.overdue(APP, 99.9)
    assert reviews.overdue(APP, 100.0)
    assert reviews.overdue(OTHER, 0.0)


def test_the_next_pass_comes_no_later_than_the_verdict_grows_old() -> None:
    reviews = Reviews(3600)
    reviews.made(APP, 100.0)

    assert reviews.sooner(APP, 90.0, 300.0) == 10.0
    assert reviews.sooner(APP, 90.0, 3.0) == 3.0
    assert reviews.sooner(APP, 90.0, None) == 10.0  # an interval of 0
    assert reviews.sooner(APP, 120.0, 300.0) == 0.0
    assert reviews.sooner(OTHER, 90.0, 300.0) == 300.0


def test_switched_off_nothing_grows_old() -> None:
    reviews = Reviews(0)
    reviews.made(APP, 100.0)

    assert not reviews.overdue(APP, 1e9)
    assert reviews.sooner(APP, 1e9, 300.0) == 300.0
    assert reviews.sooner(APP, 1e9, None) is None


def test_nothing_is_kept_of_an_object_that_is_gone() -> None:
    reviews = Reviews(3600)
    reviews.made(APP, 100.0)
    reviews.forget(APP)
    reviews.forget(OTHER)

    assert reviews.sooner(APP, 90.0, None) is None
