"""Leaf certificates of keyless signatures: who signed, and whether an authority of the trusted root says so.

The profile is that of Fulcio:
https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md and `docs/oid-info.md` beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from ocisource.trust import der as asn1
from ocisource.trust.chains import MAX_CHAIN, UnknownIssuerError, build_path, extension_of, read_certificate
from ocisource.trust.keys import BadKeyError, Verify, verifier
from ocisource.trust.wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ocisource.trust.roots import Authority, TrustedRoot

ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
ISSUER_RAW = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
"""Deprecated, and still there beside the other one."""
USERNAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")

_UTF8_STRING = 0x0C


@dataclass(frozen=True)
class Leaf:
    """A certificate that signed an artifact; nothing it says is proven before `check_chain`."""

    certificate: x509.Certificate = field(repr=False)
    der: bytes = field(repr=False)
    verify: Verify = field(repr=False, compare=False)
    """(signature, message) → whether the certificate's key made the signature."""
    issuer: str
    """The OIDC issuer: who knows the subject."""
    subjects: tuple[str, ...]
    """The URIs, email addresses and user names that the certificate is for."""


def read_leaf(der: bytes) -> Leaf:
    """The certificate of a keyless signature. Raises RefusedError where it is no certificate for that."""
    found = read_certificate(der, "certificate")
    constraints = extension_of(found, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        raise RefusedError("certificate is an authority's, not a signer's")
    usage = extension_of(found, x509.KeyUsage)
    if usage is None or not usage.digital_signature:
        raise RefusedError("certificate is not for digital signatures")
    usages = extension_of(found, x509.ExtendedKeyUsage)
    if usages is None or ExtendedKeyUsageOID.CODE_SIGNING not in usages:
        raise RefusedError("certificate is not for code signing")
    try:
        _, verify = verifier(found.public_key())
    except BadKeyError as bad:
        raise RefusedError(f"certificate: {bad}") from None
    return Leaf(found, der, verify, _oidc_issuer(found), _subjects(found))


def check_chain(root: TrustedRoot, leaf: Leaf, intermediates: Sequence[bytes], at: float) -> x509.Certificate:
    """The certificate that issued the leaf, for an authority of the root.

    The leaf, each certificate above it and the root's entry (`validFor`) are valid at `at` (Unix seconds). Of the
    DER certificates in `intermediates`, which came with the signature, any may lie between, but none that the root
    lists for another time. Raises RefusedError.
    """
    if not root.authorities:
        raise RefusedError("trusted root has no certificateAuthorities")
    if len(intermediates) > MAX_CHAIN:
        raise RefusedError(f"more than {MAX_CHAIN} certificates came with the signature")
    brought = [read_certificate(der, "certificate of the signature's chain") for der in intermediates]
    current = [authority for authority in root.authorities if authority.window.contains(at)]
    others = [authority for authority in root.authorities if not authority.window.contains(at)]
    # By key, since one certificate can be written in many ways: whoever knows a signature can make another of it.
    retired = _keys(others) - _keys(current)
    between = [link for authority in current for link in authority.chain[:-1]]
    between += [link for link in brought if _key(link) not in retired]
    anchors = [authority.chain[-1] for authority in current]
    try:
        return build_path(leaf.certificate, between, anchors, at, ExtendedKeyUsageOID.CODE_SIGNING)[1]
    except UnknownIssuerError:
        if any(link.subject == leaf.certificate.issuer for authority in others for link in authority.chain):
            raise RefusedError("certificate's authority was not trusted at the time of the signature") from None
        raise


def _keys(authorities: Iterable[Authority]) -> set[bytes]:
    return {_key(link) for authority in authorities for link in authority.chain}


def _key(found: x509.Certificate) -> bytes:
    return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _oidc_issuer(found: x509.Certificate) -> str:
    values = {
        each.oid: each.value.value for each in found.extensions if isinstance(each.value, x509.UnrecognizedExtension)
    }
    named = set()
    if ISSUER in values:
        named.add(_utf8_string(values[ISSUER], "certificate's OIDC issuer"))
    if ISSUER_RAW in values:
        named.add(_text(values[ISSUER_RAW], "certificate's OIDC issuer"))
    if len(named) > 1:
        raise RefusedError("certificate names two different OIDC issuers")
    if not any(named):
        raise RefusedError("certificate names no OIDC issuer")
    return named.pop()


def _subjects(found: x509.Certificate) -> tuple[str, ...]:
    """Host names and addresses are nobody who signs."""
    names = extension_of(found, x509.SubjectAlternativeName) or ()
    subjects = tuple(filter(None, map(_subject, names)))
    if not subjects:
        raise RefusedError("certificate names no subject (URI, email address or user name)")
    return subjects


def _subject(name: x509.GeneralName) -> str:
    if isinstance(name, x509.UniformResourceIdentifier | x509.RFC822Name):
        return name.value
    if isinstance(name, x509.OtherName) and name.type_id == USERNAME:
        return _utf8_string(name.value, "certificate's user name")
    return ""


def _utf8_string(der: bytes, name: str) -> str:
    """Exactly one UTF8String (X.690 section 8.23)."""
    fields = asn1.Fields(der, name)
    content = fields.take(_UTF8_STRING).content
    fields.end()
    return _text(content, name)


def _text(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError(f"{name} is not UTF-8") from None
