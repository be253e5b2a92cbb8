"""The object as its owner wrote it (flux-compat A5)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ocisource.domain.errors import InvalidSource
from ocisource.domain.source import LayerSelector, OIDCIdentity, Source, parse_source, unknown_fields


def an_object(spec: dict[str, Any] | None = None, version: str = "v1", **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"source.toolkit.fluxcd.io/{version}",
        "kind": "OCIRepository",
        "metadata": {"name": "app", "namespace": "team", **metadata},
        "spec": {"url": "oci://registry.example.com/team/app", "interval": "5m"} | (spec or {}),
    }


def test_the_yaml_of_the_flux_2_1_time_is_read_whole() -> None:
    obj = an_object(
        {"ref": {"semver": "*"}, "verify": {"provider": "cosign", "secretRef": {"name": "cosign-pub"}}}, "v1beta2"
    )

    source = parse_source(obj)

    assert (source.namespace, source.name, source.interval) == ("team", "app", 300.0)
    assert source.reference.semver == "*"
    assert source.verify is not None
    assert (source.verify.provider, source.verify.secret) == ("cosign", "cosign-pub")


def test_what_is_not_given_has_the_defaults_of_the_api() -> None:
    source = parse_source(an_object())

    assert source.timeout == 60.0
    assert source.provider == "generic"
    assert source.ignore is None
    assert source.verify is None
    assert (source.insecure, source.suspended) == (False, False)
    assert (source.deleting, source.finalized) == (False, False)


@pytest.mark.parametrize(
    ("selector", "written", "copies", "is_chart"),
    [
        (None, None, False, False),
        ({}, LayerSelector(), False, False),
        ({"operation": "extract", "mediaType": "a/b"}, LayerSelector("a/b", "extract"), False, False),
        ({"operation": "copy"}, LayerSelector("", "copy"), True, False),
        (
            {"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip"},
            LayerSelector("application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
            False,
            True,
        ),
    ],
)
def test_a_layer_selector_is_kept_as_it_was_written(
    selector: dict[str, str] | None, written: LayerSelector | None, *, copies: bool, is_chart: bool
) -> None:
    """B8: absent and empty differ. F8: what is not said is `extract`."""
    source = parse_source(an_object({"layerSelector": selector}))
    assert source.layer_selector == written
    assert (source.layer.copies, source.layer.is_chart) == (copies, is_chart)


def test_an_empty_ignore_is_not_an_absent_one() -> None:
    """B8: nil and "" differ, so going from one to the other rebuilds the artifact."""
    assert parse_source(an_object({"ignore": ""})).ignore == ""


def test_null_is_the_same_as_absent() -> None:
    assert parse_source(an_object({"verify": None, "ref": None, "timeout": None})) == parse_source(an_object())


def test_metadata_tells_of_deletion_finalizer_request_and_event_annotations() -> None:
    source = parse_source(
        an_object(
            deletionTimestamp="2026-01-01T00:00:00Z",
            finalizers=["other", "finalizers.fluxcd.io"],
            generation=7,
            uid="u-1",
            annotations={
                "reconcile.fluxcd.io/requestedAt": "now",
                "event.toolkit.fluxcd.io/commit": "abc",
                "unrelated": "x",
            },
        )
    )

    assert source.deleting
    assert source.finalized
    assert (source.generation, source.uid, source.requested_at) == (7, "u-1", "now")
    assert dict(source.event_annotations) == {"event.toolkit.fluxcd.io/commit": "abc"}


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"url": None}, "spec.url"),
        ({"url": "https://example.com/app"}, "spec.url"),
        ({"url": 5}, "spec.url"),
        ({"interval": None}, "spec.interval"),
        ({"interval": "5"}, "spec.interval"),
        ({"interval": 5}, "spec.interval"),
        ({"interval": "1d"}, "spec.interval"),
        ({"interval": "9999999h"}, "spec.interval"),
        ({"timeout": "1h"}, "spec.timeout"),
        ({"insecure": "yes"}, "spec.insecure"),
        ({"suspend": 1}, "spec.suspend"),
        ({"provider": "ibm"}, "spec.provider"),
        ({"ref": "1.0"}, "spec.ref"),
        ({"ref": {"tag": 1.0}}, "spec.ref.tag"),
        ({"ref": {"semver": 1}}, "spec.ref.semver"),
        ({"layerSelector": {"operation": "unpack"}}, "spec.layerSelector.operation"),
        ({"secretRef": {}}, "spec.secretRef.name"),
        ({"secretRef": "pull"}, "spec.secretRef"),
        ({"verify": {"provider": "gpg"}}, "spec.verify.provider"),
        ({"verify": {"secretRef": {"name": ""}}}, "spec.verify.secretRef.name"),
        ({"verify": {"matchOIDCIdentity": {}}}, "spec.verify.matchOIDCIdentity"),
        ({"verify": {"matchOIDCIdentity": [{"issuer": "i"}]}}, "spec.verify.matchOIDCIdentity[0].subject"),
        (
            {"verify": {"matchOIDCIdentity": [{"issuer": "i", "subject": 3}]}},
            "spec.verify.matchOIDCIdentity[0].subject",
        ),
    ],
)
def test_a_wrong_field_is_named(spec: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSource) as caught:
        parse_source(an_object(spec))

    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"kind": "GitRepository"}, "kind"),
        ({"apiVersion": "source.toolkit.fluxcd.io/v2"}, "apiVersion"),
        ({"spec": None}, "spec"),
        ({"metadata": {"name": "Not A Name"}}, "metadata.name"),
        ({"metadata": {"namespace": "team"}}, "metadata.name"),
        ({"metadata": None}, "metadata"),
    ],
)
def test_an_object_that_is_no_ocirepository_is_refused_by_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSource) as caught:
        parse_source(an_object() | change)

    assert caught.value.field == field


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, "true"), (1.1, "1.1"), (date(2026, 1, 31), "2026-01-31"), (["1.0"], "['1.0']"), ({"a": "B"}, "{'a': 'B'}")],
)
def test_what_yaml_makes_of_a_value_without_quotes_is_shown_as_yaml_has_it(value: object, shown: str) -> None:
    with pytest.raises(InvalidSource) as caught:
        parse_source(an_object({"ref": {"tag": value}}))

    assert str(caught.value) == f"spec.ref.tag: must be a string (put it in quotes), is {shown}"


def test_fields_that_the_api_does_not_have_are_named_with_their_path() -> None:
    obj = an_object({"intervall": "5m", "ref": {"version": "1"}, "verify": {"matchOIDCIdentity": [{"isuer": "x"}]}})

    assert list(unknown_fields(obj)) == [
        "spec.intervall",
        "spec.ref.version",
        "spec.verify.matchOIDCIdentity[0].isuer",
    ]


def test_a_source_can_be_compared_and_kept_in_a_set() -> None:
    sources: set[Source] = {parse_source(an_object()), parse_source(an_object())}

    assert len(sources) == 1


def test_identities_are_taken_as_they_are_written_in_their_order() -> None:
    """signatures.md rule 5: they are patterns, and an empty one is a pattern, too."""
    written = [{"issuer": "^https://a$", "subject": ""}, {"issuer": "b", "subject": "c"}]
    source = parse_source(an_object({"verify": {"matchOIDCIdentity": written}}))

    assert source.verify is not None
    assert source.verify.identities == (OIDCIdentity("^https://a$", ""), OIDCIdentity("b", "c"))
