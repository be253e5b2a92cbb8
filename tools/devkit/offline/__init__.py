"""A private Sigstore for tests that needs no network and no server.

It makes what cosign makes and what the public services add to it; the real cosign accepts it (tests/e2e/
test_offline_sigstore.py). It shares no code with the operator. Everything is a plain value with keys in memory; time
is a parameter, so only keys and serial numbers are random.

    sigstore = OfflineSigstore.create()
    root: bytes = sigstore.trusted_root()                       # trusted_root.json
    signing = sigstore.identity("https://issuer.example", "ci@example.com", key="p256")
    payload, annotations = signing.legacy(digest)               # legacy .sig layer with certificate, chain and SET
    bundle: bytes = signing.bundle(digest)                      # Rekor v1: SET, inclusion proof
    bundle = signing.bundle(digest, rekor="v2")                 # Rekor v2: inclusion proof, timestamp

Wrong ones are made of good parts that do not belong together, or of parts changed by `dataclasses.replace`:

    mine, other = signing.seal(statement(digest)), signing.seal(b"{}")
    assemble(mine, [signing.logged(other)])                     # an entry about another signature
    entry = signing.logged(mine)
    assemble(mine, [replace(entry, time=entry.time + 1)])       # a SET over other facts
    assemble(mine, [replace(entry, promise=None, proof=None)])
    foreign = OfflineSigstore.create()                          # the same with keys of its own
    replace(signing, rekor_v1=foreign.rekor_v1).bundle(digest)  # logged elsewhere …
    pose = replace(foreign.rekor_v1, claimed=sigstore.rekor_v1.log_id)
    replace(signing, rekor_v1=pose).bundle(digest)              # … in our log's name
    sigstore.identity(scts=[])                                  # a leaf without SCT
    sigstore.identity(profile=replace(sigstore.profile(), usages=None))
    sigstore.trusted_root(authorities=[replace(sigstore.authority, window=Window(0, 1))], without={"baseUrl"})
"""

from __future__ import annotations

from devkit.offline.authority import Authority, Profile
from devkit.offline.ctlog import CTLog
from devkit.offline.rekor import Entry, Proof, RekorLog
from devkit.offline.sealed import Sealed
from devkit.offline.signing import Signing, assemble, layer
from devkit.offline.sigstore import OfflineSigstore
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.windows import NOW, Window

__all__ = [
    "NOW",
    "Authority",
    "CTLog",
    "Entry",
    "OfflineSigstore",
    "Profile",
    "Proof",
    "RekorLog",
    "Sealed",
    "Signing",
    "TimestampAuthority",
    "Window",
    "assemble",
    "layer",
]
