"""A trust room that judges as a test tells it to, and notes what it was asked. No signature is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ocisource.domain.evidence import Evidence, Judgement, Material, Subject
from ocisource.domain.source import Verify
from ocisource.ports import Form

ACCEPTED = Judgement(signer="key 'a.pub'")


@dataclass
class FakePolicy:
    """Fits `ports.Policy`: everything is `judgement`, but for the evidence whose name is in `exceptions`."""

    judgement: Judgement = ACCEPTED
    exceptions: dict[str, Judgement] = field(default_factory=dict)
    fingerprint: str = "0f" * 32
    form: Form = "cosign"
    flaw: str = ""
    waived: str = ""
    open: str = ""
    asked: list[tuple[Subject, Evidence]] = field(default_factory=list)

    def judge(self, subject: Subject, evidence: Evidence) -> Judgement:
        self.asked.append((subject, evidence))
        return self.exceptions.get(evidence.name, self.judgement)

    def refusal(self, subject: Subject, refused: Sequence[tuple[str, str]]) -> str:
        return f"nobody signed {subject}: {'; '.join(f'{name}: {reason}' for name, reason in refused)}"


@dataclass
class FakeTrust:
    """Fits `ports.Trust`: the same policy for all."""

    one: FakePolicy

    def policy(self, _verify: Verify, _material: Material, _subject: Subject) -> FakePolicy:
        return self.one
