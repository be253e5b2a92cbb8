from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from devkit.tufmirror import TufMirror
from ocisource.domain.errors import TrustError
from ocisource.roots.mirror import Mirror

TARGET = "trusted_root.json"


def root(number: int) -> bytes:
    """A document that `validate` takes for a trusted root. What a real one must say is the trust room's business."""
    return json.dumps({"root": number}).encode()


def validate(document: bytes) -> None:
    """In place of the trust room's reading, which cli passes in."""
    if not document.startswith(b'{"root"'):
        raise TrustError("not a trusted root")


@pytest.fixture
def tuf() -> Iterator[TufMirror]:
    """A TUF repository with version 1 of the root."""
    with TufMirror({TARGET: root(1)}) as mirror:
        yield mirror


@pytest.fixture
def mirror(tuf: TufMirror) -> Mirror:
    return Mirror(tuf.url, tuf.bootstrap, private=True)
