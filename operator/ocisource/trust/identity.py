"""Whose certificate may have signed: `spec.verify.matchOIDCIdentity` (signatures.md rule 5; flux-compat H5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ocisource.domain.errors import InvalidPattern, TrustError
from ocisource.domain.patterns import search
from ocisource.domain.source import OIDCIdentity
from ocisource.trust.wire import RefusedError, quoted

MAX_IDENTITIES = 64
MAX_PATTERN = 4096

Search = Callable[[str], object]


@dataclass(frozen=True)
class Matcher:
    """One entry: both patterns must be found, anywhere in issuer and subject unless they are anchored."""

    identity: OIDCIdentity
    issuer: Search = field(repr=False, compare=False)
    subject: Search = field(repr=False, compare=False)

    def matches(self, issuer: str, subject: str) -> bool:
        return bool(self.issuer(issuer)) and bool(self.subject(subject))


@dataclass(frozen=True)
class Identities:
    """All entries; one that matches is enough. Without entries every identity does."""

    matchers: tuple[Matcher, ...] = ()

    def match(self, issuer: str, subjects: Sequence[str]) -> str:
        """The subject of the certificate that matches. Raises RefusedError, naming what was seen."""
        for subject in subjects:
            if not self.matchers or any(matcher.matches(issuer, subject) for matcher in self.matchers):
                return subject
        seen = ", ".join(quoted(subject) for subject in subjects)
        raise IdentityMismatch(
            "none of the expected identities matched what was in the certificate, "
            f"got subjects [{seen}] with issuer {quoted(issuer)}"
        )


class IdentityMismatch(RefusedError):
    """The signature holds, but somebody else made it."""


def read_identities(identities: Sequence[OIDCIdentity]) -> Identities:
    """The entries of `matchOIDCIdentity`, compiled. Raises TrustError, naming the field."""
    if len(identities) > MAX_IDENTITIES:
        raise TrustError(f"spec.verify.matchOIDCIdentity has more than {MAX_IDENTITIES} entries; join some with |")
    return Identities(tuple(_matcher(number, identity) for number, identity in enumerate(identities)))


def _matcher(number: int, identity: OIDCIdentity) -> Matcher:
    place = f"spec.verify.matchOIDCIdentity[{number}]"
    issuer, subject = _search(f"{place}.issuer", identity.issuer), _search(f"{place}.subject", identity.subject)
    return Matcher(identity, issuer, subject)


def _search(place: str, pattern: str) -> Search:
    if not pattern:
        raise TrustError(f"{place} is empty; write '.*' to accept any")
    if len(pattern) > MAX_PATTERN:
        raise TrustError(f"{place} is longer than {MAX_PATTERN} characters")
    try:
        return search(pattern)
    except InvalidPattern as error:
        raise TrustError(f"{place}: {error}") from None
