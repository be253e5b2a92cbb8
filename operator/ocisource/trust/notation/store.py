"""The certificates that a Secret trusts: its `*.crt` and `*.pem` entries (flux-compat H7)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ocisource.domain.errors import TrustError
from ocisource.trust.chains import read_certificate
from ocisource.trust.wire import quoted

SUFFIXES = (".crt", ".pem")

_BEGIN = re.compile(rb"-----BEGIN ([^\r\n-]*)-----")
_LABEL = b"CERTIFICATE"


def read_certificates(secret: str, data: Mapping[str, bytes]) -> tuple[x509.Certificate, ...]:
    """Every certificate of the entries, each once: all PEM blocks of an entry, or one certificate in DER.

    Raises TrustError, naming the entry, where one is empty or holds anything else (signatures.md rule 9).
    """
    entries = sorted(name for name in data if name.endswith(SUFFIXES))
    if not entries:
        raise TrustError(f"no certificates found in secret '{secret}'")
    found: dict[x509.Certificate, None] = {}
    for entry in entries:
        try:
            found.update(dict.fromkeys(_read_entry(data[entry])))
        except _BadEntryError as bad:
            raise TrustError(f"secret {quoted(secret)} entry {quoted(entry)}: {bad}") from None
    return tuple(found)


class _BadEntryError(Exception):
    """What is wrong with an entry. Never quotes its content: it might be a private key."""


def _read_entry(content: bytes) -> list[x509.Certificate]:
    if not content.strip():
        raise _BadEntryError("it is empty; put a PEM certificate there")
    labels = _BEGIN.findall(content)
    for label in labels:
        if label.endswith(b"PRIVATE KEY"):
            raise _BadEntryError("it holds a private key; take it out, and leave certificates in")
        if label != _LABEL:
            raise _BadEntryError(f"it holds {quoted(label.decode('latin-1'))}, not only certificates")
    try:
        loaded = x509.load_pem_x509_certificates(content) if labels else [x509.load_der_x509_certificate(content)]
        # All of each is read now: what cannot be read is told of the Secret, not of every signature.
        found = [read_certificate(each.public_bytes(Encoding.DER), "certificate") for each in loaded]
    except Exception:  # noqa: BLE001 - the parser has many ways to complain, and not all are documented
        raise _BadEntryError("not a PEM certificate (or one in DER) that can be read") from None
    if labels and len(found) != len(labels):
        raise _BadEntryError("one of its PEM certificates is not whole")
    return found
