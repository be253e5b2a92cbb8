"""Who may sign: distinguished names in a trust policy, held against the subject of a certificate.

Notary Project, `trust-store-trust-policy.md`, "Trusted Identities Constraints"; the text form is RFC 4514.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

from ocisource.domain.errors import quoted as double_quoted
from ocisource.trust.wire import RefusedError, clean

_WILDCARD = "*"
_SUBJECT = "x509.subject"
MAX_IDENTITIES = 200
"""Trusted identities of one statement: each is held against every other."""
MAX_LENGTH = 1000
"""Characters of one trusted identity."""

_ATTRIBUTES = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.POSTAL_CODE: "POSTALCODE",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
}
_ALIASES = {"S": "ST"}
_MANDATORY = ("C", "ST", "O")

# One `type=value` and what ends it. A value's special characters are escaped, as characters or as two hex digits.
_PART = re.compile(r" *([A-Za-z0-9.-]+) *= *((?:\\(?:[0-9A-Fa-f]{2}|[^0-9A-Fa-f])|[^\\,+;\"])*?) *(,|\+|\Z)", re.DOTALL)
_ESCAPE = re.compile(rb"\\(?:([0-9A-Fa-f]{2})|(.))", re.DOTALL)

Name = Mapping[str, str]
"""Attribute type → value; each type once."""


class InvalidIdentity(Exception):
    """`str(error)` goes after "trust policy statement … "."""


@dataclass(frozen=True)
class Identities:
    """`anyone` whom a trusted certificate vouches for, or whose subject holds all attributes of one of `names`."""

    anyone: bool = False
    names: tuple[Name, ...] = ()

    def admit(self, subject: x509.Name, statement: str) -> None:
        """Raises RefusedError unless the subject is one of those that the statement trusts."""
        if self.anyone:
            return
        if not self.names:
            raise RefusedError(f"no x509 trusted identities are configured in the trust policy {_q(statement)}")
        found = _subject(subject)
        if not any(_within(name, found) for name in self.names):
            shown = clean(subject.rfc4514_string(), 120)
            raise RefusedError(f"signing certificate '{shown}' is not among the trusted identities of {_q(statement)}")


def read_identities(texts: Sequence[str]) -> Identities:
    """The `trustedIdentities` of a statement. Raises InvalidIdentity.

    Identities of other kinds than `x509.subject` are for plugins: they admit nobody here.
    """
    if len(texts) > MAX_IDENTITIES:
        raise InvalidIdentity(f"has more than {MAX_IDENTITIES} trusted identities")
    if _WILDCARD in texts:
        if len(texts) > 1:
            raise InvalidIdentity(
                "uses a wildcard trusted identity '*', a wildcard identity cannot be used in conjunction with other "
                "values"
            )
        return Identities(anyone=True)
    named = [(text, name) for text in texts if (name := _named(text)) is not None]
    for number, (text, name) in enumerate(named):
        for other_number, (other_text, other) in enumerate(named):
            if number != other_number and _within(name, other):
                raise InvalidIdentity(
                    f"has overlapping x509 trustedIdentities, {_q(text)} overlaps with {_q(other_text)}"
                )
    return Identities(names=tuple(name for _, name in named))


def _named(text: str) -> Name | None:
    """The name in a trusted identity, None for one of another kind."""
    if not text:
        raise InvalidIdentity("has an empty trusted identity")
    kind, separator, value = text.partition(":")
    if not separator:
        raise InvalidIdentity(f"has trusted identity {_q(text)} missing separator")
    if kind != _SUBJECT:
        return None
    if not value:
        raise InvalidIdentity(f"has trusted identity {_q(text)} without an identity value")
    try:
        return parse_name(value)
    except ValueError as error:
        raise InvalidIdentity(f"has trusted identity {_q(text)} with invalid identity value: {error}") from None


def parse_name(text: str) -> Name:
    """The attributes of a distinguished name (RFC 4514) with C, ST (or S) and O at least. Raises ValueError."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"it has more than {MAX_LENGTH} characters")
    if "=#" in text:
        raise ValueError('values in hexadecimal ("=#") are not supported')
    attributes: dict[str, str] = {}
    position, end = 0, ","
    while end:
        part = _PART.match(text, position)
        if part is None:
            raise ValueError("it is no distinguished name such as 'C=US, ST=WA, O=example.com' (RFC 4514)")
        kind, value, end = _ALIASES.get(part[1], part[1]), part[2], part[3]
        if end == "+":
            raise ValueError("multi-valued attributes ('+') are not supported")
        if kind not in _ATTRIBUTES.values():
            raise ValueError(f"{_q(kind)} is not supported, use {', '.join(_ATTRIBUTES.values())}")
        if kind in attributes:
            raise ValueError(f"it has {kind} twice")
        attributes[kind] = _unescaped(value)
        position = part.end()
    for kind in _MANDATORY:
        if not attributes.get(kind):
            raise ValueError(
                f"it has no {kind}, and must contain 'C', 'ST' or 'S', and 'O' RDN attributes at a minimum"
            )
    return attributes


def _unescaped(value: str) -> str:
    def plain(escape: re.Match[bytes]) -> bytes:
        return bytes.fromhex(escape[1].decode("ascii")) if escape[1] else escape[2]

    return _ESCAPE.sub(plain, value.encode("utf-8", "surrogatepass")).decode("utf-8")


def _subject(subject: x509.Name) -> Name:
    """The attributes that a trusted identity can name. One that stands there twice has no single meaning."""
    attributes: dict[str, str] = {}
    for attribute in subject:
        kind = _ATTRIBUTES.get(attribute.oid)
        if kind is None:
            continue
        if kind in attributes:
            raise RefusedError(f"subject of the signing certificate has {kind} twice")
        attributes[kind] = str(attribute.value)
    return attributes


def _within(name: Name, other: Name) -> bool:
    return name.items() <= other.items()


def _q(text: str) -> str:
    return double_quoted(clean(text, 200))
