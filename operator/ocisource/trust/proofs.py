"""What comes with a keyless signature to prove it: the certificate, log entries and timestamps, in either format
(signatures.md, "Legacy cosign" and "Sigstore bundles").

Only what is needed is believed: one log entry that holds, and every time that a log or a timestamp authority vouches
for. One that does not hold is passed over, with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from ocisource.trust import legacy
from ocisource.trust.bundle import Bundle
from ocisource.trust.logs import Logged, Signed, check_entry, check_log_time, check_set_bundle
from ocisource.trust.roots import TrustedRoot
from ocisource.trust.timestamps import check_timestamp
from ocisource.trust.wire import RefusedError, decode_base64, decode_object, member

MAX_PROOFS = 32
"""Log entries, timestamps or certificates with one signature (signatures.md rule 6)."""

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")


class Proofs(Protocol):
    """The proofs of one signature."""

    @property
    def certificate(self) -> bytes:
        """DER of the certificate whose key signed."""
        ...

    @property
    def intermediates(self) -> Sequence[bytes]:
        """DER of certificates that may lead from it to the trusted root."""
        ...

    def logged(self, root: TrustedRoot, signed: Signed) -> Logged:
        """The log entry about exactly this signature. Raises RefusedError."""
        ...

    def times(self, root: TrustedRoot, signed: Signed, logged: Logged) -> Sequence[float]:
        """Unix times that the log or timestamp authorities vouch for, at least one. Raises RefusedError."""
        ...


@dataclass(frozen=True)
class LegacyProofs:
    """The annotations of a legacy signature."""

    certificate: bytes
    intermediates: tuple[bytes, ...]
    entry: str | None
    timestamp: str | None

    @classmethod
    def read(cls, annotations: Mapping[str, str]) -> LegacyProofs:
        """Raises RefusedError."""
        if legacy.CERTIFICATE not in annotations:
            raise RefusedError("made with a key, not with a certificate: keyless verification asks for one")
        leaf, *more = _pem(annotations[legacy.CERTIFICATE], legacy.CERTIFICATE)
        chain = _pem(annotations[legacy.CHAIN], legacy.CHAIN) if annotations.get(legacy.CHAIN) else []
        return cls(leaf, (*more, *chain), annotations.get(legacy.BUNDLE), annotations.get(legacy.TIMESTAMP))

    def logged(self, root: TrustedRoot, signed: Signed) -> Logged:
        if self.entry is None:
            raise RefusedError(f"no log entry: annotation {legacy.BUNDLE} is missing")
        return check_set_bundle(root, self.entry, signed)

    def times(self, root: TrustedRoot, signed: Signed, logged: Logged) -> Sequence[float]:
        tokens = []
        if self.timestamp:
            token = decode_object(self.timestamp.encode("utf-8", "surrogatepass"), "timestamp annotation")
            tokens.append(decode_base64(token.get("SignedRFC3161Timestamp"), "SignedRFC3161Timestamp"))
        return _times(root, signed, logged, tokens)


@dataclass(frozen=True)
class BundleProofs:
    """The verification material of a bundle."""

    certificate: bytes
    intermediates: tuple[bytes, ...]
    entries: tuple[dict[str, Any], ...]
    timestamps: tuple[bytes, ...]
    proof_required: bool

    @classmethod
    def read(cls, bundle: Bundle) -> BundleProofs:
        """Raises RefusedError. Only bundles of version 0.1 may do without a proof of inclusion."""
        material = bundle.material
        leaf, *more = _certificates(material)
        entries = _list(material, "tlogEntries", "bundle's tlogEntries")
        _check_once(entries)
        data = material.get("timestampVerificationData")
        tokens: list[dict[str, Any]] = []
        if data is not None:
            data = member(material, "timestampVerificationData", "bundle's timestampVerificationData")
            tokens = _list(data, "rfc3161Timestamps", "bundle's rfc3161Timestamps")
        timestamps = [decode_base64(token.get("signedTimestamp"), "a timestamp") for token in tokens]
        return cls(leaf, tuple(more), tuple(entries), tuple(timestamps), bundle.version != "0.1")

    def logged(self, root: TrustedRoot, signed: Signed) -> Logged:
        return _first(
            [partial(check_entry, root, entry, signed, proof_required=self.proof_required) for entry in self.entries],
            "no log entry: bundle's tlogEntries is empty",
        )

    def times(self, root: TrustedRoot, signed: Signed, logged: Logged) -> Sequence[float]:
        return _times(root, signed, logged, self.timestamps)


def _times(root: TrustedRoot, signed: Signed, logged: Logged, tokens: Sequence[bytes]) -> Sequence[float]:
    """What the log signed, and every timestamp that holds. The log's key must have been valid at each."""
    times, refused = ([] if logged.time is None else [logged.time]), []
    for token in tokens:
        try:
            time = check_timestamp(root, token, signed.signature)
            check_log_time(logged, time)
            times.append(time)
        except RefusedError as error:
            refused.append(str(error))
    if not times:
        raise RefusedError(refused[0] if refused else "nobody vouches for the time: neither the log nor a timestamp")
    return times


def _first(checks: Sequence[Callable[[], Logged]], missing: str) -> Logged:
    """The first that holds. If none does, the last one's reason is told."""
    reason = RefusedError(missing)
    for check in checks:
        try:
            return check()
        except RefusedError as refused:
            reason = refused
    raise reason


def _check_once(entries: Sequence[dict[str, Any]]) -> None:
    """Each log speaks once: the same entry twice is no second witness."""
    seen = [(str(entry.get("logId")), str(entry.get("logIndex") or 0)) for entry in entries]
    if len(set(seen)) != len(seen):
        raise RefusedError("bundle holds the same log entry twice")


def _certificates(material: dict[str, Any]) -> list[bytes]:
    """The signer's certificate, then what may lead from it to a root."""
    if material.get("certificate") is not None:
        found = [member(material, "certificate", "bundle's certificate")]
    elif material.get("x509CertificateChain") is not None:
        chain = member(material, "x509CertificateChain", "bundle's x509CertificateChain")
        found = _list(chain, "certificates", "bundle's x509CertificateChain.certificates")
    else:
        raise RefusedError("made with a key, not with a certificate: keyless verification asks for one")
    if not found:
        raise RefusedError("bundle's x509CertificateChain is empty")
    return [decode_base64(one.get("rawBytes"), "a certificate's rawBytes") for one in found]


def _list(parent: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    """A list of objects; absent is empty, as in protobuf JSON."""
    found = parent.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise RefusedError(f"{name} is not a list of objects")
    if len(found) > MAX_PROOFS:
        raise RefusedError(f"{name} has more than {MAX_PROOFS} entries")
    return found


def _pem(text: str, name: str) -> list[bytes]:
    """DER of the certificates in a PEM annotation, in order; at least one."""
    blocks = _PEM.findall(text)
    if not blocks or text.count("-----BEGIN ") != len(blocks):
        raise RefusedError(f"annotation {name} is not a PEM certificate")
    if len(blocks) > MAX_PROOFS:
        raise RefusedError(f"annotation {name} has more than {MAX_PROOFS} certificates")
    return [decode_base64("".join(block.split()), f"annotation {name}") for block in blocks]
