"""The certificate chain of an envelope: complete, ordered, and of certificates that may sign code.

`signature-specification.md`, "Certificate Requirements". Of extensions, only basic constraints, key usage and extended
key usage are honoured, as it says. Whether anybody trusts the chain, and when it was valid, are questions of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import (
    AuthorityInformationAccessOID,
    ExtendedKeyUsageOID,
    ExtensionOID,
    SignatureAlgorithmOID,
)

from ocisource.trust.chains import MAX_RSA_BITS, MAX_RSA_EXPONENT, extension_of, read_certificate
from ocisource.trust.wire import RefusedError, clean

MAX_CERTIFICATES = 10
MIN_RSA_BITS = 2048

_HASHES = (SHA256, SHA384, SHA512)
_FOREIGN_USAGES = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
}
# encipherOnly and decipherOnly mean nothing without keyAgreement (RFC 5280 section 4.2.1.3).
_FOREIGN_BITS = ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")


def read_chain(ders: Sequence[bytes]) -> tuple[x509.Certificate, ...]:
    """The certificates from the signing one to the root, each issued by the next, all fit for it. Raises
    RefusedError."""
    if not 0 < len(ders) <= MAX_CERTIFICATES:
        raise RefusedError(f"certificate chain has {len(ders)} certificates instead of 1 to {MAX_CERTIFICATES}")
    chain = tuple(read_certificate(der, f"certificate {number} of the chain") for number, der in enumerate(ders, 1))
    for certificate in chain:
        _check_strength(certificate)
    *issued, root = chain
    for child, issuer in zip(issued, chain[1:], strict=True):
        if _issued_by(child, child):
            raise RefusedError(f"certificate {called(child)} is self-signed, and is not the last of its chain")
        if not _issued_by(child, issuer):
            raise RefusedError(f"certificate {called(child)} is not issued by the next one of its chain")
    if not _issued_by(root, root):
        raise RefusedError(f"certificate chain is not complete: its last, {called(root)}, is not self-signed")
    _check_leaf(chain[0])
    for below, authority in enumerate(chain[1:]):
        _check_authority(authority, below)
    return chain


def check_window(chain: Iterable[x509.Certificate], earliest: float, latest: float, what: str) -> None:
    """Every certificate is valid from `earliest` to `latest` (Unix seconds); `what` is how messages call that time.
    Raises RefusedError."""
    for certificate in chain:
        start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if earliest < start.timestamp():
            raise RefusedError(f"{what} is before certificate {called(certificate)} is valid, from {start:{_WRITTEN}}")
        if latest > end.timestamp():
            raise RefusedError(f"{what} is after certificate {called(certificate)} expired, at {end:{_WRITTEN}}")


_WRITTEN = "%Y-%m-%dT%H:%M:%SZ"


def expired(chain: Iterable[x509.Certificate], now: float) -> bool:
    """Whether a certificate of the chain has expired."""
    return any(now > certificate.not_valid_after_utc.timestamp() for certificate in chain)


def check_revocation(chain: Sequence[x509.Certificate]) -> None:
    """Nobody has to be asked whether a certificate of the chain was revoked. Raises RefusedError: to ask an OCSP
    responder or to read a CRL is not supported. A root is revoked by nobody, so what it names does not matter."""
    for certificate in chain[:-1]:
        if _names_revocation(certificate):
            raise RefusedError(
                f"certificate {called(certificate)} names an OCSP responder or a CRL, and checking revocation is not "
                "supported; if that is acceptable, set signatureVerification.override.revocation to skip"
            )


def called(certificate: x509.Certificate) -> str:
    """The certificate in a message."""
    return f"'{clean(certificate.subject.rfc4514_string(), 120)}'"


def thumbprint(certificate: x509.Certificate) -> str:
    """The SHA-256 of its DER in hex, as Notation lists certificates."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def _issued_by(child: x509.Certificate, issuer: x509.Certificate) -> bool:
    """By name and by signature."""
    try:
        child.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check_strength(certificate: x509.Certificate) -> None:
    """Before any signature is checked: a large key costs time."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < MIN_RSA_BITS:
            raise RefusedError(f"certificate {called(certificate)} has an RSA key of less than {MIN_RSA_BITS} bits")
        if key.key_size > MAX_RSA_BITS or key.public_numbers().e > MAX_RSA_EXPONENT:
            raise RefusedError(
                f"certificate {called(certificate)} has an RSA key of more than {MAX_RSA_BITS} bits or a large exponent"
            )
    ed25519 = certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519
    if not ed25519 and not isinstance(certificate.signature_hash_algorithm, _HASHES):
        raise RefusedError(f"certificate {called(certificate)} is not signed with SHA-256, SHA-384 or SHA-512")


def _check_leaf(leaf: x509.Certificate) -> None:
    constraints = extension_of(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise RefusedError(f"signing certificate {called(leaf)} is a certificate authority")
    usage = _key_usage(leaf)
    if not usage.digital_signature or any(getattr(usage, bit) for bit in _FOREIGN_BITS):
        raise RefusedError(f"key usage of the signing certificate {called(leaf)} is not digitalSignature only")
    for purpose in extension_of(leaf, x509.ExtendedKeyUsage) or ():
        if purpose in _FOREIGN_USAGES:
            raise RefusedError(
                f"extended key usage of the signing certificate {called(leaf)} has {_FOREIGN_USAGES[purpose]}"
            )


def _check_authority(authority: x509.Certificate, below: int) -> None:
    """`below`: authorities between this one and the leaf."""
    constraints = extension_of(authority, x509.BasicConstraints)
    if constraints is None or not constraints.ca or not _critical(authority, ExtensionOID.BASIC_CONSTRAINTS):
        raise RefusedError(f"certificate {called(authority)} is no authority (basicConstraints, critical, CA)")
    if constraints.path_length is not None and below > constraints.path_length:
        raise RefusedError(
            f"certificate {called(authority)} has a path length of {constraints.path_length}, and {below} authorities "
            "below it"
        )
    if not _key_usage(authority).key_cert_sign:
        raise RefusedError(f"certificate {called(authority)} may not sign certificates (keyUsage)")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage:
    usage = extension_of(certificate, x509.KeyUsage)
    if usage is None or not _critical(certificate, ExtensionOID.KEY_USAGE):
        raise RefusedError(f"certificate {called(certificate)} has no critical keyUsage")
    return usage


def _critical(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bool:
    return certificate.extensions.get_extension_for_oid(oid).critical


def _names_revocation(certificate: x509.Certificate) -> bool:
    access = extension_of(certificate, x509.AuthorityInformationAccess) or ()
    return extension_of(certificate, x509.CRLDistributionPoints) is not None or any(
        each.access_method == AuthorityInformationAccessOID.OCSP for each in access
    )
