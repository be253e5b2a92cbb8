"""Key pairs of the offline Sigstore, and how its documents name them.

A key pair is a `devkit.signer.Signer`. RSA keys are slow to make: `key_pair` hands out one per kind and process; ask
`Signer.generate` for another one.
"""

from __future__ import annotations

import hashlib
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devkit.signer import Kind, Signer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512
HASHES: dict[str, Hash] = {
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_KEY_DETAILS = {
    "p256": "PKIX_ECDSA_P256_SHA_256",
    "p384": "PKIX_ECDSA_P384_SHA_384",
    "p521": "PKIX_ECDSA_P521_SHA_512",
    "rsa2048": "PKIX_RSA_PKCS1V15_2048_SHA256",
    "rsa3072": "PKIX_RSA_PKCS1V15_3072_SHA256",
    "rsa4096": "PKIX_RSA_PKCS1V15_4096_SHA256",
    "ed25519": "PKIX_ED25519",
}
_HASH_NAMES = {"p384": "sha384", "p521": "sha512"}


def key_pair(kind: Kind = "p256") -> Signer:
    """A new key pair; for RSA, the one of this process."""
    return _kept(kind) if kind.startswith("rsa") else Signer.generate(kind)


_kept = cache(Signer.generate)


def public(key: Signer) -> CertificatePublicKeyTypes:
    return key.private.public_key()


def spki(key: Signer) -> bytes:
    """The DER SubjectPublicKeyInfo."""
    return public(key).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def raw_ed25519(key: Signer) -> bytes:
    """The 32 bytes of an Ed25519 public key."""
    return public(key).public_bytes(Encoding.Raw, PublicFormat.Raw)


def key_details(key: Signer) -> str:
    """How trusted_root.json names key type and hash (protobuf-specs, PublicKeyDetails)."""
    return _KEY_DETAILS[key.kind]


def logged_as(key: Signer) -> tuple[str, str]:
    """The hash and the key details that a Rekor v2 entry names. Ed25519 stands there in its prehashed form, since
    hashedrekord holds hashes only; the signature of the envelope itself is a pure one all the same."""
    return ("sha512", "PKIX_ED25519_PH") if key.kind == "ed25519" else (hash_name(key), key_details(key))


def hash_name(key: Signer) -> str:
    """The hash that `key.sign` uses; SHA-256 for Ed25519, which hashes by itself."""
    return "sha256" if key.always_sha256 else _HASH_NAMES.get(key.kind, "sha256")


def digest(name: str, content: bytes) -> bytes:
    return hashlib.new(name, content).digest()
