"""A timestamp authority (RFC 3161): tokens are CMS SignedData (RFC 5652) around a TSTInfo.

`TimestampAuthority.timestamp` makes a good response. The pieces below it (`tst_info`, `signed_data`, `response`) make
the others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509

from devkit.offline import der
from devkit.offline.authority import TIME_STAMPING, Authority, certificate, key_usage, to_der
from devkit.offline.keys import digest, hash_name, key_pair

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509.oid import ObjectIdentifier

    from devkit.offline.windows import Window
    from devkit.signer import Kind, Signer

TST_INFO = "1.2.840.113549.1.9.16.1.4"
SIGNED_DATA = "1.2.840.113549.1.7.2"
POLICY = "1.3.6.1.4.1.57264.2"

_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE_V2 = "1.2.840.113549.1.9.16.2.47"
_HASHES = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_ECDSA = {"sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3", "sha512": "1.2.840.10045.4.3.4"}
_RSA = {"sha256": "1.2.840.113549.1.1.11"}


@dataclass(frozen=True)
class TimestampAuthority:
    """A certificate for timestamps with its key, and its chain to the root. `window` is trusted_root.json's."""

    chain: tuple[x509.Certificate, ...]
    key: Signer = field(repr=False)
    window: Window
    uri: str = "https://tsa.offline.example/api/v1/timestamp"

    @classmethod
    def create(
        cls,
        window: Window,
        *,
        kind: Kind = "p256",
        authorities: Sequence[Kind] = ("p256",),
        leaf_window: Window | None = None,
        usages: tuple[ObjectIdentifier, ...] | None = (TIME_STAMPING,),
        critical: bool = True,
        name: str = "offline TSA",
    ) -> TimestampAuthority:
        """A leaf below a root (and intermediates for further `authorities`). RFC 3161 section 2.3: the extended key
        usage is critical and only timeStamping."""
        above = Authority.create(window, kinds=authorities, name=name, usages=(TIME_STAMPING,))
        key = key_pair(kind)
        extensions = [key_usage("digital_signature")]
        if usages is not None:
            extensions.append((x509.ExtendedKeyUsage(usages), critical))
        leaf = certificate(name, key, above.issuing.subject, above.key, leaf_window or window, extensions)
        return cls((leaf, *above.chain), key, window)

    def timestamp(
        self,
        message: bytes,
        at: float,
        *,
        hash_: str = "sha256",
        embed: Sequence[x509.Certificate] = (),
        nonce: int | None = None,
    ) -> bytes:
        """The DER TimeStampResp over the message (for Sigstore, the raw signature). `embed` puts certificates into
        the token."""
        return response(signed_data(tst_info(message, at, hash_=hash_, nonce=nonce), self.chain[0], self.key, embed))

    def document(self) -> dict[str, Any]:
        """Its entry in trusted_root.json."""
        return Authority(self.chain, self.key, self.window, self.uri).document()


def tst_info(
    message: bytes,
    at: float,
    *,
    hash_: str = "sha256",
    serial: int = 1,
    nonce: int | None = None,
    policy: str = POLICY,
    version: int = 1,
) -> bytes:
    """RFC 3161 section 2.4.2."""
    return der.sequence(
        der.integer(version),
        der.oid(policy),
        der.sequence(_hash_identifier(hash_), der.octets(digest(hash_, message))),
        der.integer(serial),
        der.generalized_time(at),
        *([] if nonce is None else [der.integer(nonce)]),
    )


def signed_attributes(
    content: bytes, signer: x509.Certificate, hash_: str, content_type: str = TST_INFO
) -> list[bytes]:
    """What a timestamp's signature is over: content type, message digest and the signer's ESSCertIDv2 (RFC 5816)."""
    certificate_hash = der.octets(digest("sha256", to_der(signer)))
    return [
        _attribute(_CONTENT_TYPE, der.oid(content_type)),
        _attribute(_MESSAGE_DIGEST, der.octets(digest(hash_, content))),
        _attribute(_SIGNING_CERTIFICATE_V2, der.sequence(der.sequence(der.sequence(certificate_hash)))),
    ]


def signed_data(
    content: bytes,
    signer: x509.Certificate,
    key: Signer,
    embed: Sequence[x509.Certificate] = (),
    *,
    content_type: str = TST_INFO,
    attributes: Sequence[bytes] | None = None,
    signers: int = 1,
) -> bytes:
    """A ContentInfo with SignedData: `key` signs in the name of the certificate `signer`. Other signed `attributes`
    may be given; `signers` is how often the signer stands in it (RFC 3161 wants one)."""
    hash_ = hash_name(key)
    signed = signed_attributes(content, signer, hash_, content_type) if attributes is None else attributes
    info = der.sequence(
        der.integer(1),
        der.sequence(signer.issuer.public_bytes(), der.integer(signer.serial_number)),
        _hash_identifier(hash_),
        der.explicit(0, *sorted(signed)),
        _signature_identifier(key),
        # RFC 5652 section 5.4: signed is the attributes' SET OF, not their implicit tag.
        der.octets(key.sign(der.set_of(*signed))),
    )
    data = der.sequence(
        der.integer(3),
        der.set_of(_hash_identifier(hash_)),
        der.sequence(der.oid(content_type), der.explicit(0, der.octets(content))),
        *([der.explicit(0, *(to_der(each) for each in embed))] if embed else []),
        der.set_of(*([info] * signers)),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.explicit(0, data))


def response(token: bytes, status: int = 0) -> bytes:
    """A TimeStampResp: status 0 is "granted", 1 "granted with modifications", 2 "rejection"."""
    return der.sequence(der.sequence(der.integer(status)), token)


def _attribute(kind: str, value: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of(value))


def _hash_identifier(name: str) -> bytes:
    return der.sequence(der.oid(_HASHES[name]), der.null())


def _signature_identifier(key: Signer) -> bytes:
    if key.kind == "ed25519":
        return der.sequence(der.oid("1.3.101.112"))
    if key.kind.startswith("rsa"):
        return der.sequence(der.oid(_RSA[hash_name(key)]), der.null())
    return der.sequence(der.oid(_ECDSA[hash_name(key)]))
