"""Signs artifacts as cosign does, in both formats, without cosign: for tests, the bench and `make run`.

Written against cosign v3.1.3, whose `cosign verify --key` accepts what this makes (on P-384 and P-521 with
`always_sha256` only: cosign signs with the curve's own hash, but does not verify that by itself). It shares no code
with the operator, so that neither repeats the other's mistakes. Keys live in memory and are for play.

    signer = Signer.generate("p256")
    legacy_image(digest, [signer.legacy(digest)]).push(put_blob, put_manifest)
    referrer(digest, size, signer.bundle(digest)).push(put_blob, put_manifest)
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Kind = Literal["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096", "ed25519"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
IN_TOTO = "application/vnd.in-toto+json"
SIGN_PREDICATE = "https://sigstore.dev/cosign/sign/v1"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_CURVES: dict[str, ec.EllipticCurve] = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
_OWN_HASH: dict[str, hashes.HashAlgorithm] = {"p384": hashes.SHA384(), "p521": hashes.SHA512()}


def sha256(content: bytes) -> str:
    """The OCI digest of the content."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


class LegacyLayer(NamedTuple):
    """One layer of the image at `sha256-<hex>.sig`."""

    payload: bytes
    annotations: Mapping[str, str]

    def descriptor(self) -> dict[str, Any]:
        """The layer as its manifest names it."""
        return {
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
            "size": len(self.payload),
            "digest": sha256(self.payload),
            "annotations": dict(self.annotations),
        }


@dataclass(frozen=True)
class Upload:
    """A manifest and the blobs it needs. `reference` is the tag or the digest to put it at."""

    reference: str
    media_type: str
    manifest: bytes
    blobs: tuple[bytes, ...] = ()

    @property
    def digest(self) -> str:
        return sha256(self.manifest)

    def push(self, put_blob: Callable[[bytes], object], put_manifest: Callable[[str, str, bytes], object]) -> None:
        """`put_blob(content)` for each blob, then `put_manifest(reference, media_type, content)`."""
        for blob in self.blobs:
            put_blob(blob)
        put_manifest(self.reference, self.media_type, self.manifest)


@dataclass(frozen=True)
class Signer:
    """A key pair. With `always_sha256`, P-384 and P-521 sign SHA-256 as cosign v2 does; otherwise their own hash,
    as cosign v3 does. Ed25519 is pure."""

    private: PrivateKey = field(repr=False)
    kind: Kind = "p256"
    always_sha256: bool = False

    @classmethod
    def generate(cls, kind: Kind = "p256", *, always_sha256: bool = False) -> Signer:
        """A new key pair. RSA from 3072 bits takes up to seconds."""
        private: PrivateKey
        if kind in _CURVES:
            private = ec.generate_private_key(_CURVES[kind])
        elif kind == "ed25519":
            private = ed25519.Ed25519PrivateKey.generate()
        else:
            private = rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))
        return cls(private, kind, always_sha256)

    def public_pem(self) -> bytes:
        """What goes into an entry `<name>.pub` of the Secret."""
        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def hint(self) -> str:
        """How a bundle names the key: base64 of the SHA-256 of its DER SubjectPublicKeyInfo."""
        der = self.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return base64.b64encode(hashlib.sha256(der).digest()).decode("ascii")

    def sign(self, message: bytes) -> bytes:
        """The raw signature over the message."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        sha = hashes.SHA256() if self.always_sha256 else _OWN_HASH.get(self.kind, hashes.SHA256())
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, padding.PKCS1v15(), sha)
        return self.private.sign(message, ec.ECDSA(sha))

    def legacy(self, digest: str, docker_reference: str = "registry.example/app") -> LegacyLayer:
        """The legacy signature of `digest`."""
        return self.legacy_over(signing_payload(digest, docker_reference))

    def legacy_over(self, payload: bytes) -> LegacyLayer:
        """The legacy signature over any payload, well formed or not."""
        signature = base64.b64encode(self.sign(payload)).decode("ascii")
        return LegacyLayer(payload, {"dev.cosignproject.cosign/signature": signature})

    def bundle(self, digest: str, predicate_type: str = SIGN_PREDICATE) -> bytes:
        """The Sigstore bundle that signs `digest`, or that holds another attestation about it."""
        return self.bundle_over(statement(digest, predicate_type))

    def bundle_over(self, payload: bytes, payload_type: str = IN_TOTO) -> bytes:
        """A bundle around any payload, well formed or not."""
        kind = payload_type.encode("utf-8")
        encoded = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        return to_json(
            {
                "mediaType": BUNDLE,
                "verificationMaterial": {"publicKey": {"hint": self.hint}},
                "dsseEnvelope": {
                    "payload": base64.b64encode(payload).decode("ascii"),
                    "payloadType": payload_type,
                    "signatures": [{"sig": base64.b64encode(self.sign(encoded)).decode("ascii")}],
                },
            }
        )


def signing_payload(digest: str, docker_reference: str) -> bytes:
    """What a legacy signature is over."""
    return to_json(
        {
            "critical": {
                "identity": {"docker-reference": docker_reference},
                "image": {"docker-manifest-digest": digest},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )


def statement(digest: str, predicate_type: str = SIGN_PREDICATE) -> bytes:
    """The in-toto statement that a bundle carries."""
    algorithm, _, value = digest.partition(":")
    return to_json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: value}, "annotations": {}}],
            "predicateType": predicate_type,
            "predicate": {},
        }
    )


def legacy_image(digest: str, layers: Sequence[LegacyLayer]) -> Upload:
    """The image at `sha256-<hex>.sig` that holds the layers, in their order."""
    diffs = [sha256(layer.payload) for layer in layers]
    config = to_json({"architecture": "", "os": "", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}})
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
        "layers": [layer.descriptor() for layer in layers],
    }
    blobs = dict.fromkeys([config, *(layer.payload for layer in layers)])
    return Upload(digest.replace(":", "-", 1) + ".sig", MANIFEST, to_json(manifest), tuple(blobs))


def referrer(digest: str, size: int, bundle: bytes, subject_type: str = MANIFEST) -> Upload:
    """The manifest that ties a bundle to its subject, the manifest of `size` bytes at `digest`."""
    empty = b"{}"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BUNDLE,
        "config": _descriptor("application/vnd.oci.empty.v1+json", empty),
        "layers": [_descriptor(BUNDLE, bundle)],
        "annotations": {
            "dev.sigstore.bundle.content": "dsse-envelope",
            "dev.sigstore.bundle.predicateType": SIGN_PREDICATE,
        },
        "subject": {"mediaType": subject_type, "size": size, "digest": digest},
    }
    content = to_json(manifest)
    return Upload(sha256(content), MANIFEST, content, (empty, bundle))


def referrers_index(digest: str, referrers: Sequence[Upload]) -> Upload:
    """The index at tag `sha256-<hex>`, where a registry has no referrers API (OCI distribution-spec, referrers tag
    schema). The referrers themselves are pushed on their own."""
    manifests = [_descriptor(MANIFEST, one.manifest) | {"artifactType": BUNDLE} for one in referrers]
    content = to_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})
    return Upload(digest.replace(":", "-", 1), INDEX, content)


def to_json(value: object) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(content), "digest": sha256(content)}
