"""From a digest and a policy to a verdict, once for all objects that ask the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from ocisource.domain.access import Access
from ocisource.domain.errors import TrustError, Unjudged
from ocisource.domain.evidence import Evidence, Judgement, Subject, Unreadable
from ocisource.flight import Flight
from ocisource.ports import Policy, Registry

RECENT = 1024
"""Verdicts that are kept at most."""

RECENT_SECONDS = 60.0
"""How long a verdict stands in for another look. A policy judges by the time of day, too: certificates run out."""

Witness = Callable[[Evidence, Judgement], None]
"""Told of each judgement as it falls. Who has a witness wants them all: the search goes on past the first signature
that counts, while there is time, and no verdict of another time stands in for it."""


@dataclass(frozen=True)
class Question:
    """What makes two verdicts the same: the digest, seen by the same eyes, judged by the same trust. Never the tag:
    it may name something else by now."""

    access: Access
    digest: str
    trust: str


class Verdicts:
    """Asks the registry for signatures and the policy for its judgement of each. Objects that ask the same question
    share one search, and an accepted verdict answers it for a minute."""

    def __init__(self, registry: Registry, clock: Callable[[], float] | None = None) -> None:
        self._registry = registry
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        self._flight: Flight[Question, Judgement] = Flight()
        self._recent: OrderedDict[Question, tuple[float, Judgement]] = OrderedDict()

    async def give(
        self,
        policy: Policy,
        access: Access,
        digest: str,
        *,
        anew: bool = False,
        witness: Witness | None = None,
        spare: float = 0.0,
    ) -> Judgement:
        """The judgement that lets the digest pass: accepted, or ignored where the policy needs no verdict.

        With `anew` no earlier verdict counts; a witness may take `spare` seconds beyond the verdict. Raises TrustError
        where no signature counts, Unjudged where the registry left open whether one does, RegistryError.
        """
        if witness is not None:
            return await self._search(policy, access, digest, witness, spare)
        question = Question(access, digest, policy.fingerprint)
        found = self._recent.get(question)
        if found is not None and not anew and self._clock() - found[0] < RECENT_SECONDS:
            self._recent.move_to_end(question)
            return found[1]
        return await self._flight.join(question, lambda: self._answer(question, policy))

    async def _answer(self, question: Question, policy: Policy) -> Judgement:
        asked = self._clock()
        judgement = await self._search(policy, question.access, question.digest)
        if judgement.accepted:
            self._recent[question] = (asked, judgement)
            self._recent.move_to_end(question)
            while len(self._recent) > RECENT:
                self._recent.popitem(last=False)
        return judgement

    async def _search(
        self, policy: Policy, access: Access, digest: str, witness: Witness | None = None, spare: float = 0.0
    ) -> Judgement:
        """One good signature is enough, and a bad one hides none (signatures.md rule 3). The policy judges in a thread:
        evidence is a stranger's bytes, and the loop is everybody's."""
        subject = await self._subject(policy, access, digest)
        tally = _Tally()
        signatures = self._registry.signatures(access, digest, policy.form)
        async for evidence in signatures:
            judgement = await asyncio.to_thread(policy.judge, subject, evidence)
            tally.count(evidence, judgement)
            if witness is not None:
                witness(evidence, judgement)
            if judgement.accepted:
                break
        if witness is not None and tally.best.accepted:
            await _tell_more(policy, subject, signatures, witness, spare)
        if tally.best.accepted or tally.best.ignored:
            return tally.best
        refusal = policy.refusal(subject, tally.refused)
        raise Unjudged(refusal) if tally.unanswered and not policy.flaw else TrustError(refusal)

    async def _subject(self, policy: Policy, access: Access, digest: str) -> Subject:
        if policy.form != "notation":
            return Subject(str(access.repository), digest)
        described = await self._registry.describe(access, digest)
        return Subject(str(access.repository), digest, described.media_type, described.size)


async def _tell_more(
    policy: Policy, subject: Subject, signatures: AsyncIterator[Evidence], witness: Witness, spare: float
) -> None:
    """The signatures behind the one that counts. Whatever comes of them, the verdict stands as it would without a
    witness: a registry that is slow to show them is told, and no reason to refuse."""
    try:
        async with asyncio.timeout(spare):
            async for evidence in signatures:
                witness(evidence, await asyncio.to_thread(policy.judge, subject, evidence))
    except TimeoutError:
        late = Unreadable("further signatures", "no answer in time, and none was needed")
        witness(late, policy.judge(subject, late))


class _Tally:
    """What came of the evidence so far. The first that is accepted is the best, then the first that is ignored."""

    def __init__(self) -> None:
        self.best = Judgement()
        self.refused: list[tuple[str, str]] = []
        self.unanswered = False

    def count(self, evidence: Evidence, judgement: Judgement) -> None:
        if _rank(judgement) > _rank(self.best):
            self.best = judgement
        elif not judgement.accepted and not judgement.ignored:
            self.refused.append((evidence.name, judgement.reason))
            self.unanswered |= isinstance(evidence, Unreadable) and evidence.unanswered


def _rank(judgement: Judgement) -> int:
    return 2 if judgement.accepted else 1 if judgement.ignored else 0
