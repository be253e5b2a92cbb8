"""Signatures that hold, over something that is no signature of the digest; and signatures that do not hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from devkit.offline.authority import to_der
from devkit.offline.case import BUNDLES, Case
from devkit.offline.draft import Draft, Form, draft
from devkit.signer import signing_payload, statement, to_json

if TYPE_CHECKING:
    from devkit.offline.case import Make
    from devkit.offline.sigstore import OfflineSigstore

OTHER_DIGEST = "sha256:" + "0" * 64


def _another_digest(sigstore: OfflineSigstore, _: str, form: Form) -> Draft:
    return draft(sigstore, OTHER_DIGEST, form)


def _payload(change: dict[str, object]) -> Make:
    """The signed document with other members."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = signing_payload(digest, "registry.example/app") if form == "legacy" else statement(digest)
        return draft(sigstore, digest, form, payload=to_json(json.loads(good) | change))

    return make


def _another_type(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    document = json.loads(signing_payload(digest, "registry.example/app"))
    document["critical"]["type"] = "atomic container signature"
    return draft(sigstore, digest, form, payload=to_json(document))


def _another_payload_type(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    return draft(sigstore, digest, form, payload_type="application/json")


def _changed_payload(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The signature was over another digest; the entry and the timestamp are about it."""
    other = draft(sigstore, OTHER_DIGEST, form)
    return replace(other, sealed=replace(other.sealed, payload=draft(sigstore, digest, form).sealed.payload))


def _another_key(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """Another key signed, and our certificate is shown and logged with it."""
    signing, stranger = sigstore.identity(), sigstore.identity()
    return draft(sigstore, digest, form, replace(stranger, certificate=signing.certificate))


def _another_certificate(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """Another identity's certificate is shown; the entry is about the right one."""
    good, stranger = draft(sigstore, digest, form), sigstore.identity(subject="eve@example.com")
    sealed = replace(good.sealed, certificate=to_der(stranger.certificate))
    return replace(good, sealed=sealed, signing=replace(good.signing, certificate=stranger.certificate))


MISTAKES = (
    Case("the signature is of another digest", _another_digest),
    Case("the payload says another type", _another_type, ("legacy",), own_rule=("legacy",)),
    Case("the payload type is not in-toto's", _another_payload_type, BUNDLES),
    Case("the statement is of another type", _payload({"_type": "https://example.com/Statement/v1"}), BUNDLES, BUNDLES),
    Case(
        "the predicate is another attestation's",
        _payload({"predicateType": "https://slsa.dev/provenance/v1"}),
        BUNDLES,
        BUNDLES,
    ),
    Case("the statement has no subject", _payload({"subject": []}), BUNDLES),
    Case("the payload was changed after it was signed", _changed_payload),
    Case("another key signed than the certificate's", _another_key),
    Case("the certificate is another identity's", _another_certificate),
)
