"""devkit.offline against readers that are not ours: sigstore-python, rfc3161-client, the numbers of the RFCs.

The real cosign is asked in tests/e2e/test_offline_sigstore.py.
"""

from __future__ import annotations

import datetime
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import VerifierBuilder, decode_timestamp_response
from sigstore.models import Bundle, TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import Identity

from devkit.offline import (
    FORMS,
    NOW,
    VARIANTS,
    Form,
    OfflineSigstore,
    TimestampAuthority,
    Window,
    der,
    draft,
)
from devkit.offline.authority import ISSUER_V1, ISSUER_V2
from devkit.offline.ctlog import SCT_LIST
from devkit.offline.merkle import audit_path, leaf_hash, tree_root
from devkit.signer import sha256

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.signer import Kind

DIGEST = sha256(b"artifact")


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


# Differences within what sigstore-python supports: signers with P-256 keys, whole roots, one entry of two kinds, one
# SCT.
SUPPORTED = [
    "P-256",
    "a URI as subject",
    "a CA of one certificate",
    "a CA with two intermediates",
    "a CA that signs with SHA-384",
    "a CA with an RSA key",
    "a CT log with an RSA key",
    "witnessed in the certificate's first second",
    "witnessed in the certificate's last second",
    "a root that names earlier services too",
    "a Rekor v2 with a P-256 key",
    "the last entry of many",
    "a checkpoint with further lines",
    "a checkpoint with witnesses",
    "a bundle of version 0.2",
    "a bundle that writes its version otherwise",
    "a timestamp that holds its certificate",
    "a timestamp with a nonce",
    "a timestamp of a SHA-384",
    "a timestamp of a SHA-512",
    "a timestamp of an unknown authority beside",
    "a TSA with an intermediate",
    "a TSA that signs with SHA-384",
    "a TSA with a P-521 key",
    "a TSA with an RSA key",
]


@pytest.mark.parametrize(
    ("variant", "form"), [(name, form) for name in SUPPORTED for form in VARIANTS[name].forms if form != "legacy"]
)
def test_sigstore_python_accepts_the_bundles(
    sigstore: OfflineSigstore, tmp_path: Path, variant: str, form: Form
) -> None:
    good = VARIANTS[variant].make(sigstore, DIGEST, form)
    assert isinstance(good.evidence, bytes)
    root = tmp_path / "trusted_root.json"
    root.write_bytes(good.root)
    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(root)))
    policy = Identity(identity=good.signing.subject, issuer=good.signing.issuer)
    _, payload = verifier.verify_dsse(Bundle.from_json(good.evidence), policy)
    assert payload == good.sealed.payload


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048"])
def test_another_reader_accepts_the_timestamps(kind: Kind) -> None:
    tsa = TimestampAuthority.create(Window.around(NOW), kind=kind, authorities=["p256", "p384"])
    response = decode_timestamp_response(tsa.timestamp(b"signature", NOW, nonce=7))
    builder = VerifierBuilder().tsa_certificate(tsa.chain[0]).add_root_certificate(tsa.chain[-1])
    assert builder.add_intermediate_certificate(tsa.chain[1]).nonce(7).build().verify_message(response, b"signature")
    assert response.tst_info.gen_time == datetime.datetime.fromtimestamp(NOW, datetime.UTC)


def test_a_leaf_is_as_fulcio_writes_it(sigstore: OfflineSigstore) -> None:
    """https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md"""
    leaf = sigstore.identity("https://issuer.example", "https://ci.example/run").certificate
    assert list(leaf.subject) == []
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert (names.critical, names.value.get_values_for_type(x509.UniformResourceIdentifier)) == (
        True,
        ["https://ci.example/run"],
    )
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CODE_SIGNING
    ]
    raw = {each.oid.dotted_string: each.value.public_bytes() for each in leaf.extensions}
    assert raw[ISSUER_V1] == b"https://issuer.example"
    assert raw[ISSUER_V2] == b"\x0c\x16https://issuer.example"  # UTF8String of 22 bytes
    assert list(leaf.extensions)[-1].oid.dotted_string == SCT_LIST
    leaf.verify_directly_issued_by(sigstore.authority.issuing)


def test_an_sct_is_over_the_certificate_without_scts(sigstore: OfflineSigstore) -> None:
    """RFC 6962 section 3.2: version, type, time, entry type, issuer's key hash, TBSCertificate, extensions."""
    leaf = sigstore.identity().certificate
    (sct,) = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    assert sct.log_id == sigstore.ctlog.log_id
    assert sct.timestamp.replace(tzinfo=datetime.UTC).timestamp() == NOW
    issuer = hashlib.sha256(
        sigstore.authority.issuing.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()
    tbs = leaf.tbs_precertificate_bytes
    message = b"\0\0" + (NOW * 1000).to_bytes(8, "big") + b"\0\1" + issuer + len(tbs).to_bytes(3, "big") + tbs + b"\0\0"
    public = sigstore.ctlog.key.private.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(sct.signature, message, ec.ECDSA(sct.signature_hash_algorithm))


# The leaves and roots of the reference tree that implementations of RFC 6962 share
# (https://github.com/google/certificate-transparency/blob/master/python/ct/crypto/merkle_test.py).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", ROOTS)
def test_trees_have_the_roots_of_the_reference_tree(size: int) -> None:
    assert tree_root(LEAVES[:size]).hex() == ROOTS[size]


def test_audit_paths_are_those_of_rfc_6962() -> None:
    """Section 2.1.3: the example tree of seven leaves, d0 to d6, with its nodes a to l."""

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(b"\1" + left + right).digest()

    leaves = [bytes([number]) for number in range(7)]
    a, b, c, d, e, f, j = (leaf_hash(leaf) for leaf in leaves)
    g, h, i = node(a, b), node(c, d), node(e, f)
    k, last = node(g, h), node(i, j)
    assert audit_path(leaves, 0) == [b, h, last]
    assert audit_path(leaves, 3) == [c, g, last]
    assert audit_path(leaves, 4) == [f, j, k]
    assert audit_path(leaves, 6) == [i, k]
    assert tree_root(leaves) == node(k, last)


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (der.integer(0), "020100"),
        (der.integer(127), "02017f"),
        (der.integer(128), "02020080"),
        (der.integer(256), "02020100"),
        (der.oid("1.2.840.113549"), "06062a864886f70d"),
        (der.oid("2.5.4.3"), "0603550403"),
        (der.generalized_time(NOW), "180f" + b"20250615150640Z".hex()),
        (der.octets(b"x" * 128), "048180" + "78" * 128),
        (der.octets(b"x" * 256), "04820100" + "78" * 256),
        (der.set_of(der.integer(2), der.integer(1)), "3106020101020102"),
        (der.explicit(0, der.null()), "a0020500"),
    ],
)
def test_der_is_written_as_x690_says(encoded: bytes, expected: str) -> None:
    """The examples of ITU-T X.690 section 8 and of "A Layman's Guide to a Subset of ASN.1, BER, and DER"."""
    assert encoded.hex() == expected


@pytest.mark.parametrize("form", FORMS)
def test_time_is_a_parameter(form: Form) -> None:
    sigstore = OfflineSigstore.create(now=NOW + 1000)
    good = draft(sigstore, DIGEST, form)
    assert good.signing.certificate.not_valid_before_utc.timestamp() == NOW + 1000
    assert good.entries[0].time == (0 if form == "v2" else NOW + 1060)
