"""Timestamps (RFC 3161): a token in which an authority says when it saw a signature.

Sigstore's authorities are those of the trusted root (`check_timestamp`); with Notation the certificates of a `tsa`
trust store are the anchors (`check_token`). The rules for the token are the same. A certificate inside a token is
only ever a step towards an anchor.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from ocisource.trust.chains import build_path, extension_of, read_certificate
from ocisource.trust.cms import check_signer, issuer_and_serial, read_hash, read_signed_data
from ocisource.trust.der import (
    BOOLEAN,
    CONSTRUCTED,
    CONTEXT,
    GENERALIZED_TIME,
    INTEGER,
    OBJECT_IDENTIFIER,
    OCTET_STRING,
    SEQUENCE,
    Element,
    Fields,
    elements,
    malformed,
    oid,
    open_sequence,
    unsigned,
)
from ocisource.trust.wire import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocisource.trust.cms import SignedData
    from ocisource.trust.roots import Authority, TrustedRoot

MAX_TOKEN = 64 << 10
"""Bytes of a timestamp. Real ones have up to 8 KiB, with their authority's chain."""

_NAME = "timestamp"
_GRANTED = 0
_TST_INFO = oid("1.2.840.113549.1.9.16.1.4")
_SIGNING_CERTIFICATE = oid("1.2.840.113549.1.9.16.2.12")
_SIGNING_CERTIFICATE_V2 = oid("1.2.840.113549.1.9.16.2.47")
_BASELINE_POLICY = oid("0.4.0.2023.1.1")
_TIME = re.compile(r"([0-9]{8})([0-9]{6})(\.[0-9]{0,8}[1-9])?Z")
_MAX_PART = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a token that holds says: the time is within `accuracy` of `time`, both in (Unix) seconds.

    `path` leads from the authority's certificate to the anchor.
    """

    time: float
    accuracy: float
    path: tuple[x509.Certificate, ...]


@dataclass(frozen=True, slots=True)
class _Token:
    """A token that has been read, and that is about the right message."""

    data: SignedData
    time: float
    accuracy: float
    certificates: tuple[x509.Certificate, ...]


def check_timestamp(root: TrustedRoot, response: bytes, signature: bytes) -> float:
    """The time, in Unix seconds, at which an authority of the trusted root saw these bytes of a signature.

    `response` is a DER TimeStampResp (RFC 3161 section 2.4.2). Raises RefusedError.
    """
    token = _read_token(_granted(response), signature)
    reason = RefusedError("the trusted root has no timestamp authority")
    for authority in root.timestamp_authorities:
        try:
            return _check_authority(authority, token)
        except RefusedError as refused:
            reason = refused
    raise reason


def check_token(token: bytes, message: bytes, anchors: Sequence[x509.Certificate]) -> Stamp:
    """What a bare token (DER ContentInfo) over `message` says, if its authority leads to one of the `anchors`.

    The authority's certificates are those inside the token; they are valid at its time. Raises RefusedError.
    """
    read = _read_token(token, message)
    return _check_path(read, read.certificates, (), anchors)


def _check_authority(authority: Authority, token: _Token) -> float:
    """The chain of a trusted root names its authority's certificate first, or leaves it out."""
    first, anchor = authority.chain[0], authority.chain[-1]
    constraints = extension_of(first, x509.BasicConstraints)
    candidates = token.certificates if constraints is not None and constraints.ca else (first,)
    stamp = _check_path(token, candidates, authority.chain, [anchor])
    known = [one.public_key() for one in stamp.path]
    if any(one.public_key() not in known for one in token.certificates):
        raise RefusedError("timestamp holds a foreign certificate")
    if not authority.window.contains(stamp.time):
        raise RefusedError("timestamp is from outside the time in which its authority is trusted")
    return stamp.time


def _check_path(
    token: _Token,
    candidates: Sequence[x509.Certificate],
    intermediates: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
) -> Stamp:
    """The signer is the one of `candidates` that the token names, and every check is of that one."""
    signer = next((one for one in candidates if issuer_and_serial(one, _NAME) == token.data.signer), None)
    if signer is None:
        raise RefusedError("timestamp is not by a trusted authority")
    _check_usage(signer)
    try:
        usage = ExtendedKeyUsageOID.TIME_STAMPING
        path = build_path(signer, [*intermediates, *token.certificates], anchors, token.time, usage)
    except RefusedError as refused:
        raise RefusedError(f"timestamp's {refused}") from None
    check_signer(token.data, signer, _NAME)
    _check_named(token.data, signer)
    return Stamp(token.time, token.accuracy, path)


def _check_usage(signer: x509.Certificate) -> None:
    """RFC 3161 section 2.3: for timestamps, for nothing else, and critical."""
    fit = [ExtendedKeyUsageOID.TIME_STAMPING]
    for extension in signer.extensions:
        if isinstance(extension.value, x509.ExtendedKeyUsage) and extension.critical and list(extension.value) == fit:
            return
    raise RefusedError("timestamp's authority is not one for timestamps only (critical extended key usage)")


def _check_named(data: SignedData, signer: x509.Certificate) -> None:
    """The signed attributes name the signer's certificate, so that no other with the same key stands in for it: by any
    hash (RFC 5816, ESSCertIDv2) or by SHA-1 (RFC 3161 section 2.4.2, ESSCertID)."""
    second, first = data.attributes.get(_SIGNING_CERTIFICATE_V2), data.attributes.get(_SIGNING_CERTIFICATE)
    named = second or first
    if named is None:
        raise RefusedError("timestamp does not name its authority's certificate")
    fields = open_sequence(named.raw, _NAME).inside(SEQUENCE).inside(SEQUENCE)
    algorithm = fields.maybe(SEQUENCE) if second else None
    name = read_hash(algorithm, _NAME).name if algorithm else "sha256" if second else "sha1"
    digest = hashlib.new(name, signer.public_bytes(Encoding.DER), usedforsecurity=False).digest()
    if fields.take(OCTET_STRING).content != digest:
        raise RefusedError("timestamp names another certificate of its authority")


def _granted(response: bytes) -> bytes:
    """The token in a TimeStampResp. The status is not signed: it only says whether there is a token."""
    fields = open_sequence(response, _NAME)
    status = unsigned(fields.inside(SEQUENCE).take(INTEGER), _NAME)
    if status != _GRANTED:
        raise RefusedError(f"timestamp was not granted (status {status})")
    token = fields.take(SEQUENCE).raw
    fields.end()
    return token


def _read_token(token: bytes, message: bytes) -> _Token:
    """RFC 3161 section 2.4.2, TSTInfo: about the message, and read to its end."""
    if len(token) > MAX_TOKEN:
        raise RefusedError(f"timestamp is larger than {MAX_TOKEN >> 10} KiB")
    data = read_signed_data(token, _NAME)
    if data.content_type.content != _TST_INFO:
        raise RefusedError("timestamp's content is not that of a timestamp")
    info = open_sequence(data.content, _NAME)
    if unsigned(info.take(INTEGER), _NAME) != 1:
        raise RefusedError("timestamp's version is not 1")
    policy = info.take(OBJECT_IDENTIFIER).content
    _check_imprint(info.inside(SEQUENCE), message)
    info.take(INTEGER)
    time = _time(info.take(GENERALIZED_TIME).content)
    accuracy = _accuracy(info.maybe(SEQUENCE), policy)
    info.maybe(BOOLEAN)
    info.maybe(INTEGER)
    info.maybe(CONSTRUCTED)
    _check_extensions(info.maybe(CONSTRUCTED + 1))
    info.end()
    certificates = tuple(read_certificate(one, "a certificate in the timestamp") for one in data.certificates)
    return _Token(data, time, accuracy, certificates)


def _check_imprint(imprint: Fields, message: bytes) -> None:
    algorithm = read_hash(imprint.take(SEQUENCE), _NAME)
    hashed = imprint.take(OCTET_STRING).content
    imprint.end()
    if hashed != hashlib.new(algorithm.name, message).digest():
        raise RefusedError("timestamp is for another signature")


def _time(text: bytes) -> float:
    """Unix seconds. RFC 3161 section 2.4.2: UTC with seconds, and a fraction without trailing zeros."""
    found = _TIME.fullmatch(text.decode("latin-1"))
    if found is not None:
        with suppress(ValueError):  # month 13
            moment = datetime.datetime.fromisoformat(f"{found[1]}T{found[2]}Z")
            return moment.timestamp() + float(found[3] or 0)
    raise RefusedError("timestamp's time is malformed")


def _accuracy(element: Element | None, policy: bytes) -> float:
    """Seconds. ETSI EN 319 421 promises one second under its baseline policy."""
    if element is None:
        return 1.0 if policy == _BASELINE_POLICY else 0.0
    fields = Fields(element.content, _NAME)
    parts = [fields.maybe(INTEGER), fields.maybe(CONTEXT), fields.maybe(CONTEXT + 1)]
    fields.end()
    seconds, millis, micros = [unsigned(part, _NAME) if part else 0 for part in parts]
    if max(seconds, millis, micros) > _MAX_PART:
        raise malformed(_NAME)
    return seconds + millis / 1e3 + micros / 1e6


def _check_extensions(element: Element | None) -> None:
    """We know none, so none may be critical (RFC 3161 section 2.4.2). DER leaves out that one is not."""
    for extension in elements(element.content, _NAME) if element else ():
        fields = open_sequence(extension.raw, _NAME)
        fields.take(OBJECT_IDENTIFIER)
        if fields.maybe(BOOLEAN):
            raise RefusedError("timestamp has a critical extension, which is not supported")
