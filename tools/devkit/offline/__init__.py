"""A private Sigstore for tests that needs no network and no server.

It makes what cosign makes and what the public services add to it; the real cosign accepts it (tests/e2e/
test_offline_sigstore.py). It shares no code with the operator. Everything is a plain value with keys in memory; time
is a parameter, so only keys, signatures and serial numbers are random.

    sigstore = OfflineSigstore.create()                         # issues leaves at NOW, which sign 60 s later
    root: bytes = sigstore.trusted_root()                       # trusted_root.json; trusted_root_document(): the dict
    signing = sigstore.identity("https://issuer.example", "ci@example.com", key="p256")
    payload, annotations = signing.legacy(digest)               # legacy .sig layer with certificate, chain and SET
    bundle: bytes = signing.bundle(digest)                      # Rekor v1: SET, inclusion proof
    bundle = signing.bundle(digest, rekor="v2")                 # Rekor v2: inclusion proof, timestamp

Everything that must be refused, and everything that differs but must be accepted, each by name and in each form
("legacy", "v1", "v2"), with the root that is to judge it (devkit.offline.mistakes, .variants):

    @pytest.mark.parametrize(("mistake", "form"), every(MISTAKES))
    def test_a_mistake_is_refused(mistake, form):
        wrong = MISTAKES[mistake].make(sigstore, digest, form)
        wrong.evidence, wrong.root                              # LegacyLayer or bundle; trusted_root.json

What is not there is made of good parts that do not belong together, or of parts changed by `dataclasses.replace`:

    good = draft(sigstore, digest, "v1")                        # a good signature in parts
    entry = good.entries[0]
    replace(good, entries=(replace(entry, time=entry.time + 1),)).evidence      # a SET over other facts
    replace(good, entries=(signing.logged(signing.seal(b"{}")),)).evidence      # an entry about another signature
    foreign = OfflineSigstore.create()                          # the same with keys of its own
    replace(signing, rekor_v1=foreign.rekor_v1).bundle(digest)  # logged elsewhere …
    pose = replace(foreign.rekor_v1, claimed=sigstore.rekor_v1.log_id)
    replace(signing, rekor_v1=pose).bundle(digest)              # … in our log's name
    sigstore.identity(scts=[])                                  # a leaf without SCT
    sigstore.identity(profile=replace(sigstore.profile(), usages=None))         # … without extended key usage
    sigstore.trusted_root(authorities=[replace(sigstore.authority, window=Window(0, 1))], without={"baseUrl"})

Into a registry: `devkit.seals.attach(pushed, signing.legacy(digest), bundle, …)` over HTTP; in the in-memory one
`content.sign_legacy(name, digest, [signing.legacy(digest)])` and `content.attach(name, digest, bundle)`.
"""

from __future__ import annotations

from devkit.offline.authority import Authority, Profile
from devkit.offline.case import Case, every, shared
from devkit.offline.ctlog import CTLog
from devkit.offline.draft import FORMS, Draft, Form, draft
from devkit.offline.mistakes import MISTAKES
from devkit.offline.rekor import Entry, Proof, RekorLog
from devkit.offline.sealed import Sealed
from devkit.offline.signing import Signing, assemble, layer
from devkit.offline.sigstore import OfflineSigstore
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.variants import VARIANTS
from devkit.offline.windows import NOW, Window

__all__ = [
    "FORMS",
    "MISTAKES",
    "NOW",
    "VARIANTS",
    "Authority",
    "CTLog",
    "Case",
    "Draft",
    "Entry",
    "Form",
    "OfflineSigstore",
    "Profile",
    "Proof",
    "RekorLog",
    "Sealed",
    "Signing",
    "TimestampAuthority",
    "Window",
    "assemble",
    "draft",
    "every",
    "layer",
    "shared",
]
