"""An identity that signs: legacy signatures and bundles, whole or from parts.

Good ones come from `Signing.legacy` and `Signing.bundle`. A wrong one is made of good parts that do not belong
together: `seal` signs, `Signing.logged` has a log write it down, `layer` and `assemble` put parts into the two
formats.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devkit.offline import bodies
from devkit.offline.authority import to_der, to_pem
from devkit.offline.keys import hash_name, logged_as
from devkit.offline.sealed import Sealed, pre_authentication
from devkit.offline.windows import base64_text
from devkit.signer import BUNDLE, IN_TOTO, SIGN_PREDICATE, LegacyLayer, signing_payload, statement, to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from devkit.offline.rekor import Entry, RekorLog, Version
    from devkit.offline.tsa import TimestampAuthority
    from devkit.signer import Signer

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
REKOR_BUNDLE = "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"


@dataclass(frozen=True)
class Signing:
    """A leaf certificate with its key, and the services that witness its signatures at `at` (Unix seconds). `issuer`
    and `subject` are who it says it is."""

    issuer: str
    subject: str
    key: Signer = field(repr=False)
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    at: float
    rekor_v1: RekorLog
    rekor_v2: RekorLog
    tsa: TimestampAuthority

    def seal(self, payload: bytes, payload_type: str | None = IN_TOTO) -> Sealed:
        """Signs a payload: in DSSE, or as it is with None."""
        message = payload if payload_type is None else pre_authentication(payload, payload_type)
        return Sealed(
            payload,
            payload_type,
            self.key.sign(message),
            to_der(self.certificate),
            hash_name(self.key),
            logged_as(self.key),
        )

    def logged(self, sealed: Sealed, rekor: Version = "v1", at: float | None = None) -> Entry:
        """A good log entry about the signature."""
        moment = self.at if at is None else at
        if rekor == "v2":
            return self.rekor_v2.entry(bodies.hashedrekord_v2(sealed), moment)
        body = bodies.hashedrekord(sealed) if sealed.payload_type is None else bodies.dsse(sealed)
        return self.rekor_v1.entry(body, moment)

    def stamped(self, sealed: Sealed, at: float | None = None) -> bytes:
        """A good timestamp over the signature."""
        return self.tsa.timestamp(sealed.signature, self.at if at is None else at)

    def legacy(
        self,
        digest: str,
        *,
        payload: bytes | None = None,
        entry: Entry | None = None,
        at: float | None = None,
    ) -> LegacyLayer:
        """The legacy signature of `digest` (payload, annotations), or one over another payload, or one that comes
        with another log entry."""
        signed = signing_payload(digest, "registry.example/app") if payload is None else payload
        sealed = self.seal(signed, None)
        return layer(sealed, entry or self.logged(sealed, at=at), self.certificate, self.chain)

    def bundle(
        self,
        digest: str,
        rekor: Version = "v1",
        *,
        predicate: str = SIGN_PREDICATE,
        payload: bytes | None = None,
        payload_type: str = IN_TOTO,
        at: float | None = None,
        entries: Sequence[Entry] | None = None,
        timestamps: Sequence[bytes] | None = None,
    ) -> bytes:
        """The Sigstore bundle that signs `digest`: with a Rekor v1 entry, or with a Rekor v2 entry and a timestamp.
        `payload` replaces the statement; `entries` and `timestamps` replace the good ones."""
        sealed = self.seal(statement(digest, predicate) if payload is None else payload, payload_type)
        if entries is None:
            entries = [self.logged(sealed, rekor, at)]
        if timestamps is None:
            timestamps = [self.stamped(sealed, at)] if rekor == "v2" else []
        return assemble(sealed, entries, timestamps)


def layer(
    sealed: Sealed,
    entry: Entry | None,
    certificate: x509.Certificate,
    chain: Sequence[x509.Certificate] = (),
    timestamp: bytes | None = None,
) -> LegacyLayer:
    """A legacy layer out of its parts."""
    found = {SIGNATURE: base64_text(sealed.signature), CERTIFICATE: to_pem(certificate)}
    if chain:
        found[CHAIN] = "".join(to_pem(each) for each in chain)
    if entry is not None:
        found[REKOR_BUNDLE] = entry.annotation()
    if timestamp is not None:
        found[TIMESTAMP] = to_json({"SignedRFC3161Timestamp": base64_text(timestamp)}).decode("ascii")
    return LegacyLayer(sealed.payload, found)


def assemble(
    sealed: Sealed,
    entries: Sequence[Entry],
    timestamps: Sequence[bytes] = (),
    *,
    chain: Sequence[bytes] = (),
    media_type: str = BUNDLE,
) -> bytes:
    """A bundle out of its parts. With a `chain` (DER) it holds `x509CertificateChain` as version 0.1 and 0.2 do."""
    leaf = {"rawBytes": base64_text(sealed.certificate)}
    material: dict[str, Any] = {"certificate": leaf}
    if chain:
        certificates = [leaf, *({"rawBytes": base64_text(each)} for each in chain)]
        material = {"x509CertificateChain": {"certificates": certificates}}
    material["tlogEntries"] = [each.document() for each in entries]
    if timestamps:
        signed = [{"signedTimestamp": base64_text(each)} for each in timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": signed}
    return to_json({"mediaType": media_type, "verificationMaterial": material, "dsseEnvelope": sealed.envelope()})
