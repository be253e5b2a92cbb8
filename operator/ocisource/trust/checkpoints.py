"""Checkpoints: a log's signed statement of its size and root hash.

The text is a C2SP tlog-checkpoint (https://c2sp.org/tlog-checkpoint) in a C2SP signed note
(https://c2sp.org/signed-note). The log's own signature is judged; the lines that witnesses add count for nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocisource.trust.wire import RefusedError, decode_base64

if TYPE_CHECKING:
    from ocisource.trust.roots import LogKey

MAX_CHECKPOINT = 64 << 10
"""Characters of a checkpoint. Real ones have a few hundred."""

MAX_LINES = 100
"""Lines of a checkpoint. Real ones have below twenty."""

_HINT_SIZE = 4
_TEXT = re.compile(r"([^\n]+)\n(0|[1-9][0-9]{0,18})\n([^\n]+)\n(?:[^\n]+\n)*")
_SIGNATURE = re.compile(r"\u2014 [^\s+]+ ([^\s]+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log said: its name, how many entries it has, and the root hash over them."""

    origin: str
    size: int
    root: bytes


def check_checkpoint(note: object, key: LogKey) -> Checkpoint:
    """The checkpoint in a signed note that the log signed. Raises RefusedError.

    Whether the origin is the log's is for the caller to judge. The hint before a signature is the start of the key's
    ID, for ECDSA and for Ed25519 keys ("Signature types" of the signed note), and the trusted root gives the ID. Of
    several such lines the first counts, so that a checkpoint costs one check of a signature, however long it is.
    """
    text, signatures = _open(note)
    hint = (key.checkpoint_id or key.key_id)[:_HINT_SIZE]
    own = next((one for one in signatures if one[:_HINT_SIZE] == hint), b"")
    if not key.verify(own[_HINT_SIZE:], text):
        raise RefusedError("log entry's checkpoint is not signed by its log")
    return _read(text.decode("utf-8"))


def _open(note: object) -> tuple[bytes, list[bytes]]:
    """The text that is signed, with its last newline, and the signatures, each behind its hint."""
    if not isinstance(note, str):
        raise RefusedError("log entry has no checkpoint")
    if len(note) > MAX_CHECKPOINT or note.count("\n") > MAX_LINES:
        raise RefusedError("log entry's checkpoint is too long")
    text, _, lines = note.rpartition("\n\n")
    if not lines.endswith("\n") or _CONTROL.search(note):
        raise _malformed()
    found = [_SIGNATURE.fullmatch(line) for line in lines[:-1].split("\n")]
    signatures = [decode_base64(line[1], "signature of log entry's checkpoint") for line in found if line]
    if len(signatures) < len(found):
        raise _malformed()
    try:
        return f"{text}\n".encode(), signatures
    except UnicodeEncodeError:  # JSON can write half a surrogate pair, which is no text
        raise _malformed() from None


def _read(text: str) -> Checkpoint:
    """tlog-checkpoint, "Note text": origin, size, root hash, then extension lines that mean nothing to us."""
    lines = _TEXT.fullmatch(text)
    if lines is None:
        raise _malformed()
    root = decode_base64(lines[3], "root hash of log entry's checkpoint")
    return Checkpoint(lines[1], int(lines[2]), root)


def _malformed() -> RefusedError:
    return RefusedError("log entry's checkpoint is malformed")
