"""Trust by a Notation trust policy: provider notation (signatures.md, "Notation"; flux-compat H7).

The validations and their order are those of `trust-store-trust-policy.md`, "Steps". What the policy only logs is
checked and told all the same. Plugins, OCSP and CRLs are not supported: what needs them fails, and says so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import Evidence, Judgement, NotationSignature, Subject
from ocisource.trust.ledger import Ledger, judged
from ocisource.trust.notation import document as d
from ocisource.trust.notation.algorithms import algorithm_of
from ocisource.trust.notation.chain import (
    called,
    check_revocation,
    check_window,
    expired,
    read_chain,
    thumbprint,
)
from ocisource.trust.notation.envelope import (
    COSE,
    JWS,
    X509,
    Attributes,
    Envelope,
    check_target,
    read_attributes,
)
from ocisource.trust.notation.jws import read_jws
from ocisource.trust.notation.store import read_certificates
from ocisource.trust.timestamps import Stamp, check_token
from ocisource.trust.wire import RefusedError, quoted, reasons

Chain = tuple[x509.Certificate, ...]


def read_notation(secret: str, data: Mapping[str, bytes], repository: str, now: Callable[[], float]) -> NotationPolicy:
    """The policy of the Secret (`namespace/name`) for the repository (`host[:port]/path`). Raises TrustError.

    `now` gives the time in Unix seconds: what expires does so while the policy stands.
    """
    content = data.get(d.ENTRY)
    if content is None:
        raise TrustError(f"'{d.ENTRY}' not found in secret '{secret}'")
    statements = d.read_document(content)
    trusted = read_certificates(secret, data)
    ders = sorted(certificate.public_bytes(Encoding.DER) for certificate in trusted)
    parts = (b"notation", repository.encode(), content, *ders)
    fingerprint = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()
    return NotationPolicy(d.applicable(statements, repository), trusted, now, fingerprint)


@dataclass(frozen=True)
class NotationPolicy:
    """Fits `ports.Policy`. `statement` is the one for the repository, None where there is none: then nothing counts.

    All certificates of the Secret serve every trust store of the statement (flux-compat H7).
    """

    statement: d.Statement | None
    trusted: Chain = field(repr=False)
    now: Callable[[], float] = field(repr=False)
    fingerprint: str
    form: Literal["notation"] = field(default="notation", init=False)
    open: str = field(default="", init=False)

    @property
    def flaw(self) -> str:
        return "" if self.statement else f"no statement of {d.ENTRY} applies to this repository (registryScopes)"

    @property
    def waived(self) -> str:
        if self.statement is None or not self.statement.skips:
            return ""
        return f"statement {quoted(self.statement.name)} of {d.ENTRY} skips verification"

    def judge(self, subject: Subject, evidence: Evidence) -> Judgement:
        """Whether the evidence is a signature of the subject that the statement accepts. Where only authenticity
        fails, and the statement tolerates that, the judgement is `ignored`."""
        tolerated: list[str] = []
        judgement = judged(subject, evidence, lambda ledger: self._signer(ledger, subject, evidence, tolerated))
        if judgement.accepted and tolerated:
            return replace(judgement, signer="", ignored=tolerated[0])
        return judgement

    def refusal(self, subject: Subject, refused: Sequence[tuple[str, str]]) -> str:
        if self.statement is None:
            return d.not_applicable(str(subject))
        if not refused:
            return f'no signature is associated with "{subject}", make sure the artifact was signed successfully'
        return f"signature verification failed for '{subject}': {reasons(refused)}"

    def _signer(self, ledger: Ledger, subject: Subject, evidence: Evidence, tolerated: list[str]) -> str:
        """Integrity always counts; what the statement only logs does not end the judgement."""
        if self.statement is None or self.statement.skips:
            raise RefusedError(self.flaw or self.waived)
        if not isinstance(evidence, NotationSignature):
            raise RefusedError("this kind of signature does not count for Notation")
        envelope, attributes, chain = _integrity(ledger, subject, evidence)
        validation = _Validation(self.statement, self.trusted, self.now(), envelope, attributes, chain)
        made: list[tuple[str, str, Callable[[], None]]] = [
            ("authenticity", d.AUTHENTICITY, validation.authenticity),
            ("expiry", d.EXPIRY, validation.expiry),
            ("timestamp", d.TIMESTAMP, validation.timestamp),
            ("revocation", d.REVOCATION, validation.revocation),
        ]
        for name, kind, validate in made:
            action = self.statement.actions[kind]
            if action == d.SKIP:
                continue
            try:
                with ledger.check(name):
                    validate()
            except RefusedError as refused:
                if action == d.ENFORCE:
                    raise
                if kind == d.AUTHENTICITY:
                    tolerated.append(str(refused))
        return f"certificate {called(chain[0])} (sha256:{thumbprint(chain[0])})"


def _integrity(ledger: Ledger, subject: Subject, evidence: NotationSignature) -> tuple[Envelope, Attributes, Chain]:
    """The envelope, all of it held against its signature and against the subject. The payload is only read once its
    signature holds."""
    with ledger.check("format"):
        envelope = _read(evidence)
        attributes = read_attributes(envelope)
    with ledger.check("certificates"):
        chain = read_chain(envelope.chain)
    with ledger.check("signature") as finding:
        algorithm = algorithm_of(chain[0])
        if envelope.algorithm != algorithm.name:
            raise RefusedError(f"algorithm is {quoted(envelope.algorithm)}, and the key's is {algorithm.name}")
        if not algorithm.verify(envelope.signature, envelope.message):
            raise RefusedError("signature does not hold")
        finding.detail = algorithm.name
    with ledger.check("digest"):
        check_target(envelope.payload, subject)
    return envelope, attributes, chain


def _read(evidence: NotationSignature) -> Envelope:
    if evidence.media_type == JWS:
        return read_jws(evidence.envelope)
    if evidence.media_type == COSE:
        from ocisource.trust.notation.cose import read_cose  # noqa: PLC0415 - a process pays for what it uses

        return read_cose(evidence.envelope)
    raise RefusedError(f"envelope of type {quoted(evidence.media_type)} is not supported")


@dataclass
class _Validation:
    """The validations of one signature whose integrity holds. Each raises RefusedError. `now` in Unix seconds."""

    statement: d.Statement
    trusted: Chain
    now: float
    envelope: Envelope
    attributes: Attributes
    chain: Chain
    stamp: Stamp | None = None

    def authenticity(self) -> None:
        """A certificate of the chain is trusted for this signing scheme, and the subject is a trusted identity."""
        store = d.CA if self.attributes.scheme == X509 else d.SIGNING_AUTHORITY
        if store not in self.statement.stores:
            raise RefusedError(f"statement {quoted(self.statement.name)} names no trust store of type {store}")
        if not set(self.chain) & set(self.trusted):
            raise RefusedError(f"certificate {called(self.chain[0])} does not lead to a trusted certificate")
        self.statement.identities.admit(self.chain[0].subject, self.statement.name)

    def expiry(self) -> None:
        """The signer's own "best by" has not come."""
        if self.attributes.expiry is not None and self.now >= self.attributes.expiry:
            raise RefusedError("signature has expired")

    def timestamp(self) -> None:
        """The certificates were valid when the signature was made, or, where nobody vouches for that time, are now."""
        if self.attributes.scheme != X509:
            at = self.attributes.signed_at
            check_window(self.chain, at, at, "the authentic signing time")
        elif self._asks_for_countersignature():
            if not self.envelope.timestamp:
                raise RefusedError("signature has no timestamp countersignature")
            stamp = self.stamp = check_token(self.envelope.timestamp, self.envelope.signature, self.trusted)
            earliest, latest = stamp.time - stamp.accuracy, stamp.time + stamp.accuracy
            check_window(self.chain, earliest, latest, "the timestamp")
        else:
            check_window(self.chain, self.now, self.now, "now")

    def revocation(self) -> None:
        """Nobody has to be asked about a certificate, the timestamp's included."""
        check_revocation(self.chain)
        if self.stamp is not None:
            check_revocation(self.stamp.path)

    def _asks_for_countersignature(self) -> bool:
        """`trust-store-trust-policy.md`, "Timestamp Countersignature Verification details"."""
        if d.TSA not in self.statement.stores:
            return False
        return self.statement.verify_timestamp == d.ALWAYS or expired(self.chain, self.now)
