"""Trust in identities: provider cosign without `secretRef` (signatures.md, "Legacy cosign" and "Sigstore bundles";
flux-compat H4 to H6).

Both formats bind four things to each other: the artifact, a signature, a certificate that names who signed, and a log
that saw them at a time when the certificate was valid. Each is judged offline, by the trusted root alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from ocisource.domain.evidence import BundleSignature, Evidence, Judgement, LegacySignature, Subject
from ocisource.domain.source import OIDCIdentity
from ocisource.trust.bundle import check_statement, open_bundle
from ocisource.trust.certificates import Leaf, check_chain, read_leaf
from ocisource.trust.identity import Identities, read_identities
from ocisource.trust.ledger import Ledger, judged
from ocisource.trust.legacy import check_payload, open_legacy
from ocisource.trust.logs import Logged, Signed
from ocisource.trust.proofs import BundleProofs, LegacyProofs, Proofs
from ocisource.trust.roots import TrustedRoot
from ocisource.trust.sct import check_scts
from ocisource.trust.wire import RefusedError, quoted, reasons

MISMATCH = "none of the expected identities matched"


@dataclass(frozen=True)
class IdentityPolicy:
    """Fits `ports.Policy`."""

    root: TrustedRoot = field(repr=False)
    identities: Identities
    fingerprint: str
    form: Literal["cosign"] = field(default="cosign", init=False)
    waived: str = field(default="", init=False)
    flaw: str = field(default="", init=False)

    @property
    def open(self) -> str:
        if self.identities.matchers:
            return ""
        return "spec.verify.matchOIDCIdentity is not set, so any identity of the trusted root may sign; the one seen is"

    def judge(self, subject: Subject, evidence: Evidence) -> Judgement:
        """Whether the evidence is a signature of the subject by one of the identities."""
        return judged(subject, evidence, lambda ledger: self._signer(ledger, subject.digest, evidence))

    def refusal(self, subject: Subject, refused: Sequence[tuple[str, str]]) -> str:
        """Clients know the first words; a signature that holds but is somebody else's tells the most."""
        if not refused:
            return f"no signatures found: the registry holds none of '{subject}'"
        first = [(name, reason) for name, reason in refused if reason.startswith(MISMATCH)]
        rest = [(name, reason) for name, reason in refused if not reason.startswith(MISMATCH)]
        if not first:
            return f"no matching signatures: {reasons(rest)}"
        (name, reason), *others = first
        more = reasons([*others, *rest])
        return f"no matching signatures: {reason} ({name})" + (f"; {more}" if more else "")

    def _signer(self, ledger: Ledger, digest: str, evidence: Evidence) -> str:
        if isinstance(evidence, LegacySignature):
            return self._legacy(ledger, digest, evidence)
        if isinstance(evidence, BundleSignature):
            return self._bundle(ledger, digest, evidence)
        raise RefusedError("this kind of signature does not count for an identity")

    def _legacy(self, ledger: Ledger, digest: str, evidence: LegacySignature) -> str:
        with ledger.check("format"):
            signature = open_legacy(evidence)
            proofs = LegacyProofs.read(evidence.annotations)
        leaf = _leaf(ledger, proofs, signature, evidence.payload)
        with ledger.check("digest"):
            check_payload(evidence.payload, digest)
        signed = Signed(evidence.payload, evidence.payload, signature, leaf.der, dsse=False)
        return self._prove(ledger, leaf, signed, proofs)

    def _bundle(self, ledger: Ledger, digest: str, evidence: BundleSignature) -> str:
        with ledger.check("format"):
            bundle = open_bundle(evidence.content)
            proofs = BundleProofs.read(bundle)
        leaf = _leaf(ledger, proofs, bundle.signature, bundle.message)
        with ledger.check("digest"):
            check_statement(bundle.payload, digest)
        signed = Signed(bundle.message, bundle.payload, bundle.signature, leaf.der, dsse=True)
        return self._prove(ledger, leaf, signed, proofs)

    def _prove(self, ledger: Ledger, leaf: Leaf, signed: Signed, proofs: Proofs) -> str:
        """When it was signed, that the certificate was good then, and whose it is."""
        with ledger.check("log entry") as finding:
            logged = proofs.logged(self.root, signed)
            finding.detail = f"log index {logged.index}"
        with ledger.check("time") as finding:
            times = proofs.times(self.root, signed, logged)
            finding.detail = ", ".join(_rfc3339(time) for time in times)
        with ledger.check("certificate chain"):
            issuers = [check_chain(self.root, leaf, proofs.intermediates, time) for time in times]
        with ledger.check("certificate transparency"):
            for issuer in issuers:
                check_scts(self.root, leaf, issuer)
        with ledger.check("identity") as finding:
            subject = self.identities.match(leaf.issuer, leaf.subjects)
            signer = _signer_text(subject, leaf.issuer, logged, times[0])
            finding.detail = signer
        return signer


def read_identity_policy(root: TrustedRoot, identities: Sequence[OIDCIdentity]) -> IdentityPolicy:
    """The policy of `matchOIDCIdentity` under a trusted root. Raises TrustError, naming the field."""
    read = read_identities(identities)
    named = [f"{len(one)} {one}" for identity in identities for one in (identity.issuer, identity.subject)]
    inputs = "\n".join(["cosign keyless", root.fingerprint, *named])
    return IdentityPolicy(root, read, hashlib.sha256(inputs.encode()).hexdigest())


def _leaf(ledger: Ledger, proofs: Proofs, signature: bytes, message: bytes) -> Leaf:
    """The certificate, whose key made the signature: nothing else of it is believed yet."""
    with ledger.check("certificate"):
        leaf = read_leaf(proofs.certificate)
    with ledger.check("signature"):
        if not leaf.verify(signature, message):
            raise RefusedError("signature does not hold by the key of its certificate")
    return leaf


def _signer_text(subject: str, issuer: str, logged: Logged, time: float) -> str:
    return f"identity {quoted(subject)} of issuer {quoted(issuer)}, log index {logged.index}, {_rfc3339(time)}"


def _rfc3339(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
