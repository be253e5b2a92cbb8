"""A signature with what it is over and the certificate of its key: what logs and timestamps are about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devkit.offline.windows import base64_text


@dataclass(frozen=True)
class Sealed:
    """A signature over a payload as it is, or with a `payload_type` over the DSSE pre-authentication encoding.

    Log entries say `hash` of it in Rekor v1, `logged_as` (hash and key details) in Rekor v2."""

    payload: bytes
    payload_type: str | None
    signature: bytes
    certificate: bytes
    hash: str
    logged_as: tuple[str, str]

    @property
    def message(self) -> bytes:
        """What the signature is over."""
        return self.payload if self.payload_type is None else pre_authentication(self.payload, self.payload_type)

    def envelope(self) -> dict[str, Any]:
        """The DSSE envelope."""
        return {
            "payload": base64_text(self.payload),
            "payloadType": self.payload_type or "",
            "signatures": [{"sig": base64_text(self.signature)}],
        }


def pre_authentication(payload: bytes, payload_type: str) -> bytes:
    """DSSE protocol, "PAE"."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
