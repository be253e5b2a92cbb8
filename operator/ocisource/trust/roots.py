"""Trusted roots: `trusted_root.json`, the protobuf JSON of dev.sigstore.trustroot.v1.

https://github.com/sigstore/protobuf-specs, `protos/sigstore_trustroot.proto`. Read are the names and the base64 that
producers write: lowerCamelCase or the proto's own names, enums by name or number, the standard alphabet, padded. As in
sigstore-go, `ctlogs`, `timestampAuthorities`, `baseUrl`, `subject`, `uri`, an authority's `validFor` and every
`validFor.end` may be absent. Members that we do not know mean nothing.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ocisource.domain.errors import TrustError
from ocisource.trust.chains import MAX_CHAIN, read_certificate
from ocisource.trust.keys import BadKeyError, Verify, load_key, verifier
from ocisource.trust.wire import RefusedError, decode_base64, decode_object, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography import x509

MAX_INSTANCES = 64
"""Logs and authorities of each kind in one root. The public one has two."""

_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.trustedroot(\+json;version=0\.[1-9][0-9]?|\.v0\.[1-9][0-9]?\+json)"
)
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)

_HASH_ALGORITHMS = {1: "SHA2_256"}
_KEY_DETAILS = {
    1: "PKCS1_RSA_PKCS1V5",
    5: "PKIX_ECDSA_P256_SHA_256",
    7: "PKIX_ED25519",
    9: "PKIX_RSA_PKCS1V15_2048_SHA256",
    10: "PKIX_RSA_PKCS1V15_3072_SHA256",
    11: "PKIX_RSA_PKCS1V15_4096_SHA256",
    12: "PKIX_ECDSA_P384_SHA_384",
    13: "PKIX_ECDSA_P521_SHA_512",
}
_KINDS = {
    "PKIX_ECDSA_P256_SHA_256": "ECDSA secp256r1",
    "PKIX_ECDSA_P384_SHA_384": "ECDSA secp384r1",
    "PKIX_ECDSA_P521_SHA_512": "ECDSA secp521r1",
    "PKIX_ED25519": "Ed25519",
}
"""What the key must be; the others are RSA, whose size is not compared: signers and sigstore-go do not."""

_SHORT_ID = 4

_T = TypeVar("_T")


@dataclass(frozen=True)
class Window:
    """From `start` to `end` in Unix seconds, both included. Without an end it stays open."""

    start: float = -math.inf
    end: float | None = None

    def contains(self, at: float) -> bool:
        return self.start <= at and (self.end is None or at <= self.end)


@dataclass(frozen=True)
class Authority:
    """A certificate authority or timestamp authority. `chain` is as in the root: the trust anchor last."""

    chain: tuple[x509.Certificate, ...]
    window: Window
    uri: str = ""


@dataclass(frozen=True)
class LogKey:
    """The key of a transparency log or of a certificate transparency log."""

    key_id: bytes
    """`logId.keyId`: the SHA-256 of the DER public key (RFC 6962 section 3.2), for Rekor v2 the key ID of its signed
    notes (https://c2sp.org/signed-note), whole or cut to 4 bytes."""
    fingerprint: bytes
    """The SHA-256 of the key's SubjectPublicKeyInfo, which the ID of a Rekor v2 log says nothing about."""
    window: Window
    verify: Verify = field(repr=False, compare=False)
    """(signature, message) → whether this key made the signature, with the hash that the root gives it."""
    base_url: str
    kind: str
    """`ECDSA secp256r1`, `RSA 2048`, `Ed25519`."""
    checkpoint_id: bytes = b""
    """`checkpointKeyId`, of media type 0.2; b"" if the root does not give it."""


@dataclass(frozen=True)
class TrustedRoot:
    """Whom to trust, and when. `fingerprint` is the hex SHA-256 of what the document says."""

    authorities: tuple[Authority, ...]
    logs: tuple[LogKey, ...]
    ctlogs: tuple[LogKey, ...]
    timestamp_authorities: tuple[Authority, ...]
    fingerprint: str


def read_trusted_root(document: bytes) -> TrustedRoot:
    """The trusted root. Raises TrustError, naming the field: `certificateAuthorities[0].certChain is missing`."""
    try:
        members = decode_object(document, "trusted root")
        root = _Message(members, "")
        media_type = root.text("mediaType")
        if not _MEDIA_TYPE.fullmatch(media_type):
            raise RefusedError(f"mediaType {quoted(media_type)} is not supported")
        return TrustedRoot(
            authorities=root.each("certificateAuthorities", MAX_INSTANCES, _read_authority),
            logs=root.each("tlogs", MAX_INSTANCES, _read_log),
            ctlogs=root.each("ctlogs", MAX_INSTANCES, _read_ct_log),
            timestamp_authorities=root.each("timestampAuthorities", MAX_INSTANCES, _read_authority),
            fingerprint=_fingerprint(members),
        )
    except RefusedError as refused:
        raise TrustError(str(refused)) from None


class _Message:
    """A protobuf message as JSON; every name in a message is the path from the document's top. null is absent."""

    def __init__(self, members: Mapping[str, Any], path: str) -> None:
        self._members = members
        self.path = path

    def name(self, member: str) -> str:
        return f"{self.path}.{member}" if self.path else member

    def get(self, member: str) -> object:
        original = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", member)
        found = [self._members[name] for name in {member, original} if name in self._members]
        if len(found) > 1:
            raise RefusedError(f"{self.name(member)} is there twice")
        return found[0] if found else None

    def text(self, member: str) -> str:
        """ "" if absent."""
        value = self.get(member)
        if not isinstance(value, str | None):
            raise RefusedError(f"{self.name(member)} is not text")
        return value or ""

    def content(self, member: str) -> bytes:
        """Bytes that must be there."""
        return decode_base64(self.get(member), self.name(member))

    def choice(self, member: str, choices: Mapping[int, str]) -> str:
        """The name of an enum's value, one of `choices`, written as the name or the number."""
        value = self.get(member)
        name = choices.get(value) if type(value) is int else value
        if name not in choices.values():
            written = value if type(value) is not int else str(value)
            raise RefusedError(f"{self.name(member)} {quoted(written)} is not supported")
        return str(name)

    def moment(self, member: str) -> float | None:
        """Unix seconds."""
        value = self.get(member)
        if value is None:
            return None
        if isinstance(value, str) and _RFC3339.fullmatch(value):
            try:
                return (datetime.datetime.fromisoformat(value) - _EPOCH).total_seconds()
            except ValueError:  # February 30th
                pass
        raise RefusedError(f"{self.name(member)} is not a time of RFC 3339")

    def maybe(self, member: str) -> _Message | None:
        value = self.get(member)
        return None if value is None else _message(value, self.name(member))

    def must(self, member: str) -> _Message:
        found = self.maybe(member)
        if found is None:
            raise RefusedError(f"{self.name(member)} is missing")
        return found

    def each(self, member: str, limit: int, read: Callable[[_Message], _T]) -> tuple[_T, ...]:
        """What `read` makes of each message of a list; () if absent."""
        value = self.get(member)
        if not isinstance(value, list | None):
            raise RefusedError(f"{self.name(member)} is not a list")
        if value is not None and len(value) > limit:
            raise RefusedError(f"{self.name(member)} has more than {limit} entries")
        return tuple(read(_message(one, f"{self.name(member)}[{n}]")) for n, one in enumerate(value or ()))


def _message(value: object, path: str) -> _Message:
    if not isinstance(value, dict):
        raise RefusedError(f"{path} is not a JSON object")
    return _Message(value, path)


def _read_authority(authority: _Message) -> Authority:
    chain = authority.must("certChain").each("certificates", MAX_CHAIN, _read_link)
    if not chain:
        raise RefusedError(f"{authority.name('certChain')}.certificates is empty")
    return Authority(chain, _read_window(authority.maybe("validFor")), authority.text("uri"))


def _read_link(link: _Message) -> x509.Certificate:
    return read_certificate(link.content("rawBytes"), link.name("rawBytes"))


def _read_window(window: _Message | None) -> Window:
    if window is None:
        return Window()
    start = window.moment("start")
    return Window(-math.inf if start is None else start, window.moment("end"))


def _read_ct_log(log: _Message) -> LogKey:
    found = _read_key(log)
    if found.key_id != found.fingerprint:
        raise _wrong_id(log)
    return found


def _read_log(log: _Message) -> LogKey:
    """Only of an ECDSA key is the ID known from the key alone: Rekor v2's others are made with the log's name."""
    found = _read_key(log)
    if found.kind.startswith("ECDSA") and found.key_id not in (found.fingerprint, found.fingerprint[:_SHORT_ID]):
        raise _wrong_id(log)
    return found


def _wrong_id(log: _Message) -> RefusedError:
    return RefusedError(f"{log.name('logId')}.keyId is not the SHA-256 of {log.name('publicKey')}")


def _read_key(log: _Message) -> LogKey:
    log.choice("hashAlgorithm", _HASH_ALGORITHMS)
    public = log.must("publicKey")
    details = public.choice("keyDetails", _KEY_DETAILS)
    form = PublicFormat.PKCS1 if details.startswith("PKCS1") else PublicFormat.SubjectPublicKeyInfo
    content = public.content("rawBytes")
    try:
        key = load_key(content, form, "a public key")
        kind, verify = verifier(key, own_hash=True)
    except BadKeyError as bad:
        raise RefusedError(f"{public.name('rawBytes')}: {bad}") from None
    if not kind.startswith(_KINDS.get(details, "RSA")):
        raise RefusedError(f"{public.name('rawBytes')} is a key of {kind}, not of keyDetails {details}")
    window = public.must("validFor")
    if window.moment("start") is None:
        raise RefusedError(f"{window.name('start')} is missing")
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    checkpoint = log.maybe("checkpointKeyId")
    return LogKey(
        key_id=log.must("logId").content("keyId"),
        fingerprint=hashlib.sha256(spki).digest(),
        window=_read_window(window),
        verify=verify,
        base_url=log.text("baseUrl"),
        kind=kind,
        checkpoint_id=b"" if checkpoint is None else checkpoint.content("keyId"),
    )


def _fingerprint(members: Mapping[str, Any]) -> str:
    """The same for every way to write the same JSON."""
    return hashlib.sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
