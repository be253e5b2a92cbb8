"""The private Sigstore and Notary whose signatures the targets change, made anew in each process."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from target import FindingError, expect

from devkit.offline import NOW, OfflineSigstore, Signing, Window, notary
from devkit.offline import der as asn1
from devkit.offline.authority import CA, CODE_SIGNING, Authority, certificate, key_usage, to_der
from devkit.offline.keys import key_pair
from devkit.offline.notary import Notary, Order
from devkit.signer import Signer, signing_payload, statement
from ocisource.domain.evidence import Evidence, Subject
from ocisource.domain.source import OIDCIdentity
from ocisource.trust import ledger
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.roots import read_trusted_root

if TYPE_CHECKING:
    from ocisource.ports import Policy

DIGEST = "sha256:" + "a" * 64
MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"
SUBJECT = Subject("registry.example/app", DIGEST, MEDIA_TYPE, 528)
AT = NOW + 60
"""When everything is signed."""
WINDOW = Window.around(NOW)


def _authority() -> tuple[Signer, Authority]:
    """As `Authority.create` makes one, with the key of its root at hand."""
    above, key = key_pair(), key_pair()
    usage = key_usage("key_cert_sign")
    root = certificate("offline root", above, "offline root", above, WINDOW, [CA, usage])
    limited = (x509.ExtendedKeyUsage([CODE_SIGNING]), False)
    issuing = certificate("offline issuing", key, root.subject, above, WINDOW, [usage, CA, limited])
    return above, Authority((issuing, root), key, WINDOW)


ROOT_KEY, AUTHORITY = _authority()
_made = OfflineSigstore.create()
SIGSTORE = replace(
    _made,
    authority=AUTHORITY,
    rekor_v1=replace(_made.rekor_v1, window=Window(NOW)),
    rekor_v2=replace(_made.rekor_v2, window=Window(NOW)),
)
"""Its logs are in use: their keys have no end of validity."""
SIGNING: Signing = SIGSTORE.identity()
LEAF = to_der(SIGNING.certificate)
ROOT = read_trusted_root(SIGSTORE.trusted_root())
IDENTITY = OIDCIdentity("^https://issuer[.]example$", "^ci@example[.]com$")
POLICY = read_identity_policy(ROOT, [IDENTITY])

KEY = Signer.generate()
KEYS = read_keys("pub", {"cosign.pub": KEY.public_pem()})

PAYLOAD = signing_payload(DIGEST, "registry.example/app")
STATEMENT = statement(DIGEST)
BARE, SEALED = SIGNING.seal(PAYLOAD, None), SIGNING.seal(STATEMENT)


def _notary() -> tuple[Signer, Notary]:
    """As `Notary.create` makes one, with the key of its root at hand."""
    above, key, called = key_pair(), key_pair(), notary.name({"C": "US", "ST": "WA", "O": "notary", "CN": "CA"})
    root = notary.issue(called, above, called, above, WINDOW, notary.authority_extensions())
    leaf = notary.issue(notary.name(notary.SUBJECT), key, called, above, WINDOW, notary.leaf_extensions())
    return above, Notary((leaf, root), key)


NOTARY_KEY, NOTARY = _notary()
ORDER = Order(MEDIA_TYPE, DIGEST, SUBJECT.size, AT)


def certified(tbs: bytes, key: Signer) -> bytes:
    """A certificate with this TBSCertificate, whatever it says, signed with SHA-256 by a P-256 key."""
    return asn1.sequence(tbs, asn1.sequence(asn1.oid("1.2.840.10045.4.3.2")), asn1.tlv(0x03, b"\0", key.sign(tbs)))


class _Accidents(logging.Handler):
    """Keeps what the ledger tells of: it makes a reason of an accident, and a line in the log."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[BaseException | None] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.kept.append(record.exc_info[1] if record.exc_info else None)


_accidents = _Accidents()
ledger.logger.addHandler(_accidents)
ledger.logger.propagate = False


def accepted(evidence: Evidence, *policies: Policy) -> bool:
    """Whether one of the policies (the keyless one unless others are named) lets the evidence pass. An accident on the
    way, of which a policy only makes a reason (signatures.md rule 2), is raised."""
    return sum(_passes(policy, evidence) for policy in policies or (POLICY,)) > 0


def _passes(policy: Policy, evidence: Evidence) -> bool:
    judgement = policy.judge(SUBJECT, evidence)
    if _accidents.kept:
        raise FindingError("an accident") from _accidents.kept.pop()
    passed, reason = judgement.accepted or bool(judgement.ignored), judgement.reason
    expect(passed or 0 < len(reason) <= ledger.REASON_LIMIT, "no reason", judgement)
    expect(reason.isascii() and reason.isprintable(), "a reason that cannot be shown", repr(reason))
    return passed
