"""Entries of a transparency log: that a log of the trusted root holds one, and that it is about this signature.

A log of the kind of Rekor v1 gives a promise (the signed entry timestamp, SET), which fixes the time, or a proof of
inclusion under a signed checkpoint, or both. Rekor v2 gives a proof and no time
(https://github.com/sigstore/protobuf-specs, rekor/v1). The key is chosen by the log's ID, and only from the trusted
root: what an entry says about its log is not trusted.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocisource.trust.bodies import check_body
from ocisource.trust.checkpoints import check_checkpoint
from ocisource.trust.merkle import MAX_PATH, includes
from ocisource.trust.wire import RefusedError, decode_base64, decode_object, member

if TYPE_CHECKING:
    from ocisource.trust.checkpoints import Checkpoint
    from ocisource.trust.roots import LogKey, TrustedRoot, Window

MAX_NUMBER = (1 << 53) - 1
"""Of an index or a time: what RFC 7493 and RFC 8785 can write exactly."""

MAX_TIME = 253402300799
"""The end of the year 9999: no certificate and no message can write a later time."""

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,15}")
_LOG_ID = re.compile(r"[0-9a-f]{64}")
_HOST = re.compile(r"https?://([^/:?#]+)")
_SHARD = re.compile(r".+ - [0-9]+")


@dataclass(frozen=True, slots=True)
class Signed:
    """The signature that an entry has to be about.

    `message` is what the signature is over: the payload itself, or (`dsse`) the envelope's pre-authentication
    encoding of it. `certificate` is the leaf's DER.
    """

    message: bytes
    payload: bytes
    signature: bytes
    certificate: bytes
    dsse: bool


@dataclass(frozen=True, slots=True)
class Logged:
    """An entry that holds.

    `time` is when the log included it, in Unix seconds, where the log signed that; else None. Then the caller holds
    the time it learns elsewhere against `windows`, with `check_log_time`. `index` is authenticated: the log's own
    number where the log signed it, else the position in the tree.
    """

    index: int
    time: float | None
    log_id: bytes
    windows: tuple[Window, ...]


def check_set_bundle(root: TrustedRoot, annotation: str, signed: Signed) -> Logged:
    """The log entry in a legacy `dev.sigstore.cosign/bundle` annotation: a promise, no proof. Raises RefusedError.

    signatures.md, "Legacy cosign", checks 5 and 6.
    """
    # A lone surrogate, which JSON can write, is refused as what it is: not UTF-8.
    bundle = decode_object(annotation.encode("utf-8", "surrogatepass"), "log entry")
    promise = decode_base64(bundle.get("SignedEntryTimestamp"), "log entry's SignedEntryTimestamp")
    payload = member(bundle, "Payload", "log entry's Payload")
    body = decode_base64(payload.get("body"), "log entry's body")
    log_id = payload.get("logID")
    if not isinstance(log_id, str) or not _LOG_ID.fullmatch(log_id):
        raise RefusedError("log entry's logID is not 64 hexadecimal digits")
    key, windows = _log(root, bytes.fromhex(log_id))
    index = _number(payload.get("logIndex"), "log entry's logIndex")
    time = _number(payload.get("integratedTime"), "log entry's integratedTime")
    check_body(body, signed)
    _check_promise(key, promise, body, index, time)
    _check_window(windows, time, "the log entry")
    return Logged(index, time, key.key_id, windows)


def check_entry(root: TrustedRoot, entry: dict[str, Any], signed: Signed, *, proof_required: bool = True) -> Logged:
    """One of a bundle's `tlogEntries`, of Rekor v1 or v2. Raises RefusedError.

    What is there must hold. A proof of inclusion has to be there, but in bundles of version 0.1 (`proof_required`
    False), where a promise suffices.
    """
    body = decode_base64(entry.get("canonicalizedBody"), "log entry's canonicalizedBody")
    log_id = decode_base64(member(entry, "logId", "log entry's logId").get("keyId"), "log entry's logId.keyId")
    key, windows = _log(root, log_id)
    index = _int64(entry.get("logIndex"), "log entry's logIndex")
    tiled = _check_kind(entry, check_body(body, signed))
    promise = _promise(entry)
    time: int | None = None
    if promise is not None:
        if tiled:
            raise RefusedError("log entry of Rekor v2 holds a signed entry timestamp")
        time = _int64(entry.get("integratedTime"), "log entry's integratedTime")
        _check_promise(key, promise, body, index, time)
        _check_window(windows, time, "the log entry")
    if entry.get("inclusionProof") is not None:
        position = _check_proof(key, member(entry, "inclusionProof", "log entry's inclusionProof"), body, tiled=tiled)
        if tiled and position != index:
            raise RefusedError("log entry gives two indexes")
        index = position if promise is None else index
    elif proof_required or promise is None:
        raise RefusedError("log entry has no inclusion proof")
    return Logged(index, time, key.key_id, windows)


def check_log_time(logged: Logged, at: float) -> None:
    """That the log's key was in use at a time that somebody else vouches for. Raises RefusedError."""
    _check_window(logged.windows, at, "the signature")


def _log(root: TrustedRoot, log_id: bytes) -> tuple[LogKey, tuple[Window, ...]]:
    """The log's key, and when it was valid: a root may list it once for each of several times."""
    found = [key for key in root.logs if key.key_id == log_id]
    if not found:
        raise RefusedError("log entry is from a log that is not in the trusted root")
    # The time of another key is not this one's, even under the same ID.
    return found[0], tuple(key.window for key in found if key.fingerprint == found[0].fingerprint)


def _check_window(windows: tuple[Window, ...], at: float, what: str) -> None:
    if not any(window.contains(at) for window in windows):
        raise RefusedError(f"the log's key was not valid at the time of {what}")


def _check_kind(entry: dict[str, Any], kind: tuple[str, str]) -> bool:
    """Whether the entry is of Rekor v2. What it says of its kind is what the body says."""
    claimed = member(entry, "kindVersion", "log entry's kindVersion")
    if (claimed.get("kind"), claimed.get("version")) != kind:
        raise RefusedError("log entry's kindVersion is not that of its body")
    return kind in (("hashedrekord", "0.0.2"), ("dsse", "0.0.2"))


def _promise(entry: dict[str, Any]) -> bytes | None:
    """The signed entry timestamp. Absent, null and empty are the same in protobuf JSON."""
    if entry.get("inclusionPromise") is None:
        return None
    promise = member(entry, "inclusionPromise", "log entry's inclusionPromise").get("signedEntryTimestamp")
    return decode_base64(promise, "log entry's signedEntryTimestamp") if promise else None


def _check_promise(key: LogKey, promise: bytes, body: bytes, index: int, time: int) -> None:
    """The log signed the RFC 8785 form of these four facts."""
    facts = {
        "body": base64.b64encode(body).decode("ascii"),
        "integratedTime": time,
        "logID": key.key_id.hex(),
        "logIndex": index,
    }
    # In order, ASCII that needs no escape, whole numbers below 2^53: so json writes what RFC 8785 wants.
    if not key.verify(promise, json.dumps(facts, separators=(",", ":")).encode("ascii")):
        raise RefusedError("log entry's signed entry timestamp is not by its log")
    if time > MAX_TIME:
        raise RefusedError("log entry's integratedTime is later than the year 9999")


def _check_proof(key: LogKey, proof: dict[str, Any], body: bytes, *, tiled: bool) -> int:
    """The position in the tree that is proved under a checkpoint of the log."""
    envelope = member(proof, "checkpoint", "log entry's checkpoint").get("envelope")
    checkpoint = check_checkpoint(envelope, key)
    _check_origin(key, checkpoint.origin, tiled=tiled)
    _check_claims(proof, checkpoint)
    position = _int64(proof.get("logIndex"), "inclusion proof's logIndex")
    hashes = proof.get("hashes") or []
    if not isinstance(hashes, list) or len(hashes) > MAX_PATH:
        raise RefusedError(f"inclusion proof's hashes are not a list of at most {MAX_PATH}")
    path = [decode_base64(one, "a hash of the inclusion proof") for one in hashes]
    if not includes(body, position, checkpoint.size, path, checkpoint.root):
        raise RefusedError("log entry is not in its log: the inclusion proof does not hold")
    return position


def _check_origin(key: LogKey, origin: str, *, tiled: bool) -> None:
    """Rekor v1 names a shard by its tree ID behind any name; Rekor v2 is its host."""
    if not tiled:
        if not _SHARD.fullmatch(origin):
            raise RefusedError("checkpoint's origin does not end in a tree ID")
        return
    host = _HOST.match(key.base_url)
    if host is None:
        raise RefusedError("the trusted root gives the log no baseUrl, which an entry of Rekor v2 needs")
    if origin != host[1]:
        raise RefusedError("checkpoint is from another log")


def _check_claims(proof: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Size and root hash are the checkpoint's, which is signed; the proof may repeat them."""
    size, root = proof.get("treeSize"), proof.get("rootHash")
    if size is not None and _int64(size, "inclusion proof's treeSize") != checkpoint.size:
        raise RefusedError("inclusion proof and checkpoint give two sizes")
    if root is not None and root != base64.b64encode(checkpoint.root).decode("ascii"):
        raise RefusedError("inclusion proof and checkpoint give two root hashes")


def _int64(value: object, name: str) -> int:
    """Protobuf JSON: a string or a number, absent for zero."""
    if value is None:
        return 0
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    return _number(value, name)


def _number(value: object, name: str) -> int:
    # bool is an int to Python, not to JSON.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_NUMBER:
        raise RefusedError(f"{name} is not a whole number up to {MAX_NUMBER}")
    return value
