"""What travels between the rooms."""

from __future__ import annotations

import pytest

from ocisource.domain.content import EMPTY, Descriptor, Revision


def test_nothing_annotated_is_an_empty_mapping_that_can_be_a_default() -> None:
    assert dict(EMPTY) == {}
    assert len(EMPTY) == 0
    assert "a" not in EMPTY
    with pytest.raises(KeyError):
        EMPTY["a"]
    assert hash(Descriptor("m", "d", 1)) == hash(Descriptor("m", "d", 1))


def test_a_revision_is_written_as_clients_know_it() -> None:
    """D4"""
    assert str(Revision("1.0.0", "sha256:a")) == "1.0.0@sha256:a"
    assert str(Revision("", "sha256:a")) == "sha256:a"
