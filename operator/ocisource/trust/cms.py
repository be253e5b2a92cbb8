"""Signed data of the Cryptographic Message Syntax (CMS, RFC 5652), as far as timestamps use it.

That is: content inside, exactly one signer who is named by issuer and serial number, and signed attributes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from ocisource.trust.der import (
    CONSTRUCTED,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    Element,
    Fields,
    elements,
    malformed,
    oid,
    open_sequence,
)
from ocisource.trust.wire import RefusedError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

MAX_CERTIFICATES = 16
"""Certificates inside. Authorities send their chain: three or four."""

_SIGNED_DATA = oid("1.2.840.113549.1.7.2")
_CONTENT_TYPE = oid("1.2.840.113549.1.9.3")
_MESSAGE_DIGEST = oid("1.2.840.113549.1.9.4")

_HASHES: dict[bytes, HashAlgorithm] = {
    oid("2.16.840.1.101.3.4.2.1"): SHA256(),
    oid("2.16.840.1.101.3.4.2.2"): SHA384(),
    oid("2.16.840.1.101.3.4.2.3"): SHA512(),
}
"""By the content of their OBJECT IDENTIFIER (RFC 5754)."""

_Key = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey
_ALGORITHMS: dict[bytes, tuple[type[_Key], HashAlgorithm | None]] = {
    oid("1.2.840.113549.1.1.1"): (rsa.RSAPublicKey, None),
    oid("1.2.840.113549.1.1.11"): (rsa.RSAPublicKey, SHA256()),
    oid("1.2.840.113549.1.1.12"): (rsa.RSAPublicKey, SHA384()),
    oid("1.2.840.113549.1.1.13"): (rsa.RSAPublicKey, SHA512()),
    oid("1.2.840.10045.4.3.2"): (ec.EllipticCurvePublicKey, SHA256()),
    oid("1.2.840.10045.4.3.3"): (ec.EllipticCurvePublicKey, SHA384()),
    oid("1.2.840.10045.4.3.4"): (ec.EllipticCurvePublicKey, SHA512()),
    oid("1.3.101.112"): (ed25519.Ed25519PublicKey, None),
}
"""Signature algorithms: the kind of key, and the hash where the name says it (RFC 5754, RFC 8419). A plain
rsaEncryption goes with the signer's digest algorithm."""


@dataclass(frozen=True, slots=True)
class SignedData:
    """Content that one signer signed. Nothing is verified yet."""

    content_type: Element
    content: bytes
    certificates: tuple[bytes, ...]
    """DER of what is inside; nobody vouches for it."""
    signer: bytes
    """Issuer and serial number of the signer's certificate: both DER, one after the other."""
    attributes: dict[bytes, Element]
    """The signed ones: by type, the one value of each."""
    message: bytes
    """What the signature is over: the DER of the signed attributes."""
    digest: HashAlgorithm
    algorithm: bytes
    signature: bytes


def read_signed_data(token: bytes, name: str) -> SignedData:
    """The SignedData in a DER ContentInfo; `name` is how messages call it. Raises RefusedError."""
    info = open_sequence(token, name)
    if info.take(OBJECT_IDENTIFIER).content != _SIGNED_DATA:
        raise RefusedError(f"{name} is not signed data")
    data = open_sequence(info.take(CONSTRUCTED).content, name)
    info.end()
    data.take(INTEGER)
    data.take(SET)
    encapsulated = data.inside(SEQUENCE)
    content_type = encapsulated.take(OBJECT_IDENTIFIER)
    content = encapsulated.inside(CONSTRUCTED).take(OCTET_STRING).content
    inside = data.maybe(CONSTRUCTED)
    certificates = elements(inside.content, name) if inside else []
    if len(certificates) > MAX_CERTIFICATES:
        raise RefusedError(f"{name} holds more than {MAX_CERTIFICATES} certificates")
    data.maybe(CONSTRUCTED + 1)
    signers = elements(data.take(SET).content, name)
    data.end()
    if len(signers) != 1:
        raise RefusedError(f"{name} does not have exactly one signer")
    return _read_signer(signers[0], content_type, content, tuple(one.raw for one in certificates), name)


def _read_signer(
    element: Element, content_type: Element, content: bytes, certificates: tuple[bytes, ...], name: str
) -> SignedData:
    """RFC 5652 section 5.3."""
    signer = open_sequence(element.raw, name)
    signer.take(INTEGER)
    identifier = signer.take(SEQUENCE).content
    digest = read_hash(signer.take(SEQUENCE), name)
    attributes = signer.take(CONSTRUCTED)
    members = elements(attributes.content, name)
    algorithm = signer.inside(SEQUENCE).take(OBJECT_IDENTIFIER).content
    signature = signer.take(OCTET_STRING).content
    signer.maybe(CONSTRUCTED + 1)
    signer.end()
    return SignedData(
        content_type,
        content,
        certificates,
        identifier,
        _read_attributes(members, name),
        _set_of(attributes, members),
        digest,
        algorithm,
        signature,
    )


def read_hash(algorithm: Element, name: str) -> HashAlgorithm:
    """The hash that an AlgorithmIdentifier names. Raises RefusedError."""
    found = _HASHES.get(Fields(algorithm.content, name).take(OBJECT_IDENTIFIER).content)
    if found is None:
        raise RefusedError(f"{name} uses another hash than SHA-256, SHA-384 or SHA-512")
    return found


def issuer_and_serial(certificate: x509.Certificate, name: str) -> bytes:
    """As in `SignedData.signer`, byte by byte as the certificate has them (RFC 5280 section 4.1)."""
    fields = open_sequence(certificate.tbs_certificate_bytes, name)
    fields.maybe(CONSTRUCTED)
    serial = fields.take(INTEGER).raw
    fields.take(SEQUENCE)
    return fields.take(SEQUENCE).raw + serial


def check_signer(data: SignedData, certificate: x509.Certificate, name: str) -> None:
    """That the key of `certificate` signed the content, by way of the signed attributes (RFC 5652 section 5.4).

    Raises RefusedError.
    """
    if data.attributes.get(_CONTENT_TYPE) != data.content_type:
        raise RefusedError(f"{name}'s signed attributes do not name the type of its content")
    digest = hashlib.new(data.digest.name, data.content).digest()
    claimed = data.attributes.get(_MESSAGE_DIGEST)
    if claimed is None or claimed.raw != bytes([OCTET_STRING, len(digest)]) + digest:
        raise RefusedError(f"{name}'s signed attributes are for other content")
    kind, algorithm = _ALGORITHMS.get(data.algorithm, (None, None))
    key = certificate.public_key()
    if kind is None or not isinstance(key, kind):
        raise RefusedError(f"{name}'s signature algorithm is not supported, or not one for the key of its authority")
    try:
        _verify(key, data.signature, data.message, algorithm or data.digest)
    except InvalidSignature:
        raise RefusedError(f"{name} is not signed by its authority") from None


def _verify(key: _Key, signature: bytes, message: bytes, algorithm: HashAlgorithm) -> None:
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, message, padding.PKCS1v15(), algorithm)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, message, ec.ECDSA(algorithm))
    else:
        key.verify(signature, message)


def _read_attributes(attributes: list[Element], name: str) -> dict[bytes, Element]:
    """Each type once, with one value: none of those we read may have more (RFC 5652 section 11, RFC 5035)."""
    found = {}
    for attribute in attributes:
        fields = open_sequence(attribute.raw, name)
        kind = fields.take(OBJECT_IDENTIFIER).content
        values = elements(fields.take(SET).content, name)
        fields.end()
        if kind in found or len(values) != 1:
            raise malformed(name)
        found[kind] = values[0]
    return found


def _set_of(attributes: Element, members: list[Element]) -> bytes:
    """The DER of the SET OF, which is signed, not its implicit tag: RFC 5652 section 5.4. The members in ascending
    order (X.690 section 11.6), in whatever order they came."""
    header = attributes.raw[1 : len(attributes.raw) - len(attributes.content)]
    return bytes([SET]) + header + b"".join(sorted(member.raw for member in members))
