"""Targets: what logs and timestamp authorities sign, whatever it says."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from target import Target, decoded, expect, lenient, outcome, strings
from world import AT, BARE, ROOT, SEALED, SIGNING, SIGSTORE, accepted

from devkit.documents import DER
from devkit.offline import NOW, bodies, layer
from devkit.offline import der as asn1
from devkit.offline.authority import to_der
from devkit.offline.signing import REKOR_BUNDLE
from devkit.offline.tsa import response, signed_attributes, signed_data, tst_info
from devkit.offline.windows import LEAF_LIFE, base64_text
from ocisource.domain.evidence import LegacySignature
from ocisource.trust.checkpoints import check_checkpoint
from ocisource.trust.logs import Signed, check_entry, check_set_bundle
from ocisource.trust.timestamps import check_timestamp, check_token

if TYPE_CHECKING:
    from devkit.offline import Sealed

TSA = SIGSTORE.tsa
ENTRY = SIGNING.logged(SEALED)
assert ENTRY.proof is not None
PROOF = ENTRY.proof
NOTE = str(PROOF.checkpoint)
INFO = tst_info(SEALED.signature, AT)
SHA2 = ("sha256", "sha384", "sha512")


def _signed(sealed: Sealed) -> Signed:
    dsse = sealed.payload_type is not None
    return Signed(sealed.message, sealed.payload, sealed.signature, sealed.certificate, dsse=dsse)


def _body(data: bytes) -> bool:
    """A log holds the body, promises it and proves it."""
    promised = SIGSTORE.rekor_v1.entry(data, AT).annotation()
    bare = outcome(lambda: check_set_bundle(ROOT, promised, _signed(BARE)))
    if bare:
        _expect_about(data, BARE)
    try:
        documents = [log.entry(data, AT).document() for log in (SIGSTORE.rekor_v1, SIGSTORE.rekor_v2)]
    except (ValueError, KeyError, TypeError, RecursionError):  # the fixture wants JSON that names its kind
        return bool(bare)
    proved = [outcome(partial(check_entry, ROOT, document, _signed(SEALED))) for document in documents]
    if any(proved):
        _expect_about(data, SEALED)
    return any([bare, *proved])


def _expect_about(body: bytes, sealed: Sealed) -> None:
    said, held = strings(lenient(body)), decoded(lenient(body))
    hashed = [hashlib.new(name, part) for name in SHA2 for part in (sealed.message, sealed.payload)]
    written = {text for one in hashed for text in (one.hexdigest(), base64_text(one.digest()))}
    expect(written & set(said), "an entry about another payload", body)
    expect(sealed.signature in held or base64_text(sealed.signature).encode() in held, "another signature", body)
    pem = base64_text(sealed.certificate).encode()
    expect(sealed.certificate in held or pem in b"".join(held.split()), "another certificate", body)


def _facts(data: bytes) -> bool:
    """The four facts that a log promises, in a whole legacy signature."""
    facts = lenient(data)
    promise = SIGSTORE.rekor_v1.key.sign(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
    annotation = b'{"SignedEntryTimestamp":"%b","Payload":%b}' % (base64.b64encode(promise), data)
    made = layer(BARE, None, SIGNING.certificate, SIGNING.chain)
    annotations = {**made.annotations, REKOR_BUNDLE: annotation.decode("utf-8", "replace")}
    if not accepted(LegacySignature("legacy", made.payload, annotations)):
        return False
    expect(NOW <= facts["integratedTime"] <= NOW + LEAF_LIFE, "outside the certificate's time", data)
    expect(facts["logID"] == SIGSTORE.rekor_v1.log_id.hex(), "another log", data)
    _expect_about(base64.b64decode(facts["body"]), BARE)
    return True


def _note(data: bytes) -> bool:
    """A checkpoint as it comes, and its text signed anew."""
    key = ROOT.logs[0]
    note = data.decode("utf-8", "replace")
    good, text = (one.partition("\n\n")[0] + "\n" for one in (NOTE, note))
    if outcome(lambda: check_checkpoint(note, key)):
        expect(text == good, "a checkpoint that nobody signed", data)
    anew = f"{text}\n{SIGSTORE.rekor_v1.note_signature(text)}"
    entry = replace(ENTRY, proof=replace(PROOF, checkpoint=anew))
    if outcome(lambda: check_entry(ROOT, entry.document(), _signed(SEALED))):
        expect(text.split("\n")[1:3] == good.split("\n")[1:3], "another tree", data)
        return True
    return False


def _timed(resp: bytes, token: bytes) -> bool:
    """Whether either of the two readers accepts its form of a timestamp."""
    found = (
        outcome(lambda: check_timestamp(ROOT, resp, SEALED.signature)),
        outcome(lambda: check_token(token, SEALED.signature, TSA.chain[-1:])),
    )
    return any(time is not None for time in found)


def _response(data: bytes) -> bool:
    """A timestamp as it comes. Who embeds certificates may embed them in many ways: they are not signed."""
    try:
        token = DER.write(DER.read(data).children[1])
    except (ValueError, IndexError):
        token = data
    timed = _timed(data, token)
    expect(not timed or any(one in data for one in _INFOS), "a timestamp that nobody signed", data.hex())
    return timed


def _token(info: bytes, attributes: list[bytes] | None = None) -> bytes:
    return signed_data(info, TSA.chain[0], TSA.key, TSA.chain[:-1], attributes=attributes)


def _info(data: bytes) -> bool:
    """What the authority says."""
    token = _token(data)
    timed = _timed(response(token), token)
    hashes = [hashlib.new(name, SEALED.signature).digest() for name in SHA2]
    expect(not timed or any(one in data for one in hashes), "a timestamp of another signature", data.hex())
    return timed


def _attributes(data: bytes) -> bool:
    """The attributes that the authority signs: a SEQUENCE of them."""
    try:
        attributes = [DER.write(one) for one in DER.read(data).children]
    except ValueError:
        return False
    token = _token(INFO, attributes)
    timed = _timed(response(token), token)
    for named in (INFO, to_der(TSA.chain[0])):
        expect(not timed or hashlib.sha256(named).digest() in data, "attributes of something else", data.hex())
    return timed


def _full() -> bytes:
    """With everything that RFC 3161 section 2.4.2 allows: accuracy, ordering, nonce, name and an extension."""
    tree = DER.read(tst_info(SEALED.signature, AT))
    accuracy = asn1.sequence(asn1.integer(1), asn1.tlv(0x80, b"\x02"), asn1.tlv(0x81, b"\x03"))
    extensions = asn1.tlv(0xA1, asn1.sequence(asn1.oid("1.2.3"), asn1.octets(b"x")))
    more = [accuracy, asn1.boolean(value=True), asn1.integer(7), asn1.explicit(0, asn1.tlv(0x82, b"tsa"))]
    return asn1.sequence(*map(DER.write, tree.children), *more, extensions)


_INFOS = (INFO, tst_info(SEALED.signature, AT, nonce=7), tst_info(SEALED.signature, AT, hash_="sha384"), _full())
_FACTS = json.loads(SIGSTORE.rekor_v1.entry(bodies.hashedrekord(BARE), AT).annotation())["Payload"]
_BODIES = (
    bodies.hashedrekord(BARE),
    bodies.dsse(SEALED),
    bodies.intoto(SEALED),
    bodies.hashedrekord_v2(SEALED),
    bodies.dsse_v2(SEALED),
)
_RESPONSES = (
    TSA.timestamp(SEALED.signature, AT),
    TSA.timestamp(SEALED.signature, AT, embed=TSA.chain, nonce=7),
    TSA.timestamp(SEALED.signature, AT, embed=TSA.chain[:1], hash_="sha384"),
)

TARGETS = (
    Target("log entry body", _BODIES, _body),
    Target("log entry facts", (json.dumps(_FACTS).encode(),), _facts),
    Target("checkpoint", (NOTE.encode(),), _note),
    Target("timestamp", _RESPONSES, _response),
    Target("timestamp info", _INFOS, _info),
    Target("timestamp attributes", (asn1.sequence(*signed_attributes(INFO, TSA.chain[0], "sha256")),), _attributes),
)
