"""Targets: certificates as they come, what authorities sign in them, and the trusted root that names authorities."""

from __future__ import annotations

from dataclasses import replace

from cryptography import x509
from target import Target, decoded, expect, lenient, outcome
from world import AT, AUTHORITY, DIGEST, IDENTITY, LEAF, ROOT, ROOT_KEY, SIGNING, SIGSTORE, accepted, certified

from devkit.offline.authority import to_der
from devkit.offline.keys import public, spki
from ocisource.domain.evidence import BundleSignature, LegacySignature
from ocisource.trust.certificates import Leaf, check_chain, read_leaf
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.roots import read_trusted_root
from ocisource.trust.sct import check_scts

ISSUING, TOP = AUTHORITY.chain
TOP_ALONE = read_trusted_root(SIGSTORE.trusted_root(authorities=[replace(AUTHORITY, chain=(TOP,))]))
"""A root that leaves the issuing certificate to the signature."""

LEAVES = (SIGNING.certificate, SIGSTORE.identity(subject="https://ci.example/x", key="ed25519").certificate)

_made = SIGNING.legacy(DIGEST)
GOOD = (
    (SIGSTORE.rekor_v1, LegacySignature("legacy", _made.payload, _made.annotations)),
    (SIGSTORE.rekor_v1, BundleSignature("bundle", SIGNING.bundle(DIGEST))),
    (SIGSTORE.rekor_v2, BundleSignature("bundle", SIGNING.bundle(DIGEST, "v2"))),
)


def _leaf(data: bytes) -> bool:
    """A leaf as it comes."""
    leaf = outcome(lambda: read_leaf(data))
    if leaf is None:
        return False
    if outcome(lambda: check_chain(ROOT, leaf, [], AT)):
        genuine = [one.tbs_certificate_bytes for one in LEAVES]
        expect(leaf.certificate.tbs_certificate_bytes in genuine, "a certificate that nobody signed", data.hex())
    return _logged(leaf)


def _logged(leaf: Leaf) -> bool:
    if outcome(lambda: check_scts(ROOT, leaf, ISSUING)):
        genuine = [one.tbs_precertificate_bytes for one in LEAVES]
        expect(leaf.certificate.tbs_precertificate_bytes in genuine, "a certificate that no log saw", leaf.der.hex())
        return True
    return False


def _tbs(data: bytes) -> bool:
    """A leaf, signed anew."""
    leaf = outcome(lambda: read_leaf(certified(data, AUTHORITY.key)))
    if leaf is None:
        return False
    if outcome(lambda: check_chain(ROOT, leaf, [], AT)):
        start, end = leaf.certificate.not_valid_before_utc, leaf.certificate.not_valid_after_utc
        expect(start.timestamp() <= AT <= end.timestamp(), "a certificate of another time", data.hex())
    return _logged(leaf)


def _link(data: bytes) -> bool:
    """A certificate between leaf and root, signed anew."""
    der = certified(data, ROOT_KEY)
    if outcome(lambda: check_chain(TOP_ALONE, read_leaf(LEAF), [der], AT)):
        found = x509.load_der_x509_certificate(der)
        expect(found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca, "no authority", data.hex())
        expect(found.public_key() == public(AUTHORITY.key), "another key", data.hex())
        return True
    return False


def _root(data: bytes) -> bool:
    """A trusted root, and every form of signature under it."""
    root = outcome(lambda: read_trusted_root(data))
    if root is None:
        return False
    held = decoded(lenient(data))
    policy = read_identity_policy(root, [IDENTITY])
    logs = [log for log, evidence in GOOD if accepted(evidence, policy)]
    for log in logs:
        expect(spki(log.key) in held, "without the log's key", data)
        expect(spki(SIGSTORE.ctlog.key) in held, "without the CT log's key", data)
        expect(spki(AUTHORITY.key) in held or spki(ROOT_KEY) in held, "without the authority's key", data)
    return bool(logs)


TARGETS = (
    Target("leaf", tuple(to_der(one) for one in LEAVES), _leaf),
    Target("leaf, signed", tuple(one.tbs_certificate_bytes for one in LEAVES), _tbs),
    Target("intermediate, signed", (ISSUING.tbs_certificate_bytes,), _link),
    Target("trusted root", (SIGSTORE.trusted_root(),), _root),
)
