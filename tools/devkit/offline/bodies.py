"""Bodies of log entries: what Rekor keeps of a signature. Canonical JSON, as the logs write it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from cryptography import x509

from devkit.offline.authority import to_pem
from devkit.offline.keys import digest
from devkit.offline.windows import base64_text

if TYPE_CHECKING:
    from devkit.offline.sealed import Sealed

_HASH_NAMES = {"sha256": "SHA2_256", "sha384": "SHA2_384", "sha512": "SHA2_512"}


def hashedrekord(sealed: Sealed) -> bytes:
    """Rekor v1, hashedrekord 0.0.1: a signature over a blob."""
    value = digest(sealed.hash, sealed.message).hex()
    public_key = {"content": _pem(sealed.certificate)}
    return _body(
        "hashedrekord",
        "0.0.1",
        {
            "data": {"hash": {"algorithm": sealed.hash, "value": value}},
            "signature": {"content": base64_text(sealed.signature), "publicKey": public_key},
        },
    )


def dsse(sealed: Sealed) -> bytes:
    """Rekor v1, dsse 0.0.1: a DSSE envelope."""
    envelope = json.dumps(sealed.envelope(), separators=(",", ":")).encode()
    return _body(
        "dsse",
        "0.0.1",
        {
            "envelopeHash": {"algorithm": "sha256", "value": digest("sha256", envelope).hex()},
            "payloadHash": {"algorithm": "sha256", "value": digest("sha256", sealed.payload).hex()},
            "signatures": [{"signature": base64_text(sealed.signature), "verifier": _pem(sealed.certificate)}],
        },
    )


def hashedrekord_v2(sealed: Sealed) -> bytes:
    """Rekor v2, hashedrekord 0.0.2: a signature over a blob, or over a DSSE envelope's pre-authentication encoding."""
    hash_, _ = sealed.logged_as
    return _body(
        "hashedrekord",
        "0.0.2",
        {
            "hashedRekordV002": {
                "data": {"algorithm": _HASH_NAMES[hash_], "digest": base64_text(digest(hash_, sealed.message))},
                "signature": {"content": base64_text(sealed.signature), "verifier": _verifier(sealed)},
            }
        },
    )


def dsse_v2(sealed: Sealed) -> bytes:
    """Rekor v2, dsse 0.0.2: what the first releases of Rekor v2 kept of an envelope."""
    return _body(
        "dsse",
        "0.0.2",
        {
            "dsseV002": {
                "payloadHash": {
                    "algorithm": "SHA2_256",
                    "digest": base64_text(digest("sha256", sealed.payload)),
                },
                "signatures": [{"content": base64_text(sealed.signature), "verifier": _verifier(sealed)}],
            }
        },
    )


def intoto(sealed: Sealed) -> bytes:
    """Rekor v1, intoto 0.0.2: a DSSE envelope, as earlier signers logged it."""
    envelope = json.dumps(sealed.envelope(), separators=(",", ":")).encode()
    # The envelope's base64 is text here, and so encoded once more.
    signature = base64_text(base64_text(sealed.signature).encode())
    return _body(
        "intoto",
        "0.0.2",
        {
            "content": {
                "envelope": {
                    "payloadType": sealed.payload_type,
                    "signatures": [{"publicKey": _pem(sealed.certificate), "sig": signature}],
                },
                "hash": {"algorithm": "sha256", "value": digest("sha256", envelope).hex()},
                "payloadHash": {"algorithm": "sha256", "value": digest("sha256", sealed.payload).hex()},
            }
        },
    )


def _verifier(sealed: Sealed) -> dict[str, Any]:
    _, key_details = sealed.logged_as
    return {"keyDetails": key_details, "x509Certificate": {"rawBytes": base64_text(sealed.certificate)}}


def _pem(certificate: bytes) -> str:
    """The PEM in base64."""
    return base64.b64encode(to_pem(x509.load_der_x509_certificate(certificate)).encode()).decode("ascii")


def _body(kind: str, version: str, spec: dict[str, Any]) -> bytes:
    body = {"apiVersion": version, "kind": kind, "spec": spec}
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")
