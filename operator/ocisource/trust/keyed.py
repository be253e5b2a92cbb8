"""Trust in public keys: `spec.verify.secretRef` with provider cosign (signatures.md, "Keys"; flux-compat H3)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ocisource.domain.evidence import BundleSignature, Evidence, Judgement, LegacySignature, Subject
from ocisource.trust.bundle import check_statement, open_bundle
from ocisource.trust.keys import Keyring, PublicKey, read_keyring
from ocisource.trust.ledger import Ledger, judged
from ocisource.trust.legacy import CERTIFICATE, check_payload, open_legacy
from ocisource.trust.wire import RefusedError, reasons


@dataclass(frozen=True)
class KeyPolicy:
    """Fits `ports.Policy`. Without keys it accepts nothing, and `flaw` says why (flux-compat H3)."""

    keyring: Keyring
    fingerprint: str
    form: Literal["cosign"] = field(default="cosign", init=False)
    waived: str = field(default="", init=False)
    open: str = field(default="", init=False)

    @property
    def flaw(self) -> str:
        return self.keyring.flaw

    def judge(self, subject: Subject, evidence: Evidence) -> Judgement:
        """Whether the evidence is a signature of the subject by a key of the Secret."""
        return judged(subject, evidence, lambda ledger: str(self._signer(ledger, subject, evidence)))

    def refusal(self, subject: Subject, refused: Sequence[tuple[str, str]]) -> str:
        why = reasons(refused) or self.flaw or "the registry holds no signature of it"
        return f"no matching signatures were found for '{subject}': {why}"

    def _signer(self, ledger: Ledger, subject: Subject, evidence: Evidence) -> PublicKey:
        if self.flaw:
            raise RefusedError(self.flaw)
        if isinstance(evidence, LegacySignature):
            return self._legacy(ledger, subject.digest, evidence)
        if isinstance(evidence, BundleSignature):
            return self._bundle(ledger, subject.digest, evidence)
        raise RefusedError("this kind of signature does not count for a key")

    def _legacy(self, ledger: Ledger, digest: str, evidence: LegacySignature) -> PublicKey:
        """The payload is only read once its signature holds. With a key, no log entry is asked for."""
        with ledger.check("format"):
            signature = open_legacy(evidence)
        with ledger.check("signature") as finding:
            signer = self.keyring.signer(signature, evidence.payload)
            if signer is None:
                raise RefusedError(
                    "made with a certificate (keyless), not with a key of the Secret"
                    if CERTIFICATE in evidence.annotations
                    else self.keyring.stranger(signature)
                )
            finding.detail = str(signer)
        with ledger.check("digest"):
            check_payload(evidence.payload, digest)
        return signer

    def _bundle(self, ledger: Ledger, digest: str, evidence: BundleSignature) -> PublicKey:
        """The statement is only read once its signature holds."""
        with ledger.check("format"):
            bundle = open_bundle(evidence.content)
            hint = bundle.key_hint()
        with ledger.check("signature") as finding:
            signer = self.keyring.signer(bundle.signature, bundle.message)
            if signer is None:
                raise RefusedError(self.keyring.stranger(bundle.signature, hint))
            finding.detail = str(signer)
        with ledger.check("digest"):
            check_statement(bundle.payload, digest)
        return signer


def read_keys(secret: str, data: Mapping[str, bytes]) -> KeyPolicy:
    """The policy of the Secret's `*.pub` entries. Raises TrustError, naming the entry (signatures.md rule 9)."""
    keyring = read_keyring(secret, data)
    named = "\n".join(["cosign key", *sorted(str(key) for key in keyring.keys)])
    return KeyPolicy(keyring, hashlib.sha256(named.encode()).hexdigest())
