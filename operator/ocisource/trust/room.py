"""The door of the trust room: `spec.verify` and its Secrets in, a policy out that judges evidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import Material
from ocisource.domain.source import Verify
from ocisource.ports import Policy
from ocisource.trust.keyed import read_keys


@dataclass(frozen=True)
class TrustRoom:
    """Fits `ports.Trust`. `public_root` gives the public trusted root of this moment (JSON) and is called for keyless
    policies only; `now` is the time in Unix seconds; with `require_identity` a keyless policy must name identities."""

    public_root: Callable[[], bytes]
    now: Callable[[], float] = field(repr=False)
    require_identity: bool = False

    def policy(self, verify: Verify, material: Material, repository: str) -> Policy:
        """The policy that the object asks for. Raises TrustError (signatures.md rule 9)."""
        if verify.provider == "notation":
            raise TrustError("spec.verify.provider notation is not supported yet")
        if material.data is not None:
            return read_keys(verify.secret, material.data)
        raise TrustError("keyless verification is not supported yet")
