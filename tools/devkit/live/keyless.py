"""The real cosign without a key: what it signs with a private Sigstore, and its own opinion of signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from devkit.services import CosignError

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.live.instance import SigstoreServer
    from devkit.services import Cosign

Form = Literal["bundle", "bundle-v1", "legacy", "legacy-unlogged"]
"""What cosign v3 makes without a key.

- bundle: a Sigstore bundle with an entry of Rekor v2 and a timestamp, as a signing config asks for
- bundle-v1: a Sigstore bundle with an entry of Rekor v1
- legacy: a `.sig` tag with an entry of Rekor v1
- legacy-unlogged: a `.sig` tag with a timestamp and no log entry. With Rekor v2 there is no legacy form.
"""

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

    def sign(self, reference: str, token: str, form: Form = "bundle", *, key: Path | None = None) -> None:
        """Signs `host:port/repository@sha256:<hex>`. With `key`, Fulcio certifies that private key (of
        `import_key`) instead of one made for this signature."""
        given = self._sigstore.keeper.folder / "token"  # in the command line, cosign knows RS256 tokens only
        given.write_text(token)
        self._cosign.run(
            "sign",
            f"--identity-token={given}",
            f"--trusted-root={self._sigstore.trusted_root}",
            *self._services(form),
            *(() if key is None else (f"--key={key}", "--issue-certificate")),
            *_PLAIN,
            reference,
        )

    def import_key(self, pem: Path) -> Path:
        """A private key (PKCS #8) as a file of cosign's beside it."""
        self._cosign.run("import-key-pair", f"--key={pem}", f"--output-key-prefix={pem.with_suffix('')}")
        return pem.with_suffix(".key")

    def verify(
        self, reference: str, identity: Identity, form: Form = "bundle", *, trusted_root: Path | None = None
    ) -> str:
        """cosign's own opinion with that root (by default the one of `sigstore`): "" if it accepts, else why not."""
        try:
            self._cosign.run(
                "verify",
                "--offline=true",  # otherwise it asks the public log about what it does not know
                f"--trusted-root={trusted_root or self._sigstore.trusted_root}",
                f"--certificate-identity-regexp={identity.subject}",
                f"--certificate-oidc-issuer-regexp={identity.issuer}",
                _format(form),
                *_PLAIN,
                reference,
            )
        except CosignError as error:
            return str(error)
        return ""

    def _services(self, form: Form) -> list[str]:
        sigstore = self._sigstore
        if form == "bundle":
            return [f"--signing-config={sigstore.signing_config}"]
        chosen = ["--use-signing-config=false", _format(form), f"--fulcio-url={sigstore.fulcio}"]
        if form == "legacy-unlogged":
            return [*chosen, "--tlog-upload=false", f"--timestamp-server-url={sigstore.timestamps}"]
        return [*chosen, f"--rekor-url={sigstore.rekor_v1}"]


def _format(form: Form) -> str:
    return f"--new-bundle-format={str(form.startswith('bundle')).lower()}"
