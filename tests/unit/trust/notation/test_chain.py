"""The chain of an envelope (`signature-specification.md`, "Certificate Requirements")."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, ObjectIdentifier

from devkit.offline.authority import CODE_SIGNING, key_usage, to_der
from devkit.offline.keys import key_pair
from devkit.offline.notary import Notary, authority_extensions, issue, leaf_extensions, name
from devkit.signer import Signer
from ocisource.trust.notation.chain import (
    MAX_CERTIFICATES,
    called,
    check_revocation,
    check_window,
    expired,
    read_chain,
    thumbprint,
)
from ocisource.trust.wire import RefusedError

CA, NO_CA = x509.BasicConstraints(ca=True, path_length=None), x509.BasicConstraints(ca=False, path_length=None)
SIGN = key_usage("digital_signature")


def _refused(chain, word: str) -> None:
    with pytest.raises(RefusedError, match=word):
        read_chain([to_der(each) for each in chain])


@pytest.mark.parametrize("authorities", range(4))
def test_a_chain_leads_to_a_self_signed_root(desk, authorities):
    chain = desk.notary_of(authorities=authorities).chain
    assert read_chain([to_der(each) for each in chain]) == chain


@pytest.mark.parametrize("kind", ["p384", "rsa2048", "ed25519"])
def test_authorities_have_keys_of_several_kinds(desk, kind):
    chain = desk.notary_of(authority_kind=kind, authorities=2).chain
    assert read_chain([to_der(each) for each in chain]) == chain


def test_a_chain_is_not_empty():
    with pytest.raises(RefusedError, match="0 certificates"):
        read_chain([])


def test_a_chain_has_at_most_ten_certificates(desk):
    chain = desk.notary_of(authorities=MAX_CERTIFICATES).chain
    _refused(chain, "11 certificates instead of 1 to 10")
    shorter = desk.notary_of(authorities=MAX_CERTIFICATES - 1).chain
    assert len(read_chain([to_der(each) for each in shorter])) == MAX_CERTIFICATES


def test_what_is_no_certificate_is_refused(desk):
    with pytest.raises(RefusedError, match=r"certificate 2 of the chain is not an X.509 certificate"):
        read_chain([to_der(desk.notary.chain[0]), b"no"])


def test_a_chain_without_its_root_is_not_complete(desk):
    _refused(desk.notary_of(authorities=2).chain[:2], "not complete: its last, 'CN=CA 1.*is not self-signed")
    _refused(desk.notary.chain[:1], "not complete")


def test_a_chain_is_in_order(desk):
    leaf, middle, root = desk.notary_of(authorities=2).chain
    _refused([leaf, root, middle], "'CN=secure builder.*is not issued by the next one")
    _refused([middle, leaf, root], "is not issued by the next one")


def test_a_chain_has_nothing_else_in_it(desk):
    leaf, root = desk.notary.chain
    other = desk.notary_of(authorities=1).chain[1]
    _refused([leaf, other, root], "is not issued by the next one")
    _refused([leaf, root, root], "is self-signed, and is not the last")


def test_an_issuer_of_the_same_name_with_another_key_is_another_one(desk):
    leaf, other = desk.notary_of().chain[0], desk.notary_of(authorities=1).chain[1]
    assert leaf.issuer == other.subject
    _refused([leaf, other], "is not issued by the next one")


def test_an_authority_whose_key_cannot_sign_issued_nothing(desk):
    called, issuer = name({"CN": "root"}), key_pair()
    leaf = issue(name({"CN": "leaf"}), key_pair(), called, issuer, desk.window, leaf_extensions())
    root = issue(called, Signer(X25519PrivateKey.generate(), "p256"), called, issuer, desk.window, [])
    _refused([leaf, root], "'CN=leaf' is not issued by the next one")


def test_a_self_signed_leaf_is_held_to_the_rules_of_a_leaf(desk):
    """A root alone is no signer."""
    _refused(desk.notary_of(authorities=0, leaf=authority_extensions()).chain, "is a certificate authority")
    _refused(desk.notary.chain[1:], "is a certificate authority")


@pytest.mark.parametrize("hash_", [hashes.SHA384(), hashes.SHA512()])
def test_certificates_are_signed_with_sha2(desk, hash_):
    key, subject = key_pair(), name({"CN": "self"})
    assert read_chain([to_der(issue(subject, key, subject, key, desk.window, leaf_extensions(), hash_))])


@pytest.mark.parametrize("hash_", [hashes.SHA224(), hashes.SHA3_256()])
def test_other_hashes_are_refused(desk, hash_):
    key, subject = key_pair(), name({"CN": "self"})
    _refused([issue(subject, key, subject, key, desk.window, leaf_extensions(), hash_)], "is not signed with SHA-256")


def test_rsa_keys_have_2048_bits_at_least(desk):
    small = Signer(rsa.generate_private_key(65537, 1024), "rsa2048")
    root_name = name({"CN": "root"})
    root = issue(root_name, small, root_name, small, desk.window, authority_extensions())
    leaf = issue(name({"CN": "leaf"}), key_pair(), root_name, small, desk.window, leaf_extensions())
    _refused([leaf, root], "'CN=root' has an RSA key of less than 2048 bits")


@dataclass(frozen=True)
class Numbers:
    """Stands where a leaf's key stands: only its public half is asked for."""

    bits: int
    exponent: int = 65537

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.exponent, (1 << self.bits - 1) | 1).public_key()


@pytest.mark.parametrize(("size", "fits"), [((8192,), True), ((8193,), False)])
@pytest.mark.parametrize("exponent", [65537, (1 << 32) - 1, (1 << 32) + 1])
def test_rsa_keys_cost_no_more_time_than_they_should(desk, size, exponent, fits):
    """Whoever can push may push a chain of such keys: they are looked at before they are used."""
    authority, called = key_pair(), name({"CN": "root"})
    root = issue(called, authority, called, authority, desk.window, authority_extensions())
    large = Signer(Numbers(*size, exponent), "rsa2048")
    chain = [issue(name({"CN": "leaf"}), large, called, authority, desk.window, leaf_extensions()), root]
    if fits and exponent < 1 << 32:
        assert read_chain([to_der(each) for each in chain])
    else:
        _refused(chain, "'CN=leaf' has an RSA key of more than 8192 bits or a large exponent")
        _refused([chain[0], chain[0]], "'CN=leaf' has an RSA key of more than 8192 bits or a large exponent")


@pytest.mark.parametrize(
    ("authority", "word"),
    [
        ([key_usage("key_cert_sign")], "is no authority"),
        ([(NO_CA, True), key_usage("key_cert_sign")], "is no authority"),
        ([(CA, False), key_usage("key_cert_sign")], "is no authority"),
        ([(CA, True)], "has no critical keyUsage"),
        ([(CA, True), (key_usage("key_cert_sign")[0], False)], "has no critical keyUsage"),
        ([(CA, True), key_usage("digital_signature", "crl_sign")], "may not sign certificates"),
    ],
)
def test_an_authority_may_issue_certificates(desk, authority, word):
    _refused(desk.notary_of(authority=authority).chain, word)


def test_path_lengths_count_the_authorities_below(desk):
    def chain(path_length: int) -> list[bytes]:
        return [
            to_der(each) for each in desk.notary_of(authorities=3, authority=authority_extensions(path_length)).chain
        ]

    assert len(read_chain(chain(2))) == 4
    with pytest.raises(RefusedError, match="path length of 1, and 2 authorities below it"):
        read_chain(chain(1))


@pytest.mark.parametrize(
    ("leaf", "word"),
    [
        ([SIGN, (CA, True)], "is a certificate authority"),
        ([], "has no critical keyUsage"),
        ([(SIGN[0], False)], "has no critical keyUsage"),
        ([key_usage("content_commitment")], "not digitalSignature only"),
        *(
            ([key_usage("digital_signature", bit)], "not digitalSignature only")
            for bit in ("key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
        ),
        *(
            ([SIGN, (x509.ExtendedKeyUsage([CODE_SIGNING, usage]), False)], f"has {called}")
            for usage, called in (
                (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, "anyExtendedKeyUsage"),
                (ExtendedKeyUsageOID.SERVER_AUTH, "serverAuth"),
                (ExtendedKeyUsageOID.CLIENT_AUTH, "clientAuth"),
                (ExtendedKeyUsageOID.EMAIL_PROTECTION, "emailProtection"),
                (ExtendedKeyUsageOID.TIME_STAMPING, "timeStamping"),
                (ExtendedKeyUsageOID.OCSP_SIGNING, "OCSPSigning"),
            )
        ),
    ],
)
def test_a_leaf_signs_code_and_nothing_else(desk, leaf, word):
    _refused(desk.notary_of(leaf=leaf).chain, word)


@pytest.mark.parametrize(
    "leaf",
    [
        [SIGN],
        [SIGN, (NO_CA, True)],
        [key_usage("digital_signature", "content_commitment")],
        [SIGN, (x509.ExtendedKeyUsage([ObjectIdentifier("1.3.6.1.4.1.311.10.3.13")]), True)],
        [*leaf_extensions(), (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)],
    ],
)
def test_what_else_a_leaf_has_does_not_matter(desk, leaf):
    """The extended key usage is optional, and extensions other than three are not evaluated ("Other requirements")."""
    assert read_chain([to_der(each) for each in desk.notary_of(leaf=leaf).chain])


@pytest.mark.parametrize("kind", ["ed25519"])
def test_a_key_without_an_algorithm_cannot_sign(desk, kind):
    key, subject = key_pair(kind), name({"C": "US", "ST": "WA", "O": "wabbit-networks.io", "CN": "x"})
    chain = (issue(subject, key, subject, key, desk.window, leaf_extensions()),)
    order = replace(desk.order, chain=chain)
    judgement = desk.judge(order, policy=desk.policy(notary=Notary(chain, key)))
    assert "key of the signing certificate is not supported" in judgement.reason


def test_an_rsa_key_has_a_size_that_fixes_the_algorithm(desk):
    odd = Signer(rsa.generate_private_key(65537, 2056), "rsa2048")
    subject = name({"CN": "odd"})
    chain = (issue(subject, odd, subject, odd, desk.window, leaf_extensions()),)
    judgement = desk.judge(notary=Notary(chain, odd))
    assert "key of the signing certificate is not supported; use EC P-256" in judgement.reason


def test_windows_include_both_ends(desk):
    chain = desk.notary.chain
    start, end = desk.window.start, desk.window.final
    check_window(chain, start, end, "now")
    with pytest.raises(RefusedError, match=r"now is before certificate 'CN=secure builder.*is valid, from 2024-"):
        check_window(chain, start - 1, end, "now")
    with pytest.raises(RefusedError, match=r"now is after certificate 'CN=secure builder.*expired, at 2045-"):
        check_window(chain, start, end + 1, "now")
    assert not expired(chain, end)
    assert expired(chain, end + 1)


def _crl(url: str = "http://crl.example/root.crl") -> x509.CRLDistributionPoints:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point])


def _access(*methods: ObjectIdentifier) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier("http://ocsp.example")
    return x509.AuthorityInformationAccess([x509.AccessDescription(method, place) for method in methods])


OCSP, ISSUERS = AuthorityInformationAccessOID.OCSP, AuthorityInformationAccessOID.CA_ISSUERS


@pytest.mark.parametrize("extension", [_crl(), _access(OCSP), _access(ISSUERS, OCSP)])
def test_a_certificate_that_names_where_to_ask_about_revocation_is_told(desk, extension):
    leaf = desk.notary_of(more=[(extension, False)]).chain
    authority = desk.notary_of(authorities=2, authority=[*authority_extensions(), (extension, False)]).chain
    for chain in (leaf, authority):
        with pytest.raises(RefusedError, match=r"names an OCSP responder or a CRL, .* not supported; .*override"):
            check_revocation(chain)


def test_a_root_is_not_asked_about_nor_is_one_that_names_nothing(desk):
    check_revocation(desk.notary_of(more=[(_access(ISSUERS), False)]).chain)
    check_revocation(desk.notary_of(authority=[*authority_extensions(), (_crl(), False)]).chain)


def test_a_long_subject_is_cut_in_messages(desk):
    root = desk.notary_of(authorities=0, subject=[("OU", "x" * 60), ("O", "y" * 60)]).root
    assert called(root) == f"'O={'y' * 60},OU={'x' * 51}...'"


def test_a_thumbprint_is_the_sha_256_of_the_certificate(desk):
    assert thumbprint(desk.notary.root) == desk.notary.root.fingerprint(hashes.SHA256()).hex()
