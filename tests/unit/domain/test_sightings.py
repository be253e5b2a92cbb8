"""What one look at an object tells (flux-compat B1, A4, J6)."""

from __future__ import annotations

from typing import Any

import pytest

from ocisource.domain.sightings import Asks, age, lane, read_source, same_object

URL = "oci://registry.example.com/team/app"


def seen(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "metadata": {"namespace": "team", "name": "app", "uid": "1", "generation": 1, **metadata},
        "spec": {"url": URL, "interval": "5m"} if spec is None else spec,
    }


def requested(text: str) -> dict[str, Any]:
    return {"annotations": {"reconcile.fluxcd.io/requestedAt": text}}


@pytest.mark.parametrize(
    ("before", "now", "due"),
    [
        ({}, {}, False),
        ({}, {"labels": {"a": "b"}}, False),
        ({}, {"generation": 2}, True),
        ({}, {"uid": "2"}, True),
        ({}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, True),
        ({}, requested("t1"), True),
        ({}, requested(""), True),
        (requested("t1"), requested("t1"), False),
        (requested("t1"), requested("t2"), True),
        (requested("t1"), {}, False),
        (requested("t1"), {"generation": 2}, True),
    ],
)
def test_what_asks_for_a_pass(before: dict[str, Any], now: dict[str, Any], due: bool) -> None:
    """B1"""
    assert Asks.of(seen(**now)).for_a_pass_since(Asks.of(seen(**before))) is due


def test_what_was_never_seen_asks_for_a_pass() -> None:
    assert Asks.of(seen()).for_a_pass_since(None)


def test_an_object_that_can_be_read_has_no_fault() -> None:
    source, fault = read_source(seen())
    assert (source.url, fault) == (URL, None)


def test_of_an_object_that_cannot_be_read_what_can_be_read_counts() -> None:
    """A4: it stalls like a bad URL."""
    source, fault = read_source(seen({"url": URL, "suspend": True}, generation=3, finalizers=["finalizers.fluxcd.io"]))
    assert (source.generation, source.finalized, source.suspended) == (3, True, True)
    assert fault is not None
    assert (fault.condition, fault.reason, fault.stalls) == ("FetchFailed", "URLInvalid", True)
    assert fault.message.startswith(f"URL validation failed for '{URL}': spec.interval: is required")

    without = seen()
    del without["spec"]
    assert read_source(without)[1] is not None


@pytest.mark.parametrize(
    ("spec", "metadata", "name"),
    [
        ({"url": URL}, {}, "registry.example.com"),
        ({"url": "oci://x"}, {}, ""),
        ({}, {}, ""),
        ({"url": URL, "suspend": True}, {}, ""),
        ({"url": URL}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, ""),
    ],
)
def test_objects_wait_with_those_of_their_registry_and_without_one_where_none_is_needed(
    spec: dict[str, Any], metadata: dict[str, Any], name: str
) -> None:
    assert lane(seen(spec, **metadata)) == name


def test_versions_are_numbers() -> None:
    assert age(seen(resourceVersion="10")) > age(seen(resourceVersion="9"))
    assert age(seen()) == age(seen(resourceVersion="odd")) == 0


def test_an_object_is_known_by_its_uid() -> None:
    assert same_object(seen(), seen(generation=2))
    assert not same_object(seen(), seen(uid="2"))
