"""A private Notary: a chain of certificates that sign code, and a signer of Notation envelopes (JWS and COSE).

Envelopes follow https://github.com/notaryproject/specifications, `signature-envelope-jws.md` and
`signature-envelope-cose.md`; `notation verify` accepts what comes out unless a test asks for something wrong. What is
signed is an `Order`, a plain value: `dataclasses.replace` makes the wrong ones.
"""

from __future__ import annotations

import base64
import datetime
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID

from devkit.offline.authority import CODE_SIGNING, Extension, key_usage, to_der, to_pem
from devkit.offline.keys import HASHES, Hash, hash_name, key_pair, public
from devkit.offline.windows import Window, base64_text, rfc3339
from devkit.signer import MANIFEST, Upload, sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from devkit.signer import Kind, Signer

SIGNATURE = "application/vnd.cncf.notary.signature"
JWS = "application/jose+json"
COSE = "application/cose"
PAYLOAD = "application/vnd.cncf.notary.payload.v1+json"
PREFIX = "io.cncf.notary."

Scheme = Literal["notary.x509", "notary.x509.signingAuthority"]

SUBJECT: Mapping[str, str] = {"C": "US", "ST": "WA", "O": "wabbit-networks.io", "CN": "secure builder"}

_NAMES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "emailAddress": NameOID.EMAIL_ADDRESS,
}
_ALGORITHMS: dict[str, tuple[str, int, hashes.HashAlgorithm]] = {
    "p256": ("ES256", -7, hashes.SHA256()),
    "p384": ("ES384", -35, hashes.SHA384()),
    "p521": ("ES512", -36, hashes.SHA512()),
    "rsa2048": ("PS256", -37, hashes.SHA256()),
    "rsa3072": ("PS384", -38, hashes.SHA384()),
    "rsa4096": ("PS512", -39, hashes.SHA512()),
}


def name(attributes: Mapping[str, str] | Sequence[tuple[str, str]]) -> x509.Name:
    """A distinguished name from short attribute types, in this order."""
    pairs = attributes if isinstance(attributes, list | tuple) else dict(attributes).items()
    return x509.Name([x509.NameAttribute(_NAMES[kind], value) for kind, value in pairs])


def authority_extensions(path_length: int | None = None) -> tuple[Extension, ...]:
    """What a certificate authority's certificate must have."""
    return (x509.BasicConstraints(ca=True, path_length=path_length), True), key_usage("key_cert_sign", "crl_sign")


def leaf_extensions() -> tuple[Extension, ...]:
    """What a signing certificate usually has."""
    return key_usage("digital_signature"), (x509.ExtendedKeyUsage([CODE_SIGNING]), False)


def issue(
    subject: x509.Name,
    key: Signer,
    issuer: x509.Name,
    issuer_key: Signer,
    window: Window,
    extensions: Sequence[Extension],
    algorithm: Hash | None = None,
) -> x509.Certificate:
    """Any certificate."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public(key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(_moment(window.start))
        .not_valid_after(_moment(window.final))
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical=critical)
    if issuer_key.kind == "ed25519":
        return builder.sign(issuer_key.private, None)
    return builder.sign(issuer_key.private, algorithm or HASHES[hash_name(issuer_key)])


@dataclass(frozen=True)
class Notary:
    """A signing certificate with its key, and the certificates above it, the root last."""

    chain: tuple[x509.Certificate, ...]
    key: Signer = field(repr=False)

    @classmethod
    def create(
        cls,
        window: Window,
        *,
        kind: Kind = "p256",
        authorities: int = 1,
        authority_kind: Kind = "p256",
        subject: Mapping[str, str] | Sequence[tuple[str, str]] = SUBJECT,
        leaf: Sequence[Extension] | None = None,
        leaf_window: Window | None = None,
        authority: Sequence[Extension] | None = None,
        more: Sequence[Extension] = (),
    ) -> Notary:
        """A chain with so many `authorities` above the leaf; with none, the leaf signs itself. `leaf` and `authority`
        take the place of the usual extensions, `more` are further ones of the leaf."""
        key = key_pair(kind)
        extensions = [*(leaf_extensions() if leaf is None else leaf), *more]
        subject_name, span = name(subject), leaf_window or window
        if not authorities:
            return cls((issue(subject_name, key, subject_name, key, span, extensions),), key)
        above: list[x509.Certificate] = []
        issuer_key = key
        for number in range(authorities):
            own, called = key_pair(authority_kind), name({"C": "US", "ST": "WA", "O": "notary", "CN": f"CA {number}"})
            issuer, by = (above[0].subject, issuer_key) if above else (called, own)
            usual = authority_extensions() if authority is None else authority
            above.insert(0, issue(called, own, issuer, by, window, usual))
            issuer_key = own
        return cls((issue(subject_name, key, above[0].subject, issuer_key, span, extensions), *above), key)

    @property
    def root(self) -> x509.Certificate:
        return self.chain[-1]

    def root_pem(self) -> bytes:
        """What goes into an entry `<name>.crt` of the Secret."""
        return to_pem(self.root).encode()

    def sign(self, order: Order, media_type: str = JWS) -> bytes:
        """The envelope."""
        return self.cose(order) if media_type == COSE else self.jws(order)

    def jws(self, order: Order) -> bytes:
        """Flattened JWS JSON serialization."""
        algorithm = order.algorithm or _ALGORITHMS[self.key.kind][0]
        protected = {"alg": algorithm, "cty": order.content_type, **order.attributes(rfc3339)}
        if order.critical() is not None:
            protected["crit"] = order.critical()
        message = f"{_base64url(_json(protected))}.{_base64url(order.payload())}"
        signature = self.primitive(message.encode())
        header: dict[str, Any] = {
            "x5c": [base64_text(to_der(each)) for each in order.chain or self.chain],
            PREFIX + "signingAgent": "devkit/1.0",
        }
        if order.timestamp is not None:
            header[PREFIX + "timestampSignature"] = base64_text(order.timestamp(signature))
        head, payload = message.split(".")
        return _json({"payload": payload, "protected": head, "header": header, "signature": _base64url(signature)})

    def cose(self, order: Order) -> bytes:
        """COSE_Sign1_Tagged."""
        protected: dict[Any, Any] = {
            1: int(order.algorithm or _ALGORITHMS[self.key.kind][1]),
            3: order.content_type,
            **order.attributes(lambda seconds: cbor2.CBORTag(1, int(seconds))),
        }
        if order.critical() is not None:
            protected[2] = order.critical()
        head, payload = cbor2.dumps(protected, canonical=True), order.payload()
        signature = self.primitive(cbor2.dumps(["Signature1", head, b"", payload]))
        header: dict[Any, Any] = {
            33: [to_der(each) for each in order.chain or self.chain],
            PREFIX + "signingAgent": "devkit/1.0",
        }
        if order.timestamp is not None:
            header[PREFIX + "timestampSignature"] = order.timestamp(signature)
        return cbor2.dumps(cbor2.CBORTag(18, [head, header, payload, signature]))

    def primitive(self, message: bytes) -> bytes:
        """The signature over the message, as JWS and COSE both have it."""
        _, _, algorithm = _ALGORITHMS[self.key.kind]
        private = self.key.private
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(message, padding.PSS(padding.MGF1(algorithm), algorithm.digest_size), algorithm)
        assert isinstance(private, ec.EllipticCurvePrivateKey)
        size = (private.curve.key_size + 7) // 8
        r, s = decode_dss_signature(private.sign(message, ec.ECDSA(algorithm)))
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


@dataclass(frozen=True)
class Order:
    """What to sign, and how. Times in Unix seconds. `more` are further signed attributes, `mark` are marked critical
    beside (or, with `unmark`, not) those that must be. `timestamp` makes the countersignature over the signature."""

    media_type: str
    digest: str
    size: int
    at: float
    expiry: float | None = None
    scheme: str = "notary.x509"
    content_type: str | None = PAYLOAD
    annotations: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[Any, Any] = field(default_factory=dict)
    leave_out: tuple[str, ...] = ()
    mark: tuple[Any, ...] = ()
    unmark: tuple[str, ...] = ()
    algorithm: Any = None
    chain: tuple[x509.Certificate, ...] = ()
    raw_payload: bytes | None = None
    timestamp: Callable[[bytes], bytes] | None = None

    def payload(self) -> bytes:
        if self.raw_payload is not None:
            return self.raw_payload
        target: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            target["annotations"] = dict(self.annotations)
        return _json({"targetArtifact": target})

    def attributes(self, time: Callable[[float], Any]) -> dict[Any, Any]:
        """The signed ones by name; `time` writes times."""
        kind = "signingTime" if self.scheme == "notary.x509" else "authenticSigningTime"
        found: dict[Any, Any] = {PREFIX + "signingScheme": self.scheme, PREFIX + kind: time(self.at)}
        if self.expiry is not None:
            found[PREFIX + "expiry"] = time(self.expiry)
        for key, value in self.more.items():
            found[key] = time(value) if isinstance(value, float) else value
        return {key: value for key, value in found.items() if key not in self.leave_out}

    def critical(self) -> list[Any] | None:
        """The list `crit`, None for none."""
        must = [PREFIX + "signingScheme"]
        if self.scheme != "notary.x509":
            must.append(PREFIX + "authenticSigningTime")
        if self.expiry is not None:
            must.append(PREFIX + "expiry")
        return [one for one in must if one not in self.unmark] + list(self.mark) or None


def referrer(subject: Order, envelope: bytes, media_type: str = JWS) -> Upload:
    """The manifest that ties an envelope to what the order is about. Its type is that of the config, which registries
    with and without OCI 1.1 list alike."""
    empty = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": SIGNATURE, "digest": sha256(empty), "size": len(empty)},
        "layers": [{"mediaType": media_type, "digest": sha256(envelope), "size": len(envelope)}],
        "subject": {"mediaType": subject.media_type, "digest": subject.digest, "size": subject.size},
        "annotations": {PREFIX + "x509chain.thumbprint#S256": "[]"},
    }
    content = _json(manifest)
    return Upload(sha256(content), MANIFEST, content, (empty, envelope))


def trust_policy(
    *statements: Mapping[str, Any],
    level: str = "strict",
    scopes: Sequence[str] = ("*",),
    stores: Sequence[str] = ("ca:store",),
    identities: Sequence[str] = ("*",),
    **verification: Any,
) -> bytes:
    """A `trustpolicy.json` with these statements, or with one that the rest describes."""
    one = {
        "name": "statement",
        "registryScopes": list(scopes),
        "signatureVerification": {"level": level, **verification},
        "trustStores": list(stores),
        "trustedIdentities": list(identities),
    }
    return _json({"version": "1.0", "trustPolicies": list(statements) or [one]})


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode("ascii").rstrip("=")


def _moment(seconds: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)
