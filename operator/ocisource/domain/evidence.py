"""What a registry holds about who signed a digest, and what came of judging it (signatures.md).

The registry room collects evidence, the trust room judges it; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ocisource.domain.content import EMPTY


@dataclass(frozen=True)
class Subject:
    """What a verdict is about: `digest` (`sha256:<hex>`) in `repository` (`host[:port]/path`). `media_type` and `size`
    (bytes) are those of the manifest at the digest; only Notation signs them, so only then are they known."""

    repository: str
    digest: str
    media_type: str = ""
    size: int = -1

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Material:
    """The Secrets that `spec.verify` names, all in `namespace`: the data of `secretRef` and of `trustedRootSecretRef`,
    None where the spec names none."""

    namespace: str
    data: Mapping[str, bytes] | None = None
    root: Mapping[str, bytes] | None = None


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
class NotationSignature:
    """One Notation signature found through referrers: an envelope of `media_type` (JWS or COSE); digest and size
    already checked."""

    name: str
    media_type: str
    envelope: bytes


@dataclass(frozen=True)
class Unreadable:
    """Something that claims to be a signature but cannot be read, with the reason. It never counts and never
    hides another one (signatures.md rule 3). `unanswered` is True where the registry did not answer, so that nobody
    knows what stands there."""

    name: str
    reason: str
    unanswered: bool = False


Evidence = LegacySignature | BundleSignature | NotationSignature | Unreadable


@dataclass(frozen=True)
class Check:
    """One check of one signature: its name, whether it holds, and what was seen (or why it does not hold)."""

    name: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Judgement:
    """The verdict on one piece of evidence.

    `signer` tells who signed (`key 'cosign.pub' (SHA256:…)`), "" where the evidence does not count; then `reason` says
    why in a few words ("signed by another key"). `ignored` says which failure the policy tolerates, where it lets the
    artifact pass without a verdict (Notation's level audit). `checks` are those that were made, in order.
    """

    signer: str = ""
    reason: str = ""
    ignored: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def accepted(self) -> bool:
        return bool(self.signer)
