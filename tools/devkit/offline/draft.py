"""One signature in parts, with the trusted root that is to judge it: what a mistake is made in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from devkit.offline.signing import assemble, layer
from devkit.signer import BUNDLE, IN_TOTO, LegacyLayer, signing_payload, statement, to_json

if TYPE_CHECKING:
    from devkit.offline.rekor import Entry
    from devkit.offline.sealed import Sealed
    from devkit.offline.signing import Signing
    from devkit.offline.sigstore import OfflineSigstore

Form = Literal["legacy", "v1", "v2"]
FORMS: tuple[Form, ...] = ("legacy", "v1", "v2")
"""A legacy signature, a bundle with a Rekor v1 entry, a bundle with a Rekor v2 entry and a timestamp."""


@dataclass(frozen=True)
class Draft:
    """The parts of a signature of one form. `dataclasses.replace` any of them. `media_type` is a bundle's; with a
    `chain` (DER) it holds the certificate as version 0.1 and 0.2 do."""

    form: Form
    signing: Signing
    sealed: Sealed
    entries: tuple[Entry, ...]
    timestamps: tuple[bytes, ...]
    document: dict[str, Any]
    media_type: str = BUNDLE
    chain: tuple[bytes, ...] = ()

    @property
    def evidence(self) -> LegacyLayer | bytes:
        """The signature: a legacy layer or a bundle."""
        if self.form == "legacy":
            entry = self.entries[0] if self.entries else None
            return layer(self.sealed, entry, self.signing.certificate, self.signing.chain)
        return assemble(self.sealed, self.entries, self.timestamps, media_type=self.media_type, chain=self.chain)

    @property
    def root(self) -> bytes:
        """`trusted_root.json`"""
        return to_json(self.document)


def draft(
    sigstore: OfflineSigstore,
    digest: str,
    form: Form,
    signing: Signing | None = None,
    *,
    payload: bytes | None = None,
    payload_type: str = IN_TOTO,
    at: float | None = None,
) -> Draft:
    """A good one, of a new identity unless it is given, witnessed at `at`."""
    signer = signing or sigstore.identity()
    if form == "legacy":
        sealed = signer.seal(payload or signing_payload(digest, "registry.example/app"), None)
    else:
        sealed = signer.seal(payload or statement(digest), payload_type)
    entries = (signer.logged(sealed, "v2" if form == "v2" else "v1", at),)
    timestamps = (signer.stamped(sealed, at),) if form == "v2" else ()
    return Draft(form, signer, sealed, entries, timestamps, sigstore.trusted_root_document())
