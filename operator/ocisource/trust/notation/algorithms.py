"""The one signature algorithm that a certificate's key may be used with (`signature-specification.md`, "Algorithm
Selection"): fixed by the key's type and size, whatever an envelope claims."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from ocisource.trust.wire import RefusedError

# Curve → name in JWS (RFC 7518), hash, bytes of each of a signature's two numbers.
_EC: dict[str, tuple[str, HashAlgorithm, int]] = {
    "secp256r1": ("ES256", SHA256(), 32),
    "secp384r1": ("ES384", SHA384(), 48),
    "secp521r1": ("ES512", SHA512(), 66),
}
# Bits of the modulus → name in JWS, hash.
_RSA: dict[int, tuple[str, HashAlgorithm]] = {
    2048: ("PS256", SHA256()),
    3072: ("PS384", SHA384()),
    4096: ("PS512", SHA512()),
}
_KEYS = frozenset({x509.PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5, x509.PublicKeyAlgorithmOID.EC_PUBLIC_KEY})
_SUPPORTED = "EC P-256, P-384, P-521 or RSA 2048, 3072, 4096"


@dataclass(frozen=True)
class Algorithm:
    """`name` is that of RFC 7518 (`ES256`)."""

    name: str
    verify: Callable[[bytes, bytes], bool] = field(repr=False, compare=False)
    """(signature, message) → whether the key made the signature. Never raises for bytes."""


def algorithm_of(certificate: x509.Certificate) -> Algorithm:
    """The algorithm of the certificate's key, which can be read. Raises RefusedError where there is none."""
    key = certificate.public_key()
    # A key that is restricted to another use (RSASSA-PSS with parameters of its own) has another algorithm identifier.
    if certificate.public_key_algorithm_oid in _KEYS:
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _EC:
            return _ecdsa(key)
        if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA:
            return _rsa(key)
    raise RefusedError(f"key of the signing certificate is not supported; use {_SUPPORTED}")


def _ecdsa(key: ec.EllipticCurvePublicKey) -> Algorithm:
    """RFC 7518 section 3.4 and RFC 9053 section 2.1: the two numbers one after the other, each of full length."""
    name, hash_algorithm, size = _EC[key.curve.name]

    def verify(signature: bytes, message: bytes) -> bool:
        if len(signature) != 2 * size:
            return False
        numbers = int.from_bytes(signature[:size], "big"), int.from_bytes(signature[size:], "big")
        return _holds(lambda: key.verify(encode_dss_signature(*numbers), message, ec.ECDSA(hash_algorithm)))

    return Algorithm(name, verify)


def _rsa(key: rsa.RSAPublicKey) -> Algorithm:
    """RFC 7518 section 3.5 and RFC 8230 section 2: MGF1 with the same hash, and a salt as long as it."""
    name, hash_algorithm = _RSA[key.key_size]
    pss = padding.PSS(padding.MGF1(hash_algorithm), padding.PSS.DIGEST_LENGTH)

    def verify(signature: bytes, message: bytes) -> bool:
        return _holds(lambda: key.verify(signature, message, pss, hash_algorithm))

    return Algorithm(name, verify)


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidSignature:
        return False
    return True
