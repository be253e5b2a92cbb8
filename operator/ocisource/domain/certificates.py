"""What a certificate Secret holds: authorities to trust beside the system's, and who we are (flux-compat E7, C8).

Pure: the Secret comes in as data. Whether certificate and key fit each other is told when they are loaded.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocisource.domain.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Mapping

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")

# Each key, and the older name that stands in for it.
_KEYS = (("tls.crt", "certFile"), ("tls.key", "keyFile"), ("ca.crt", "caFile"))


@dataclass(frozen=True)
class TLS:
    """PEM material for the connections of one object: `authorities` extend the system's roots, `certificate` and `key`
    are shown to servers that ask. Each may be empty, the last two together.

    Two are equal if their content is: `identity` is its digest.
    """

    identity: str
    authorities: tuple[bytes, ...] = field(default=(), repr=False, compare=False)
    certificate: bytes = field(default=b"", repr=False, compare=False)
    key: bytes = field(default=b"", repr=False, compare=False)


def parse_certificates(secret: str, data: Mapping[str, bytes]) -> TLS:
    """The TLS material in the data of a Secret, called `secret` (namespace/name) in messages.

    Raises SecretError with the texts that clients know (flux-compat C8); they never hold any of the content.
    """
    certificate, key, authority = (data[name] if name in data else data.get(older, b"") for name, older in _KEYS)
    if bool(certificate) != bool(key):
        there, missing = ("tls.crt", "tls.key") if certificate else ("tls.key", "tls.crt")
        raise SecretError(f"secret '{secret}' contains '{there}' but missing '{missing}'")
    if not certificate and not authority:
        raise SecretError(f"secret '{secret}' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'")
    if certificate and not _CERTIFICATE.search(certificate):
        raise SecretError(
            "failed to parse TLS certificate and key: tls: failed to find any PEM data in certificate input"
        )
    if key and not _KEY.search(key):
        raise SecretError("failed to parse TLS certificate and key: tls: failed to find any PEM data in key input")
    authorities = tuple(_CERTIFICATE.findall(authority))
    if authority and not authorities:
        raise SecretError("failed to parse CA certificate")
    return TLS(_digest(certificate, key, *authorities), authorities, certificate, key)


def _digest(*parts: bytes) -> str:
    """One digest for all parts, each with its length, so that no two lists of parts are the same text."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
