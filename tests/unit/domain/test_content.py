"""What travels between the rooms."""

from __future__ import annotations

import pytest

from ocisource.domain.content import EMPTY, Descriptor, Manifest, Revision
from ocisource.domain.errors import ManifestError


def test_nothing_annotated_is_an_empty_mapping_that_can_be_a_default() -> None:
    assert dict(EMPTY) == {}
    assert len(EMPTY) == 0
    assert "a" not in EMPTY
    with pytest.raises(KeyError):
        EMPTY["a"]
    assert hash(EMPTY) == hash(EMPTY)  # Python 3.11 takes no default that has none
    assert hash(Descriptor("m", "d", 1)) == hash(Descriptor("m", "d", 1))


def test_a_revision_is_written_as_clients_know_it() -> None:
    """D4"""
    assert str(Revision("1.0.0", "sha256:a")) == "1.0.0@sha256:a"
    assert str(Revision("", "sha256:a")) == "sha256:a"


LAYERS = (Descriptor("a/b", "sha256:1", 1), Descriptor("a/c", "sha256:2", 2), Descriptor("a/c", "sha256:3", 3))


@pytest.mark.parametrize(("media_type", "found"), [("", LAYERS[0]), ("a/b", LAYERS[0]), ("a/c", LAYERS[1])])
def test_a_layer_is_the_first_or_the_first_of_its_media_type(media_type: str, found: Descriptor) -> None:
    """F1"""
    assert Manifest("sha256:0", "m", LAYERS).layer(media_type) == found


@pytest.mark.parametrize(
    ("layers", "media_type", "problem"),
    [
        ((), "", "no layers found in artifact"),
        ((), "a/b", "no layers found in artifact"),
        (LAYERS, "a", "failed to find layer with media type 'a' in artifact"),
    ],
)
def test_a_layer_that_is_not_there_is_told_in_the_words_that_clients_know(
    layers: tuple[Descriptor, ...], media_type: str, problem: str
) -> None:
    """C14"""
    with pytest.raises(ManifestError) as caught:
        Manifest("sha256:0", "m", layers).layer(media_type)
    assert str(caught.value) == problem
