"""The JWS envelope of Notation (`signature-envelope-jws.md`): flattened JSON serialization (RFC 7515, 7.2.2)."""

from __future__ import annotations

import base64
import datetime
import re
from typing import Any

from ocisource.trust.notation.envelope import TIMES, TIMESTAMP, Envelope
from ocisource.trust.wire import RefusedError, decode_base64, decode_object, member, quoted

_MEMBERS = {"payload", "protected", "header", "signature"}
# RFC 3339 section 5.6, in upper case; fractions of a second are allowed, if discouraged.
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def read_jws(content: bytes) -> Envelope:
    """The parts of the envelope, not yet held against each other. Raises RefusedError."""
    fields = decode_object(content, "envelope")
    if fields.keys() != _MEMBERS:
        raise RefusedError("envelope is no flattened JWS (payload, protected, header, signature)")
    protected = decode_object(_decode_base64url(fields["protected"], "protected header"), "protected header")
    algorithm = protected.pop("alg", None)
    if not isinstance(algorithm, str):
        raise RefusedError("protected header's alg is missing or not text")
    content_type, critical = protected.pop("cty", None), protected.pop("crit", None)
    for name in TIMES:
        if name in protected:
            protected[name] = _seconds(protected[name], name)
    header = member(fields, "header", "envelope's header")
    return Envelope(
        algorithm,
        content_type,
        critical,
        protected,
        payload=_decode_base64url(fields["payload"], "payload"),
        message=f"{fields['protected']}.{fields['payload']}".encode("ascii"),
        signature=_decode_base64url(fields["signature"], "signature"),
        chain=_chain(header),
        timestamp=decode_base64(header[TIMESTAMP], f"header's {TIMESTAMP}") if TIMESTAMP in header else b"",
    )


def _chain(header: dict[str, Any]) -> tuple[bytes, ...]:
    chain = header.get("x5c")
    if not isinstance(chain, list):
        raise RefusedError("header's x5c (the certificate chain) is missing or no list")
    return tuple(decode_base64(each, "certificate in header's x5c") for each in chain)


def _decode_base64url(value: object, name: str) -> bytes:
    """RFC 7515 section 2: the URL-safe alphabet without padding, canonical."""
    if not isinstance(value, str):
        raise RefusedError(f"{name} is not text")
    try:
        decoded = base64.urlsafe_b64decode(value + "==")  # more than enough is passed over
    except ValueError:  # binascii.Error is one
        raise RefusedError(f"{name} is not base64url") from None
    # The decoder is lenient; only what encodes to itself was canonical.
    if not decoded or base64.urlsafe_b64encode(decoded).decode("ascii").rstrip("=") != value:
        raise RefusedError(f"{name} is empty or not base64url")
    return decoded


def _seconds(value: object, name: str) -> float:
    try:
        if not isinstance(value, str) or not _TIME.fullmatch(value):
            raise ValueError
        return datetime.datetime.fromisoformat(value).timestamp()
    except ValueError:
        raise RefusedError(f"attribute {name} {quoted(value)} is no time (RFC 3339)") from None
