"""Primitive signatures as JWS and COSE have them (RFC 7518 section 3, RFC 9053 section 2, RFC 8230)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

from devkit.offline.notary import issue, leaf_extensions, name
from devkit.signer import Signer
from ocisource.trust.notation.algorithms import algorithm_of
from ocisource.trust.wire import RefusedError

MESSAGE = b"message"
KINDS = pytest.mark.parametrize(
    ("kind", "algorithm", "size"),
    [
        ("p256", "ES256", 64),
        ("p384", "ES384", 96),
        ("p521", "ES512", 132),
        ("rsa2048", "PS256", 256),
        ("rsa3072", "PS384", 384),
        ("rsa4096", "PS512", 512),
    ],
)


@KINDS
def test_the_key_fixes_algorithm_and_length(desk, kind, algorithm, size):
    notary = desk.notary_of(kind=kind, authorities=0)
    found = algorithm_of(notary.root)
    signature = notary.primitive(MESSAGE)
    assert found.name == algorithm
    assert len(signature) == size
    assert found.verify(signature, MESSAGE)
    assert not found.verify(signature, MESSAGE + b".")
    for wrong in (b"", signature[:-1], signature + b"\x00", b"\x00" + signature, b"\x00" * size, b"\xff" * size):
        assert not found.verify(wrong, MESSAGE)


def test_an_ecdsa_signature_has_one_form(desk):
    """A zero in front of its second number would leave the number as it is."""
    notary = desk.notary_of(authorities=0)
    signature = notary.primitive(MESSAGE)
    assert not algorithm_of(notary.root).verify(signature[:32] + b"\x00" + signature[32:], MESSAGE)


def test_an_ecdsa_signature_in_der_is_none(desk):
    notary = desk.notary_of(authorities=0)
    der = notary.key.private.sign(MESSAGE, ec.ECDSA(SHA256()))
    assert not algorithm_of(notary.root).verify(der, MESSAGE)


def test_an_rsa_signature_has_the_padding_hash_and_salt_of_its_algorithm(desk):
    notary = desk.notary_of(kind="rsa2048", authorities=0)
    private, verify = notary.key.private, algorithm_of(notary.root).verify
    mgf = padding.MGF1(SHA256())
    assert verify(private.sign(MESSAGE, padding.PSS(mgf, 32), SHA256()), MESSAGE)
    for other in (
        private.sign(MESSAGE, padding.PKCS1v15(), SHA256()),
        private.sign(MESSAGE, padding.PSS(mgf, 20), SHA256()),
        private.sign(MESSAGE, padding.PSS(padding.MGF1(SHA512()), 32), SHA256()),
        private.sign(MESSAGE, padding.PSS(padding.MGF1(SHA384()), 48), SHA384()),
    ):
        assert not verify(other, MESSAGE)


@pytest.mark.parametrize(("kind", "hash_"), [("p256", SHA384()), ("p384", SHA256()), ("p521", SHA256())])
def test_an_ecdsa_signature_has_the_hash_of_its_curve(desk, kind, hash_):
    """Other than cosign, Notation knows one hash for each curve."""
    notary = desk.notary_of(kind=kind, authorities=0)
    real = notary.key.private.sign(MESSAGE, ec.ECDSA(hash_))
    r, s = decode_dss_signature(real)
    size = len(notary.primitive(MESSAGE)) // 2
    assert not algorithm_of(notary.root).verify(r.to_bytes(size, "big") + s.to_bytes(size, "big"), MESSAGE)


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP224R1()], ids=lambda curve: curve.name)
def test_another_curve_has_no_algorithm(desk, curve):
    key, subject = Signer(ec.generate_private_key(curve), "p256"), name({"CN": "odd"})
    with pytest.raises(RefusedError, match="key of the signing certificate is not supported; use EC P-256"):
        algorithm_of(issue(subject, key, subject, key, desk.window, leaf_extensions()))
