"""`make root`: takes the public trusted root that the operator ships anew, from the locked sigstore package.

Run it when the lock has moved to another version of sigstore, read what has changed in the files, and commit them.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import sigstore

import ocisource.roots
from ocisource.roots import shipped

FILES = {"trusted_root.json": "public_good.json", "root.json": "public_good.tuf.json"}


def main() -> int:
    store = Path(sigstore.__file__).parent / "_store" / quote(shipped.URL, safe="")
    room = Path(ocisource.roots.__file__).parent
    for theirs, ours in FILES.items():
        (room / ours).write_bytes((store / theirs).read_bytes())
    origin = {"from": f"sigstore {metadata.version('sigstore')}", "taken": datetime.now(UTC).date().isoformat()}
    (room / "public_good.origin.json").write_text(f"{json.dumps(origin)}\n")
    print(f"{room} has the trusted root of {origin['from']} now")
    return 0


if __name__ == "__main__":
    sys.exit(main())
