"""Legacy cosign signatures: one layer of the `sha256-<hex>.sig` image (signatures.md, "Legacy cosign").

The payload is cosign's simple signing document, specified at
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md. Who may have signed is the policy's business
(`keyed.py`, `keyless.py`); here is what both read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocisource.trust.wire import MAX_DOCUMENT, RefusedError, decode_base64, decode_object, member, quoted

if TYPE_CHECKING:
    from ocisource.domain.evidence import LegacySignature

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
CHAIN = "dev.sigstore.cosign/chain"
BUNDLE = "dev.sigstore.cosign/bundle"
TIMESTAMP = "dev.sigstore.cosign/rfc3161timestamp"
TYPE = "cosign container image signature"


def open_legacy(evidence: LegacySignature) -> bytes:
    """The signature, which is over the payload as it came, byte by byte (check 2). Size and digest of the blob
    (check 1) are the registry room's. Raises RefusedError."""
    if len(evidence.payload) > MAX_DOCUMENT:
        raise RefusedError("payload is larger than 1 MiB")
    return decode_base64(evidence.annotations.get(SIGNATURE), f"annotation {SIGNATURE}")


def check_payload(payload: bytes, digest: str) -> None:
    """Check 3: the payload has one meaning only, of the right kind, about this digest. `docker-reference` is not
    compared, as in cosign: a signature may move with its image. Raises RefusedError."""
    critical = member(decode_object(payload, "payload"), "critical", "payload's critical")
    if critical.get("type") != TYPE:
        raise RefusedError(f"payload's critical.type is {quoted(critical.get('type'))}, not {quoted(TYPE)}")
    claimed = member(critical, "image", "payload's critical.image").get("docker-manifest-digest")
    if claimed != digest:
        raise RefusedError(f"signature is for another digest {quoted(claimed)}")
