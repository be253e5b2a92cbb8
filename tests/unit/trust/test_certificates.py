"""Leaves of keyless signatures, and whether an authority of the trusted root issued them (signatures.md, "Legacy
cosign" (7) and (9)). The offline Sigstore issues its leaves at NOW, for ten minutes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID

from devkit.offline import NOW, Authority, OfflineSigstore, Window, der
from devkit.offline.authority import ISSUER_V1, ISSUER_V2, certificate, extension, key_usage, to_der
from devkit.signer import Signer
from ocisource.trust.certificates import Leaf, check_chain, read_leaf
from ocisource.trust.chains import UnknownIssuerError
from ocisource.trust.roots import read_trusted_root
from ocisource.trust.wire import RefusedError

ISSUER = "https://issuer.example"
AT = NOW + 60
YEARS = Window.around(NOW)
USERNAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


def leaf_of(sigstore, **said) -> Leaf:
    """A leaf whose profile differs in what is `said`."""
    return read_leaf(to_der(sigstore.identity(profile=replace(sigstore.profile(), **said)).certificate))


def refusal(sigstore, **said) -> str:
    with pytest.raises(RefusedError) as caught:
        leaf_of(sigstore, **said)
    return str(caught.value)


# --- What a leaf says


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_a_leaf_verifies_what_its_key_signed(sigstore, kind):
    signing = sigstore.identity(key=kind)
    leaf = read_leaf(to_der(signing.certificate))
    assert leaf.verify(signing.key.sign(b"message"), b"message")
    assert not leaf.verify(signing.key.sign(b"message"), b"another message")
    assert leaf.certificate == signing.certificate
    assert leaf.der == to_der(signing.certificate)


@pytest.mark.parametrize("kind", ["p384", "p521"])
def test_a_leaf_on_a_large_curve_may_sign_sha_256(sigstore, kind):
    """As clients did for long."""
    signing = sigstore.identity(key=kind)
    leaf = read_leaf(to_der(signing.certificate))
    assert leaf.verify(signing.key.private.sign(b"m", ec.ECDSA(hashes.SHA256())), b"m")


def test_a_leaf_names_issuer_and_subject(sigstore):
    signing = sigstore.identity("https://accounts.example.com", "ci@example.com")
    leaf = read_leaf(to_der(signing.certificate))
    assert (leaf.issuer, leaf.subjects) == ("https://accounts.example.com", ("ci@example.com",))


def test_uris_email_addresses_and_user_names_are_subjects(sigstore):
    names = (
        x509.DNSName("example.com"),
        x509.OtherName(USERNAME, der.utf8("jürgen!example.com")),
        x509.OtherName(x509.ObjectIdentifier("1.2.3"), der.utf8("another kind of name")),
        x509.RFC822Name("a@example.com"),
        x509.UniformResourceIdentifier("https://example.com/ci"),
    )
    leaf = leaf_of(sigstore, names=names)
    assert leaf.subjects == ("jürgen!example.com", "a@example.com", "https://example.com/ci")


@pytest.mark.parametrize(
    "names",
    [
        (),
        (x509.DNSName("example.com"),),
        (x509.UniformResourceIdentifier(""), x509.OtherName(USERNAME, der.utf8(""))),
    ],
    ids=["none", "host", "empty"],
)
def test_a_leaf_that_names_nobody_is_refused(sigstore, names):
    assert refusal(sigstore, names=names) == "certificate names no subject (URI, email address or user name)"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (der.octets(b"a"), "certificate's user name is malformed"),
        (der.tlv(0x0C, b"\xff"), "certificate's user name is not UTF-8"),
    ],
)
def test_a_user_name_is_one_utf8_string(sigstore, name, problem):
    assert refusal(sigstore, names=(x509.OtherName(USERNAME, name),)) == problem


def v1(issuer: str | bytes):
    return extension(ISSUER_V1, issuer.encode() if isinstance(issuer, str) else issuer)


def v2(issuer: str):
    return extension(ISSUER_V2, der.utf8(issuer))


@pytest.mark.parametrize("extra", [(v1(ISSUER),), (v2(ISSUER),), (v1(ISSUER), v2(ISSUER))])
def test_either_extension_names_the_issuer(sigstore, extra):
    assert leaf_of(sigstore, issuer=None, extra=extra).issuer == ISSUER


def test_extensions_that_disagree_about_the_issuer_are_refused(sigstore):
    extra = (v1(ISSUER), v2("https://elsewhere.example"))
    assert refusal(sigstore, issuer=None, extra=extra) == "certificate names two different OIDC issuers"


@pytest.mark.parametrize("extra", [(), (v1(""),), (v2(""),)])
def test_a_leaf_that_names_no_issuer_is_refused(sigstore, extra):
    assert refusal(sigstore, issuer=None, extra=extra) == "certificate names no OIDC issuer"


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        (v1(b"\xff"), "is not UTF-8"),
        (extension(ISSUER_V2, ISSUER.encode()), "is malformed"),
        (extension(ISSUER_V2, der.utf8(ISSUER) + b"\0"), "is malformed"),
        (extension(ISSUER_V2, der.utf8(ISSUER) + der.utf8("https://elsewhere.example")), "is malformed"),
        (extension(ISSUER_V2, der.tlv(0x13, ISSUER.encode())), "is malformed"),
        (extension(ISSUER_V2, der.tlv(0x0C, b"\xff")), "is not UTF-8"),
        (extension(ISSUER_V2, b""), "is malformed"),
    ],
)
def test_an_issuer_that_cannot_be_read_is_refused(sigstore, extra, problem):
    assert refusal(sigstore, issuer=None, extra=(extra,)) == f"certificate's OIDC issuer {problem}"


@pytest.mark.parametrize("usage", [None, key_usage("key_cert_sign"), key_usage("content_commitment")])
def test_a_leaf_is_for_digital_signatures(sigstore, usage):
    assert refusal(sigstore, key_usage=usage) == "certificate is not for digital signatures"


@pytest.mark.parametrize(
    "usages", [None, (ExtendedKeyUsageOID.SERVER_AUTH,), (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)]
)
def test_a_leaf_is_for_code_signing(sigstore, usages):
    assert refusal(sigstore, usages=usages) == "certificate is not for code signing"


def test_a_leaf_may_be_for_more_than_code_signing(sigstore):
    leaf_of(sigstore, usages=(ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CODE_SIGNING))


def test_an_authority_is_no_leaf(sigstore):
    extra = ((x509.BasicConstraints(ca=True, path_length=None), True),)
    assert refusal(sigstore, extra=extra) == "certificate is an authority's, not a signer's"


def test_a_leaf_may_say_that_it_is_no_authority(sigstore):
    leaf_of(sigstore, extra=((x509.BasicConstraints(ca=False, path_length=None), True),))


def test_a_key_of_a_strange_kind_is_refused(sigstore):
    signing = sigstore.identity(key=Signer(ec.generate_private_key(ec.SECP256K1())))
    with pytest.raises(RefusedError, match=r"^certificate: the curve secp256k1 is not supported"):
        read_leaf(to_der(signing.certificate))


def test_what_is_no_certificate_is_refused():
    with pytest.raises(RefusedError, match=r"^certificate is not an X\.509 certificate that can be read$"):
        read_leaf(b"junk")


def test_a_leaf_does_not_show_its_bytes(sigstore):
    shown = repr(leaf_of(sigstore))
    assert ISSUER in shown
    assert "\\x" not in shown
    assert "function" not in shown


def test_whatever_is_changed_in_a_leaf_it_is_read_or_refused(sigstore):
    """Nothing but RefusedError comes out."""
    good = to_der(sigstore.identity().certificate)
    refused = 0
    for position in range(0, len(good), 2):
        for mask in (0x01, 0x80):
            changed = bytearray(good)
            changed[position] ^= mask
            try:
                read_leaf(bytes(changed))
            except RefusedError:
                refused += 1
    assert refused > 100


# --- Who issued it


def chain(sigstore, signing=None, brought=(), at=AT, **root) -> x509.Certificate:
    leaf = read_leaf(to_der((signing or sigstore.identity()).certificate))
    return check_chain(read_trusted_root(sigstore.trusted_root(**root)), leaf, [to_der(one) for one in brought], at)


def stranger(*arguments, **named) -> str:
    with pytest.raises(RefusedError) as caught:
        chain(*arguments, **named)
    return str(caught.value)


def test_the_issuing_certificate_comes_out(sigstore):
    assert chain(sigstore) == sigstore.authority.issuing


def test_a_root_may_issue_by_itself(sigstore):
    authority = Authority.create(YEARS, kinds=("p384",))
    signing = sigstore.identity(authority=authority)
    assert chain(sigstore, signing, authorities=[authority]) == authority.chain[0]


def test_an_intermediate_may_come_with_the_signature(sigstore):
    """Some roots hold the root certificate only."""
    between, top = sigstore.authority.chain
    short = replace(sigstore.authority, chain=(top,))
    assert chain(sigstore, brought=[between], authorities=[short]) == between
    assert chain(sigstore, brought=[top, between], authorities=[short]) == between
    assert "is not from a trusted authority" in stranger(sigstore, authorities=[short])


def test_an_authority_that_the_root_does_not_hold_is_refused(sigstore):
    """However whole the chain is that comes with the signature."""
    foreign = Authority.create(YEARS)
    signing = sigstore.identity(authority=foreign)
    assert "is not from a trusted authority" in stranger(sigstore, signing, brought=foreign.chain)


def test_of_several_authorities_one_is_enough(sigstore):
    others = [Authority.create(YEARS), Authority.create(YEARS)]
    found = chain(sigstore, authorities=[others[0], sigstore.authority, others[1]])
    assert found == sigstore.authority.issuing


def test_a_root_without_authorities_accepts_nothing(sigstore):
    assert stranger(sigstore, authorities=[]) == "trusted root has no certificateAuthorities"


@pytest.mark.parametrize("at", [NOW, NOW + 600])
def test_both_ends_of_the_leafs_time_belong_to_it(sigstore, at):
    assert chain(sigstore, at=at)


@pytest.mark.parametrize(
    ("at", "problem"), [(NOW - 1, "certificate is valid only from "), (NOW + 601, "certificate expired at ")]
)
def test_a_signature_outside_the_leafs_time_is_refused(sigstore, at, problem):
    assert stranger(sigstore, at=at).startswith(problem)


def test_an_expired_intermediate_is_refused(sigstore):
    """signatures.md, "Certificates": an expired intermediate."""
    authority = Authority.create(YEARS, kinds=("p256", "p256"), windows=[YEARS, Window(NOW - 1000, NOW - 1)])
    signing = sigstore.identity(authority=authority)
    reason = stranger(sigstore, signing, authorities=[authority])
    assert reason.startswith("authority 'CN=offline intermediate 1' expired at ")


def test_a_path_leads_over_every_certificate_of_an_authority_to_its_last(sigstore):
    past = Window(NOW - 1000, NOW - 1)
    authority = Authority.create(YEARS, kinds=("p256",) * 3)
    assert chain(sigstore, sigstore.identity(authority=authority), authorities=[authority]) == authority.issuing
    for windows in ([past, YEARS, YEARS], [YEARS, past, YEARS], [YEARS, YEARS, past]):
        expired = Authority.create(YEARS, kinds=("p256",) * 3, windows=windows)
        signing = sigstore.identity(authority=expired)
        assert " expired at " in stranger(sigstore, signing, authorities=[expired])


def test_an_expired_intermediate_that_came_with_the_signature_is_refused(sigstore):
    authority = Authority.create(YEARS, kinds=("p256", "p256"), windows=[YEARS, Window(NOW - 1000, NOW - 1)])
    signing = sigstore.identity(authority=authority)
    short = replace(authority, chain=authority.chain[1:])
    assert "expired at" in stranger(sigstore, signing, brought=authority.chain[:1], authorities=[short])


@pytest.mark.parametrize(
    "window", [Window(NOW - 10, AT - 1), Window(AT + 1, None)], ids=["no longer trusted", "not trusted yet"]
)
def test_the_roots_own_window_of_an_authority_holds(sigstore, window):
    """signatures.md, "Trusted roots": the windows in a root count, whatever the certificates say."""
    reason = stranger(sigstore, authorities=[replace(sigstore.authority, window=window)])
    assert reason == "certificate's authority was not trusted at the time of the signature"


@pytest.mark.parametrize("window", [Window(AT, None), Window(NOW - 10, AT)])
def test_both_ends_of_the_roots_window_belong_to_it(sigstore, window):
    assert chain(sigstore, authorities=[replace(sigstore.authority, window=window)])


def test_an_authority_with_two_windows_is_trusted_in_each(sigstore):
    past = replace(sigstore.authority, window=Window(0, 10))
    now = replace(sigstore.authority, window=Window(NOW, AT))
    assert chain(sigstore, authorities=[past, now])
    assert chain(sigstore, authorities=[past, now], brought=sigstore.authority.chain)


def test_a_stranger_is_told_apart_from_an_authority_of_another_time(sigstore):
    signing = sigstore.identity(authority=Authority.create(YEARS, name="foreign"))
    past = replace(sigstore.authority, window=Window(0, 10))
    assert "is not from a trusted authority" in stranger(sigstore, signing, authorities=[past, sigstore.authority])


def rewritten(found: x509.Certificate) -> x509.Certificate:
    """The same certificate with the other signature that says the same (ECDSA: r, n - s)."""
    r, s = decode_dss_signature(found.signature)
    other = encode_dss_signature(r, P256_ORDER - s)
    algorithm = der.sequence(der.oid(found.signature_algorithm_oid.dotted_string))
    content = der.sequence(found.tbs_certificate_bytes, algorithm, der.tlv(0x03, b"\0" + other))
    return x509.load_der_x509_certificate(content)


@pytest.mark.parametrize("change", [lambda one: one, rewritten], ids=["as it was", "rewritten"])
def test_an_intermediate_that_the_root_no_longer_trusts_does_not_come_back_with_the_signature(sigstore, change):
    """Its root certificate is trusted still, for another intermediate."""
    between, top = sigstore.authority.chain
    retired = replace(sigstore.authority, window=Window(NOW - 1000, NOW - 1))
    successor = replace(sigstore.authority, chain=(top,))
    changed = change(between)
    assert chain(sigstore, brought=[changed], authorities=[successor]) == changed
    reason = stranger(sigstore, brought=[changed], authorities=[retired, successor])
    assert reason == "certificate's authority was not trusted at the time of the signature"


def test_an_intermediate_of_another_key_still_comes_with_the_signature(sigstore):
    key = Signer.generate("p256")
    between, top = sigstore.authority.chain
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True)]
    # The root's key is not to be had from the fixture, so the root is made here.
    top_key = Signer.generate("p256")
    top = certificate("top", top_key, "top", top_key, YEARS, extensions)
    new = certificate("new", key, "top", top_key, YEARS, extensions)
    authority = Authority((new, top), key, YEARS)
    signing = sigstore.identity(authority=authority)
    roots = [replace(authority, chain=(top,)), replace(sigstore.authority, window=Window(0, 10))]
    assert chain(sigstore, signing, brought=[new, between], authorities=roots) == new


def test_eight_certificates_may_come_with_a_signature_and_no_more(sigstore):
    brought = [*sigstore.authority.chain] * 4
    assert chain(sigstore, brought=brought)
    reason = stranger(sigstore, brought=[*brought, sigstore.authority.issuing])
    assert reason == "more than 8 certificates came with the signature"


def test_a_chain_that_cannot_be_read_is_refused(sigstore):
    leaf = read_leaf(to_der(sigstore.identity().certificate))
    reason = r"^certificate of the signature's chain is not an X\.509 certificate that can be read$"
    with pytest.raises(RefusedError, match=reason):
        check_chain(read_trusted_root(sigstore.trusted_root()), leaf, [b"junk"], AT)


def test_an_authority_for_other_purposes_issues_no_leaf(sigstore):
    authority = Authority.create(YEARS, usages=(ExtendedKeyUsageOID.TIME_STAMPING,))
    signing = sigstore.identity(authority=authority)
    assert "extended key usage" in stranger(sigstore, signing, authorities=[authority])


def test_a_leaf_is_refused_by_its_own_flaw_first(sigstore):
    """A weak chain of a stranger says less than an expired leaf."""
    signing = sigstore.identity(authority=Authority.create(YEARS))
    with pytest.raises(RefusedError) as caught:
        chain(sigstore, signing, at=NOW + 601)
    assert not isinstance(caught.value, UnknownIssuerError)
