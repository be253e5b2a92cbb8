"""Signed certificate timestamps that are embedded in a leaf (RFC 6962 sections 3.2 and 3.3): a log of the trusted root
has seen the certificate, so that its issuance is no secret."""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocisource.trust.chains import extension_of
from ocisource.trust.wire import RefusedError

if TYPE_CHECKING:
    from cryptography.x509.certificate_transparency import SignedCertificateTimestamp

    from ocisource.trust.certificates import Leaf
    from ocisource.trust.roots import LogKey, TrustedRoot

MAX_TIMESTAMPS = 16
"""Timestamps in one certificate. Real ones have one to three."""

_KINDS = ("ECDSA secp256r1", "RSA ")
_EPOCH = datetime.datetime(1970, 1, 1)  # noqa: DTZ001 - an SCT's time comes without its zone, which is UTC


def check_scts(root: TrustedRoot, leaf: Leaf, issuer: x509.Certificate) -> LogKey:
    """The log of the root's `ctlogs` that signed a timestamp for the leaf; one good one is enough, others may be bad.

    `issuer` is what `check_chain` gave. The log has to be trusted at the time of the timestamp, and when the
    certificate began to be valid: its key could otherwise be used later, with a time when it was trusted. A root
    without `ctlogs` can prove nothing here and accepts nothing, as cosign does. Raises RefusedError.
    """
    if not root.ctlogs:
        raise RefusedError("trusted root has no ctlogs, and without one no certificate counts")
    embedded = extension_of(leaf.certificate, x509.PrecertificateSignedCertificateTimestamps)
    timestamps = list(embedded or ())
    if not timestamps:
        raise RefusedError("certificate has no signed certificate timestamp (SCT)")
    if len(timestamps) > MAX_TIMESTAMPS:
        raise RefusedError(f"certificate has more than {MAX_TIMESTAMPS} signed certificate timestamps")
    signed = _precert_entry(leaf.certificate, issuer)
    flaw = "is from a log that is not among the trusted root's ctlogs"
    for timestamp in timestamps:
        for log in root.ctlogs:
            if log.key_id == timestamp.log_id:
                found = _flaw(timestamp, log, signed, leaf.certificate.not_valid_before_utc.timestamp())
                if found is None:
                    return log
                flaw = found
    raise RefusedError(f"certificate's signed certificate timestamp {flaw}")


def _flaw(timestamp: SignedCertificateTimestamp, log: LogKey, signed: bytes, start: float) -> str | None:
    """What is wrong with a timestamp of the log; None if nothing is. `start` is when the leaf begins to be valid."""
    try:
        milliseconds = (timestamp.timestamp - _EPOCH) // datetime.timedelta(milliseconds=1)
    except ValueError:  # beyond the year 9999
        return "has no time that can be"
    # RFC 6962 section 2.1.4. What the timestamp says of it is not signed, so the key decides.
    if not log.kind.startswith(_KINDS):
        return f"is from a log with a key of {log.kind}; logs have ECDSA on P-256 or RSA"
    extensions = timestamp.extension_bytes
    message = b"".join(
        (
            b"\0\0",  # v1, certificate_timestamp
            milliseconds.to_bytes(8, "big"),
            signed,
            len(extensions).to_bytes(2, "big"),
            extensions,
        )
    )
    if not log.verify(timestamp.signature, message):
        return "does not hold: it is for another certificate, or by another key"
    seconds = milliseconds / 1000
    if not (log.window.contains(seconds) and log.window.contains(start)):
        return "is from a time when its log was not trusted"
    return None


def _precert_entry(leaf: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """RFC 6962 section 3.2: entry type and PreCert, the TBSCertificate being without the list of timestamps."""
    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    certificate = leaf.tbs_precertificate_bytes
    return b"\0\1" + hashlib.sha256(spki).digest() + len(certificate).to_bytes(3, "big") + certificate
