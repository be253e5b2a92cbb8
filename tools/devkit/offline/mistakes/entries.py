"""Log entries that are not about this signature, or that the log never made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from devkit.offline import bodies
from devkit.offline.authority import to_der
from devkit.offline.case import BUNDLES, PROMISED, Case
from devkit.offline.draft import Draft, Form, draft
from devkit.offline.keys import key_pair
from devkit.offline.rekor import Entry, RekorLog

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.offline.case import Make
    from devkit.offline.rekor import Proof
    from devkit.offline.sealed import Sealed
    from devkit.offline.sigstore import OfflineSigstore


def log_of(sigstore: OfflineSigstore, form: Form) -> RekorLog:
    """The log that writes down signatures of this form."""
    return sigstore.rekor_v2 if form == "v2" else sigstore.rekor_v1


def _entries(change: Callable[[Entry], tuple[Entry, ...]]) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        return replace(good, entries=change(good.entries[0]))

    return make


def _entry(**changes: Any) -> Make:
    return _entries(lambda entry: (replace(entry, **changes),))


def _proof(change: Callable[[RekorLog, Proof], Proof]) -> Make:
    """An entry with another inclusion proof."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        entry = good.entries[0]
        assert entry.proof is not None
        return replace(good, entries=(replace(entry, proof=change(log_of(sigstore, form), entry.proof)),))

    return make


def _about(change: Callable[[OfflineSigstore, Draft], Sealed]) -> Make:
    """A good entry of the log, about something else."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        other = change(sigstore, good)
        return replace(good, entries=(good.signing.logged(other, "v2" if form == "v2" else "v1"),))

    return make


def _logged_by(change: Callable[[RekorLog], RekorLog]) -> Make:
    """Entry, promise and checkpoint of another log."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        signing = sigstore.identity()
        other = change(log_of(sigstore, form))
        signing = replace(signing, rekor_v2=other) if form == "v2" else replace(signing, rekor_v1=other)
        return draft(sigstore, digest, form, signing)

    return make


def _stranger(log: RekorLog) -> RekorLog:
    return replace(log, key=key_pair(log.key.kind))


def _promise_by_another_key(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    good = draft(sigstore, digest, form)
    entry = good.entries[0]
    return replace(good, entries=(replace(entry, promise=_stranger(sigstore.rekor_v1).promise(entry)),))


def _another_log(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    good = draft(sigstore, digest, form)
    other = sigstore.rekor_v1 if form == "v2" else sigstore.rekor_v2
    return replace(good, entries=(replace(good.entries[0], log_id=other.log_id),))


def _another_kind(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The log's other way to write a signature down, which says nothing of the envelope."""
    good = draft(sigstore, digest, form)
    body = bodies.hashedrekord(good.sealed)
    return replace(good, entries=(sigstore.rekor_v1.entry(body, good.signing.at),))


def _another_entry(log: RekorLog, proof: Proof) -> Proof:
    """A good proof, with checkpoint, of an entry that stands at the same index in a tree of the same size."""
    other = log.entry(b"{}", 0, index=proof.index, size=proof.size).proof
    assert other is not None
    return other


def _another_root(log: RekorLog, proof: Proof) -> Proof:
    """The log signs the root of another tree, and the proof names that root."""
    root = bytes(32)
    return replace(proof, root=root, checkpoint=log.checkpoint(proof.size, root))


def _checkpoint_of_another_tree(log: RekorLog, proof: Proof) -> Proof:
    return replace(proof, checkpoint=log.checkpoint(proof.size, bytes(32)))


def _checkpoint_by_another_key(log: RekorLog, proof: Proof) -> Proof:
    """In the log's name, with the log's key id."""
    pose = replace(_stranger(log), note_id=log.key_id)
    return replace(proof, checkpoint=pose.checkpoint(proof.size, proof.root))


def _checkpoint_of_another_origin(log: RekorLog, proof: Proof) -> Proof:
    return replace(proof, checkpoint=log.checkpoint(proof.size, proof.root, origin="elsewhere.example"))


def _changed_checkpoint(_log: RekorLog, proof: Proof) -> Proof:
    """One more line of text than was signed."""
    text, _, signatures = (proof.checkpoint or "").partition("\n\n")
    return replace(proof, checkpoint=f"{text}\nTimestamp: 1\n\n{signatures}")


def _another_signature(_: OfflineSigstore, good: Draft) -> Sealed:
    """A second signature by the same key over the same payload (ECDSA signs differently each time)."""
    return good.signing.seal(good.sealed.payload, good.sealed.payload_type)


def _another_payload(_: OfflineSigstore, good: Draft) -> Sealed:
    return replace(good.sealed, payload=good.sealed.payload + b" ")


def _another_certificate(sigstore: OfflineSigstore, good: Draft) -> Sealed:
    """Of the same key and identity."""
    return replace(good.sealed, certificate=to_der(sigstore.identity(key=good.signing.key).certificate))


MISTAKES = (
    Case("there is no log entry", _entries(lambda _: ())),
    Case("the entry is about another signature", _about(_another_signature)),
    Case("the entry is about another payload", _about(_another_payload)),
    Case("the entry is about another certificate", _about(_another_certificate)),
    Case("the entry is of another kind", _another_kind, ("v1",)),
    Case("the log is unknown", _logged_by(_stranger)),
    Case(
        "another key logged in the log's name",
        _logged_by(lambda log: replace(_stranger(log), claimed=log.log_id, note_id=log.key_id)),
    ),
    Case("the same entry stands there twice", _entries(lambda entry: (entry, entry)), BUNDLES),
    Case("the entry has no promise", _entry(promise=None), PROMISED),
    Case("the promise is by another key", _promise_by_another_key, PROMISED),
    Case("the promise is for another time", _entries(lambda entry: (replace(entry, time=entry.time + 1),)), PROMISED),
    Case(
        "the promise is for another index", _entries(lambda entry: (replace(entry, index=entry.index + 1),)), PROMISED
    ),
    Case(
        "the promise is for another body",
        _entries(lambda entry: (replace(entry, body=entry.body.replace(b'"apiVersion"', b' "apiVersion"')),)),
        PROMISED,
    ),
    Case("the entry names another log of the root", _another_log),
    Case("the entry's index is not its proof's", _entry(index=4), ("v2",)),
    Case("there is no inclusion proof", _entry(proof=None), BUNDLES),
    Case("the inclusion proof is another entry's", _proof(_another_entry), BUNDLES),
    Case(
        "the inclusion proof is for another index",
        _proof(lambda _, proof: replace(proof, index=proof.index - 1)),
        BUNDLES,
        own_rule=("v2",),
    ),
    Case(
        "the inclusion proof is for another size",
        _proof(lambda _, proof: replace(proof, size=proof.size + 1)),
        BUNDLES,
        own_rule=BUNDLES,
    ),
    Case("the inclusion proof leads to another root", _proof(_another_root), BUNDLES),
    Case(
        "the inclusion proof is too long",
        _proof(lambda _, proof: replace(proof, path=(*proof.path, bytes(32)))),
        BUNDLES,
    ),
    Case("the inclusion proof is too short", _proof(lambda _, proof: replace(proof, path=proof.path[:-1])), BUNDLES),
    Case("there is no checkpoint", _proof(lambda _, proof: replace(proof, checkpoint=None)), BUNDLES),
    Case("the checkpoint is of another tree", _proof(_checkpoint_of_another_tree), BUNDLES),
    Case("the checkpoint is by another key", _proof(_checkpoint_by_another_key), BUNDLES),
    Case("the checkpoint is of another origin", _proof(_checkpoint_of_another_origin), BUNDLES),
    Case("the checkpoint was changed", _proof(_changed_checkpoint), BUNDLES),
)
