"""What a registry holds about who signed a digest, and what came of judging it (signatures.md).

The registry room collects evidence, the trust room judges it; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ocisource.domain.content import EMPTY


@dataclass(frozen=True)
class LegacySignature:
    """One layer of a cosign `sha256-<hex>.sig` manifest: the payload's bytes (size and digest already held
    against the descriptor) and the descriptor's annotations. `name` says which one, for messages."""

    name: str
    payload: bytes
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)


@dataclass(frozen=True)
class BundleSignature:
    """One Sigstore bundle (protobuf JSON) found through referrers; digest and size already checked."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Unreadable:
    """Something that claims to be a signature but cannot be read, with the reason. It never counts and never
    hides another one (signatures.md rule 3)."""

    name: str
    reason: str


Evidence = LegacySignature | BundleSignature | Unreadable


@dataclass(frozen=True)
class Judgement:
    """The verdict on one piece of evidence. `signer` tells who signed (`key 'cosign.pub' (SHA256:…)`), "" where
    it does not count; then `reason` says why in a few words ("signed by another key")."""

    signer: str = ""
    reason: str = ""

    @property
    def accepted(self) -> bool:
        return bool(self.signer)


@dataclass(frozen=True)
class Verdict:
    """The digest was signed by `signer`, as the policy asks."""

    digest: str
    signer: str
