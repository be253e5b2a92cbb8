"""The door of the trust room: `spec.verify` and its Secrets in, a policy out that judges evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import Material, Subject
from ocisource.domain.source import Verify
from ocisource.ports import Policy
from ocisource.trust.keyed import read_keys

if TYPE_CHECKING:
    from ocisource.trust.roots import TrustedRoot

ROOT_ENTRY = "trusted_root.json"


@dataclass(frozen=True)
class TrustRoom:
    """Fits `ports.Trust`. `public_root` gives the public trusted root of this moment (JSON) and is called for keyless
    policies only; `now` is the time in Unix seconds; with `require_identity` a keyless policy must name identities."""

    public_root: Callable[[], bytes]
    now: Callable[[], float] = field(repr=False)
    require_identity: bool = False

    def policy(self, verify: Verify, material: Material, subject: Subject) -> Policy:
        """The policy that the object asks for. Raises TrustError (signatures.md rule 9)."""
        if verify.provider == "notation":
            return self._notation(verify, material, subject)
        # Read with a key, too, and then not used (flux-compat H6).
        root = None if material.root is None else _root_entry(verify, material)
        if material.data is not None:
            return read_keys(verify.secret, material.data)
        return self._keyless(verify, material.namespace, root)

    def _notation(self, verify: Verify, material: Material, subject: Subject) -> Policy:
        from ocisource.trust.notation.policy import read_notation  # noqa: PLC0415 - a process pays for what it uses

        if material.data is None:
            raise TrustError(f"verification secret cannot be empty: '{subject}'")
        return read_notation(f"{material.namespace}/{verify.secret}", material.data, subject.repository, self.now)

    def _keyless(self, verify: Verify, namespace: str, root: bytes | None) -> Policy:
        from ocisource.trust.keyless import read_identity_policy  # noqa: PLC0415 - a process pays for what it uses

        if self.require_identity and not verify.identities:
            raise TrustError("spec.verify.matchOIDCIdentity is required by --require-oidc-identity: name who may sign")
        if root is None:
            return read_identity_policy(_trusted_root(self.public_root()), verify.identities)
        try:
            trusted = _trusted_root(root)
        except TrustError as error:
            place = f"{namespace}/{verify.trusted_root_secret}"
            raise TrustError(f"unable to parse trusted root: {error} (secret '{place}' entry '{ROOT_ENTRY}')") from None
        return read_identity_policy(trusted, verify.identities)


def _root_entry(verify: Verify, material: Material) -> bytes:
    found = (material.root or {}).get(ROOT_ENTRY)
    if found is None:
        place = f"{material.namespace}/{verify.trusted_root_secret}"
        raise TrustError(
            f"failed to read trusted root from secret '{place}': '{ROOT_ENTRY}' not found in secret '{place}'"
        )
    return found


@lru_cache(maxsize=32)
def _trusted_root(document: bytes) -> TrustedRoot:
    """Many objects share a root; reading one takes longer than judging a signature."""
    from ocisource.trust.roots import read_trusted_root  # noqa: PLC0415 - a process pays for what it uses

    return read_trusted_root(document)
