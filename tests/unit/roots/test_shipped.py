"""The copy that is shipped."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import sigstore

import ocisource.roots
from ocisource.roots import shipped
from ocisource.trust.roots import read_trusted_root

STORE = Path(sigstore.__file__).parent / "_store" / quote(shipped.URL, safe="")
ROOMS = Path(ocisource.roots.__file__).parent


def test_it_is_the_copy_of_the_locked_package() -> None:
    """A lock with a newer copy asks for `make root`."""
    assert shipped.trusted_root() == (STORE / "trusted_root.json").read_bytes(), "run `make root`"
    assert shipped.bootstrap() == (STORE / "root.json").read_bytes(), "run `make root`"


def test_it_says_where_it_comes_from() -> None:
    origin = json.loads((ROOMS / "public_good.origin.json").read_bytes())

    assert origin["from"] == f"sigstore {metadata.version('sigstore')}", "run `make root`"


def test_it_can_be_used() -> None:
    root = read_trusted_root(shipped.trusted_root())

    assert (len(root.authorities), len(root.logs), len(root.ctlogs), len(root.timestamp_authorities)) == (2, 2, 2, 1)


def test_it_was_taken_after_the_last_key_in_it_began_to_count() -> None:
    root = read_trusted_root(shipped.trusted_root())

    assert shipped.taken() > max(log.window.start for log in root.logs)
