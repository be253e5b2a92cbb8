"""Bodies of log entries: whether what a log holds is about this very signature.

A body repeats hash, signature and certificate of what was logged. Each must be the one at hand: an entry of another
signature proves nothing. Expected values are compared in the form in which the body holds them, so nothing of the body
needs decoding. Kinds: https://github.com/sigstore/rekor/tree/main/pkg/types (0.0.1, and intoto 0.0.2) and
https://github.com/sigstore/rekor-tiles/tree/main/api/proto (0.0.2).
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

from ocisource.trust.wire import RefusedError, decode_base64, decode_object, member, quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocisource.trust.logs import Signed

_HASHES = {
    "sha256": "sha256",
    "sha384": "sha384",
    "sha512": "sha512",
    "SHA2_256": "sha256",
    "SHA2_384": "sha384",
    "SHA2_512": "sha512",
}
_PEM = re.compile(rb"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----\s*")


def check_body(document: bytes, signed: Signed) -> tuple[str, str]:
    """Kind and version of a body that is about `signed`. Raises RefusedError."""
    body = decode_object(document, "log entry's body")
    kind, version = body.get("kind"), body.get("apiVersion")
    check = _CHECKS.get((str(kind), str(version), signed.dsse))
    if check is None:
        raise RefusedError(f"log entry's kind {quoted(kind)} {quoted(version)} is not one for this form of signature")
    check(member(body, "spec", "log entry's spec"), signed)
    return str(kind), str(version)


def _check_hashedrekord_1(spec: dict[str, Any], signed: Signed) -> None:
    _check_hash(_inner(spec, "data", "hash"), "value", signed.message)
    signature = _inner(spec, "signature")
    _check_signature(signature.get("content"), signed.signature)
    _check_pem(_inner(signature, "publicKey").get("content"), signed.certificate)


def _check_dsse_1(spec: dict[str, Any], signed: Signed) -> None:
    _check_hash(_inner(spec, "payloadHash"), "value", signed.payload)
    signature = _only(spec.get("signatures"))
    _check_signature(signature.get("signature"), signed.signature)
    _check_pem(signature.get("verifier"), signed.certificate)


def _check_intoto_2(spec: dict[str, Any], signed: Signed) -> None:
    _check_hash(_inner(spec, "content", "payloadHash"), "value", signed.payload)
    signature = _only(_inner(spec, "content", "envelope").get("signatures"))
    # The envelope's text of the signature, in base64 again.
    _check_signature(signature.get("sig"), _base64(signed.signature).encode("ascii"))
    _check_pem(signature.get("publicKey"), signed.certificate)


def _check_hashedrekord_2(spec: dict[str, Any], signed: Signed) -> None:
    record = _inner(spec, "hashedRekordV002")
    _check_hash(_inner(record, "data"), "digest", signed.message)
    _check_tiled(_inner(record, "signature"), signed)


def _check_dsse_2(spec: dict[str, Any], signed: Signed) -> None:
    record = _inner(spec, "dsseV002")
    _check_hash(_inner(record, "payloadHash"), "digest", signed.payload)
    _check_tiled(_only(record.get("signatures")), signed)


def _check_tiled(signature: dict[str, Any], signed: Signed) -> None:
    _check_signature(signature.get("content"), signed.signature)
    if _inner(signature, "verifier", "x509Certificate").get("rawBytes") != _base64(signed.certificate):
        raise _another("certificate")


_CHECKS: dict[tuple[str, str, bool], Callable[[dict[str, Any], Signed], None]] = {
    ("hashedrekord", "0.0.1", False): _check_hashedrekord_1,
    ("dsse", "0.0.1", True): _check_dsse_1,
    ("intoto", "0.0.2", True): _check_intoto_2,
    ("hashedrekord", "0.0.2", True): _check_hashedrekord_2,
    ("dsse", "0.0.2", True): _check_dsse_2,
}


def _check_hash(claim: dict[str, Any], member_: str, content: bytes) -> None:
    """A hash as Rekor v1 writes it (`value`, hexadecimal) or as v2 does (`digest`, base64). Any of the SHA-2 family
    binds as well, whichever goes with the key."""
    name = _HASHES.get(str(claim.get("algorithm")))
    if name is None:
        raise RefusedError(f"log entry's hash algorithm {quoted(claim.get('algorithm'))} is not supported")
    digest = hashlib.new(name, content).digest()
    if claim.get(member_) != (digest.hex() if member_ == "value" else _base64(digest)):
        raise _another("payload")


def _check_signature(claim: object, signature: bytes) -> None:
    if claim != _base64(signature):
        raise _another("signature")


def _check_pem(claim: object, certificate: bytes) -> None:
    """The base64 of exactly one PEM certificate."""
    pem = _PEM.fullmatch(decode_base64(claim, "log entry's certificate"))
    if pem is None or b"".join(pem[1].split()) != _base64(certificate).encode("ascii"):
        raise _another("certificate")


def _only(signatures: object) -> dict[str, Any]:
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise RefusedError("log entry does not hold exactly one signature")
    return signatures[0]


def _inner(parent: dict[str, Any], *path: str) -> dict[str, Any]:
    for key in path:
        parent = member(parent, key, f"log entry's {key}")
    return parent


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _another(what: str) -> RefusedError:
    return RefusedError(f"log entry is for another {what}")
