"""What was checked about one signature, in order, and how it ended: for the verdict, and for who asks why."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ocisource.domain.evidence import Check, Evidence, Judgement, Subject, Unreadable
from ocisource.trust.wire import RefusedError, clean

logger = logging.getLogger(__name__)

REASON_LIMIT = 300

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass
class Finding:
    """What a check saw, for the user."""

    detail: str = ""


class Ledger:
    """Takes down the checks of one signature."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    @property
    def checks(self) -> tuple[Check, ...]:
        return tuple(self._checks)

    @contextmanager
    def check(self, name: str) -> Iterator[Finding]:
        """One check: it holds unless its block raises. What the block puts into the finding is told with it."""
        finding = Finding()
        try:
            yield finding
        except Exception as error:
            self._checks.append(Check(name, passed=False, detail=_reason(error)))
            raise
        self._checks.append(Check(name, passed=True, detail=clean(finding.detail, REASON_LIMIT)))


def judged(subject: Subject, evidence: Evidence, work: Callable[[Ledger], str]) -> Judgement:
    """The judgement that `work` comes to: it returns who signed, or raises. Never raises itself: whatever goes wrong,
    this one piece of evidence does not count, with a reason (signatures.md rule 2)."""
    ledger = Ledger()
    try:
        if isinstance(evidence, Unreadable):
            raise RefusedError(evidence.reason or "cannot be read")
        if not _DIGEST.fullmatch(subject.digest):
            raise RefusedError("only a sha256 digest can be verified")
        return Judgement(signer=work(ledger), checks=ledger.checks)
    except RefusedError as refused:
        return Judgement(reason=_reason(refused), checks=ledger.checks)
    except Exception as error:
        # Rule 2: an accident is a refusal, never a pass, never the end. It is a fault of ours, so it is told.
        logger.exception("a signature of %s cannot be judged", subject)
        return Judgement(reason=_reason(error), checks=ledger.checks)


def _reason(error: Exception) -> str:
    if isinstance(error, RefusedError):
        return clean(str(error), REASON_LIMIT)
    return f"cannot be judged ({type(error).__name__})"
