"""Legacy cosign signatures: one layer of the `sha256-<hex>.sig` image (signatures.md, "Legacy cosign").

The payload is cosign's simple signing document, specified at
https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocisource.trust.wire import MAX_DOCUMENT, RefusedError, decode_base64, decode_object, member, quoted

if TYPE_CHECKING:
    from ocisource.domain.evidence import LegacySignature
    from ocisource.trust.keys import Keyring, PublicKey

SIGNATURE = "dev.cosignproject.cosign/signature"
CERTIFICATE = "dev.sigstore.cosign/certificate"
TYPE = "cosign container image signature"


def judge_legacy(keyring: Keyring, digest: str, evidence: LegacySignature) -> PublicKey:
    """The key that signed `digest`. Raises RefusedError.

    The checks stand in the order of signatures.md; (1), size and digest of the blob, is the registry room's. The
    payload is only read once its signature holds. `docker-reference` is not compared, as in cosign: a
    signature may move with its image.
    """
    if len(evidence.payload) > MAX_DOCUMENT:
        raise RefusedError("payload is larger than 1 MiB")
    # (2) Strict base64; the signature is over the payload as it came, byte by byte.
    signature = decode_base64(evidence.annotations.get(SIGNATURE), f"annotation {SIGNATURE}")
    signer = keyring.signer(signature, evidence.payload)
    if signer is None:
        raise RefusedError(
            "made with a certificate (keyless), not with a key of the Secret"
            if CERTIFICATE in evidence.annotations
            else keyring.stranger(signature)
        )
    # (3) One meaning only, of the right kind, about this digest.
    critical = member(decode_object(evidence.payload, "payload"), "critical", "payload's critical")
    if critical.get("type") != TYPE:
        raise RefusedError(f"payload's critical.type is {quoted(critical.get('type'))}, not {quoted(TYPE)}")
    claimed = member(critical, "image", "payload's critical.image").get("docker-manifest-digest")
    if claimed != digest:
        raise RefusedError(f"signature is for another digest {quoted(claimed)}")
    # (4) With a key, that is all: no log entry is required.
    return signer
