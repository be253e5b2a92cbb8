"""The whole private Sigstore: authority, CT log, Rekor v1 and v2, timestamp authority, and their trusted root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from devkit.offline.authority import Authority, Profile, general_name
from devkit.offline.ctlog import CTLog
from devkit.offline.keys import key_pair
from devkit.offline.rekor import RekorLog
from devkit.offline.signing import Signing
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.windows import LEAF_LIFE, NOW, Window
from devkit.signer import Signer, to_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from devkit.offline.ctlog import SctMaker
    from devkit.signer import Kind


class Documented(Protocol):
    """What stands in a trusted root."""

    def document(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class OfflineSigstore:
    """The services. Leaves are issued at `now` and sign a minute later."""

    now: float
    authority: Authority
    ctlog: CTLog
    rekor_v1: RekorLog
    rekor_v2: RekorLog
    tsa: TimestampAuthority

    @classmethod
    def create(cls, now: float = NOW) -> OfflineSigstore:
        """New keys for everything; all windows hold from a year before `now` to twenty years after it."""
        window = Window.around(now)
        return cls(
            now,
            Authority.create(window),
            CTLog.create(window),
            RekorLog.create("v1", window),
            RekorLog.create("v2", window),
            TimestampAuthority.create(window),
        )

    def identity(
        self,
        issuer: str = "https://issuer.example",
        subject: str = "ci@example.com",
        key: Kind | Signer = "p256",
        *,
        authority: Authority | None = None,
        scts: Iterable[SctMaker] | None = None,
        profile: Profile | None = None,
        hash_: str = "",
    ) -> Signing:
        """A leaf for a new key, or a given one, and what it signs with. A subject with `://` is a URI, any other an
        email address. `profile` replaces what the leaf says, `scts` the SCT of our log."""
        pair = key if isinstance(key, Signer) else key_pair(key)
        issued_by = authority or self.authority
        said = profile or self.profile(issuer, subject)
        made = [self.ctlog.at(self.now)] if scts is None else scts
        leaf = issued_by.issue(said, pair, made, hash_)
        services = (self.rekor_v1, self.rekor_v2, self.tsa)
        return Signing(issuer, subject, pair, leaf, issued_by.chain, self.now + 60, *services)

    def profile(self, issuer: str = "https://issuer.example", subject: str = "ci@example.com") -> Profile:
        """What a good leaf says."""
        return Profile(issuer, (general_name(subject),), Window(self.now, self.now + LEAF_LIFE))

    def trusted_root(self, **changes: Any) -> bytes:
        """`trusted_root.json`. Changes as of `trusted_root_document`."""
        return to_json(self.trusted_root_document(**changes))

    def trusted_root_document(
        self,
        *,
        authorities: Sequence[Documented] | None = None,
        logs: Sequence[Documented] | None = None,
        ctlogs: Sequence[Documented] | None = None,
        timestamp_authorities: Sequence[Documented] | None = None,
        without: Collection[str] = (),
    ) -> dict[str, Any]:
        """The same as a dict (protobuf-specs, TrustedRoot). Each list can be replaced (a changed window is
        `dataclasses.replace(sigstore.authority, window=…)`); fields named in `without` are left out wherever they
        stand, as are lists that are empty."""
        parts: dict[str, Sequence[Documented]] = {
            "tlogs": [self.rekor_v1, self.rekor_v2] if logs is None else logs,
            "certificateAuthorities": [self.authority] if authorities is None else authorities,
            "ctlogs": [self.ctlog] if ctlogs is None else ctlogs,
            "timestampAuthorities": [self.tsa] if timestamp_authorities is None else timestamp_authorities,
        }
        document: dict[str, Any] = {"mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1"}
        document |= {name: [each.document() for each in found] for name, found in parts.items() if found}
        pruned: dict[str, Any] = _without(document, without)
        return pruned


def _without(value: Any, names: Collection[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(member, names) for name, member in value.items() if name not in names}
    return [_without(member, names) for member in value] if isinstance(value, list) else value
