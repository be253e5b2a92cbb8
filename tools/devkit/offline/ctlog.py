"""A certificate transparency log that signs whatever it is shown (RFC 6962)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from devkit.offline import der
from devkit.offline.keys import digest, hash_name, key_details, key_pair, spki
from devkit.offline.windows import Window, base64_text, valid_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devkit.signer import Kind, Signer

SCT_LIST = "1.3.6.1.4.1.11129.2.4.2"

_HASHES = {"sha256": 4, "sha384": 5, "sha512": 6}  # RFC 5246 section 7.4.1.4.1
_SIGNATURES = {"p": 3, "r": 1, "e": 7}  # ecdsa, rsa; ed25519 as of RFC 8422

SctMaker = Callable[[bytes, bytes], bytes]
"""From the TBSCertificate and the SHA-256 of the issuer's public key to a serialized SCT."""


@dataclass(frozen=True)
class CTLog:
    """A log with its key. `claimed` makes it pose as the log of that id."""

    key: Signer = field(repr=False)
    window: Window
    url: str = "https://ct.offline.example"
    claimed: bytes | None = None

    @classmethod
    def create(cls, window: Window, kind: Kind = "p256", url: str = "https://ct.offline.example") -> CTLog:
        return cls(key_pair(kind), window, url)

    @property
    def log_id(self) -> bytes:
        """RFC 6962 section 3.2: the SHA-256 of the DER public key."""
        return self.claimed or digest("sha256", spki(self.key))

    def sct(self, tbs: bytes, issuer_key_hash: bytes, at: float, extensions: bytes = b"") -> bytes:
        """The serialized SCT of a precertificate entry (RFC 6962 section 3.2), issued at `at`."""
        stamp = struct.pack("!Q", int(at * 1000))
        suffix = _vector(2, extensions)
        # version v1, certificate_timestamp, time, precert_entry
        message = b"\0\0" + stamp + b"\0\1" + issuer_key_hash + _vector(3, tbs) + suffix
        scheme = bytes([_HASHES[hash_name(self.key)], _SIGNATURES[self.key.kind[0]]])
        return b"\0" + self.log_id + stamp + suffix + scheme + _vector(2, self.key.sign(message))

    def at(self, moment: float) -> SctMaker:
        """For `Authority.issue`: makes an SCT of that moment."""
        return lambda tbs, issuer_key_hash: self.sct(tbs, issuer_key_hash, moment)

    def document(self) -> dict[str, Any]:
        """Its entry in trusted_root.json."""
        return log_document(self.url, self.key, self.window, self.log_id)


def sct_list(scts: Sequence[bytes]) -> bytes:
    """The extension's value: an OCTET STRING around a SignedCertificateTimestampList (RFC 6962 section 3.3)."""
    return der.octets(_vector(2, b"".join(_vector(2, each) for each in scts)))


def log_document(url: str, key: Signer, window: Window, log_id: bytes) -> dict[str, Any]:
    """A TransparencyLogInstance of trusted_root.json."""
    return {
        "baseUrl": url,
        "hashAlgorithm": "SHA2_256",
        "publicKey": {
            "rawBytes": base64_text(spki(key)),
            "keyDetails": key_details(key),
            "validFor": valid_for(window),
        },
        "logId": {"keyId": base64_text(log_id)},
    }


def _vector(width: int, content: bytes) -> bytes:
    """A TLS vector with a length of `width` bytes."""
    return len(content).to_bytes(width, "big") + content
