"""The door of the trust room (signatures.md rules 1 to 3)."""

from __future__ import annotations

import pytest

from ocisource.domain.evidence import BundleSignature, LegacySignature, NotationSignature, Subject, Unreadable


def test_what_cannot_be_read_does_not_count_and_says_why(bench):
    ring = bench.ring(bench.signer())
    assert bench.judge(ring, Unreadable("x", "blob is missing")).reason == "blob is missing"
    assert bench.judge(ring, Unreadable("x", "")).reason == "cannot be read"
    long = bench.judge(ring, Unreadable("x", "\n\x07" * 4000)).reason
    assert long.isprintable()
    assert len(long) == 300


def test_an_accident_is_a_refusal_and_is_told(bench, caplog):
    """Rule 2: whatever goes wrong while judging, it never counts and never escapes. A fault of ours leaves a trace."""
    ring = bench.ring(bench.signer())
    for evidence in (LegacySignature("x", None), BundleSignature("x", None), LegacySignature("x", b"", None)):
        caplog.clear()
        judgement = bench.judge(ring, evidence)
        assert not judgement.accepted
        assert judgement.reason.startswith("cannot be judged (")
        (record,) = caplog.records
        assert (record.levelname, bool(record.exc_info)) == ("ERROR", True)
        assert judgement.checks[-1].detail == judgement.reason


def test_a_refusal_is_no_accident_and_leaves_no_trace(bench, caplog):
    """A registry must not be able to fill the log."""
    assert not bench.judge(bench.ring(bench.signer()), BundleSignature("x", b"{}")).accepted
    assert not caplog.records


def test_what_a_policy_of_keys_does_not_know_does_not_count(bench):
    judgement = bench.judge(bench.ring(bench.signer()), NotationSignature("x", "application/cose", b""))
    assert judgement.reason == "this kind of signature does not count for a key"


def test_a_policy_of_keys_tells_why_nothing_matched(bench):
    """flux-compat H3: the first words are those that clients know; rule 7: then the reasons."""
    subject, ring = Subject("reg.example/app", bench.digest), bench.ring(bench.signer())
    known = f"no matching signatures were found for '{subject}': "
    assert ring.refusal(subject, [("a", "no"), ("b", "not")]) == known + "a: no; b: not"
    assert ring.refusal(subject, []) == known + "the registry holds no signature of it"
    without = bench.ring()
    assert without.refusal(subject, []) == known + "secret 'pub' has no entry that ends in '.pub'"
    assert not bench.judge(without, BundleSignature("x", bench.signer().bundle(bench.digest))).accepted


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "sha512:" + "0" * 128, "sha256:" + "A" * 64, "sha256:" + "0" * 65, "v1"]
)
def test_a_verdict_is_about_a_sha256_digest(bench, digest):
    signer = bench.signer()
    for evidence in (BundleSignature("x", signer.bundle(digest)), _legacy(signer.legacy(digest))):
        judgement = bench.judge(bench.ring(signer), evidence, digest)
        assert judgement.reason == "only a sha256 digest can be verified"


def test_a_bad_signature_does_not_hide_a_good_one(bench):
    """Rule 3: each piece is judged for itself; nothing carries over."""
    ring, signer = bench.ring(bench.signer()), bench.signer()
    evidence = [
        Unreadable("a", "gone"),
        BundleSignature("b", b"\xff" * 10),
        _legacy(bench.signer("p256", 1).legacy(bench.digest)),
        _legacy(signer.legacy(bench.digest)),
        BundleSignature("c", signer.bundle(bench.other_digest)),
        BundleSignature("d", signer.bundle(bench.digest)),
    ]
    assert [bench.judge(ring, one).accepted for one in evidence] == [False, False, False, True, False, True]


def _legacy(layer) -> LegacySignature:
    return LegacySignature("x", layer.payload, layer.annotations)
