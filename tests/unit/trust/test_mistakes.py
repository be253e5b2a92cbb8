"""Every mistake that devkit.offline can make is refused, by the check it is for; every difference that must not
matter is accepted (signatures.md, "Legacy cosign", "Sigstore bundles").

The real cosign is of the same opinion (tests/e2e/test_offline_sigstore.py), so what is accepted here is a real
signature, and what is refused would be one but for the one thing that its name says.
"""

from __future__ import annotations

import pytest

from devkit.offline import FORMS, MISTAKES, VARIANTS, Draft, Form, OfflineSigstore, draft, every
from devkit.signer import LegacyLayer, sha256
from ocisource.domain.evidence import BundleSignature, Judgement, LegacySignature, Subject
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.roots import read_trusted_root

SUBJECT = Subject("registry.example/app", sha256(b"artifact"))

# The check that refuses a mistake, as signatures.md numbers its steps; in another form it may be another one.
REFUSED_BY = {
    "format": [
        "the payload type is not in-toto's",
        "the same entry stands there twice",
    ],
    "certificate": [
        "the certificate has no extended key usage",
        "the certificate is not for code signing",
        "the certificate's key may not sign",
        "the certificate is a CA's",
        "the certificate names nobody",
        "the certificate names no issuer",
    ],
    "signature": [
        "the payload was changed after it was signed",
        "another key signed than the certificate's",
        "the certificate is another identity's",
    ],
    "digest": [
        "the signature is of another digest",
        "the payload says another type",
        "the statement is of another type",
        "the predicate is another attestation's",
        "the statement has no subject",
    ],
    "log entry": [
        "there is no log entry",
        "the entry is about another signature",
        "the entry is about another payload",
        "the entry is about another certificate",
        "the entry is of another kind",
        "the log is unknown",
        "another key logged in the log's name",
        "the promise is by another key",
        "the promise is for another time",
        "the promise is for another index",
        "the promise is for another body",
        "the entry names another log of the root",
        "the entry's index is not its proof's",
        "there is no inclusion proof",
        "the inclusion proof is another entry's",
        "the inclusion proof is for another index",
        "the inclusion proof is for another size",
        "the inclusion proof leads to another root",
        "the inclusion proof is too long",
        "the inclusion proof is too short",
        "there is no checkpoint",
        "the checkpoint is of another tree",
        "the checkpoint is by another key",
        "the checkpoint is of another origin",
        "the checkpoint was changed",
        "the root knows no log",
    ],
    "time": [
        "there is no timestamp",
        "a time that nobody signed stands in for the timestamp",
        "the timestamp is over other bytes",
        "the timestamp is over the payload",
        "the timestamp uses SHA-1",
        "the timestamp is by an unknown authority",
        "the timestamp brings an authority of its own",
        "the timestamp is by another key in the authority's name",
        "the timestamp's signature is about other content",
        "the timestamp names another certificate as its own",
        "the timestamp is signed data of another type",
        "the timestamp has two signers",
        "the timestamp was rejected",
        "the timestamp authority may not make timestamps",
        "the timestamp authority may do more than timestamps",
        "the timestamp authority has no extended key usage",
        "the timestamp authority's usage is not critical",
        "the timestamp authority's certificate had expired",
        "the timestamp authority's certificate was not valid yet",
        "the root had stopped to trust the timestamp authority",
        "the root did not trust the timestamp authority yet",
        "the root knows no timestamp authority",
    ],
    "certificate chain": [
        "an unknown authority of the same name issued the certificate",
        "the certificate's authority is its own root",
        "a leaf issued the certificate",
        "the intermediate had expired",
        "the root had expired",
        "the intermediate is no CA",
        "the intermediate has no basic constraints",
        "the intermediate may not sign certificates",
        "the intermediate is not for code signing",
        "the certificate had expired",
        "the certificate was not valid yet",
        "the root had stopped to trust the authority",
        "the root did not trust the authority yet",
        "the root knows no authority",
    ],
    "certificate transparency": [
        "the certificate has no SCT",
        "the SCT is by an unknown log",
        "the SCT is by another key in the log's name",
        "the SCT is for another certificate",
        "the SCT is for another issuer",
        "the root had stopped to trust the CT log",
        "the root did not trust the CT log yet",
        "the root knows no CT log",
    ],
}
CHECK = {mistake: check for check, mistakes in REFUSED_BY.items() for mistake in mistakes}

# What a promise fixes at once, the log entry's check sees; without one, the time has to come from elsewhere first.
BY_FORM = {
    ("the entry has no promise", "legacy"): "log entry",
    ("the entry has no promise", "v1"): "time",
    ("the root had stopped to trust the log", "legacy"): "log entry",
    ("the root had stopped to trust the log", "v1"): "log entry",
    ("the root had stopped to trust the log", "v2"): "time",
    ("the root did not trust the log yet", "legacy"): "log entry",
    ("the root did not trust the log yet", "v1"): "log entry",
    ("the root did not trust the log yet", "v2"): "time",
}


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


def judge(made: Draft) -> Judgement:
    evidence = made.evidence
    found = (
        LegacySignature("legacy signature 1", evidence.payload, evidence.annotations)
        if isinstance(evidence, LegacyLayer)
        else BundleSignature("bundle 1", evidence)
    )
    return read_identity_policy(read_trusted_root(made.root), []).judge(SUBJECT, found)


@pytest.mark.parametrize(("mistake", "form"), every(MISTAKES))
def test_a_mistake_is_refused_by_its_check(sigstore: OfflineSigstore, mistake: str, form: Form) -> None:
    judgement = judge(MISTAKES[mistake].make(sigstore, SUBJECT.digest, form))
    assert not judgement.accepted
    assert judgement.reason
    *passed, failed = judgement.checks
    assert all(check.passed for check in passed)
    assert (failed.passed, failed.detail) == (False, judgement.reason)
    assert failed.name == BY_FORM.get((mistake, form), CHECK.get(mistake))


@pytest.mark.parametrize(("variant", "form"), every(VARIANTS))
def test_a_difference_that_must_not_matter_does_not(sigstore: OfflineSigstore, variant: str, form: Form) -> None:
    made = VARIANTS[variant].make(sigstore, SUBJECT.digest, form)
    judgement = judge(made)
    assert judgement.accepted, judgement.reason
    assert f"'{made.signing.subject}' of issuer '{made.signing.issuer}'" in judgement.signer
    assert all(check.passed for check in judgement.checks)


@pytest.mark.parametrize("form", FORMS)
def test_a_good_signature_passes_every_check_that_a_mistake_can_fail(sigstore: OfflineSigstore, form: Form) -> None:
    judgement = judge(draft(sigstore, SUBJECT.digest, form))
    assert {check.name for check in judgement.checks} == {*REFUSED_BY, "identity"}
