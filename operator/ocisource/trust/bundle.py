"""Sigstore bundles: what policies of keys and of identities both read (signatures.md, "Sigstore bundles").

A bundle is the protobuf JSON of dev.sigstore.bundle.v1 (https://github.com/sigstore/protobuf-specs), versions 0.1 to
0.x. It carries a DSSE envelope (https://github.com/secure-systems-lab/dsse) around an in-toto statement. Read are the
names and the base64 that signers write: lowerCamelCase, the standard alphabet, padded.

A bundle with a bare `messageSignature` (cosign sign-blob) does not count: it signs bytes, and nothing signed says that
they were meant as an artifact to be deployed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ocisource.trust.wire import RefusedError, decode_base64, decode_object, member, quoted

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPES = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"

_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.bundle(?:\+json;version=(0\.[1-9][0-9]?)|\.v(0\.[1-9][0-9]?)\+json)"
)
_CERTIFICATES = ("certificate", "x509CertificateChain")
_HINT = re.compile(r"[A-Za-z0-9+/]{43}=")


@dataclass(frozen=True)
class Bundle:
    """An opened bundle: what proves its signature (`material`), the payload of its envelope, not yet read, and the
    signature, which must be over `message`."""

    material: dict[str, Any] = field(repr=False)
    payload: bytes
    signature: bytes
    version: str
    """`0.1` and later."""

    @property
    def message(self) -> bytes:
        return pre_authentication_encoding(PAYLOAD_TYPE, self.payload)

    def key_hint(self) -> str:
        """The fingerprint that the bundle gives its key, for messages: it is not signed. "" if it gives none. Raises
        RefusedError where the bundle was not signed with a key."""
        if any(self.material.get(name) is not None for name in _CERTIFICATES):
            raise RefusedError("bundle holds a certificate (keyless), not a key")
        hint = member(self.material, "publicKey", "bundle's publicKey").get("hint")
        return f"SHA256:{hint}" if isinstance(hint, str) and _HINT.fullmatch(hint) else ""


def open_bundle(content: bytes) -> Bundle:
    """The bundle in `content`. Raises RefusedError."""
    bundle = decode_object(content, "bundle")
    media_type = bundle.get("mediaType")
    match = _MEDIA_TYPE.fullmatch(media_type) if isinstance(media_type, str) else None
    if match is None:
        raise RefusedError(f"bundle's mediaType {quoted(media_type)} is not supported")
    material = member(bundle, "verificationMaterial", "bundle's verificationMaterial")
    return Bundle(material, *_open_envelope(bundle), match[1] or match[2])


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """What a DSSE signature is over (DSSE protocol, "PAE")."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _open_envelope(bundle: dict[str, Any]) -> tuple[bytes, bytes]:
    """Payload and signature of the envelope, not yet held against each other."""
    if bundle.get("messageSignature") is not None:
        raise RefusedError("bundle signs a bare file (messageSignature), not an artifact; sign with 'cosign sign'")
    envelope = member(bundle, "dsseEnvelope", "bundle's dsseEnvelope")
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise RefusedError(
            f"envelope's payloadType is {quoted(envelope.get('payloadType'))}, not {quoted(PAYLOAD_TYPE)}"
        )
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1 or not isinstance(signatures[0], dict):
        raise RefusedError("envelope does not hold exactly one signature")
    payload = decode_base64(envelope.get("payload"), "envelope's payload")
    return payload, decode_base64(signatures[0].get("sig"), "envelope's signature")


def check_statement(payload: bytes, digest: str) -> None:
    """The statement is a signature, and about this digest (signatures.md rules 1 and 4). Raises RefusedError."""
    statement = decode_object(payload, "statement")
    if statement.get("_type") not in STATEMENT_TYPES:
        raise RefusedError(f"statement's _type {quoted(statement.get('_type'))} is not supported")
    predicate = statement.get("predicateType")
    if predicate != SIGN_PREDICATE:
        raise RefusedError(f"an attestation {quoted(predicate)}, not a signature")
    subjects = statement.get("subject")
    digests = [_digest_of(subject) for subject in subjects] if isinstance(subjects, list) else []
    if digest not in digests:
        named = next((named for named in digests if named), None)
        raise RefusedError(f"signature is for another digest {quoted(named)}")


def _digest_of(subject: object) -> str | None:
    """`sha256:<hex>` that an in-toto resource descriptor names, or None."""
    digests = subject.get("digest") if isinstance(subject, dict) else None
    value = digests.get("sha256") if isinstance(digests, dict) else None
    return f"sha256:{value}" if isinstance(value, str) else None
