"""What a pass must do, as readable lists of checks. Each check gives the reason why it must be done, or "".

The first reason counts. Nothing here knows how a thing is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ocisource.domain import conditions as c
from ocisource.domain.content import Revision
from ocisource.domain.source import Source
from ocisource.domain.status import Status

VERIFIED = "verified signature of revision "
SIGNED_BY = ", signed by "
TRUST = ", trust "
SHOWN_FINGERPRINT = 16
"""Hex digits of a fingerprint that SourceVerified shows."""


@dataclass(frozen=True)
class Situation:
    """What the checks look at. `trust` is the fingerprint of the policy of today; `whole` says whether the stored
    tarball is there and whole, `overdue` whether the verdict has grown too old (--verify-interval)."""

    source: Source
    status: Status
    revision: Revision
    whole: bool
    trust: str = ""
    overdue: bool = False


Check = Callable[[Situation], str]


def must_verify(situation: Situation) -> str:
    """Why the signature must be looked at, "" if the verdict of an earlier pass still holds.

    A verdict holds for one revision, one generation and one trust: a spec change, another revision, or another key,
    root or trust policy in a Secret ends it (flux-compat H1, J4).
    """
    if situation.source.verify is None:
        return ""
    return _first(_VERIFY, situation)


def must_look(situation: Situation) -> bool:
    """Whether the object has to see the signatures itself: it had a verdict on this revision, of whatever outcome, and
    asks again. What another object saw a moment ago stands in for the first look only (flux-compat H1)."""
    verdict = situation.status.condition(c.SOURCE_VERIFIED)
    if verdict is None:
        return situation.overdue
    of_this = verdict.message.startswith(f"{VERIFIED}{situation.revision}")
    return situation.overdue or verdict.status != c.TRUE or of_this


def must_fetch(situation: Situation) -> str:
    """Why the layer must be fetched and archived, "" if storage has it already (flux-compat B7 to B9)."""
    return _first(_FETCH, situation)


def verified_message(revision: Revision, signer: str, trust: str) -> str:
    """What SourceVerified says: the plain message that clients know (H2), who signed (signatures.md rule 8), and the
    fingerprint of the trust that it was given under."""
    return f"{VERIFIED}{revision}{SIGNED_BY}{signer}{TRUST}{trust[:SHOWN_FINGERPRINT]}"


def _first(checks: tuple[Check, ...], situation: Situation) -> str:
    return next((reason for check in checks if (reason := check(situation))), "")


def _revision_differs(situation: Situation) -> str:
    return "another revision is in storage" if situation.status.revision != str(situation.revision) else ""


def _nothing_whole_in_storage(situation: Situation) -> str:
    return "" if situation.whole else "no whole artifact is in storage"


def _ignore_rules_changed(situation: Situation) -> str:
    changed = situation.source.ignore != situation.status.observed_ignore
    return "spec.ignore has changed" if changed else ""


def _layer_selector_changed(situation: Situation) -> str:
    changed = situation.source.layer_selector != situation.status.observed_layer_selector
    return "spec.layerSelector has changed" if changed else ""


def _never_verified(situation: Situation) -> str:
    verdict = situation.status.condition(c.SOURCE_VERIFIED)
    return "" if verdict is not None and verdict.status == c.TRUE else "the revision was never verified"


def _spec_changed_since(situation: Situation) -> str:
    verdict = situation.status.condition(c.SOURCE_VERIFIED)
    changed = verdict is None or verdict.observed_generation != situation.source.generation
    return "the spec has changed since the verdict" if changed else ""


def _verdict_is_about_another_revision(situation: Situation) -> str:
    said = _verdict(situation).startswith(f"{VERIFIED}{situation.revision}{SIGNED_BY}")
    return "" if said else "the verdict is about another revision"


def _trust_has_changed(situation: Situation) -> str:
    said = _verdict(situation).endswith(f"{TRUST}{situation.trust[:SHOWN_FINGERPRINT]}")
    return "" if said else "what is trusted has changed since the verdict"


def _verdict_is_old(situation: Situation) -> str:
    return "--verify-interval has passed since the verdict" if situation.overdue else ""


def _verdict(situation: Situation) -> str:
    verdict = situation.status.condition(c.SOURCE_VERIFIED)
    return verdict.message if verdict else ""


_VERIFY: tuple[Check, ...] = (
    _nothing_whole_in_storage,
    _revision_differs,
    _never_verified,
    _spec_changed_since,
    _verdict_is_about_another_revision,
    _trust_has_changed,
    _verdict_is_old,
)
_FETCH: tuple[Check, ...] = (
    _nothing_whole_in_storage,
    _revision_differs,
    _ignore_rules_changed,
    _layer_selector_changed,
)
