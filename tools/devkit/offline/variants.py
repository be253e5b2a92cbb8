"""Signatures, services and roots that differ in what must not matter: each must be accepted.

Each is a `Case`. The real cosign accepts it too (tests/e2e/test_offline_sigstore.py), but where `own_rule` says that
it need not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from devkit.offline import bodies
from devkit.offline.authority import Authority, to_der
from devkit.offline.case import BUNDLES, PROMISED, STAMPED, Case
from devkit.offline.ctlog import CTLog
from devkit.offline.draft import Draft, Form, draft
from devkit.offline.rekor import RekorLog
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.windows import LEAF_LIFE, Window
from devkit.signer import Kind, Signer

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.offline.case import Make
    from devkit.offline.rekor import Entry
    from devkit.offline.sigstore import OfflineSigstore


def _key(kind: Kind, *, always_sha256: bool = False) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        key: Kind | Signer = Signer.generate(kind, always_sha256=True) if always_sha256 else kind
        return draft(sigstore, digest, form, sigstore.identity(key=key))

    return make


def _subject(subject: str) -> Make:
    return lambda sigstore, digest, form: draft(sigstore, digest, form, sigstore.identity(subject=subject))


def _services(change: Callable[[OfflineSigstore], OfflineSigstore]) -> Make:
    """Everything is done by other services, which the root knows."""
    return lambda sigstore, digest, form: draft(change(sigstore), digest, form)


def _authority(*kinds: Kind) -> Make:
    return _services(lambda one: replace(one, authority=Authority.create(one.authority.window, kinds=kinds)))


def _tsa(**changes: Any) -> Make:
    return _services(lambda one: replace(one, tsa=TimestampAuthority.create(one.tsa.window, **changes)))


def _rekor_v2(kind: Kind) -> Make:
    return _services(lambda one: replace(one, rekor_v2=RekorLog.create("v2", one.rekor_v2.window, kind)))


def _root(**changes: Any) -> Make:
    """The root is written otherwise."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        return replace(draft(sigstore, digest, form), document=sigstore.trusted_root_document(**changes))

    return make


def _successors(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The root also knows services of the same names: earlier ones, whose time has ended, stand first."""
    other, ended = type(sigstore).create(sigstore.now), Window(0, sigstore.now - 1)
    document = sigstore.trusted_root_document(
        authorities=[replace(other.authority, window=ended), sigstore.authority],
        ctlogs=[replace(other.ctlog, window=ended), sigstore.ctlog],
        logs=[
            replace(other.rekor_v1, window=ended),
            replace(other.rekor_v2, window=ended),
            sigstore.rekor_v1,
            sigstore.rekor_v2,
        ],
        timestamp_authorities=[replace(other.tsa, window=ended), sigstore.tsa],
    )
    return replace(draft(sigstore, digest, form), document=document)


def _log_twice(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The root lists each log twice: it was trusted, then it was not, and then again."""
    ended, logs = Window(0, 1), (sigstore.rekor_v1, sigstore.rekor_v2)
    document = sigstore.trusted_root_document(logs=[*(replace(log, window=ended) for log in logs), *logs])
    return replace(draft(sigstore, digest, form), document=document)


def _windows(window: Callable[[float], Window]) -> Make:
    """The root's windows just reach the time of the signature (all ends are included)."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        span = window(sigstore.now)
        other = replace(
            sigstore,
            authority=replace(sigstore.authority, window=span),
            rekor_v1=replace(sigstore.rekor_v1, window=span),
            rekor_v2=replace(sigstore.rekor_v2, window=span),
            tsa=replace(sigstore.tsa, window=span),
        )
        return replace(draft(sigstore, digest, form), document=other.trusted_root_document())

    return make


def _at(offset: float) -> Make:
    return lambda sigstore, digest, form: draft(sigstore, digest, form, at=sigstore.now + offset)


def _two_scts(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The first by a log that the root does not know."""
    scts = [CTLog.create(sigstore.ctlog.window).at(sigstore.now), sigstore.ctlog.at(sigstore.now)]
    return draft(sigstore, digest, form, sigstore.identity(scts=scts))


def _entry(change: Callable[[RekorLog, Entry, float], Entry]) -> Make:
    """The log wrote it down otherwise."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        log = sigstore.rekor_v2 if form == "v2" else sigstore.rekor_v1
        return replace(good, entries=(change(log, good.entries[0], good.signing.at),))

    return make


def _body(write: Callable[[Any], bytes]) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        log = sigstore.rekor_v2 if form == "v2" else sigstore.rekor_v1
        return replace(good, entries=(log.entry(write(good.sealed), good.signing.at),))

    return make


def _longer_checkpoint(log: RekorLog, entry: Entry, _at: float) -> Entry:
    assert entry.proof is not None
    checkpoint = log.checkpoint(entry.proof.size, entry.proof.root, extra=["Timestamp: 1750000000000000000"])
    return replace(entry, proof=replace(entry.proof, checkpoint=checkpoint))


def _witnessed_checkpoint(log: RekorLog, entry: Entry, _at: float) -> Entry:
    """Signatures of others before and after the log's."""
    assert entry.proof is not None
    witness = RekorLog.create("v2", log.window, "ed25519", "witness.example")
    text, _between, own = log.checkpoint(entry.proof.size, entry.proof.root).partition("\n\n")
    seen = witness.note_signature(f"{text}\n")
    return replace(entry, proof=replace(entry.proof, checkpoint=f"{text}\n\n{seen}{own}{seen}"))


def _foreign_entry(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The first entry is by a log that the root does not know."""
    good = draft(sigstore, digest, form)
    other = type(sigstore).create(sigstore.now)
    signing = replace(good.signing, rekor_v1=other.rekor_v1, rekor_v2=other.rekor_v2)
    return replace(good, entries=(signing.logged(good.sealed, "v2" if form == "v2" else "v1"), *good.entries))


def _stamp(**changes: Any) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        return replace(good, timestamps=(sigstore.tsa.timestamp(good.sealed.signature, good.signing.at, **changes),))

    return make


def _stamps(change: Callable[[OfflineSigstore, Draft], tuple[bytes, ...]]) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        return replace(good, timestamps=change(sigstore, good))

    return make


def _embedded(sigstore: OfflineSigstore, good: Draft) -> tuple[bytes, ...]:
    return (sigstore.tsa.timestamp(good.sealed.signature, good.signing.at, embed=sigstore.tsa.chain[:1]),)


def _foreign_stamp(sigstore: OfflineSigstore, good: Draft) -> tuple[bytes, ...]:
    other = TimestampAuthority.create(sigstore.tsa.window)
    return (other.timestamp(good.sealed.signature, good.signing.at), *good.timestamps)


def _bundle(media_type: str, *, chain: bool = False, proof: bool = True) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        entries = good.entries if proof else tuple(replace(entry, proof=None) for entry in good.entries)
        certificates = tuple(to_der(each) for each in good.signing.chain[:-1]) if chain else ()
        return replace(good, media_type=media_type, chain=certificates, entries=entries)

    return make


def _cases() -> list[Case]:
    return [
        Case("P-256", _key("p256")),
        Case("P-384", _key("p384"), own_rule=("legacy",)),
        Case("P-384 with SHA-256", _key("p384", always_sha256=True), PROMISED),
        Case("P-521", _key("p521"), own_rule=("legacy",)),
        Case("P-521 with SHA-256", _key("p521", always_sha256=True), PROMISED),
        Case("RSA 2048", _key("rsa2048")),
        Case("RSA 3072", _key("rsa3072")),
        Case("Ed25519", _key("ed25519"), own_rule=("legacy",)),
        Case("a URI as subject", _subject("https://ci.example/team/app/.github/workflows/release.yml@refs/tags/v1")),
        Case("an identity of SPIFFE", _subject("spiffe://example.com/ns/ci/sa/release")),
        Case("a CA of one certificate", _authority("p256")),
        Case("a CA with two intermediates", _authority("p256", "p256", "p256")),
        Case("a CA that signs with SHA-384", _authority("p384", "p384")),
        Case("a CA with an RSA key", _authority("rsa2048", "rsa2048")),
        Case(
            "a CT log with an RSA key",
            _services(lambda one: replace(one, ctlog=CTLog.create(one.ctlog.window, "rsa2048"))),
        ),
        Case("two SCTs, one by an unknown log", _two_scts),
        Case("witnessed in the certificate's first second", _at(0)),
        Case("witnessed in the certificate's last second", _at(LEAF_LIFE)),
        Case("windows that begin with the signature", _windows(lambda now: Window(now + 60)), own_rule=("legacy",)),
        Case("windows that end with the signature", _windows(lambda now: Window(0, now + 60))),
        Case("a root that names earlier services too", _successors),
        Case("a root that trusts the logs for two times", _log_twice),
        Case("a root without names and addresses", _root(without=["commonName", "organization", "uri"])),
        Case("a root without subjects", _root(without=["subject"])),
        Case("a root without the logs' addresses", _root(without=["baseUrl"]), PROMISED),
        Case("a root without timestamp authorities", _root(timestamp_authorities=[]), PROMISED),
        Case("a Rekor v2 with a P-256 key", _rekor_v2("p256"), STAMPED),
        Case(
            "the log's first and only entry",
            _entry(lambda log, entry, at: log.entry(entry.body, at, index=0, size=1, shards=0)),
        ),
        Case("the first entry of many", _entry(lambda log, entry, at: log.entry(entry.body, at, index=0, size=100))),
        Case("the last entry of many", _entry(lambda log, entry, at: log.entry(entry.body, at, index=99, size=100))),
        Case("a checkpoint with further lines", _entry(_longer_checkpoint), BUNDLES),
        Case("a checkpoint with witnesses", _entry(_witnessed_checkpoint), BUNDLES, own_rule=("v1",)),
        Case("an entry of an unknown log beside", _foreign_entry, BUNDLES),
        Case("an entry of kind intoto", _body(bodies.intoto), ("v1",)),
        Case("an entry of kind dsse in Rekor v2", _body(bodies.dsse_v2), STAMPED, own_rule=STAMPED),
        Case("a bundle of version 0.1", _bundle(_PLUS.format(1), chain=True, proof=False), ("v1",), own_rule=("v1",)),
        Case("a bundle of version 0.2", _bundle(_PLUS.format(2), chain=True), ("v1",), own_rule=("v1",)),
        Case("a bundle that writes its version otherwise", _bundle(_PLUS.format(3)), BUNDLES),
        Case("a timestamp that holds its certificate", _stamps(_embedded), STAMPED),
        Case("a timestamp with a nonce", _stamp(nonce=1 << 63), STAMPED),
        Case("a timestamp of a SHA-384", _stamp(hash_="sha384"), STAMPED),
        Case("a timestamp of a SHA-512", _stamp(hash_="sha512"), STAMPED),
        Case("a timestamp of an unknown authority beside", _stamps(_foreign_stamp), STAMPED),
        Case("a TSA with an intermediate", _tsa(authorities=["p256", "p256"]), STAMPED),
        Case("a TSA that signs with SHA-384", _tsa(kind="p384", authorities=["p384"]), STAMPED),
        Case("a TSA with a P-521 key", _tsa(kind="p521"), STAMPED),
        Case("a TSA with an RSA key", _tsa(kind="rsa2048"), STAMPED),
        Case("a TSA with an Ed25519 key", _tsa(kind="ed25519"), STAMPED),
    ]


_PLUS = "application/vnd.dev.sigstore.bundle+json;version=0.{}"

VARIANTS: dict[str, Case] = {case.name: case for case in _cases()}
