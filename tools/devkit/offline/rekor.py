"""Transparency logs as Rekor v1 and Rekor v2 are ones: entries, promises (SET), inclusion proofs and checkpoints.

`RekorLog.entry` makes a good entry about a body (see `bodies`); it stands in a real tree among other leaves. An
`Entry` is a plain value: `dataclasses.replace` makes the wrong ones, `RekorLog.promise` and `RekorLog.checkpoint`
sign whatever they are told.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from devkit.offline.ctlog import log_document
from devkit.offline.keys import digest, key_pair, raw_ed25519, spki
from devkit.offline.merkle import audit_path, tree_root
from devkit.offline.windows import base64_text
from devkit.signer import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devkit.offline.windows import Window
    from devkit.signer import Kind, Signer

Version = Literal["v1", "v2"]

TREE_ID = 1193050959916656506


@dataclass(frozen=True)
class Proof:
    """An inclusion proof. `index` is within the tree, unlike the entry's in Rekor v1."""

    index: int
    size: int
    root: bytes
    path: tuple[bytes, ...]
    checkpoint: str | None

    def document(self) -> dict[str, Any]:
        """As protobuf JSON."""
        found: dict[str, Any] = {
            "logIndex": str(self.index),
            "rootHash": base64_text(self.root),
            "treeSize": str(self.size),
            "hashes": [base64_text(each) for each in self.path],
        }
        return found if self.checkpoint is None else found | {"checkpoint": {"envelope": self.checkpoint}}


@dataclass(frozen=True)
class Entry:
    """What a log says about a body. `index` counts over all shards of a Rekor v1; `time` is 0 with Rekor v2, and
    `promise` (the signed entry timestamp) is absent."""

    body: bytes
    index: int
    time: int
    log_id: bytes
    promise: bytes | None
    proof: Proof | None

    def document(self) -> dict[str, Any]:
        """One of a bundle's `tlogEntries`, as protobuf JSON: zero values are left out."""
        kind = json.loads(self.body)
        found: dict[str, Any] = {
            "logIndex": str(self.index) if self.index else None,
            "logId": {"keyId": base64_text(self.log_id)},
            "kindVersion": {"kind": kind["kind"], "version": kind["apiVersion"]},
            "integratedTime": str(self.time) if self.time else None,
            "inclusionPromise": self.promise and {"signedEntryTimestamp": base64_text(self.promise)},
            "inclusionProof": self.proof and self.proof.document(),
            "canonicalizedBody": base64_text(self.body),
        }
        return {name: value for name, value in found.items() if value is not None}

    def annotation(self) -> str:
        """The value of `dev.sigstore.cosign/bundle`."""
        payload = {
            "body": base64_text(self.body),
            "integratedTime": self.time,
            "logIndex": self.index,
            "logID": self.log_id.hex(),
        }
        return to_json({"SignedEntryTimestamp": base64_text(self.promise or b""), "Payload": payload}).decode("ascii")


@dataclass(frozen=True)
class RekorLog:
    """A log with its key. `claimed` makes it pose as the log of that id, `note_id` lets its checkpoints name that
    key."""

    version: Version
    key: Signer = field(repr=False)
    window: Window
    host: str
    claimed: bytes | None = None
    note_id: bytes | None = None

    @classmethod
    def create(cls, version: Version, window: Window, kind: Kind | None = None, host: str = "") -> RekorLog:
        """By default with the kind of key that the public logs have: P-256 for v1, Ed25519 for v2."""
        host = host or f"rekor-{version}.offline.example"
        return cls(version, key_pair(kind or ("p256" if version == "v1" else "ed25519")), window, host)

    @property
    def origin(self) -> str:
        """The first line of checkpoints."""
        return f"{self.host} - {TREE_ID}" if self.version == "v1" else self.host

    @property
    def log_id(self) -> bytes:
        """With Rekor v1 and for ECDSA the SHA-256 of the DER public key; else the C2SP signed-note key id, whole."""
        return self.claimed or self.key_id

    @property
    def key_id(self) -> bytes:
        """The id of the key in checkpoints, of which they hold four bytes."""
        if self.note_id:
            return self.note_id
        if self.version == "v1" or self.key.kind.startswith("p"):
            return digest("sha256", spki(self.key))
        if self.key.kind == "ed25519":
            return digest("sha256", self.origin.encode() + b"\n\x01" + raw_ed25519(self.key))
        return digest("sha256", self.origin.encode() + b"\n\xffPKIX-RSA-PKCS#1v1.5" + spki(self.key))

    def entry(self, body: bytes, at: float, *, index: int = 5, size: int = 7, shards: int = 1000) -> Entry:
        """The body as leaf `index` of a tree of `size` leaves, included at `at`. A Rekor v1 counts the entries of
        earlier `shards` too."""
        leaves = [b'{"another":%d}' % number for number in range(size)]
        leaves[index] = body
        root = tree_root(leaves)
        proof = Proof(index, size, root, tuple(audit_path(leaves, index)), self.checkpoint(size, root))
        if self.version == "v2":
            return Entry(body, index, 0, self.log_id, None, proof)
        entry = Entry(body, shards + index, int(at), self.log_id, None, proof)
        return replace(entry, promise=self.promise(entry))

    def promise(self, entry: Entry) -> bytes:
        """The signed entry timestamp: over the RFC 8785 form of the entry's four facts, which `json` writes too for
        ASCII strings and integers."""
        facts = json.loads(entry.annotation())["Payload"]
        return self.key.sign(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode("ascii"))

    def checkpoint(self, size: int, root: bytes, *, origin: str | None = None, extra: Sequence[str] = ()) -> str:
        """A signed note (C2SP tlog-checkpoint) about the tree. Its signature's name is the origin without the tree
        id. `extra` are further lines of the text."""
        lines = [self.origin if origin is None else origin, str(size), base64_text(root), *extra]
        text = "".join(f"{line}\n" for line in lines)
        return f"{text}\n{self.note_signature(text)}"

    def note_signature(self, text: str) -> str:
        """The line that signs the text of a note (C2SP signed-note)."""
        signature = base64.b64encode(self.key_id[:4] + self.key.sign(text.encode())).decode("ascii")
        return f"— {self.host} {signature}\n"

    def document(self) -> dict[str, Any]:
        """Its entry in trusted_root.json."""
        return log_document(f"https://{self.host}", self.key, self.window, self.log_id)
