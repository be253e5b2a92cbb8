"""Targets: legacy signatures and bundles as they come, what is signed in them, and keys and patterns of a policy."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from target import Target, both, decoded, expect, lenient, outcome, unarmored
from world import DIGEST, IDENTITY, KEY, KEYS, PAYLOAD, POLICY, SIGNING, SIGSTORE, STATEMENT, accepted

from devkit.offline import assemble, layer
from devkit.offline.authority import to_der
from devkit.offline.keys import spki
from devkit.offline.windows import base64_text
from devkit.signer import SIGN_PREDICATE, Kind, Signer, to_json
from ocisource.domain.evidence import BundleSignature, LegacySignature
from ocisource.domain.source import OIDCIdentity
from ocisource.trust.identity import read_identities
from ocisource.trust.keyed import read_keys

if TYPE_CHECKING:
    from devkit.signer import LegacyLayer


def _document(layer: LegacyLayer) -> bytes:
    return to_json({"payload": base64_text(layer.payload), "annotations": dict(layer.annotations)})


def _legacy(data: bytes) -> bool:
    """The registry room hands over bytes and a mapping of texts, whatever is in them."""
    document = lenient(data)
    annotations = document.get("annotations") if isinstance(document, dict) else None
    if not isinstance(annotations, dict) or not all(isinstance(text, str) for text in annotations.values()):
        return False
    payload = decoded(document.get("payload"))
    if accepted(LegacySignature("legacy", payload, annotations), POLICY, KEYS):
        expect(payload == PAYLOAD, "a payload that nobody signed", data)
        return True
    return False


def _bundle(data: bytes) -> bool:
    if accepted(BundleSignature("bundle", data), POLICY, KEYS):
        payload = lenient(data)["dsseEnvelope"]["payload"]
        expect(base64.b64decode(payload) == STATEMENT, "a statement that nobody signed", data)
        return True
    return False


def _payload(data: bytes) -> bool:
    """Signed anew."""
    made = (SIGNING.legacy(DIGEST, payload=data), POLICY), (KEY.legacy_over(data), KEYS)
    if both([accepted(LegacySignature("legacy", one.payload, one.annotations), policy) for one, policy in made], data):
        critical = lenient(data)["critical"]
        expect(critical["image"]["docker-manifest-digest"] == DIGEST, "another digest", data)
        expect(critical["type"] == "cosign container image signature", "another type", data)
        return True
    return False


def _statement(data: bytes) -> bool:
    """Signed anew."""
    keyless = [SIGNING.bundle(DIGEST, "v1", payload=data), SIGNING.bundle(DIGEST, "v2", payload=data)]
    answers = [accepted(BundleSignature("bundle", content)) for content in keyless]
    if both([*answers, accepted(BundleSignature("bundle", KEY.bundle_over(data)), KEYS)], data):
        said = lenient(data)
        digests = [one["digest"].get("sha256") for one in said["subject"] if _has_digest(one)]
        expect(DIGEST.removeprefix("sha256:") in digests, "another digest", data)
        expect(said["predicateType"] == SIGN_PREDICATE, "another predicate", data)
        return True
    return False


def _has_digest(subject: object) -> bool:
    return isinstance(subject, dict) and isinstance(subject.get("digest"), dict)


def _keys(data: bytes) -> bool:
    """Public keys, and signatures by the original one."""
    policy = outcome(lambda: read_keys("pub", {"cosign.pub": data}))
    if policy is None:
        return False
    legacy = KEY.legacy(DIGEST)
    answers = [
        accepted(BundleSignature("bundle", KEY.bundle(DIGEST)), policy),
        accepted(LegacySignature("legacy", legacy.payload, legacy.annotations), policy),
    ]
    if both(answers, data):
        expect(spki(KEY) in unarmored(data), "another key", data)
        return True
    return False


def _pattern(data: bytes) -> bool:
    """What an object asks of an identity."""
    pattern = data.decode("utf-8", "replace")
    found = outcome(lambda: read_identities([OIDCIdentity(pattern, ".*"), OIDCIdentity(".*", pattern)]))
    if found:
        outcome(lambda: found.match("https://issuer.example", ["ci@example.com", "a" * 2000]))
    return found is not None


def _legacies() -> list[LegacyLayer]:
    signed = SIGNING.seal(PAYLOAD, None)
    stamped = layer(signed, SIGNING.logged(signed), SIGNING.certificate, SIGNING.chain, SIGNING.stamped(signed))
    return [SIGNING.legacy(DIGEST), KEY.legacy(DIGEST), stamped]


def _bundles() -> list[bytes]:
    """Both kinds of logs, a key, a certificate as version 0.2 had it, and other kinds of leaves."""
    signed = SIGNING.seal(STATEMENT)
    above = [to_der(one) for one in SIGNING.chain]
    old = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    found = [SIGNING.bundle(DIGEST), SIGNING.bundle(DIGEST, "v2"), KEY.bundle(DIGEST)]
    found.append(assemble(signed, [SIGNING.logged(signed)], [SIGNING.stamped(signed)], chain=above, media_type=old))
    return [*found, *(SIGSTORE.identity(key=kind).bundle(DIGEST) for kind in OTHER_KINDS)]


OTHER_KINDS: tuple[Kind, ...] = ("rsa2048", "p384", "ed25519")
PEMS = [KEY.public_pem(), b"".join([KEY.public_pem(), *(Signer.generate(kind).public_pem() for kind in OTHER_KINDS)])]

TARGETS = (
    Target("legacy signature", tuple(map(_document, _legacies())), _legacy),
    Target("bundle", tuple(_bundles()), _bundle),
    Target("payload", (PAYLOAD,), _payload),
    Target("statement", (STATEMENT,), _statement),
    Target("public keys", tuple(PEMS), _keys),
    Target("identity patterns", (IDENTITY.issuer.encode(), rb"^(a|b)*\.\pL{1,9}[[:alpha:]]$"), _pattern),
)
