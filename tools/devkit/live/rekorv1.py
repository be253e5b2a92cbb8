"""A stand-in for Rekor v1: the one call that cosign makes to have a signature logged, answered by the offline log.

The real one needs a Trillian log server and a database. cosign writes legacy signatures with a signed entry timestamp
(SET) only with Rekor v1, so here all but the log is real.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

from devkit.live.loopback import NOT_FOUND, Answer, Loopback

if TYPE_CHECKING:
    from devkit.offline.rekor import Entry, RekorLog


class RekorV1Server(Loopback):
    """`log` at `url`, while the context lasts. It takes hashedrekord 0.0.1 and dsse 0.0.1 and believes what it is
    told: whoever verifies has to see for himself."""

    def __init__(self, log: RekorLog) -> None:
        super().__init__()
        self._log = log

    def answer(self, method: str, path: str, body: bytes, /) -> Answer:
        if (method, path) != ("POST", "/api/v1/log/entries"):
            return NOT_FOUND
        proposed = json.loads(body)
        spec = {"hashedrekord": _hashedrekord, "dsse": _dsse}[proposed["kind"]](proposed["spec"])
        logged = {"apiVersion": proposed["apiVersion"], "kind": proposed["kind"], "spec": spec}
        canonical = json.dumps(logged, sort_keys=True, separators=(",", ":")).encode()
        name = hashlib.sha256(b"\0" + canonical).hexdigest()
        entry = self._log.entry(canonical, int(time.time()))
        return Answer(201, {name: _anonymous(entry)}, (("ETag", name), ("Location", f"{path}/{name}")))


def _hashedrekord(spec: dict[str, Any]) -> dict[str, Any]:
    """What is kept: all that was proposed."""
    return spec


def _dsse(spec: dict[str, Any]) -> dict[str, Any]:
    """What is kept: hashes of the envelope and its payload, not the envelope itself."""
    proposed = spec["proposedContent"]
    envelope = json.loads(proposed["envelope"])
    (verifier,), (signature,) = proposed["verifiers"], envelope["signatures"]
    return {
        "envelopeHash": _sha256(proposed["envelope"].encode()),
        "payloadHash": _sha256(base64.b64decode(envelope["payload"])),
        "signatures": [{"signature": signature["sig"], "verifier": verifier}],
    }


def _sha256(content: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(content).hexdigest()}


def _anonymous(entry: Entry) -> dict[str, Any]:
    """The entry as Rekor v1's API has it."""
    proof = entry.proof
    assert proof is not None
    return {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": entry.time,
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
        "verification": {
            "signedEntryTimestamp": base64.b64encode(entry.promise or b"").decode(),
            "inclusionProof": {
                "logIndex": proof.index,
                "treeSize": proof.size,
                "rootHash": proof.root.hex(),
                "hashes": [each.hex() for each in proof.path],
                "checkpoint": proof.checkpoint,
            },
        },
    }
