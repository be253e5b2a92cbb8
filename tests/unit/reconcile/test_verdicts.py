"""Verdicts that are shared: by whom, for how long, and which never (signatures.md rule 3; flux-compat H7, J13)."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fakes.trust import ACCEPTED, FakePolicy
from ocisource.domain.access import Access, Credentials, Repository
from ocisource.domain.content import Descriptor
from ocisource.domain.errors import RegistryError, TrustError, Unjudged
from ocisource.domain.evidence import BundleSignature, Evidence, Judgement, Unreadable
from ocisource.reconcile.verdicts import RECENT, RECENT_SECONDS, Verdicts

ACCESS = Access(Repository("registry.example.com", "team/app"))
DIGEST = "sha256:" + "a" * 64
FIRST, SECOND, THIRD = (BundleSignature(name, b"{}") for name in ("first", "second", "third"))
REFUSED = Judgement(reason="signed by another key")
TOLERATED = Judgement(ignored="the signature has expired")


class Searched:
    """A registry that holds `evidence`, counts the searches, and answers once `open`."""

    def __init__(self, *evidence: Evidence) -> None:
        self.evidence = evidence
        self.searches: list[tuple[Access, str, str]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def signatures(self, access: Access, digest: str, form: str) -> AsyncIterator[Evidence]:
        self.searches.append((access, digest, form))
        await self.open.wait()
        for one in self.evidence:
            yield one

    async def describe(self, _access: Access, digest: str) -> Descriptor:
        return Descriptor("application/vnd.oci.image.index.v1+json", digest, 1234)


class Time:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def registry() -> Searched:
    return Searched(FIRST, SECOND)


@pytest.fixture
def verdicts(registry: Searched, time: Time) -> Verdicts:
    return Verdicts(registry, time)  # type: ignore[arg-type]  # the half of a registry that verdicts need


async def test_the_search_ends_with_the_first_signature_that_counts(verdicts: Verdicts) -> None:
    policy = FakePolicy()

    assert await verdicts.give(policy, ACCESS, DIGEST) == ACCEPTED
    assert [evidence for _, evidence in policy.asked] == [FIRST]


async def test_a_bad_signature_hides_no_good_one(verdicts: Verdicts) -> None:
    policy = FakePolicy(exceptions={"first": REFUSED})

    assert await verdicts.give(policy, ACCESS, DIGEST) == ACCEPTED


async def test_where_nothing_counts_the_policy_says_why(verdicts: Verdicts) -> None:
    with pytest.raises(TrustError) as caught:
        await verdicts.give(FakePolicy(REFUSED), ACCESS, DIGEST)

    assert str(caught.value) == (
        f"nobody signed registry.example.com/team/app@{DIGEST}: "
        "first: signed by another key; second: signed by another key"
    )


async def test_where_the_registry_left_something_open_nothing_is_judged(registry: Searched, verdicts: Verdicts) -> None:
    """What it did not show may be the good one."""
    registry.evidence = (FIRST, Unreadable("referrers", "503", unanswered=True))

    with pytest.raises(Unjudged, match="referrers: signed by another key"):
        await verdicts.give(FakePolicy(REFUSED), ACCESS, DIGEST)


async def test_what_cannot_be_read_leaves_nothing_open(registry: Searched, verdicts: Verdicts) -> None:
    registry.evidence = (Unreadable("bundle", "no JSON"),)

    with pytest.raises(TrustError):
        await verdicts.give(FakePolicy(REFUSED), ACCESS, DIGEST)


async def test_a_policy_that_can_accept_nobody_needs_no_answer(registry: Searched, verdicts: Verdicts) -> None:
    registry.evidence = (Unreadable("referrers", "503", unanswered=True),)

    with pytest.raises(TrustError):
        await verdicts.give(FakePolicy(REFUSED, flaw="the Secret has no key"), ACCESS, DIGEST)


async def test_a_tolerated_failure_passes_if_nothing_better_is_there(verdicts: Verdicts) -> None:
    """H7, level audit."""
    tolerated = FakePolicy(REFUSED, exceptions={"second": TOLERATED})
    better = FakePolicy(exceptions={"first": TOLERATED})

    assert await verdicts.give(tolerated, ACCESS, DIGEST) == TOLERATED
    assert await verdicts.give(replace(better, fingerprint="b"), ACCESS, DIGEST) == ACCEPTED


async def test_the_first_tolerated_failure_is_the_one_that_is_told(verdicts: Verdicts) -> None:
    policy = FakePolicy(TOLERATED, exceptions={"second": Judgement(ignored="something else")})

    assert await verdicts.give(policy, ACCESS, DIGEST) == TOLERATED


async def test_only_notation_asks_what_the_digest_is(verdicts: Verdicts) -> None:
    cosign, notation = FakePolicy(), FakePolicy(form="notation", fingerprint="n")
    await verdicts.give(cosign, ACCESS, DIGEST)
    await verdicts.give(notation, ACCESS, DIGEST)

    ((of_cosign, _),) = cosign.asked
    ((of_notation, _),) = notation.asked
    assert (of_cosign.media_type, of_cosign.size) == ("", -1)
    assert (of_notation.media_type, of_notation.size) == ("application/vnd.oci.image.index.v1+json", 1234)
    assert str(of_notation) == str(of_cosign) == f"registry.example.com/team/app@{DIGEST}"


async def test_objects_that_ask_at_the_same_time_share_one_search(registry: Searched, verdicts: Verdicts) -> None:
    registry.open.clear()
    asking = [asyncio.create_task(verdicts.give(FakePolicy(), ACCESS, DIGEST)) for _ in range(10)]
    while not registry.searches:
        await asyncio.sleep(0)
    registry.open.set()

    assert await asyncio.gather(*asking) == [ACCEPTED] * 10
    assert len(registry.searches) == 1


async def test_an_accepted_verdict_answers_for_a_minute(registry: Searched, verdicts: Verdicts, time: Time) -> None:
    await verdicts.give(FakePolicy(), ACCESS, DIGEST)
    time.now += RECENT_SECONDS - 1
    assert await verdicts.give(FakePolicy(), ACCESS, DIGEST) == ACCEPTED
    assert len(registry.searches) == 1

    time.now += 1
    await verdicts.give(FakePolicy(), ACCESS, DIGEST)
    assert len(registry.searches) == 2


@pytest.mark.parametrize("judgement", [REFUSED, TOLERATED], ids=["refused", "tolerated"])
async def test_only_accepted_verdicts_are_kept(registry: Searched, verdicts: Verdicts, judgement: Judgement) -> None:
    for _ in range(2):
        with contextlib.suppress(TrustError):
            await verdicts.give(FakePolicy(judgement), ACCESS, DIGEST)

    assert len(registry.searches) == 2


@pytest.mark.parametrize(
    "other",
    [
        (replace(ACCESS, credentials=Credentials("alice", "pw")), DIGEST, "0f" * 32),
        (replace(ACCESS, insecure=True), DIGEST, "0f" * 32),
        (Access(Repository("registry.example.com", "team/other")), DIGEST, "0f" * 32),
        (ACCESS, "sha256:" + "b" * 64, "0f" * 32),
        (ACCESS, DIGEST, "ff" * 32),
    ],
    ids=["credentials", "plain HTTP", "repository", "digest", "trust"],
)
async def test_a_verdict_is_nobody_elses(
    registry: Searched, verdicts: Verdicts, other: tuple[Access, str, str]
) -> None:
    """Each of them alone makes another question; a tag is no part of it."""
    access, digest, trust = other
    await verdicts.give(FakePolicy(), ACCESS, DIGEST)
    await verdicts.give(FakePolicy(fingerprint=trust), access, digest)

    assert len(registry.searches) == 2


async def test_who_asks_anew_gets_a_new_search_and_leaves_its_verdict(registry: Searched, verdicts: Verdicts) -> None:
    await verdicts.give(FakePolicy(), ACCESS, DIGEST)
    await verdicts.give(FakePolicy(), ACCESS, DIGEST, anew=True)
    assert len(registry.searches) == 2

    await verdicts.give(FakePolicy(), ACCESS, DIGEST)
    assert len(registry.searches) == 2


async def test_the_verdicts_that_are_kept_are_bounded(registry: Searched, verdicts: Verdicts) -> None:
    """The one that was not asked for the longest goes."""
    for number in range(RECENT):
        await verdicts.give(FakePolicy(fingerprint=str(number)), ACCESS, DIGEST)
    await verdicts.give(FakePolicy(fingerprint="0"), ACCESS, DIGEST)
    await verdicts.give(FakePolicy(fingerprint="new"), ACCESS, DIGEST)
    assert len(registry.searches) == RECENT + 1

    await verdicts.give(FakePolicy(fingerprint="0"), ACCESS, DIGEST)
    assert len(registry.searches) == RECENT + 1
    await verdicts.give(FakePolicy(fingerprint="1"), ACCESS, DIGEST)
    assert len(registry.searches) == RECENT + 2


async def test_a_witness_sees_every_judgement_of_its_own_search(registry: Searched, verdicts: Verdicts) -> None:
    registry.evidence = (FIRST, SECOND, THIRD)
    policy = FakePolicy(exceptions={"first": REFUSED})
    await verdicts.give(policy, ACCESS, DIGEST)
    seen: list[tuple[str, Judgement]] = []

    found = await verdicts.give(
        policy, ACCESS, DIGEST, witness=lambda evidence, judgement: seen.append((evidence.name, judgement)), spare=60
    )

    assert found == ACCEPTED
    assert seen == [("first", REFUSED), ("second", ACCEPTED), ("third", ACCEPTED)]


async def test_what_a_witness_waits_for_changes_no_verdict(registry: Searched, verdicts: Verdicts) -> None:
    """`ocisource check` says what the operator would, which does not look behind the first good signature."""

    async def slow(*_: object) -> AsyncIterator[Evidence]:
        yield FIRST
        await asyncio.Event().wait()

    registry.signatures = slow  # type: ignore[method-assign]
    seen: list[str] = []

    found = await verdicts.give(
        FakePolicy(), ACCESS, DIGEST, witness=lambda evidence, _: seen.append(evidence.name), spare=0.01
    )

    assert found == ACCEPTED
    assert seen == ["first", "further signatures"]


async def test_a_failing_search_reaches_everybody_who_waits_and_is_not_kept(
    registry: Searched, verdicts: Verdicts
) -> None:
    class Broken(FakePolicy):
        def refusal(self, *_: object) -> str:
            raise RegistryError("gone")

    registry.open.clear()
    asking = [asyncio.create_task(verdicts.give(Broken(REFUSED), ACCESS, DIGEST)) for _ in range(3)]
    while not registry.searches:
        await asyncio.sleep(0)
    registry.open.set()
    assert [str(one) for one in await asyncio.gather(*asking, return_exceptions=True)] == ["gone"] * 3

    assert await verdicts.give(FakePolicy(), ACCESS, DIGEST) == ACCEPTED


async def test_a_signature_that_takes_long_to_judge_holds_nobody_up(verdicts: Verdicts) -> None:
    """Evidence is a stranger's bytes: it is judged beside the loop."""
    turned = threading.Event()

    class Slow(FakePolicy):
        def judge(self, *_: object) -> Judgement:
            assert turned.wait(10), "the loop stood still"
            return ACCEPTED

    judging = asyncio.create_task(verdicts.give(Slow(), ACCESS, DIGEST))
    asyncio.get_running_loop().call_later(0.01, turned.set)

    assert await judging == ACCEPTED
