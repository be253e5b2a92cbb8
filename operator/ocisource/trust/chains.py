"""Certification paths (RFC 5280 section 6): from a certificate up to one that is trusted.

Narrower than the RFC where we know nothing that needs more: signatures with SHA-256, SHA-384 or SHA-512 and Ed25519
only, no name constraints, no critical extension but those read here. Revocation is not looked at: Sigstore's leaves
live for minutes, and their authorities leave the trusted root.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, PublicKeyAlgorithmOID, SignatureAlgorithmOID

from ocisource.trust.keys import BadKeyError, verifier
from ocisource.trust.wire import RefusedError, quoted

if TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

MAX_CHAIN = 8
"""Certificates above a leaf. Real chains have two."""

MAX_CERTIFICATE = 64 << 10
"""Bytes of one certificate. Real ones have about a thousand."""

MAX_CHECKS = 32
"""Signatures that are tried in search of one path: certificates of one name can be joined in very many ways."""

MAX_RSA_BITS = 8192
MAX_RSA_EXPONENT = 1 << 32
"""With MAX_RSA_BITS: what one check of a signature may cost."""

_HASHES = (SHA256, SHA384, SHA512)
_KEYS = (
    PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
    PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
    PublicKeyAlgorithmOID.ED25519,
)
_UNDERSTOOD = (
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
)


_Extension = TypeVar("_Extension", bound=x509.ExtensionType)


class UnknownIssuerError(RefusedError):
    """Nothing that is trusted issued the certificate, directly or not."""


def read_certificate(der: bytes, name: str) -> x509.Certificate:
    """The certificate, all of which can be read; `name` is what messages call it. Raises RefusedError."""
    if len(der) > MAX_CERTIFICATE:
        raise RefusedError(f"{name} is larger than {MAX_CERTIFICATE >> 10} KiB")
    try:
        found = x509.load_der_x509_certificate(der)
        # These are only parsed, and only complain, when they are asked for.
        _ = (found.extensions, found.public_key(), found.signature_hash_algorithm, found.subject, found.issuer)
        _ = (found.not_valid_before_utc, found.not_valid_after_utc)
    except Exception:  # noqa: BLE001 - the parser has many ways to complain, and not all are documented
        raise RefusedError(f"{name} is not an X.509 certificate that can be read") from None
    return found


def build_path(
    leaf: x509.Certificate,
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    at: float,
    usage: x509.ObjectIdentifier,
) -> tuple[x509.Certificate, ...]:
    """A path from the leaf over any of `intermediates`, which need not be trusted, to one of the trusted `anchors`.

    Every certificate of it, the anchor too, is in its window at `at` (Unix seconds), signed as it should be, and fit
    for the extended key `usage`. What a leaf must be beyond that is for the caller to check. Raises RefusedError:
    UnknownIssuerError where no issuer is among those given, otherwise why the first one that is does not count.
    """
    _check_certificate(leaf, "certificate", at, usage)
    search = _Search(intermediates, anchors, at, usage)
    path = search.extend((leaf,))
    if path is not None:
        return path
    if search.flaws:
        raise RefusedError(search.flaws[0])
    raise UnknownIssuerError(f"certificate is not from a trusted authority; its issuer is {_called(leaf.issuer)}")


@dataclass
class _Search:
    """Depth first, anchors before intermediates."""

    intermediates: Sequence[x509.Certificate]
    anchors: Sequence[x509.Certificate]
    at: float
    usage: x509.ObjectIdentifier
    flaws: list[str] = field(default_factory=list)
    checks: int = 0

    def extend(self, path: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...] | None:
        for issuer in self.anchors:
            if self._issued(path, issuer):
                return (*path, issuer)
        if len(path) == MAX_CHAIN:  # an anchor must still fit
            return None
        for issuer in self.intermediates:
            if issuer not in path and self._issued(path, issuer):
                whole = self.extend((*path, issuer))
                if whole is not None:
                    return whole
        return None

    def _issued(self, path: tuple[x509.Certificate, ...], issuer: x509.Certificate) -> bool:
        """Whether `issuer` signed the end of the path and was fit to. If only the latter fails, that is a flaw."""
        if issuer.subject != path[-1].issuer or not self._signed(path[-1], issuer):
            return False
        try:
            _check_certificate(issuer, f"authority {_called(issuer.subject)}", self.at, self.usage)
            _check_authority(issuer, len(path) - 1)
        except RefusedError as refused:
            self.flaws.append(str(refused))
            return False
        return True

    def _signed(self, child: x509.Certificate, issuer: x509.Certificate) -> bool:
        self.checks += 1
        if self.checks > MAX_CHECKS:
            raise RefusedError(f"certificate has no path to a trusted authority within {MAX_CHECKS} signatures")
        try:
            child.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return True


def _check_certificate(found: x509.Certificate, name: str, at: float, usage: x509.ObjectIdentifier) -> None:
    """What holds for every certificate of a path."""
    _check_window(found, name, at)
    _check_key(found, name)
    if found.signature_algorithm_oid != SignatureAlgorithmOID.ED25519:
        algorithm = found.signature_hash_algorithm
        if not isinstance(algorithm, _HASHES):
            raise RefusedError(f"{name} is not signed with SHA-256, SHA-384, SHA-512 or Ed25519")
    for extension in found.extensions:
        if extension.oid == ExtensionOID.NAME_CONSTRAINTS:
            raise RefusedError(f"{name} has name constraints, which are not supported")
        if extension.critical and extension.oid not in _UNDERSTOOD:
            oid = extension.oid.dotted_string
            raise RefusedError(f"{name} has the critical extension {quoted(oid)}, which is not supported")
    usages = extension_of(found, x509.ExtendedKeyUsage)
    # RFC 5280 section 4.2.1.12, and for authorities as all verifiers of Sigstore have it: none means any.
    if usages is not None and usage not in usages and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in usages:
        raise RefusedError(f"{name} is for another extended key usage")


def _check_window(found: x509.Certificate, name: str, at: float) -> None:
    """Both ends included (RFC 5280 section 4.1.2.5)."""
    start, end = found.not_valid_before_utc, found.not_valid_after_utc
    if at < start.timestamp():
        raise RefusedError(f"{name} is valid only from {_written(start)}, after the time of the signature")
    if at > end.timestamp():
        raise RefusedError(f"{name} expired at {_written(end)}, before the time of the signature")


def _check_key(found: x509.Certificate, name: str) -> None:
    key = found.public_key()
    try:
        verifier(key)
    except BadKeyError as bad:
        raise RefusedError(f"{name}: {bad}") from None
    if found.public_key_algorithm_oid not in _KEYS:  # an RSA key that is restricted to PSS
        raise RefusedError(f"{name}: this kind of key is not supported")
    if isinstance(key, rsa.RSAPublicKey) and (key.key_size > MAX_RSA_BITS or key.public_numbers().e > MAX_RSA_EXPONENT):
        raise RefusedError(f"{name}: the RSA key is larger than {MAX_RSA_BITS} bits or has a large exponent")


def _check_authority(found: x509.Certificate, below: int) -> None:
    """RFC 5280 sections 4.2.1.3 and 4.2.1.9. `below`: authorities between this one and the leaf, which all count."""
    name = f"authority {_called(found.subject)}"
    constraints = extension_of(found, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise RefusedError(f"{name} is no certificate authority")
    if constraints.path_length is not None and below > constraints.path_length:
        raise RefusedError(f"{name} has a path length of {constraints.path_length}, and {below} authorities below it")
    usage = extension_of(found, x509.KeyUsage)
    if usage is not None and not usage.key_cert_sign:
        raise RefusedError(f"{name} may not sign certificates")


def extension_of(found: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """The extension of this kind, if the certificate has it."""
    try:
        return found.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def _called(name: x509.Name) -> str:
    return quoted(name.rfc4514_string())


def _written(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
