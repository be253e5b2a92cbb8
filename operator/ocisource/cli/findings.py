"""Every signature that was found and what was checked about it: for people, and for machines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ocisource.domain.evidence import (
    BundleSignature,
    Check,
    Evidence,
    Judgement,
    LegacySignature,
    NotationSignature,
    Unreadable,
)

UNREADABLE = "unreadable"
_FORMS: dict[type[Evidence], str] = {
    LegacySignature: "cosign-legacy",
    BundleSignature: "sigstore-bundle",
    NotationSignature: "notation",
    Unreadable: UNREADABLE,
}


@dataclass(frozen=True)
class Finding:
    """One signature, or what claims to be one. `form` is one of _FORMS."""

    name: str
    form: str
    judgement: Judgement
    unanswered: bool = False

    @property
    def failed(self) -> Check | None:
        """The check that did not hold and so ended the judgement."""
        return next((check for check in reversed(self.judgement.checks) if not check.passed), None)

    @property
    def outcome(self) -> str:
        if self.judgement.accepted:
            return f"accepted: {self.judgement.signer}"
        if self.judgement.ignored:
            return f"tolerated: {self.judgement.ignored}"
        return "refused" if self.failed else f"refused: {self.judgement.reason}"

    def lines(self) -> Iterator[str]:
        """What people read: the outcome, then the checks in order."""
        yield f"{self.name} ({self.form}) {self.outcome}"
        for check in self.judgement.checks:
            yield f"  {'ok  ' if check.passed else 'FAIL'} {check.name}{': ' if check.detail else ''}{check.detail}"

    def as_json(self) -> dict[str, Any]:
        """The same for machines. Members may be added; none changes its meaning."""
        checks = [{"name": one.name, "passed": one.passed, "detail": one.detail} for one in self.judgement.checks]
        return {
            "name": self.name,
            "form": self.form,
            "accepted": self.judgement.accepted,
            "signer": self.judgement.signer,
            "reason": self.judgement.reason or self.judgement.ignored,
            "checks": checks,
        }


@dataclass
class Findings:
    """All of one artifact. `told` puts a room's text into the user's words, `shown` is called with each finding."""

    told: Callable[[str], str] = str
    shown: Callable[[Finding], object] = lambda _finding: None
    found: list[Finding] = field(default_factory=list)

    def witness(self, evidence: Evidence, judgement: Judgement) -> None:
        """Fits `reconcile.Witness`."""
        checks = tuple(Check(one.name, one.passed, self.told(one.detail)) for one in judgement.checks)
        signer, reason, ignored = (self.told(one) for one in (judgement.signer, judgement.reason, judgement.ignored))
        own = Judgement(signer, reason, ignored, checks)
        unanswered = isinstance(evidence, Unreadable) and evidence.unanswered
        finding = Finding(evidence.name, _FORMS[type(evidence)], own, unanswered)
        self.found.append(finding)
        self.shown(finding)

    def as_json(self) -> list[dict[str, Any]]:
        return [finding.as_json() for finding in self.found]
