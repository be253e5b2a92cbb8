"""Certification paths (RFC 5280 section 6). Times are seconds around NOW; everything is valid an hour before and after
it unless a test says otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from devkit.offline.authority import certificate, key_usage, to_der
from devkit.offline.windows import NOW, Window
from devkit.signer import Signer
from ocisource.trust import chains
from ocisource.trust.chains import UnknownIssuerError, build_path, read_certificate
from ocisource.trust.wire import RefusedError

CODE_SIGNING = ExtendedKeyUsageOID.CODE_SIGNING
HOUR = Window(NOW - 3600, NOW + 3600)
AUTHORITY = (x509.BasicConstraints(ca=True, path_length=None), True)
SIGNS_CERTIFICATES = key_usage("key_cert_sign")

ROOT, INTERMEDIATE, LEAF = (Signer.generate("p256") for _ in range(3))


@dataclass(frozen=True)
class Strange:
    """A key that no signer of ours has, in a certificate's place for one."""

    private: object
    kind: str = "p256"
    always_sha256: bool = False


def constraints(path_length: int | None, *, ca: bool = True):
    return x509.BasicConstraints(ca=ca, path_length=path_length), True


def usages(*oids: x509.ObjectIdentifier):
    return x509.ExtendedKeyUsage(oids), False


def root(key=ROOT, window=HOUR, extensions=(AUTHORITY, SIGNS_CERTIFICATES), name="root"):
    return certificate(name, key, name, key, window, extensions)


def intermediate(window=HOUR, extensions=(AUTHORITY, SIGNS_CERTIFICATES), key=INTERMEDIATE, issuer_key=ROOT):
    return certificate("intermediate", key, "root", issuer_key, window, extensions)


def leaf(window=HOUR, extensions=(), issuer="intermediate", issuer_key=INTERMEDIATE, key=LEAF, algorithm=None):
    return certificate("leaf", key, issuer, issuer_key, window, extensions, algorithm=algorithm)


def path(end=None, intermediates=None, anchors=None, at=NOW):
    return build_path(
        leaf() if end is None else end,
        [intermediate()] if intermediates is None else intermediates,
        [root()] if anchors is None else anchors,
        at,
        CODE_SIGNING,
    )


def refusal(*arguments, **named) -> str:
    with pytest.raises(RefusedError) as caught:
        path(*arguments, **named)
    return str(caught.value)


def test_a_path_goes_from_the_leaf_over_intermediates_to_an_anchor():
    end, between, top = leaf(), intermediate(), root()
    assert path(end, [between], [top]) == (end, between, top)


def test_an_anchor_may_issue_by_itself_and_need_not_be_a_root():
    end, between = leaf(), intermediate()
    assert path(end, [], [between]) == (end, between)


def test_the_shortest_way_to_an_anchor_is_taken():
    end, between, top = leaf(), intermediate(), root()
    assert path(end, [between, top], [top, between]) == (end, between)


def test_a_root_that_is_not_trusted_ends_no_path():
    """However whole the chain is that came with a signature."""
    foreign = root(key=LEAF)
    with pytest.raises(UnknownIssuerError) as caught:
        path(leaf(issuer="root", issuer_key=LEAF), [foreign], [root()])
    assert str(caught.value) == "certificate is not from a trusted authority; its issuer is 'CN=root'"


def test_without_its_intermediate_a_leaf_has_no_path():
    with pytest.raises(UnknownIssuerError):
        path(intermediates=[])


def test_the_name_of_an_anchor_without_its_signature_is_not_enough():
    with pytest.raises(UnknownIssuerError):
        path(leaf(issuer_key=LEAF))


def test_the_key_of_an_anchor_without_its_name_is_not_enough():
    with pytest.raises(UnknownIssuerError):
        path(leaf(issuer="nobody"))


def test_a_name_of_another_string_type_is_another_name():
    """RFC 5280 section 7.1 would let us compare cleverly; authorities copy their names byte by byte."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intermediate", _ASN1Type.PrintableString)])
    with pytest.raises(UnknownIssuerError):
        path(certificate("leaf", LEAF, name, INTERMEDIATE, HOUR, []))


def test_a_certificate_whose_key_cannot_sign_issues_nothing():
    with pytest.raises(UnknownIssuerError):
        path(intermediates=[intermediate(key=Strange(x25519.X25519PrivateKey.generate()))])


@pytest.mark.parametrize("at", [NOW - 3600, NOW, NOW + 3600])
def test_both_ends_of_a_certificates_time_belong_to_it(at):
    assert len(path(at=at)) == 3


def test_an_expired_leaf_is_refused():
    reason = "certificate expired at 2025-06-15T14:06:40Z, before the time of the signature"
    assert refusal(leaf(Window(NOW - 7200, NOW - 3600))) == reason
    assert refusal(leaf(Window(NOW - 7200, NOW)), at=NOW + 0.5).startswith("certificate expired")


def test_a_leaf_that_is_not_valid_yet_is_refused():
    reason = "certificate is valid only from 2025-06-15T16:06:40Z, after the time of the signature"
    assert refusal(leaf(Window(NOW + 3600, NOW + 7200))) == reason
    assert refusal(leaf(Window(NOW, NOW + 7200)), at=NOW - 0.5).startswith("certificate is valid only from")


@pytest.mark.parametrize("window", [Window(NOW - 7200, NOW - 1), Window(NOW + 1, NOW + 7200)], ids=["past", "future"])
def test_an_intermediate_outside_its_time_is_refused(window):
    assert refusal(intermediates=[intermediate(window)]).startswith("authority 'CN=intermediate' ")


@pytest.mark.parametrize("window", [Window(NOW - 7200, NOW - 1), Window(NOW + 1, NOW + 7200)], ids=["past", "future"])
def test_an_anchor_outside_its_time_is_refused(window):
    assert refusal(anchors=[root(window=window)]).startswith("authority 'CN=root' ")


def test_a_good_certificate_of_an_authority_is_found_behind_its_expired_one():
    good = intermediate()
    assert path(intermediates=[intermediate(Window(NOW - 7200, NOW - 1)), good])[1] == good
    top = root()
    assert path(anchors=[root(window=Window(NOW - 7200, NOW - 1)), top])[2] == top


def test_a_way_that_leads_nowhere_does_not_hide_another_one():
    other = Signer.generate("p256")
    cross_signed = certificate("intermediate", INTERMEDIATE, "elsewhere", other, HOUR, (AUTHORITY, SIGNS_CERTIFICATES))
    good = intermediate()
    assert path(intermediates=[cross_signed, good])[1] == good


@pytest.mark.parametrize(
    "extensions",
    [(SIGNS_CERTIFICATES,), (constraints(None, ca=False), SIGNS_CERTIFICATES)],
    ids=["unsaid", "denied"],
)
def test_who_is_no_authority_issues_nothing(extensions):
    reason = "authority 'CN=intermediate' is no certificate authority"
    assert refusal(intermediates=[intermediate(extensions=extensions)]) == reason
    assert refusal(leaf(issuer="root", issuer_key=ROOT), anchors=[root(extensions=extensions)]).startswith(
        "authority 'CN=root' is no"
    )


def test_an_authority_that_may_not_sign_certificates_issues_nothing():
    between = intermediate(extensions=(AUTHORITY, key_usage("digital_signature", "crl_sign")))
    assert refusal(intermediates=[between]) == "authority 'CN=intermediate' may not sign certificates"


def test_an_authority_without_key_usage_may_sign_certificates():
    """RFC 5280 section 6.1.4 (n) asks only where the extension is there."""
    assert len(path(intermediates=[intermediate(extensions=(AUTHORITY,))])) == 3


def test_a_path_length_counts_the_authorities_below():
    assert len(path(intermediates=[intermediate(extensions=(constraints(0),))])) == 3
    assert len(path(anchors=[root(extensions=(constraints(1),))])) == 3
    assert len(path(anchors=[root(extensions=(constraints(2),))])) == 3
    reason = "authority 'CN=root' has a path length of 0, and 1 authorities below it"
    assert refusal(anchors=[root(extensions=(constraints(0),))]) == reason


def test_an_authority_for_other_purposes_issues_no_code_signer():
    """As Go does: a list of purposes binds all below it."""
    servers = usages(ExtendedKeyUsageOID.SERVER_AUTH)
    between = intermediate(extensions=(AUTHORITY, servers))
    assert refusal(intermediates=[between]) == "authority 'CN=intermediate' is for another extended key usage"
    assert refusal(anchors=[root(extensions=(AUTHORITY, servers))]).startswith("authority 'CN=root' is for another")


@pytest.mark.parametrize("usage", [CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
def test_an_authority_for_our_purpose_or_any_is_fine(usage):
    extensions = (AUTHORITY, usages(ExtendedKeyUsageOID.SERVER_AUTH, usage))
    assert len(path(leaf(extensions=[usages(usage)]), [intermediate(extensions=extensions)])) == 3


def test_a_leaf_for_another_purpose_is_refused():
    end = leaf(extensions=[usages(ExtendedKeyUsageOID.TIME_STAMPING)])
    assert refusal(end) == "certificate is for another extended key usage"


def test_critical_extensions_that_are_understood_are_fine():
    names = x509.SubjectAlternativeName([x509.RFC822Name("a@example.com")])
    purposes = x509.ExtendedKeyUsage([CODE_SIGNING])
    end = leaf(
        extensions=[(names, True), (purposes, True), key_usage("digital_signature"), constraints(None, ca=False)]
    )
    assert len(path(end)) == 3


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def test_a_critical_extension_that_nobody_understands_is_refused():
    """RFC 5280 section 4.2: "MUST reject the certificate"."""
    reason = "has the critical extension '1.2.3.4', which is not supported"
    assert refusal(leaf(extensions=[(UNKNOWN, True)])) == f"certificate {reason}"
    between = intermediate(extensions=(AUTHORITY, (UNKNOWN, True)))
    assert refusal(intermediates=[between]) == f"authority 'CN=intermediate' {reason}"
    assert refusal(anchors=[root(extensions=(AUTHORITY, (UNKNOWN, True)))]) == f"authority 'CN=root' {reason}"


def test_an_unknown_extension_that_is_not_critical_is_fine():
    assert len(path(leaf(extensions=[(UNKNOWN, False)]))) == 3


def test_a_precertificate_is_no_certificate():
    """RFC 6962 section 3.1: its poison is a critical extension."""
    assert "'1.3.6.1.4.1.11129.2.4.3'" in refusal(leaf(extensions=[(x509.PrecertPoison(), True)]))


@pytest.mark.parametrize("critical", [True, False])
def test_name_constraints_are_refused_since_they_are_not_judged(critical):
    limits = x509.NameConstraints([x509.RFC822Name("example.com")], None), critical
    between = intermediate(extensions=(AUTHORITY, limits))
    reason = "authority 'CN=intermediate' has name constraints, which are not supported"
    assert refusal(intermediates=[between]) == reason
    assert "name constraints" in refusal(anchors=[root(extensions=(AUTHORITY, limits))])
    assert "name constraints" in refusal(leaf(extensions=[limits]))


@pytest.mark.parametrize("algorithm", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()], ids=lambda one: one.name)
def test_certificates_are_signed_with_sha_2(algorithm):
    assert len(path(leaf(algorithm=algorithm))) == 3


@pytest.mark.parametrize("algorithm", [hashes.SHA224(), hashes.SHA3_256()], ids=lambda one: one.name)
def test_certificates_signed_with_other_hashes_are_refused(algorithm):
    reason = "certificate is not signed with SHA-256, SHA-384, SHA-512 or Ed25519"
    assert refusal(leaf(algorithm=algorithm)) == reason


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_authorities_have_keys_of_these_kinds(kind):
    key = Signer.generate(kind)
    assert len(path(leaf(issuer_key=key), [intermediate(key=key)])) == 3


def test_ed448_is_refused():
    key = Strange(ed448.Ed448PrivateKey.generate(), "ed25519")
    assert "is not signed with" in refusal(leaf(issuer_key=key), [intermediate(key=key)])
    assert refusal(leaf(key=key)).startswith("certificate: this kind of key is not supported")


@pytest.mark.parametrize(
    ("private", "problem"),
    [
        (rsa.generate_private_key(65537, 1024), "an RSA key of 1024 bits is too small"),
        (ec.generate_private_key(ec.SECP256K1()), "the curve secp256k1 is not supported"),
    ],
    ids=["rsa1024", "secp256k1"],
)
def test_a_weak_or_strange_key_is_refused_wherever_it_stands(private, problem):
    key = Strange(private)
    assert refusal(leaf(key=key)).startswith(f"certificate: {problem}")
    reason = refusal(leaf(issuer_key=key), [intermediate(key=key)])
    assert reason.startswith(f"authority 'CN=intermediate': {problem}")
    reason = refusal(leaf(issuer="root", issuer_key=key), anchors=[root(key=key)])
    assert reason.startswith(f"authority 'CN=root': {problem}")


@dataclass(frozen=True)
class Numbers:
    """An RSA key of which only the public part is there."""

    bits: int
    exponent: int = 65537

    def public_key(self) -> rsa.RSAPublicKey:
        return rsa.RSAPublicNumbers(self.exponent, (1 << self.bits - 1) | 1).public_key()


@pytest.mark.parametrize("numbers", [Numbers(8192), Numbers(2048, (1 << 32) - 1)], ids=["size", "exponent"])
def test_an_rsa_key_may_be_this_large(numbers):
    assert len(path(leaf(key=Strange(numbers)))) == 3


@pytest.mark.parametrize("numbers", [Numbers(8193), Numbers(2048, (1 << 32) + 1)], ids=["size", "exponent"])
def test_an_rsa_key_that_only_costs_time_is_refused(numbers):
    reason = "certificate: the RSA key is larger than 8192 bits or has a large exponent"
    assert refusal(leaf(key=Strange(numbers))) == reason


def test_an_rsa_key_that_is_restricted_to_pss_is_refused():
    """RFC 4055 section 1.2: it may not be used with PKCS #1 v1.5, which is how we would use it."""
    plain, restricted = bytes.fromhex("06092a864886f70d0101010500"), bytes.fromhex("06092a864886f70d01010a3000")
    der = to_der(leaf(key=Signer.generate("rsa2048")))
    assert der.count(plain) == 1
    end = x509.load_der_x509_certificate(der.replace(plain, restricted))
    assert refusal(end) == "certificate: this kind of key is not supported"


def ladder(height: int) -> tuple[x509.Certificate, list[x509.Certificate], x509.Certificate]:
    """A leaf, the authorities above it, and the anchor above them; `height` authorities in all."""
    names = [f"authority {number}" for number in range(height)]
    above = [
        certificate(name, INTERMEDIATE, issuer, INTERMEDIATE, HOUR, (AUTHORITY,))
        for name, issuer in zip(names, [*names[1:], names[-1]], strict=True)
    ]
    return leaf(issuer=names[0]), above[:-1], above[-1]


def test_a_path_has_up_to_eight_authorities():
    end, between, top = ladder(8)
    assert len(path(end, between, [top])) == 9
    end, between, top = ladder(9)
    with pytest.raises(UnknownIssuerError):
        path(end, between, [top])


def many(count: int, issuer: str = "intermediate") -> list[x509.Certificate]:
    """Certificates of one name and key, all of which issue each other."""
    extensions = (AUTHORITY,)
    return [certificate("intermediate", INTERMEDIATE, issuer, INTERMEDIATE, HOUR, extensions) for _ in range(count)]


def test_authorities_that_issue_each_other_cost_a_bounded_time():
    reason = f"certificate has no path to a trusted authority within {chains.MAX_CHECKS} signatures"
    assert refusal(intermediates=many(8)) == reason


def test_a_certificate_stands_in_a_path_once():
    """Else the search would go round in circles, and end at the bound instead of with the reason."""
    with pytest.raises(UnknownIssuerError):
        path(intermediates=many(3))


def test_32_signatures_are_tried_and_no_more():
    """Each stranger of the issuer's name costs one."""
    strangers = [intermediate(key=LEAF) for _ in range(30)]
    assert len(path(intermediates=[*strangers, intermediate()])) == 3  # 30, the intermediate's and the root's
    assert "within 32 signatures" in refusal(intermediates=[*strangers, strangers[0], intermediate()])


def test_the_first_flaw_is_the_reason():
    """It is the nearest to the leaf, by the likeliest issuer."""
    between = [intermediate(extensions=(SIGNS_CERTIFICATES,)), intermediate(Window(NOW - 7200, NOW - 1))]
    assert refusal(intermediates=between) == "authority 'CN=intermediate' is no certificate authority"


def test_a_reason_quotes_names_as_plain_text():
    evil = "x\n\u202e" + "y" * 50
    end = certificate("leaf", LEAF, evil, INTERMEDIATE, HOUR, [])
    reason = refusal(end)
    assert reason.isascii()
    assert reason.isprintable()


@pytest.mark.parametrize(
    "change",
    [lambda der: b"", lambda der: der[:-1], lambda der: der + b"\0", lambda der: b"\x30\x00", lambda der: b"junk" * 50],
)
def test_what_is_no_certificate_is_refused(change):
    with pytest.raises(RefusedError) as caught:
        read_certificate(change(to_der(root())), "the thing")
    assert str(caught.value) == "the thing is not an X.509 certificate that can be read"


def test_a_certificate_that_breaks_when_it_is_looked_at_is_refused_at_once():
    """An extension's content is only parsed when it is asked for."""
    broken = root(extensions=[(x509.UnrecognizedExtension(x509.OID_BASIC_CONSTRAINTS, b"\x30\x05"), True)])
    with pytest.raises(RefusedError):
        read_certificate(to_der(broken), "the thing")


@pytest.mark.parametrize("old", ["2a8648ce3d030107", "170d", "2a8648ce3d040302"], ids=["curve", "time", "signature"])
def test_parts_that_are_read_late_are_judged_early(old):
    der = to_der(root())
    assert bytes.fromhex(old) in der
    with pytest.raises(RefusedError):
        read_certificate(der.replace(bytes.fromhex(old), bytes.fromhex(old)[:-1] + b"\x7f"), "the thing")


@pytest.mark.parametrize(
    ("size", "problem"),
    [(64 << 10, "is not an X.509 certificate that can be read"), ((64 << 10) + 1, "is larger than 64 KiB")],
)
def test_more_than_64_kib_are_not_even_looked_at(size, problem):
    with pytest.raises(RefusedError) as caught:
        read_certificate(b"0" * size, "the thing")
    assert str(caught.value) == f"the thing {problem}"
