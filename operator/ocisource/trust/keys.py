"""Public keys of a Secret, and whether one of them made a signature (signatures.md, "Keys").

Accepted: PEM `PUBLIC KEY` (RFC 5280 SubjectPublicKeyInfo) and `RSA PUBLIC KEY` (PKCS #1) with
ECDSA on P-256, P-384, P-521 (DER signatures), RSA of 2048 bits or more (PKCS #1 v1.5), Ed25519 (pure, RFC 8032).
The hash is SHA-256 or the curve's own, since signers make both.

Ed25519ph, which `cosign sign` v3 uses with an Ed25519 key, is not Ed25519: `cosign verify --key` refuses it too.

Importing this module costs what `cryptography` costs, about 65 ms and 12 MiB: import it when first needed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from ocisource.domain.errors import TrustError
from ocisource.trust.wire import quoted

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

SUFFIX = ".pub"
MIN_RSA_BITS = 2048
MAX_KEYS = 32
"""Keys in one Secret: each signature of a hostile registry is tried with all of them."""

ED25519 = "Ed25519"
ED25519_SIGNATURE = 64

_PEM = "a PEM public key"
_SUPPORTED = "ECDSA P-256, P-384 or P-521, RSA from 2048 bits, or Ed25519"
_HASHES = {
    "secp256r1": (SHA256(),),
    "secp384r1": (SHA384(), SHA256()),
    "secp521r1": (SHA512(), SHA256()),
}
_FORMATS = {b"PUBLIC KEY": PublicFormat.SubjectPublicKeyInfo, b"RSA PUBLIC KEY": PublicFormat.PKCS1}
# The body stops at the first dash, which base64 does not have: time stays linear in the size of the entry.
_BLOCK = re.compile(rb"^-----BEGIN ([A-Z0-9 ]{1,64})-----[ \t\r]*$([^-]*)^-----END \1-----[ \t\r]*$", re.MULTILINE)
_BOUNDARY = re.compile(rb"-----(?:BEGIN|END) ")

Verify = Callable[[bytes, bytes], bool]


@dataclass(frozen=True)
class PublicKey:
    """One public key. `entry` is the Secret's entry it came from; `fingerprint` is `SHA256:` and the base64 of the
    SHA-256 of its DER SubjectPublicKeyInfo: what cosign writes as `publicKey.hint` into a bundle."""

    entry: str
    fingerprint: str
    kind: str
    verify: Verify = field(repr=False, compare=False)
    """(signature, message) → whether this key made the signature. Never raises for bytes."""

    def __str__(self) -> str:
        return f"key {quoted(self.entry)} ({self.fingerprint})"


@dataclass(frozen=True)
class Keyring:
    """All public keys of one Secret, ready to judge with; immutable, hashable, and safe to share between threads.

    Without keys it accepts nothing, and `flaw` says why (flux-compat H3: no error of its own)."""

    secret: str
    keys: tuple[PublicKey, ...] = ()

    @property
    def flaw(self) -> str:
        """Why this keyring can accept nothing; "" where it can."""
        return "" if self.keys else f"secret {quoted(self.secret)} has no entry that ends in '{SUFFIX}'"

    def signer(self, signature: bytes, message: bytes) -> PublicKey | None:
        """The key that made `signature` over exactly `message`, or None."""
        return next((key for key in self.keys if key.verify(signature, message)), None)

    def stranger(self, signature: bytes, hint: str = "") -> str:
        """The reason where `signer` found none. `hint` is the fingerprint that the signature claims, unproven."""
        reason = f"signed by another key ({hint})" if hint else "signed by another key"
        if hint in (key.fingerprint for key in self.keys):
            reason = f"signature does not hold, though it names the key {hint}"
        if len(signature) == ED25519_SIGNATURE and any(key.kind == ED25519 for key in self.keys):
            reason += "; perhaps made with Ed25519ph, which is not supported (sign with an ECDSA key)"
        return reason


def read_keyring(secret: str, data: Mapping[str, bytes]) -> Keyring:
    """The keys of every entry that ends in `.pub`, by entry name; an entry may hold several PEM blocks, each is a key.

    Raises TrustError, naming the entry, where one is empty or holds anything that is not a supported public key:
    a key that someone meant to count is never silently left out (signatures.md rule 9).
    """
    keys: dict[str, PublicKey] = {}
    for entry in sorted(name for name in data if name.endswith(SUFFIX)):
        try:
            for key in _read_entry(entry, data[entry]):
                keys.setdefault(key.fingerprint, key)
        except BadKeyError as bad:
            raise TrustError(f"{bad.prefix}secret {quoted(secret)} entry {quoted(entry)}: {bad}") from None
    if len(keys) > MAX_KEYS:
        raise TrustError(f"secret {quoted(secret)} has more than {MAX_KEYS} public keys; leave in what may sign")
    return Keyring(secret, tuple(keys.values()))


class BadKeyError(Exception):
    """What is wrong with a key or an entry. Never quotes its content: it might be a private key."""

    prefix = ""


class _NoPemError(BadKeyError):
    """There is no PEM block to read."""

    prefix = "PEM decoding failed: "
    """What clients know (flux-compat H3)."""


def _read_entry(entry: str, content: bytes) -> list[PublicKey]:
    if not content.strip():
        raise _NoPemError("it is empty; put a PEM public key there")
    blocks = _BLOCK.findall(content)
    if not blocks or len(_BOUNDARY.findall(content)) != 2 * len(blocks):
        raise _NoPemError("not a PEM public key (a whole '-----BEGIN PUBLIC KEY-----' block is expected)")
    return [_read_block(entry, label, body) for label, body in blocks]


def _read_block(entry: str, label: bytes, body: bytes) -> PublicKey:
    if label.endswith(b"PRIVATE KEY"):
        raise BadKeyError("not a PEM public key but a private one; take it out, and put the public key there")
    form = _FORMATS.get(label)
    if form is None:
        raise BadKeyError(f"not a PEM public key but {quoted(label.decode('ascii'))}")
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise _NoPemError(f"not {_PEM}: its content cannot be read") from None
    key = load_key(der, form, _PEM)
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    kind, verify = verifier(key)
    return PublicKey(entry, fingerprint(spki), kind, verify)


def load_key(der: bytes, form: PublicFormat, name: str) -> PublicKeyTypes:
    """The public key in its standard encoding; `name` is what messages call it. Raises BadKeyError."""
    try:
        key = load_der_public_key(der)
        canonical = der == key.public_bytes(Encoding.DER, form)
    except ValueError:
        raise BadKeyError(f"not {name}: its content cannot be read") from None
    except UnsupportedAlgorithm:
        raise BadKeyError(f"this kind of key is not supported; use {_SUPPORTED}") from None
    # A key that is written in another way than its own (a restricted RSA-PSS key, explicit curve parameters,
    # trailing bytes) would be used for more than it says.
    if not canonical:
        raise BadKeyError(f"not {name} in its standard encoding")
    return key


def fingerprint(spki: bytes) -> str:
    """`SHA256:<base64>` of a DER SubjectPublicKeyInfo."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(spki).digest()).decode("ascii")


def verifier(key: object, *, own_hash: bool = False) -> tuple[str, Verify]:
    """What the kind of key is called, and what verifies with it. With `own_hash` a curve's own hash alone counts, for
    keys of which that is known. Raises BadKeyError where the key is too weak or of a kind that is not supported."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _ecdsa(key, own_hash=own_hash)
    if isinstance(key, rsa.RSAPublicKey):
        return _rsa(key)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return _ed25519(key)
    raise BadKeyError(f"this kind of key is not supported; use {_SUPPORTED}")


def _ed25519(key: ed25519.Ed25519PublicKey) -> tuple[str, Verify]:
    def verify(signature: bytes, message: bytes) -> bool:
        return _holds(partial(key.verify, signature, message))

    return ED25519, verify


def _ecdsa(key: ec.EllipticCurvePublicKey, *, own_hash: bool) -> tuple[str, Verify]:
    hashes = _HASHES.get(key.curve.name)
    if hashes is None:
        raise BadKeyError(f"the curve {key.curve.name} is not supported; use {_SUPPORTED}")
    algorithms = tuple(ec.ECDSA(algorithm) for algorithm in (hashes[:1] if own_hash else hashes))

    def verify(signature: bytes, message: bytes) -> bool:
        return any(_holds(partial(key.verify, signature, message, algorithm)) for algorithm in algorithms)

    return f"ECDSA {key.curve.name}", verify


def _rsa(key: rsa.RSAPublicKey) -> tuple[str, Verify]:
    if key.key_size < MIN_RSA_BITS:
        raise BadKeyError(f"an RSA key of {key.key_size} bits is too small; use {MIN_RSA_BITS} or more")

    def verify(signature: bytes, message: bytes) -> bool:
        return _holds(partial(key.verify, signature, message, padding.PKCS1v15(), SHA256()))

    return f"RSA {key.key_size}", verify


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidSignature:
        return False
    return True
