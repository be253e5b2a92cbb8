"""The real cosign without a key: what it signs and says with a private Sigstore."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devkit.services import CosignError

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.live.instance import SigstoreServer
    from devkit.services import Cosign

_PLAIN = ("--allow-http-registry=true", "--allow-insecure-registry=true")


@dataclass(frozen=True)
class Identity:
    """Regular expressions (RE2, not anchored) for the issuer and the subject of a certificate."""

    issuer: str
    subject: str


class KeylessCosign:
    """Signs with the services of `sigstore` for whom a token speaks, and verifies with any trusted root."""

    def __init__(self, cosign: Cosign, sigstore: SigstoreServer) -> None:
        self._cosign = cosign
        self._sigstore = sigstore

    def sign(self, reference: str, token: str, *, key: Path | None = None) -> None:
        """Signs `host:port/repository@sha256:<hex>` as a Sigstore bundle with Rekor v2 and a timestamp. With `key`,
        Fulcio certifies that key instead of one made for this signature."""
        given = self._sigstore.keeper.folder / "token"  # in the command line, cosign knows RS256 tokens only
        given.write_text(token)
        self._cosign.run(
            "sign",
            f"--identity-token={given}",
            f"--signing-config={self._sigstore.signing_config}",
            f"--trusted-root={self._sigstore.trusted_root}",
            *(() if key is None else (f"--key={key}", "--issue-certificate")),
            *_PLAIN,
            reference,
        )

    def verify(self, reference: str, identity: Identity, trusted_root: Path | None = None) -> str | None:
        """cosign's own opinion with that root (by default the one of `sigstore`): None, or why not."""
        try:
            self._cosign.run(
                "verify",
                f"--trusted-root={trusted_root or self._sigstore.trusted_root}",
                f"--certificate-identity-regexp={identity.subject}",
                f"--certificate-oidc-issuer-regexp={identity.issuer}",
                "--new-bundle-format=true",
                *_PLAIN,
                reference,
            )
        except CosignError as error:
            return str(error)
        return None
