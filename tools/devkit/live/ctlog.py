"""A certificate transparency log that Fulcio can submit to: the one call of RFC 6962 that it makes.

It keeps no tree, since nobody asks this one for proofs: what counts here is the SCT that ends up in the certificate.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devkit.live.loopback import NOT_FOUND, Answer, Loopback
from devkit.offline import der

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.offline.ctlog import CTLog

_POISON = der.oid("1.3.6.1.4.1.11129.2.4.3")
_SIGNATURE_AT = 1 + 32 + 8 + 2  # version, log id, timestamp, no extensions


class CTLogServer(Loopback):
    """`log` at `url`, while the context lasts."""

    def __init__(self, log: CTLog) -> None:
        super().__init__()
        self._log = log

    def answer(self, method: str, path: str, body: bytes, /) -> Answer:
        if (method, path) != ("POST", "/ct/v1/add-pre-chain"):
            return NOT_FOUND
        precertificate, issuer, *_ = (base64.b64decode(each) for each in json.loads(body)["chain"])
        moment = int(time.time())
        sct = self._log.sct(without_poison(precertificate), _key_hash(issuer), moment)
        return Answer(  # RFC 6962, section 4.1
            200,
            {
                "sct_version": 0,
                "id": base64.b64encode(self._log.log_id).decode(),
                "timestamp": moment * 1000,
                "extensions": "",
                "signature": base64.b64encode(sct[_SIGNATURE_AT:]).decode(),
            },
        )


def without_poison(precertificate: bytes) -> bytes:
    """The DER TBSCertificate of a precertificate as its SCT is over it: without the poison extension (RFC 6962,
    section 3.2). The extensions are the last of the members, under the tag [3]."""
    ((_, certificate),) = _members(precertificate)
    (_, tbs), *_ = _members(certificate)
    *others, (tag, extensions) = list(_members(tbs))
    if tag != 0xA3:
        raise ValueError("the precertificate has no extensions")
    ((_, listed),) = _members(extensions)
    kept = [(kind, each) for kind, each in _members(listed) if not each.startswith(_POISON)]
    rest = der.sequence(*(der.tlv(kind, each) for kind, each in kept))
    return der.sequence(*(der.tlv(kind, each) for kind, each in others), der.explicit(3, rest))


def _members(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The tags and contents that stand one after the other in the DER."""
    at = 0
    while at < len(content):
        tag, size = content[at], content[at + 1]
        at += 2
        if size & 0x80:
            width = size & 0x7F
            size = int.from_bytes(content[at : at + width], "big")
            at += width
        yield tag, content[at : at + size]
        at += size


def _key_hash(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
