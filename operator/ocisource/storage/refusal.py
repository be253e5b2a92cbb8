"""How a refusal of the disk is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ocisource.domain.errors import StoreError


@contextmanager
def refusal(reason: str, message: str) -> Iterator[None]:
    """Turns an OSError within into the StoreError that says what could not be done: `<message>: <why>`."""
    try:
        yield
    except OSError as error:
        raise StoreError(reason, f"{message}: {(error.strerror or str(error)).lower()}") from error
