"""The copy of the public trusted root that comes with this package, and where TUF begins to look for a newer one.

Both files are those of the locked sigstore package, byte by byte (a test holds them to it). `make root` takes them
anew after the lock has changed.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib import resources

URL = "https://tuf-repo-cdn.sigstore.dev"
"""The TUF repository of the public Sigstore."""


def trusted_root() -> bytes:
    """`trusted_root.json` of the public Sigstore, as it was when this version was built."""
    return _file("public_good.json")


def bootstrap() -> bytes:
    """Root metadata of the public TUF repository. It may have expired: what it is for is to judge its successors (TUF
    specification, 5.3)."""
    return _file("public_good.tuf.json")


def taken() -> float:
    """When the copy was taken, in Unix seconds."""
    origin = json.loads(_file("public_good.origin.json"))
    return datetime.fromisoformat(origin["taken"]).replace(tzinfo=UTC).timestamp()


def _file(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()
