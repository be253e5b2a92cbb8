"""Log entries: signatures.md, "Legacy cosign" checks 5 and 6, and "Sigstore bundles", keyless.

Good entries are those of devkit.offline and of Sigstore's public logs (recorded/README.md); every wrong one differs
from a good one in the thing that its test names.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devkit.offline import NOW, OfflineSigstore, Window, bodies
from devkit.offline.windows import base64_text
from ocisource.trust.logs import Signed, check_entry, check_log_time, check_set_bundle
from ocisource.trust.roots import read_trusted_root
from ocisource.trust.wire import RefusedError

LOGS = Path(__file__).parent / "recorded" / "logs"
SIGSTORE = OfflineSigstore.create()
ROOT = read_trusted_root(SIGSTORE.trusted_root())
SIGNING = SIGSTORE.identity()
ENVELOPE, BLOB = SIGNING.seal(b'{"a":1}'), SIGNING.seal(b"payload", None)
OTHERS = {
    "payload": replace(ENVELOPE, payload=b'{"a":2}'),
    "signature": replace(ENVELOPE, signature=SIGNING.key.sign(ENVELOPE.message)),
    "certificate": replace(ENVELOPE, certificate=SIGSTORE.identity().seal(b"").certificate),
}
AT = int(SIGNING.at)


def about(sealed) -> Signed:
    return Signed(sealed.message, sealed.payload, sealed.signature, sealed.certificate, sealed.payload_type is not None)


def entry(version="v1", body=None, **changes):
    """A good entry about the envelope, or about what the changes say."""
    log = SIGSTORE.rekor_v1 if version == "v1" else SIGSTORE.rekor_v2
    kind = bodies.dsse if version == "v1" else bodies.hashedrekord_v2
    return replace(log.entry(body or kind(ENVELOPE), AT), **changes)


def rewritten(document, *path, **values):
    """The document with other values for the members at the path; None takes one out."""
    whole = json.loads(json.dumps(document))
    inner = whole
    for step in path:
        inner = inner[step]
    for name, value in values.items():
        inner.pop(name, None)
        if value is not None:
            inner[name] = value
    return whole


def refusal(document, signed=None, root=ROOT, **options) -> str:
    with pytest.raises(RefusedError) as refused:
        check_entry(root, document, signed or about(ENVELOPE), **options)
    return str(refused.value)


# What public logs wrote


def recorded(name):
    return json.loads((LOGS / name).read_bytes())


@pytest.mark.parametrize(
    ("bundle", "root", "index", "time"),
    [
        ("dsse.bundle.json", "good.trusted_root.json", 175508996, 1740770291),
        ("intoto.bundle.json", "good.trusted_root.json", 31821305, 1692374735),
        ("tiles.bundle.json", "staging.trusted_root.json", 4026478, None),
    ],
)
def test_entries_of_public_logs_hold_for_their_signature_only(bundle, root, index, time):
    document, trusted = recorded(bundle), read_trusted_root((LOGS / root).read_bytes())
    material, envelope = document["verificationMaterial"], document["dsseEnvelope"]
    leaf = material.get("certificate") or material["x509CertificateChain"]["certificates"][0]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    signature = base64.b64decode(envelope["signatures"][0]["sig"])
    signed = Signed(message, payload, signature, base64.b64decode(leaf["rawBytes"]), dsse=True)
    logged = check_entry(trusted, material["tlogEntries"][0], signed)
    assert (logged.index, logged.time) == (index, time)
    for other in (
        replace(signed, message=message + b" ", payload=payload + b" "),
        replace(signed, signature=signature + b" "),
        replace(signed, certificate=ENVELOPE.certificate),
    ):
        with pytest.raises(RefusedError, match="log entry is for another"):
            check_entry(trusted, material["tlogEntries"][0], other)
    assert "not in the trusted root" in refusal(material["tlogEntries"][0], signed)


def test_a_promise_of_a_public_log_holds():
    """An annotation as cosign wrote them in 2022, by Sigstore's staging log."""
    trusted = read_trusted_root((LOGS / "staging.trusted_root.json").read_bytes())
    certificate = x509.load_pem_x509_certificate((LOGS / "set.certificate.pem").read_bytes())
    payload = (LOGS / "set.payload.txt").read_bytes()
    signature = base64.b64decode((LOGS / "set.signature.txt").read_bytes())
    signed = Signed(payload, payload, signature, certificate.public_bytes(Encoding.DER), dsse=False)
    logged = check_set_bundle(trusted, (LOGS / "set.annotation.json").read_text(), signed)
    assert (logged.index, logged.time) == (827575, 1665690514)


# What the entry says holds: Rekor v1


def test_an_entry_of_rekor_v1_gives_index_time_and_log():
    logged = check_entry(ROOT, entry().document(), about(ENVELOPE))
    assert (logged.index, logged.time, logged.log_id) == (1005, AT, SIGSTORE.rekor_v1.log_id)
    assert logged.windows == (ROOT.logs[0].window,)


def test_numbers_may_be_numbers_and_zeros_may_be_absent():
    """Protobuf JSON: int64 as text or number, and index 0 is left out."""
    made = SIGSTORE.rekor_v1.entry(bodies.dsse(ENVELOPE), AT, index=0, size=1, shards=0)
    document = made.document()
    assert "logIndex" not in document
    proof = document["inclusionProof"]
    del proof["logIndex"], proof["hashes"]
    assert check_entry(ROOT, document, about(ENVELOPE)).index == 0
    document |= {"logIndex": 0, "integratedTime": AT}
    proof |= {"logIndex": 0, "treeSize": 1, "hashes": None}
    assert check_entry(ROOT, document, about(ENVELOPE)).index == 0


@pytest.mark.parametrize(
    "value", ["", "-1", -1, "01", " 1", "1.0", 1.0, True, "\u0661", [], 1 << 53, str(1 << 53), "9" * 17]
)
def test_a_number_that_is_none_is_refused(value):
    for path, name in (((), "logIndex"), ((), "integratedTime"), (("inclusionProof",), "logIndex")):
        reason = refusal(rewritten(entry().document(), *path, **{name: value}))
        assert reason.endswith(f"{name} is not a whole number up to 9007199254740991")


def test_the_largest_number_is_read():
    """So it is the promise that does not hold."""
    document = rewritten(entry().document(), logIndex=str((1 << 53) - 1))
    assert refusal(document) == "log entry's signed entry timestamp is not by its log"


@pytest.mark.parametrize("change", [{"time": AT + 1}, {"index": 1006}])
def test_a_promise_over_other_facts_is_refused(change):
    document = replace(entry(), **change).document()
    assert refusal(document) == "log entry's signed entry timestamp is not by its log"


def test_a_promise_for_another_body_is_refused():
    again = SIGSTORE.rekor_v1.entry(bodies.dsse(OTHERS["payload"]), AT)
    assert "signed entry timestamp" in refusal(entry(promise=again.promise).document())


def test_a_log_that_poses_as_ours_is_refused():
    foreign = OfflineSigstore.create().rekor_v1
    posing = replace(foreign, claimed=SIGSTORE.rekor_v1.log_id)
    document = posing.entry(bodies.dsse(ENVELOPE), AT).document()
    assert refusal(document) == "log entry's signed entry timestamp is not by its log"
    del document["inclusionPromise"]
    assert refusal(document) == "log entry's checkpoint is not signed by its log"


def test_the_key_of_a_log_comes_from_the_trusted_root_only():
    foreign = OfflineSigstore.create().rekor_v1
    document = foreign.entry(bodies.dsse(ENVELOPE), AT).document()
    assert refusal(document) == "log entry is from a log that is not in the trusted root"


@pytest.mark.parametrize(
    ("window", "holds"), [(Window(AT, AT), True), (Window(AT + 1), False), (Window(0, AT - 1), False)]
)
def test_the_key_of_the_log_is_valid_at_the_time_of_the_entry(window, holds):
    logs = [replace(SIGSTORE.rekor_v1, window=window)]
    root = read_trusted_root(SIGSTORE.trusted_root(logs=logs))
    if holds:
        assert check_entry(root, entry().document(), about(ENVELOPE)).time == AT
        return
    assert refusal(entry().document(), root=root) == "the log's key was not valid at the time of the log entry"


@pytest.mark.parametrize("turned", [False, True])
def test_a_root_may_list_a_log_once_for_each_time_in_which_it_was_trusted(turned):
    """The original's answer to the first order; the order means nothing."""
    logs = [replace(SIGSTORE.rekor_v1, window=Window(0, 1)), SIGSTORE.rekor_v1]
    root = read_trusted_root(SIGSTORE.trusted_root(logs=logs[::-1] if turned else logs))
    check_log_time(check_entry(root, entry().document(), about(ENVELOPE)), AT)
    check_log_time(check_entry(root, entry(promise=None).document(), about(ENVELOPE)), AT)


def test_the_time_of_another_key_under_the_id_of_a_log_is_not_that_of_the_log():
    """The ID of a Rekor v2 log says nothing about the key beside it."""
    ended = replace(SIGSTORE.rekor_v2, window=Window(NOW - 9, NOW - 1))
    other = replace(OfflineSigstore.create().rekor_v2, claimed=ended.log_id)
    root = read_trusted_root(SIGSTORE.trusted_root(logs=[ended, other]))
    logged = check_entry(root, entry("v2").document(), about(ENVELOPE))
    check_log_time(logged, NOW - 1)
    with pytest.raises(RefusedError, match="the log's key was not valid at the time of the signature"):
        check_log_time(logged, NOW)


@pytest.mark.parametrize("time", [253402300800, (1 << 53) - 1])
def test_a_log_may_sign_any_time_but_none_that_nobody_can_write(time):
    """The key of a log that is in use has no end of validity."""
    log = replace(SIGSTORE.rekor_v1, window=Window(NOW))
    root = read_trusted_root(SIGSTORE.trusted_root(logs=[log]))
    last = entry(time=253402300799)
    assert check_entry(root, replace(last, promise=log.promise(last)).document(), about(ENVELOPE)).time == 253402300799
    later = entry(time=time)
    reason = refusal(replace(later, promise=log.promise(later)).document(), root=root)
    assert reason == "log entry's integratedTime is later than the year 9999"


def test_without_a_promise_nobody_vouches_for_the_time():
    """integratedTime alone is not signed. The index is then the one that the proof is about."""
    logged = check_entry(ROOT, entry(promise=None).document(), about(ENVELOPE))
    assert (logged.index, logged.time) == (5, None)
    for absent in ({}, {"signedEntryTimestamp": ""}, {"signedEntryTimestamp": None}):
        document = entry().document() | {"inclusionPromise": absent}
        assert check_entry(ROOT, document, about(ENVELOPE)).time is None


def test_a_time_that_others_vouch_for_is_held_against_the_key_of_the_log():
    logs = [replace(SIGSTORE.rekor_v2, window=Window(NOW, NOW + 9))]
    root = read_trusted_root(SIGSTORE.trusted_root(logs=logs))
    logged = check_entry(root, entry("v2").document(), about(ENVELOPE))
    check_log_time(logged, NOW)
    check_log_time(logged, NOW + 9)
    for at in (NOW - 0.5, NOW + 9.5):
        with pytest.raises(RefusedError, match="the log's key was not valid at the time of the signature"):
            check_log_time(logged, at)


def test_a_promise_suffices_where_no_proof_is_required():
    document = entry(proof=None).document()
    assert refusal(document) == "log entry has no inclusion proof"
    assert check_entry(ROOT, document, about(ENVELOPE), proof_required=False).time == AT
    both = entry(proof=None, promise=None).document()
    assert refusal(both, proof_required=False) == "log entry has no inclusion proof"


def test_a_proof_that_is_there_must_hold_even_beside_a_promise():
    document = rewritten(entry().document(), "inclusionProof", logIndex="4")
    reason = "log entry is not in its log: the inclusion proof does not hold"
    assert refusal(document, proof_required=False) == reason


# Rekor v2


def test_an_entry_of_rekor_v2_gives_index_and_no_time():
    logged = check_entry(ROOT, entry("v2").document(), about(ENVELOPE))
    assert (logged.index, logged.time, logged.log_id) == (5, None, SIGSTORE.rekor_v2.log_id)
    # A time in it is not signed by anybody.
    assert check_entry(ROOT, entry("v2", time=AT).document(), about(ENVELOPE)).time is None


def test_an_entry_of_rekor_v2_needs_a_proof():
    assert refusal(entry("v2", proof=None).document(), proof_required=False) == "log entry has no inclusion proof"


def test_an_entry_of_rekor_v2_has_no_promise():
    made = entry("v2")
    document = replace(made, promise=SIGSTORE.rekor_v2.promise(made)).document()
    assert refusal(document) == "log entry of Rekor v2 holds a signed entry timestamp"


def test_an_entry_of_rekor_v2_has_one_index():
    assert refusal(entry("v2", index=6).document()) == "log entry gives two indexes"


def test_a_checkpoint_of_rekor_v2_is_of_the_host_of_its_log():
    made = entry("v2")
    other = SIGSTORE.rekor_v2.checkpoint(made.proof.size, made.proof.root, origin="another.example")
    assert (
        refusal(replace(made, proof=replace(made.proof, checkpoint=other)).document())
        == "checkpoint is from another log"
    )


def test_an_entry_of_rekor_v2_needs_the_base_url_of_its_log():
    root = read_trusted_root(SIGSTORE.trusted_root(without={"baseUrl"}))
    reason = "the trusted root gives the log no baseUrl, which an entry of Rekor v2 needs"
    assert refusal(entry("v2").document(), root=root) == reason
    assert check_entry(root, entry().document(), about(ENVELOPE)).time == AT


@pytest.mark.parametrize("suffix", ["", ":3000", "/", "/api?x#y", ":3000/api"])
def test_only_the_host_of_a_base_url_counts(suffix):
    document = SIGSTORE.trusted_root_document()
    document["tlogs"][1]["baseUrl"] = f"http://{SIGSTORE.rekor_v2.host}{suffix}"
    root = read_trusted_root(json.dumps(document).encode())
    assert check_entry(root, entry("v2").document(), about(ENVELOPE)).index == 5


@pytest.mark.parametrize("url", ["", "{host}", "ftp://{host}", "x https://{host}", "https://", "https:///{host}"])
def test_what_is_no_web_address_names_no_host(url):
    document = SIGSTORE.trusted_root_document()
    document["tlogs"][1]["baseUrl"] = url.format(host=SIGSTORE.rekor_v2.host)
    reason = "the trusted root gives the log no baseUrl, which an entry of Rekor v2 needs"
    assert refusal(entry("v2").document(), root=read_trusted_root(json.dumps(document).encode())) == reason


@pytest.mark.parametrize("origin", ["rekor", "rekor - ", "rekor - 1a", " - 1", "rekor -1", "rekor - 1 "])
def test_a_checkpoint_of_rekor_v1_ends_in_a_tree_id(origin):
    made = entry()
    note = SIGSTORE.rekor_v1.checkpoint(made.proof.size, made.proof.root, origin=origin)
    document = replace(made, proof=replace(made.proof, checkpoint=note)).document()
    assert refusal(document) == "checkpoint's origin does not end in a tree ID"


def test_the_name_of_a_rekor_v1_is_anything():
    """It is the server's own name for itself, not its address."""
    made = entry()
    note = SIGSTORE.rekor_v1.checkpoint(made.proof.size, made.proof.root, origin="rekor-7d9f - 1")
    document = replace(made, proof=replace(made.proof, checkpoint=note)).document()
    assert check_entry(ROOT, document, about(ENVELOPE)).index == 1005


# The proof


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_proof_is_about_the_tree_of_its_checkpoint(version):
    """A checkpoint that the log did sign, of another tree."""
    log = SIGSTORE.rekor_v1 if version == "v1" else SIGSTORE.rekor_v2
    made, other = entry(version), log.entry(b"{}", AT)
    proof = replace(made.proof, checkpoint=other.proof.checkpoint, root=other.proof.root)
    reason = "log entry is not in its log: the inclusion proof does not hold"
    assert refusal(replace(made, proof=proof).document()) == reason


def test_what_a_proof_repeats_is_what_the_checkpoint_says():
    document = entry().document()
    assert (
        refusal(rewritten(document, "inclusionProof", treeSize="8")) == "inclusion proof and checkpoint give two sizes"
    )
    other = base64_text(bytes(32))
    reason = "inclusion proof and checkpoint give two root hashes"
    assert refusal(rewritten(document, "inclusionProof", rootHash=other)) == reason
    bare = rewritten(document, "inclusionProof", rootHash=None, treeSize=None)
    assert check_entry(ROOT, bare, about(ENVELOPE)).index == 1005


def test_a_hash_of_the_proof_that_is_wrong_or_missing_is_refused():
    hashes = entry().document()["inclusionProof"]["hashes"]
    for wrong in (hashes[1:], hashes[::-1], [], [*hashes, hashes[0]]):
        reason = refusal(rewritten(entry().document(), "inclusionProof", hashes=wrong))
        assert reason == "log entry is not in its log: the inclusion proof does not hold"
    assert "is not base64" in refusal(rewritten(entry().document(), "inclusionProof", hashes=["?"]))


def test_a_proof_has_at_most_64_hashes():
    """signatures.md rule 6."""
    one = base64_text(bytes(32))
    reason = refusal(rewritten(entry().document(), "inclusionProof", hashes=[one] * 65))
    assert reason == "inclusion proof's hashes are not a list of at most 64"
    assert "does not hold" in refusal(rewritten(entry().document(), "inclusionProof", hashes=[one] * 64))
    assert reason == refusal(rewritten(entry().document(), "inclusionProof", hashes={"a": one}))


# The form


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(
    ("path", "name", "what"),
    [
        ((), "canonicalizedBody", "log entry's canonicalizedBody"),
        ((), "logId", "log entry's logId"),
        (("logId",), "keyId", "log entry's logId.keyId"),
        ((), "kindVersion", "log entry's kindVersion"),
        (("inclusionProof",), "checkpoint", "log entry's checkpoint"),
    ],
)
def test_what_an_entry_must_have_it_has(version, path, name, what):
    document = entry(version).document()
    assert refusal(rewritten(document, *path, **{name: None})) == f"{what} is missing"
    assert refusal(rewritten(document, *path, **{name: 7})).startswith(f"{what} is not ")


def test_a_part_that_is_no_object_is_refused():
    for name in ("inclusionProof", "inclusionPromise"):
        assert refusal(entry().document() | {name: "x"}) == f"log entry's {name} is not a JSON object"
    promise = entry().document() | {"inclusionPromise": {"signedEntryTimestamp": 7}}
    assert refusal(promise) == "log entry's signedEntryTimestamp is not text"


@pytest.mark.parametrize("change", [{"kind": "hashedrekord"}, {"version": "0.0.2"}, {"kind": 7}])
def test_an_entry_says_of_its_kind_what_its_body_says(change):
    document = rewritten(entry().document(), "kindVersion", **change)
    assert refusal(document) == "log entry's kindVersion is not that of its body"


# The legacy annotation


def annotation(sealed=BLOB, **changes) -> str:
    return replace(SIGSTORE.rekor_v1.entry(bodies.hashedrekord(sealed), AT), **changes).annotation()


def set_refusal(text, signed=None, root=ROOT) -> str:
    with pytest.raises(RefusedError) as refused:
        check_set_bundle(root, text, signed or about(BLOB))
    return str(refused.value)


def test_a_promise_in_an_annotation_gives_index_time_and_log():
    logged = check_set_bundle(ROOT, annotation(), about(BLOB))
    assert (logged.index, logged.time, logged.log_id) == (1005, AT, SIGSTORE.rekor_v1.log_id)
    assert logged.windows == (ROOT.logs[0].window,)


@pytest.mark.parametrize("change", [{"time": AT + 1}, {"index": 1006}, {"promise": b"\x30\x00"}])
def test_an_annotation_whose_promise_is_over_other_facts_is_refused(change):
    assert set_refusal(annotation(**change)) == "log entry's signed entry timestamp is not by its log"


def test_an_annotation_of_another_log_is_refused():
    foreign = OfflineSigstore.create().rekor_v1
    made = foreign.entry(bodies.hashedrekord(BLOB), AT)
    assert set_refusal(made.annotation()) == "log entry is from a log that is not in the trusted root"
    posing = replace(made, log_id=SIGSTORE.rekor_v1.log_id)
    posing = replace(posing, promise=foreign.promise(posing))
    assert set_refusal(posing.annotation()) == "log entry's signed entry timestamp is not by its log"


def test_an_annotation_from_outside_the_window_of_the_log_is_refused():
    logs = [replace(SIGSTORE.rekor_v1, window=Window(AT + 1))]
    root = read_trusted_root(SIGSTORE.trusted_root(logs=logs))
    assert set_refusal(annotation(), root=root) == "the log's key was not valid at the time of the log entry"


def test_an_annotation_about_another_signature_is_refused():
    """The body is judged, not only the promise over it."""
    other = SIGNING.seal(b"another payload", None)
    assert set_refusal(annotation(other)) == "log entry is for another payload"
    again = replace(BLOB, signature=SIGNING.key.sign(BLOB.message))
    assert set_refusal(annotation(again)) == "log entry is for another signature"


def test_an_annotation_that_is_not_in_its_form_is_refused():
    good = json.loads(annotation())
    for name, what in (
        ("SignedEntryTimestamp", "log entry's SignedEntryTimestamp"),
        ("Payload", "log entry's Payload"),
    ):
        assert set_refusal(json.dumps(rewritten(good, **{name: None}))) == f"{what} is missing"
    assert set_refusal(json.dumps(rewritten(good, "Payload", body=None))) == "log entry's body is missing"
    for wrong in (None, 7, "", "d32f", good["Payload"]["logID"].upper(), good["Payload"]["logID"] + "\n"):
        reason = set_refusal(json.dumps(rewritten(good, "Payload", logID=wrong)))
        assert reason == "log entry's logID is not 64 hexadecimal digits"
    for name in ("logIndex", "integratedTime"):
        # Here, other than in a bundle, numbers are numbers.
        for wrong in (None, "1", 1.5, -1, True):
            reason = set_refusal(json.dumps(rewritten(good, "Payload", **{name: wrong})))
            assert reason == f"log entry's {name} is not a whole number up to 9007199254740991"
    for text, reason in (
        ("", "log entry is not JSON"),
        ("[]", "log entry is not a JSON object"),
        ("\ud800", "log entry is not UTF-8"),
    ):
        assert set_refusal(text) == reason
    repeated = annotation().replace('"Payload":', '"Payload":{},"Payload":')
    assert set_refusal(repeated) == "log entry has the key 'Payload' twice"
