"""What a Notation envelope says, in either of its formats (`signature-specification.md`, "Signature Envelope")."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocisource.domain.evidence import Subject
from ocisource.trust.wire import RefusedError, decode_object, member, quoted

JWS = "application/jose+json"
COSE = "application/cose"
PAYLOAD_TYPE = "application/vnd.cncf.notary.payload.v1+json"

SIGNING_SCHEME = "io.cncf.notary.signingScheme"
SIGNING_TIME = "io.cncf.notary.signingTime"
AUTHENTIC_TIME = "io.cncf.notary.authenticSigningTime"
EXPIRY = "io.cncf.notary.expiry"
PLUGIN = "io.cncf.notary.verificationPlugin"
PLUGIN_VERSION = "io.cncf.notary.verificationPluginMinVersion"
TIMESTAMP = "io.cncf.notary.timestampSignature"
TIMES = (SIGNING_TIME, AUTHENTIC_TIME, EXPIRY)

X509 = "notary.x509"
SIGNING_AUTHORITY = "notary.x509.signingAuthority"


@dataclass(frozen=True)
class Envelope:
    """The parts of an envelope. `message` is what `signature` is over; `algorithm` is the claimed one, by its name in
    RFC 7518. `attributes` are the signed ones besides those, the TIMES of them in Unix seconds. `chain` (DER) and
    `timestamp` (a TimeStampToken, b"" for none) are not signed."""

    algorithm: str
    content_type: object
    critical: object
    attributes: Mapping[Any, Any]
    payload: bytes
    message: bytes
    signature: bytes
    chain: tuple[bytes, ...]
    timestamp: bytes = b""


@dataclass(frozen=True)
class Attributes:
    """The signed attributes that a verdict depends on; times in Unix seconds. `signed_at` is the signer's own word
    under the scheme notary.x509, and a signing authority's under the other one."""

    scheme: str
    signed_at: float
    expiry: float | None


def read_attributes(envelope: Envelope) -> Attributes:
    """The signed attributes, by the rules of "Signed Attributes". Raises RefusedError."""
    if envelope.content_type != PAYLOAD_TYPE:
        raise RefusedError(f"content type is {quoted(envelope.content_type)}, not {quoted(PAYLOAD_TYPE)}")
    attributes = envelope.attributes
    for name in (PLUGIN, PLUGIN_VERSION):
        if name in attributes:
            plugin = quoted(attributes.get(PLUGIN))
            raise RefusedError(f"it needs the verification plugin {plugin}, and plugins are not supported")
    scheme = attributes.get(SIGNING_SCHEME)
    if scheme not in (X509, SIGNING_AUTHORITY):
        raise RefusedError(f"signing scheme {quoted(scheme)} is not supported")
    wanted, unwanted = (SIGNING_TIME, AUTHENTIC_TIME) if scheme == X509 else (AUTHENTIC_TIME, SIGNING_TIME)
    if wanted not in attributes:
        raise RefusedError(f"attribute {wanted} is missing")
    if unwanted in attributes:
        raise RefusedError(f"attribute {unwanted} does not belong to the signing scheme {scheme}")
    must = {SIGNING_SCHEME, *({AUTHENTIC_TIME, EXPIRY} & attributes.keys())}
    _check_critical(envelope.critical, must)
    signed_at, expiry = attributes[wanted], attributes.get(EXPIRY)
    if expiry is not None and expiry <= signed_at:
        raise RefusedError("it expires before it was signed")
    return Attributes(scheme, signed_at, expiry)


def check_target(payload: bytes, subject: Subject) -> None:
    """The payload is about exactly this manifest: its media type, digest and size ("Payload"). Raises RefusedError."""
    target = member(decode_object(payload, "payload"), "targetArtifact", "payload's targetArtifact")
    if target.get("digest") != subject.digest:
        raise RefusedError(f"signature is for another digest {quoted(target.get('digest'))}")
    if target.get("mediaType") != subject.media_type:
        found = quoted(target.get("mediaType"))
        raise RefusedError(
            f"signature is for another media type {found}, the artifact's is {quoted(subject.media_type)}"
        )
    size = target.get("size")
    if type(size) is not int or size != subject.size:
        raise RefusedError(f"signature is for another size, the artifact has {subject.size} bytes")


def _check_critical(critical: object, must: set[str]) -> None:
    """Each attribute that must be critical is marked so, and nothing else: whoever marks an attribute wants it to be
    understood."""
    if not isinstance(critical, list) or not all(isinstance(name, str | int) for name in critical):
        raise RefusedError("list of critical attributes (crit) is missing or no list of names")
    for name in critical:
        if name not in must:
            raise RefusedError(f"critical attribute {quoted(str(name))} is not supported")
    for name in sorted(must):
        if critical.count(name) != 1:
            raise RefusedError(f"attribute {name} is not marked critical once")
