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

# Without a dash in between: a search that failed at one beginning goes on at the next.
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")
_BLOCK = re.compile(rb"^-----BEGIN ([A-Z0-9 ]+)-----", re.MULTILINE)

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
    if certificate and (problem := _no_certificate(_blocks(certificate)) or _no_key(_blocks(key))):
        raise SecretError(f"failed to parse TLS certificate and key: tls: {problem}")
    authorities = tuple(_CERTIFICATE.findall(authority))
    if authority and not authorities:
        raise SecretError("failed to parse CA certificate")
    return TLS(_digest(certificate, key, *authorities), authorities, certificate, key)


def _blocks(pem: bytes) -> list[str]:
    """What the PEM blocks are called."""
    return [label.decode("ascii") for label in _BLOCK.findall(pem)]


def _no_certificate(blocks: list[str]) -> str:
    """Why there is no certificate among the blocks, as Go's crypto/tls says it; "" if there is one."""
    if "CERTIFICATE" in blocks:
        return ""
    if not blocks:
        return "failed to find any PEM data in certificate input"
    if len(blocks) == 1 and blocks[0].endswith("PRIVATE KEY"):
        found = "but did find a private key; PEM inputs may have been switched"
        return f"failed to find certificate PEM data in certificate input, {found}"
    skipped = f"after skipping PEM blocks of the following types: [{' '.join(blocks)}]"
    return f'failed to find "CERTIFICATE" PEM block in certificate input {skipped}'


def _no_key(blocks: list[str]) -> str:
    """The same of a private key."""
    if any(label.endswith("PRIVATE KEY") for label in blocks):
        return ""
    if not blocks:
        return "failed to find any PEM data in key input"
    if blocks == ["CERTIFICATE"]:
        return "found a certificate rather than a key in the PEM for the private key"
    skipped = f"after skipping PEM blocks of the following types: [{' '.join(blocks)}]"
    return f'failed to find PEM block with type ending in "PRIVATE KEY" in key input {skipped}'


def _digest(*parts: bytes) -> str:
    """One digest for all parts, each with its length, so that no two lists of parts are the same text."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
