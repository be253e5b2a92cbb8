"""A verdict over many signatures: one that holds is enough, wherever it stands and whatever stands around it
(signatures.md rules 2 and 3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devkit.offline import NOW, OfflineSigstore, Window, assemble
from devkit.offline.mistakes import MISTAKES
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.signer import LegacyLayer, Signer, statement
from ocisource.domain.access import Access, Repository
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import TrustError, Unjudged
from ocisource.domain.evidence import BundleSignature, Evidence, LegacySignature, NotationSignature, Unreadable
from ocisource.domain.source import OIDCIdentity
from ocisource.ports import Policy
from ocisource.reconcile.verdicts import Verdicts
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.roots import read_trusted_root

ACCESS = Access(Repository("registry.example", "team/app"))
DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
MEDIA_TYPE, SIZE = "application/vnd.oci.image.manifest.v1+json", 528

SIGSTORE, STRANGERS = OfflineSigstore.create(), OfflineSigstore.create()
ALICE, MALLORY = Signer.generate(), Signer.generate()
NOTARY, FORGER = (Notary.create(Window.around(NOW)) for _ in range(2))


def evidence(made: LegacyLayer | bytes) -> Evidence:
    if isinstance(made, bytes):
        return BundleSignature("bundle", made)
    return LegacySignature("legacy", made.payload, made.annotations)


def _mistakes() -> list[Evidence]:
    """Each mistake that can be made under the same root, in each of its forms."""
    root = SIGSTORE.trusted_root_document()
    drafts = [case.make(SIGSTORE, DIGEST, form) for case in MISTAKES.values() for form in case.forms]
    return [evidence(draft.evidence) for draft in drafts if draft.document == root]


def _notation(notary: Notary, digest: str = DIGEST) -> list[Evidence]:
    order = Order(MEDIA_TYPE, digest, SIZE, NOW)
    return [NotationSignature("signature", kind, notary.sign(order, kind)) for kind in (JWS, COSE)]


US, SOMEBODY = SIGSTORE.identity(), SIGSTORE.identity(subject="somebody@example.com")
OURS: dict[str, list[Evidence]] = {
    "key": [evidence(ALICE.legacy(DIGEST)), evidence(ALICE.bundle(DIGEST))],
    "identity": [evidence(one) for one in (US.legacy(DIGEST), US.bundle(DIGEST), US.bundle(DIGEST, "v2"))],
    "notation": _notation(NOTARY),
}
THEIRS: list[Evidence] = [
    *(evidence(made) for one in (ALICE, MALLORY) for made in (one.legacy(OTHER), one.bundle(OTHER))),
    *(evidence(made) for one in (US, SOMEBODY) for made in (one.legacy(OTHER), one.bundle(OTHER, "v2"))),
    *(evidence(made) for made in (MALLORY.legacy(DIGEST), MALLORY.bundle(DIGEST), SOMEBODY.bundle(DIGEST))),
    evidence(ALICE.bundle(DIGEST, "https://slsa.dev/provenance/v1")),
    evidence(STRANGERS.identity().bundle(DIGEST)),
    *_notation(NOTARY, OTHER),
    *_notation(FORGER),
    BundleSignature("bundle", b"\xff"),
    LegacySignature("legacy", b"{}", {}),
    NotationSignature("signature", "text/plain", b""),
    Unreadable("bundle", "it refers to another digest"),
    *_mistakes(),
]
SILENCE = Unreadable("referrers", "no answer", unanswered=True)

SECRET = {"trustpolicy.json": trust_policy(), "ca.crt": NOTARY.root_pem()}
POLICIES: dict[str, Policy] = {
    "key": read_keys("pub", {"alice.pub": ALICE.public_pem()}),
    "identity": read_identity_policy(
        read_trusted_root(SIGSTORE.trusted_root()), [OIDCIdentity("^https://issuer.example$", "^ci@example.com$")]
    ),
    "notation": read_notation("team/notation", SECRET, str(ACCESS.repository), lambda: float(NOW)),
}


class Holding:
    """A registry that holds this evidence, in this order."""

    def __init__(self, held: Sequence[Evidence]) -> None:
        self._held = held

    async def signatures(self, _access: Access, _digest: str, _form: str) -> AsyncIterator[Evidence]:
        for one in self._held:
            yield one

    async def describe(self, _access: Access, digest: str) -> Descriptor:
        return Descriptor(MEDIA_TYPE, digest, SIZE)


def verdict(who: str, held: Sequence[Evidence]) -> str:
    """yes, no, or open where an answer is missing."""
    try:
        judgement = asyncio.run(Verdicts(Holding(held)).give(POLICIES[who], ACCESS, DIGEST))
    except TrustError:
        return "no"
    except Unjudged:
        return "open"
    assert judgement.accepted
    return "yes"


def others(who: str) -> list[Evidence]:
    """What does not count for them: also what counts for the others."""
    return [*THEIRS, *(one for name, ours in OURS.items() if name != who for one in ours)]


@pytest.mark.parametrize("who", POLICIES)
def test_what_is_somebody_elses_counts_for_nobody(who):
    assert [one for one in others(who) if verdict(who, [one]) != "no"] == []
    assert {verdict(who, [one]) for one in OURS[who]} == {"yes"}
    assert verdict(who, []) == "no"


@pytest.mark.parametrize("who", POLICIES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_verdict_is_yes_if_one_holds_whatever_the_order_and_whatever_is_beside_it(who, data):
    """So nothing that is added turns a yes into a no, nothing that goes turns a no into a yes, and an answer that is
    missing is neither."""
    mixed = st.lists(st.sampled_from([SILENCE, *others(who), *OURS[who] * 5]), max_size=7)
    held = data.draw(mixed.flatmap(st.permutations))
    good, silent = any(one in OURS[who] for one in held), SILENCE in held
    assert verdict(who, held) == ("yes" if good else "open" if silent else "no")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(["v1", "v2"]),
    st.lists(st.sampled_from(["strange log", "another's", "unproved", "unsigned"]), max_size=6),
    st.lists(st.sampled_from(["strange authority", "another's"]), max_size=6),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_in_a_bundle_too_one_entry_and_one_timestamp_that_hold_are_enough(rekor, entries, stamps, random, complete):
    """In any order; without them no number of others is."""
    sealed, another = US.seal(statement(DIGEST)), US.seal(statement(OTHER))
    good = US.logged(sealed, rekor)
    strangers = STRANGERS.rekor_v1 if rekor == "v1" else STRANGERS.rekor_v2
    made = {
        "strange log": strangers.entry(good.body, US.at),
        "another's": US.logged(another, rekor),
        "unproved": replace(good, proof=None),
        "unsigned": replace(good, promise=None, proof=None),
    }
    stamped = {
        "strange authority": STRANGERS.tsa.timestamp(sealed.signature, US.at),
        "another's": US.stamped(another),
    }
    # No entry twice: a log speaks once.
    found = [replace(made[name], index=100 + number) for number, name in enumerate(entries)]
    times = [stamped[name] for name in stamps]
    found += [good] if complete else []
    times += [US.stamped(sealed)] if complete and rekor == "v2" else []
    random.shuffle(found)
    random.shuffle(times)
    judged = verdict("identity", [BundleSignature("bundle", assemble(sealed, found, times))])
    assert judged == ("yes" if complete else "no")
