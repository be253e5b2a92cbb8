"""A certificate authority as Fulcio is one: a root, intermediates, and leaves that carry an identity.

Certificates follow https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md. What a leaf says is
a `Profile`, a plain value: `dataclasses.replace` makes the wrong ones.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from devkit.offline import der
from devkit.offline.ctlog import SCT_LIST, SctMaker, sct_list
from devkit.offline.keys import HASHES, digest, hash_name, key_pair, public, spki
from devkit.offline.windows import Window, base64_text, valid_for

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from devkit.offline.keys import Hash
    from devkit.signer import Kind, Signer

ISSUER_V1 = "1.3.6.1.4.1.57264.1.1"
"""The OIDC issuer as raw bytes."""
ISSUER_V2 = "1.3.6.1.4.1.57264.1.8"
"""The OIDC issuer as a DER UTF8String."""

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
TIME_STAMPING = ExtendedKeyUsageOID.TIME_STAMPING

Extension = tuple[x509.ExtensionType, bool]
"""An extension and whether it is critical."""

CA: Extension = (x509.BasicConstraints(ca=True, path_length=None), True)


def extension(dotted: str, content: bytes, *, critical: bool = False) -> Extension:
    """Any extension from its OID and its bytes."""
    return x509.UnrecognizedExtension(ObjectIdentifier(dotted), content), critical


def key_usage(*allowed: str) -> Extension:
    """Key usage, critical, that allows what is named (`digital_signature`, `key_cert_sign` …)."""
    names = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    every = (*names, "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{name: name in allowed for name in every}), True


@dataclass(frozen=True)
class Profile:
    """What a leaf says. None leaves a thing out. Each issuer extension can be set by itself with `extra`."""

    issuer: str | None
    names: tuple[x509.GeneralName, ...]
    window: Window
    usages: tuple[ObjectIdentifier, ...] | None = (CODE_SIGNING,)
    key_usage: Extension | None = field(default_factory=lambda: key_usage("digital_signature"))
    names_critical: bool = True
    usages_critical: bool = False
    subject: str | None = None
    extra: tuple[Extension, ...] = ()

    def extensions(self) -> list[Extension]:
        """In Fulcio's order, without SCTs."""
        found = [each for each in (self.key_usage,) if each is not None]
        if self.usages is not None:
            found.append((x509.ExtendedKeyUsage(self.usages), self.usages_critical))
        if self.names:
            found.append((x509.SubjectAlternativeName(self.names), self.names_critical))
        if self.issuer is not None:
            found.append(extension(ISSUER_V1, self.issuer.encode("utf-8")))
            found.append(extension(ISSUER_V2, der.utf8(self.issuer)))
        return [*found, *self.extra]


def general_name(subject: str) -> x509.GeneralName:
    """An identity as a URI if it looks like one, else as an email address."""
    return x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)


@dataclass(frozen=True)
class Authority:
    """An issuing certificate with its key, and what lies between it and its root. `window` is what trusted_root.json
    says (`validFor`); the certificates have windows of their own."""

    chain: tuple[x509.Certificate, ...]
    key: Signer = field(repr=False)
    window: Window
    uri: str = "https://fulcio.offline.example"

    @classmethod
    def create(
        cls,
        window: Window,
        *,
        kinds: Sequence[Kind] = ("p256", "p256"),
        windows: Sequence[Window] | None = None,
        name: str = "offline",
        uri: str = "https://fulcio.offline.example",
        usages: tuple[ObjectIdentifier, ...] | None = (CODE_SIGNING,),
        constraints: Extension | None = CA,
        usage: Extension | None = None,
    ) -> Authority:
        """A root and below it an intermediate for each further one of `kinds`; the last of them issues. `windows` are
        those of the certificates, root first (`window` for all by default). `usages`, `constraints` and `usage`
        are the intermediates' extended key usages, basic constraints and key usage (by default as Fulcio's)."""
        keys = [key_pair(kind) for kind in kinds]
        spans = windows or [window] * len(keys)
        root_extensions = [CA, key_usage("key_cert_sign")]
        root = certificate(f"{name} root", keys[0], f"{name} root", keys[0], spans[0], root_extensions)
        chain = [root]
        for number, (key, span) in enumerate(zip(keys[1:], spans[1:], strict=True), start=1):
            extensions = [usage or key_usage("key_cert_sign")]
            if constraints is not None:
                extensions.append(constraints)
            if usages is not None:
                extensions.append((x509.ExtendedKeyUsage(usages), False))
            subject = f"{name} intermediate {number}"
            chain.append(certificate(subject, key, chain[-1].subject, keys[number - 1], span, extensions))
        return cls(tuple(reversed(chain)), keys[-1], window, uri)

    @property
    def issuing(self) -> x509.Certificate:
        return self.chain[0]

    def issue(self, profile: Profile, key: Signer, scts: Iterable[SctMaker] = (), hash_: str = "") -> x509.Certificate:
        """A leaf for the key. Each of `scts` makes one SCT of the precertificate; without any, the extension is left
        out. `hash_` signs the certificate (by default the issuing key's own)."""
        extensions = profile.extensions()
        extensions.append(_issued_by(self.issuing))
        algorithm = HASHES[hash_] if hash_ else None
        serial = x509.random_serial_number()  # the precertificate's too
        arguments = (profile.subject, key, self.issuing.subject, self.key, profile.window)
        # RFC 6962 section 3.2: an SCT is over the TBSCertificate without the list of SCTs.
        precertificate = certificate(*arguments, extensions, serial, algorithm)
        issuer_key_hash = digest("sha256", spki(self.key))
        made = [make(precertificate.tbs_certificate_bytes, issuer_key_hash) for make in scts]
        if not made:
            return precertificate
        return certificate(*arguments, [*extensions, extension(SCT_LIST, sct_list(made))], serial, algorithm)

    def document(self) -> dict[str, Any]:
        """Its entry in trusted_root.json."""
        return {
            "subject": {"organization": "offline", "commonName": "offline"},
            "uri": self.uri,
            "certChain": {"certificates": [{"rawBytes": base64_text(to_der(each))} for each in self.chain]},
            "validFor": valid_for(self.window),
        }


def to_der(found: x509.Certificate) -> bytes:
    return found.public_bytes(Encoding.DER)


def to_pem(found: x509.Certificate) -> str:
    return found.public_bytes(Encoding.PEM).decode("ascii")


def certificate(
    subject: str | None,
    key: Signer,
    issuer: str | x509.Name,
    issuer_key: Signer,
    window: Window,
    extensions: Iterable[Extension],
    serial: int | None = None,
    algorithm: Hash | None = None,
) -> x509.Certificate:
    """Any certificate, signed by `issuer_key`; the last extension stays last."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer if isinstance(issuer, x509.Name) else _name(issuer))
        .public_key(public(key))
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(_moment(window.start))
        .not_valid_after(_moment(window.final))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public(key)), critical=False)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    if issuer_key.kind == "ed25519":
        return builder.sign(issuer_key.private, None)
    return builder.sign(issuer_key.private, algorithm or HASHES[hash_name(issuer_key)])


def _issued_by(issuer: x509.Certificate) -> Extension:
    """Authority key identifier: what the issuer's certificate says of its key."""
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), False


def _name(common: str | None) -> x509.Name:
    return x509.Name([] if common is None else [x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
