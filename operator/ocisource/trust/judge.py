"""The door of the trust room: evidence in, judgement out, whatever the evidence holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ocisource.domain.evidence import BundleSignature, Evidence, Judgement, LegacySignature, Unreadable
from ocisource.trust.bundle import judge_bundle
from ocisource.trust.keys import read_keyring
from ocisource.trust.legacy import judge_legacy
from ocisource.trust.wire import RefusedError, clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocisource.trust.keys import Keyring, PublicKey

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REASON_LIMIT = 300


class KeyTrust:
    """Trust in public keys (`spec.verify.secretRef` with provider cosign); fits `ports.Trust`. Holds no state."""

    def keyring(self, secret: str, data: Mapping[str, bytes], /) -> Keyring:
        """The public keys of the Secret's `*.pub` entries (flux-compat H3), immutable and safe to cache by content.

        Raises TrustError, naming the entry (signatures.md rule 9). No such entry at all is no error: the keyring
        then accepts nothing and its `flaw` says why.
        """
        return read_keyring(secret, data)

    def judge(self, keyring: Keyring, digest: str, evidence: Evidence, /) -> Judgement:
        """Whether the evidence is a signature of `digest` (`sha256:<hex>`) by a key of the ring.

        Never raises: whatever goes wrong, this one piece does not count, with a reason (signatures.md rule 2).
        """
        try:
            return Judgement(signer=str(_signer(keyring, digest, evidence)))
        except RefusedError as refused:
            return Judgement(reason=clean(str(refused), _REASON_LIMIT))
        except Exception as error:  # noqa: BLE001 - rule 2: an accident is a refusal, never a pass, never the end
            return Judgement(reason=f"cannot be judged ({type(error).__name__})")


def _signer(keyring: Keyring, digest: str, evidence: Evidence) -> PublicKey:
    if isinstance(evidence, Unreadable):
        raise RefusedError(evidence.reason or "cannot be read")
    if not _DIGEST.fullmatch(digest):
        raise RefusedError("only a sha256 digest can be verified")
    if keyring.flaw:
        raise RefusedError(keyring.flaw)
    if isinstance(evidence, LegacySignature):
        return judge_legacy(keyring, digest, evidence)
    if isinstance(evidence, BundleSignature):
        return judge_bundle(keyring, digest, evidence.content)
    raise RefusedError("this kind of signature is not supported")
