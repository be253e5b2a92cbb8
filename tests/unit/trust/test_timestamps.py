"""RFC 3161 timestamps. Good tokens are OpenSSL's (recorded/README.md) and those of devkit.offline; every wrong one
differs from a good one in the thing that its test names."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from devkit.offline import NOW, OfflineSigstore, TimestampAuthority, Window, der
from devkit.offline.authority import certificate, key_usage, to_der
from devkit.offline.keys import HASHES, key_pair
from devkit.offline.tsa import response, signed_attributes, signed_data, tst_info
from devkit.signer import Signer
from ocisource.trust.roots import TrustedRoot, read_trusted_root
from ocisource.trust.timestamps import check_timestamp, check_token
from ocisource.trust.wire import RefusedError

RECORDED = Path(__file__).parent / "recorded" / "timestamps"
SIGSTORE = OfflineSigstore.create()
MESSAGE = b"the bytes of a signature"
MALFORMED = "timestamp is malformed"
WINDOW = Window.around(NOW)
STAMPING = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
KEY = key_pair()
CA = (x509.BasicConstraints(ca=True, path_length=None), True)
TOP = certificate("our root", KEY, "our root", KEY, WINDOW, [CA, key_usage("key_cert_sign")])


def below(key: Signer, *extensions, window: Window = WINDOW) -> x509.Certificate:
    """A certificate of our root for an authority; by default a good one."""
    usage = key_usage("digital_signature")
    return certificate("our TSA", key, TOP.subject, KEY, window, [usage, *(extensions or [(STAMPING, True)])])


def ours(key: Signer, *extensions, window: Window = WINDOW) -> TimestampAuthority:
    return TimestampAuthority((below(key, *extensions, window=window), TOP), key, WINDOW)


TSA = ours(key_pair())


def root_of(*authorities: TimestampAuthority) -> TrustedRoot:
    return read_trusted_root(SIGSTORE.trusted_root(timestamp_authorities=authorities))


ROOT = root_of(TSA)


@cache
def authority(kind: str = "p256") -> TimestampAuthority:
    """Another one, with a root of its own."""
    return TimestampAuthority.create(WINDOW, kind=kind)


def refusal(token: bytes, message: bytes = MESSAGE, root: TrustedRoot = ROOT) -> str:
    with pytest.raises(RefusedError) as refused:
        check_timestamp(root, token, message)
    return str(refused.value)


def bare_refusal(token: bytes, anchors, message: bytes = MESSAGE) -> str:
    with pytest.raises(RefusedError) as refused:
        check_token(token, message, anchors)
    return str(refused.value)


# What OpenSSL made, on 2026-11-21 at 14:13:20 UTC


def recorded(kind: str) -> TrustedRoot:
    chain = tuple(x509.load_pem_x509_certificates((RECORDED / f"{kind}.chain.pem").read_bytes()))
    return root_of(replace(TSA, chain=chain, window=Window(0)))


@pytest.mark.parametrize(
    ("name", "time"),
    [
        ("p256.bare", 1795270400.0),
        ("p256.baseline", 1795270400.0),
        ("p384.chain", 1795270400.793),
        ("rsa.bare", 1795270400.0),
        ("rsa.chain", 1795270400.0),
    ],
)
def test_a_token_of_openssl_holds_for_its_message_and_its_authority_only(name, time):
    token = (RECORDED / f"{name}.tsr").read_bytes()
    kind, form = name.split(".")
    assert check_timestamp(recorded(kind), token, b"a signature") == time
    assert refusal(token, b"another signature", recorded(kind)) == "timestamp is for another signature"
    other = "rsa" if kind == "p256" else "p256"
    assert refusal(token, b"a signature", recorded(other)) == "timestamp is not by a trusted authority"
    whole = recorded(kind)
    # A trusted root may leave the authority's own certificate to the token.
    chain = whole.timestamp_authorities[0].chain[1:]
    without = replace(whole, timestamp_authorities=(replace(whole.timestamp_authorities[0], chain=chain),))
    if form == "bare":
        assert refusal(token, b"a signature", without) == "timestamp is not by a trusted authority"
    else:
        assert check_timestamp(without, token, b"a signature") == time


def test_what_openssl_rejected_or_made_with_sha1_is_refused():
    for name, reason in (
        ("p256.rejected", "timestamp was not granted (status 2)"),
        ("p256.sha1", "timestamp uses another hash than SHA-256, SHA-384 or SHA-512"),
    ):
        assert refusal((RECORDED / f"{name}.tsr").read_bytes(), b"a signature", recorded("p256")) == reason


@pytest.mark.parametrize(("name", "accuracy"), [("rsa.chain", 1.5001), ("p384.chain", 0.0), ("p256.baseline", 1.0)])
def test_a_bare_token_says_how_accurate_it_is_and_by_whom(name, accuracy):
    """Without a word on it the baseline policy of ETSI EN 319 421 stands for one second."""
    whole = (RECORDED / f"{name}.tsr").read_bytes()
    chain = x509.load_pem_x509_certificates((RECORDED / f"{name.split('.')[0]}.chain.pem").read_bytes())
    # Behind a header of 4 bytes and PKIStatusInfo.
    stamp = check_token(whole[whole.index(bytes.fromhex("3003020100")) + 5 :], b"a signature", chain[1:])
    assert (stamp.accuracy, stamp.path) == (pytest.approx(accuracy), tuple(chain))


# Good ones of our own


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
@pytest.mark.parametrize("hash_", ["sha256", "sha384", "sha512"])
def test_every_kind_of_key_and_hash_counts(kind, hash_):
    tsa = authority(kind)
    for embed in ((), tsa.chain, tsa.chain[:1]):
        token = tsa.timestamp(MESSAGE, NOW, hash_=hash_, embed=embed, nonce=1)
        assert check_timestamp(root_of(TSA, tsa), token, MESSAGE) == NOW


def test_a_root_without_an_authority_accepts_no_timestamp():
    assert refusal(TSA.timestamp(MESSAGE, NOW), root=root_of()) == "the trusted root has no timestamp authority"


def test_an_authority_may_have_intermediates_in_the_root_or_in_the_token():
    tsa = TimestampAuthority.create(Window.around(NOW), authorities=("p256", "p256", "p256"))
    assert check_timestamp(root_of(tsa), tsa.timestamp(MESSAGE, NOW), MESSAGE) == NOW
    short = replace(tsa, chain=(tsa.chain[0], tsa.chain[-1]))
    reason = "timestamp's certificate is not from a trusted authority; its issuer is 'CN=offline TSA intermediate 2'"
    assert refusal(tsa.timestamp(MESSAGE, NOW), root=root_of(short)) == reason
    assert check_timestamp(root_of(short), tsa.timestamp(MESSAGE, NOW, embed=tsa.chain), MESSAGE) == NOW


# Who


def test_a_foreign_authority_is_refused_with_and_without_its_certificates():
    foreign = authority()
    for embed in ((), foreign.chain):
        assert refusal(foreign.timestamp(MESSAGE, NOW, embed=embed)) == "timestamp is not by a trusted authority"
    without_leaf = replace(TSA, chain=TSA.chain[1:])
    token = foreign.timestamp(MESSAGE, NOW, embed=foreign.chain)
    assert refusal(token, root=root_of(without_leaf)).startswith(
        "timestamp's certificate is not from a trusted authority"
    )


def test_the_key_of_the_named_certificate_signed():
    """A token in the name of the trusted certificate, by another key."""
    token = response(signed_data(tst_info(MESSAGE, NOW), TSA.chain[0], key_pair()))
    assert refusal(token) == "timestamp is not signed by its authority"


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_one_bit_of_a_signature_counts_whatever_its_algorithm(kind):
    tsa = authority(kind)
    good = tsa.timestamp(MESSAGE, NOW)  # ends in the signature
    wrong = good[:-1] + bytes([good[-1] ^ 1])
    assert check_timestamp(root_of(tsa), good, MESSAGE) == NOW
    assert refusal(wrong, root=root_of(tsa)) == "timestamp is not signed by its authority"


def test_a_certificate_in_the_token_does_not_stand_in_for_the_trusted_one():
    """Same issuer, serial number and name, another key: the token names it, and it is not what is trusted."""
    leaf, key = TSA.chain[0], key_pair()
    twin = certificate("our TSA", key, TOP.subject, key, WINDOW, [(STAMPING, True)], leaf.serial_number)
    token = response(signed_data(tst_info(MESSAGE, NOW), twin, key, [twin]))
    assert refusal(token) == "timestamp is not signed by its authority"
    without_leaf = root_of(replace(TSA, chain=TSA.chain[1:]))
    assert "is not from a trusted authority" in refusal(token, root=without_leaf)


@pytest.mark.parametrize("position", [0, 1])
def test_a_token_that_holds_a_foreign_certificate_is_refused(position):
    embed = [*TSA.chain]
    embed.insert(position, authority().chain[0])
    assert refusal(TSA.timestamp(MESSAGE, NOW, embed=embed)) == "timestamp holds a foreign certificate"


def test_the_certificate_of_the_trusted_root_counts_not_another_of_its_authority():
    """Two certificates below one root: only the one that the trusted root names may sign."""
    key = key_pair()
    sibling = below(key)
    token = response(signed_data(tst_info(MESSAGE, NOW), sibling, key, [sibling]))
    assert refusal(token) == "timestamp is not by a trusted authority"
    assert check_timestamp(root_of(replace(TSA, chain=TSA.chain[1:])), token, MESSAGE) == NOW


@pytest.mark.parametrize(
    "extensions",
    [
        [(STAMPING, False)],
        [(x509.OCSPNoCheck(), False)],  # no extended key usage at all
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), True)],
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING]), True)],
        [(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), True)],
    ],
)
def test_the_certificate_is_for_timestamps_only_and_critically_so(extensions):
    """RFC 3161 section 2.3."""
    tsa = ours(key_pair(), *extensions)
    reason = "timestamp's authority is not one for timestamps only (critical extended key usage)"
    assert refusal(tsa.timestamp(MESSAGE, NOW), root=root_of(tsa)) == reason
    assert bare_refusal(bare(tsa), [TOP]) == reason


# When


@pytest.mark.parametrize(("at", "holds"), [(NOW - 1, False), (NOW, True), (NOW + 9, True), (NOW + 10, False)])
def test_the_certificates_are_valid_at_the_time_of_the_token(at, holds):
    tsa = ours(key_pair(), window=Window(NOW, NOW + 9))
    token = tsa.timestamp(MESSAGE, at)
    if holds:
        assert check_timestamp(root_of(tsa), token, MESSAGE) == at
        return
    assert refusal(token, root=root_of(tsa)).startswith("timestamp's certificate ")


@pytest.mark.parametrize(("at", "holds"), [(NOW - 1, False), (NOW, True), (NOW + 9, True), (NOW + 10, False)])
def test_the_authority_is_trusted_at_the_time_of_the_token(at, holds):
    root, token = root_of(replace(TSA, window=Window(NOW, NOW + 9))), TSA.timestamp(MESSAGE, at)
    if holds:
        assert check_timestamp(root, token, MESSAGE) == at
        return
    assert refusal(token, root=root) == "timestamp is from outside the time in which its authority is trusted"


def test_each_authority_of_the_root_has_a_window_of_its_own():
    """The same certificates twice: what one window leaves out another may hold."""
    early, late = (replace(TSA, window=window) for window in (Window(NOW - 9, NOW - 1), Window(NOW, NOW + 9)))
    for root in (root_of(early, late), root_of(late, early)):
        assert check_timestamp(root, TSA.timestamp(MESSAGE, NOW), MESSAGE) == NOW
        assert check_timestamp(root, TSA.timestamp(MESSAGE, NOW - 5), MESSAGE) == NOW - 5
        assert "outside the time" in refusal(TSA.timestamp(MESSAGE, NOW + 10), root=root)


# Pieces of tokens, in the order in which they are read


SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.null())
SHA1 = der.sequence(der.oid("1.3.14.3.2.26"), der.null())
TST_INFO = der.oid("1.2.840.113549.1.9.16.1.4")
TIME = der.generalized_time(NOW)


def info(*, version=1, imprint=None, time=TIME, rest=(), policy="1.2.3") -> bytes:
    """A TSTInfo; `rest` is what follows the time."""
    hashed = der.sequence(SHA256, der.octets(hashlib.sha256(MESSAGE).digest())) if imprint is None else imprint
    return der.sequence(der.integer(version), der.oid(policy), hashed, der.integer(1), time, *rest)


def attribute(kind: str, *values: bytes) -> bytes:
    return der.sequence(der.oid(kind), der.set_of(*values))


CONTENT_TYPE, MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
NAMED, NAMED_V1 = "1.2.840.113549.1.9.16.2.47", "1.2.840.113549.1.9.16.2.12"
LEAF = to_der(TSA.chain[0])


def named(content: bytes, kind: str = NAMED) -> bytes:
    """The signing-certificate attribute with one ESSCertID(v2)."""
    return attribute(kind, der.sequence(der.sequence(der.sequence(content))))


GOOD = {
    CONTENT_TYPE: attribute(CONTENT_TYPE, TST_INFO),
    MESSAGE_DIGEST: attribute(MESSAGE_DIGEST, der.octets(hashlib.sha256(info()).digest())),
    NAMED: named(der.octets(hashlib.sha256(LEAF).digest())),
}


def attributes(**changes: bytes) -> list[bytes]:
    """The good ones, with others in their place; b"" takes one out."""
    names = {"content_type": CONTENT_TYPE, "digest": MESSAGE_DIGEST, "named": NAMED}
    found = GOOD | {names.get(name, name): value for name, value in changes.items()}
    return [value for value in found.values() if value]


@dataclass(frozen=True)
class Pieces:
    """A token, field by field."""

    content: bytes = info()
    content_type: bytes = TST_INFO
    certificates: tuple[bytes, ...] = ()
    after_certificates: tuple[bytes, ...] = ()
    sid: bytes = der.sequence(TSA.chain[0].issuer.public_bytes(), der.integer(TSA.chain[0].serial_number))
    digest: bytes = SHA256
    signed: tuple[bytes, ...] = tuple(attributes())
    algorithm: bytes = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    signature: bytes | None = None
    key: Signer = TSA.key
    unsigned: tuple[bytes, ...] = ()
    signers: int = 1
    kind: str = "1.2.840.113549.1.7.2"
    after_signers: tuple[bytes, ...] = ()
    after: tuple[bytes, ...] = ()

    def signer(self) -> bytes:
        signature = self.key.sign(der.set_of(*self.signed)) if self.signature is None else self.signature
        return der.sequence(
            der.integer(1),
            self.sid,
            self.digest,
            der.explicit(0, *self.signed),
            self.algorithm,
            der.octets(signature),
            *self.unsigned,
        )

    def token(self) -> bytes:
        inside = [der.explicit(0, *self.certificates)] if self.certificates else []
        data = der.sequence(
            der.integer(3),
            der.set_of(self.digest),
            der.sequence(self.content_type, der.explicit(0, der.octets(self.content))),
            *inside,
            *self.after_certificates,
            der.set_of(*[self.signer()] * self.signers),
            *self.after_signers,
        )
        return der.sequence(der.oid(self.kind), der.explicit(0, data), *self.after)


def about(content: bytes, **changes) -> Pieces:
    """A token with that TSTInfo, rightly signed."""
    digest = attribute(MESSAGE_DIGEST, der.octets(hashlib.sha256(content).digest()))
    return Pieces(content=content, signed=tuple(attributes(digest=digest)), **changes)


def bare(tsa: TimestampAuthority, at: float = NOW) -> bytes:
    """A token with its certificates, and no response around it."""
    return signed_data(tst_info(MESSAGE, at), tsa.chain[0], tsa.key, tsa.chain)


def holds(pieces: Pieces) -> float:
    return check_timestamp(ROOT, response(pieces.token()), MESSAGE)


def fails(pieces: Pieces) -> str:
    return refusal(response(pieces.token()))


def test_a_token_of_good_pieces_holds():
    assert holds(Pieces()) == NOW


@pytest.mark.parametrize("status", [1, 2, 255])
def test_only_what_was_granted_counts(status):
    assert refusal(response(Pieces().token(), status)) == f"timestamp was not granted (status {status})"


def test_a_response_holds_a_status_and_a_token_and_nothing_else():
    token = Pieces().token()
    granted = der.sequence(der.integer(0), der.sequence(der.utf8("well")), der.tlv(0x03, b"\x00"))
    assert check_timestamp(ROOT, der.sequence(granted, token), MESSAGE) == NOW
    for wrong in (b"", token, der.sequence(granted), der.sequence(granted, token, token), response(token) + b"\x00"):
        assert refusal(wrong) == MALFORMED


def test_a_bare_token_is_not_a_response_and_a_response_no_token():
    assert check_token(bare(TSA), MESSAGE, [TOP]).time == NOW
    assert bare_refusal(response(bare(TSA)), [TOP]) == MALFORMED


def test_a_token_has_a_bound():
    """signatures.md rule 6: 64 KiB."""
    signature = TSA.key.sign(der.set_of(*attributes()))  # one for all: their lengths differ
    bulk = 65000

    def of(size: int) -> Pieces:
        return Pieces(signature=signature, unsigned=(der.explicit(1, bytes(size)),))

    bulk += (64 << 10) - len(of(bulk).token())
    assert len(of(bulk).token()) == 64 << 10
    assert holds(of(bulk)) == NOW
    assert fails(of(bulk + 1)) == "timestamp is larger than 64 KiB"


def test_a_token_is_signed_data_with_the_content_of_a_timestamp():
    assert fails(Pieces(kind="1.2.840.113549.1.7.1")) == "timestamp is not signed data"
    assert fails(Pieces(after=(der.null(),))) == MALFORMED
    assert fails(Pieces(after_signers=(der.null(),))) == MALFORMED
    other = der.oid("1.2.840.113549.1.7.1")
    signed = tuple(attributes(content_type=attribute(CONTENT_TYPE, other)))
    assert fails(Pieces(content_type=other, signed=signed)) == "timestamp's content is not that of a timestamp"


@pytest.mark.parametrize("signers", [0, 2])
def test_a_token_has_exactly_one_signer(signers):
    assert fails(Pieces(signers=signers)) == "timestamp does not have exactly one signer"


def test_a_token_has_at_most_sixteen_certificates_that_can_be_read():
    assert holds(Pieces(certificates=(LEAF,) * 16)) == NOW
    assert fails(Pieces(certificates=(LEAF,) * 17)) == "timestamp holds more than 16 certificates"
    unreadable = "a certificate in the timestamp is not an X.509 certificate that can be read"
    assert fails(Pieces(certificates=(der.sequence(),))) == unreadable


def test_lists_of_revoked_certificates_and_unsigned_attributes_mean_nothing():
    assert holds(Pieces(after_certificates=(der.explicit(1, der.sequence()),))) == NOW
    assert holds(Pieces(unsigned=(der.explicit(1, der.sequence()),))) == NOW
    assert fails(Pieces(after_certificates=(der.explicit(2),))) == MALFORMED
    assert fails(Pieces(unsigned=(der.explicit(2),))) == MALFORMED


def test_a_signer_is_named_by_issuer_and_serial_number():
    leaf = TSA.chain[0]
    for sid in (
        der.sequence(leaf.issuer.public_bytes(), der.integer(leaf.serial_number + 1)),
        der.sequence(leaf.subject.public_bytes(), der.integer(leaf.serial_number)),
    ):
        assert fails(Pieces(sid=sid)) == "timestamp is not by a trusted authority"
    identifier = x509.SubjectKeyIdentifier.from_public_key(leaf.public_key()).digest
    assert fails(Pieces(sid=der.tlv(0x80, identifier))) == MALFORMED


def test_signed_attributes_name_the_type_of_the_content():
    reason = "timestamp's signed attributes do not name the type of its content"
    assert fails(Pieces(signed=tuple(attributes(content_type=b"")))) == reason
    other = attribute(CONTENT_TYPE, der.oid("1.2.840.113549.1.7.1"))
    assert fails(Pieces(signed=tuple(attributes(content_type=other)))) == reason


def test_signed_attributes_hold_the_digest_of_the_content():
    reason = "timestamp's signed attributes are for other content"
    assert fails(Pieces(signed=tuple(attributes(digest=b"")))) == reason
    assert fails(Pieces(content=info(policy="1.2.4"))) == reason
    digest = hashlib.sha256(info()).digest()
    for wrong in (der.octets(digest[:-1]), der.tlv(0x03, digest), der.octets(b"")):
        assert fails(Pieces(signed=tuple(attributes(digest=attribute(MESSAGE_DIGEST, wrong))))) == reason


def test_each_signed_attribute_stands_once_with_one_value():
    twice = (*attributes(), GOOD[CONTENT_TYPE])
    assert fails(Pieces(signed=twice)) == MALFORMED
    for values in ((), (TST_INFO, TST_INFO)):
        assert fails(Pieces(signed=tuple(attributes(content_type=attribute(CONTENT_TYPE, *values))))) == MALFORMED
    longer = der.sequence(der.oid("1.2.3"), der.set_of(der.null()), der.null())
    assert fails(Pieces(signed=(*attributes(), longer))) == MALFORMED
    assert holds(Pieces(signed=(*attributes(), attribute("1.2.3", der.null())))) == NOW


def test_signed_attributes_are_signed_in_ascending_order_however_they_came():
    """RFC 5652 section 5.4: what is signed is the DER. `Pieces` signs that."""
    ascending = sorted(attributes())
    for came in (ascending, ascending[::-1]):
        assert holds(Pieces(signed=tuple(came))) == NOW
    signature = TSA.key.sign(der.tlv(0x31, *ascending[::-1]))
    wrong = Pieces(signed=tuple(ascending[::-1]), signature=signature)
    assert fails(wrong) == "timestamp is not signed by its authority"


def test_a_token_needs_signed_attributes():
    """Else its signature would be over the TSTInfo, and a TSTInfo could pass for attributes."""
    pieces = Pieces(signed=())
    assert fails(pieces) == "timestamp's signed attributes do not name the type of its content"
    plain = replace(pieces, signature=TSA.key.sign(info())).token()
    assert refusal(response(plain.replace(der.explicit(0), b""))) == MALFORMED


@pytest.mark.parametrize("oid", ["1.3.14.3.2.26", "1.2.840.113549.2.5", "2.16.840.1.101.3.4.2.4"])
def test_weak_and_unknown_hashes_are_refused(oid):
    reason = "timestamp uses another hash than SHA-256, SHA-384 or SHA-512"
    algorithm = der.sequence(der.oid(oid), der.null())
    assert fails(Pieces(digest=algorithm)) == reason
    imprint = der.sequence(algorithm, der.octets(hashlib.sha1(MESSAGE).digest()))
    assert fails(about(info(imprint=imprint))) == reason
    essential = named(algorithm + der.octets(hashlib.sha1(LEAF).digest()))
    assert fails(Pieces(signed=tuple(attributes(named=essential)))) == reason


@pytest.mark.parametrize(
    "oid",
    ["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.1", "1.3.101.112", "1.2.840.113549.1.1.10", "1.2.840.10045.4.1"],
)
def test_the_algorithm_is_one_for_the_key(oid):
    reason = "timestamp's signature algorithm is not supported, or not one for the key of its authority"
    assert fails(Pieces(algorithm=der.sequence(der.oid(oid)))) == reason


def test_the_hash_that_the_algorithm_names_counts():
    """The digest of the content may be another one (RFC 5652 section 5.3)."""
    assert (
        fails(Pieces(algorithm=der.sequence(der.oid("1.2.840.10045.4.3.3"))))
        == "timestamp is not signed by its authority"
    )
    digest = attribute(MESSAGE_DIGEST, der.octets(hashlib.sha512(info()).digest()))
    sha512 = der.sequence(der.oid("2.16.840.1.101.3.4.2.3"))
    assert holds(Pieces(digest=sha512, signed=tuple(attributes(digest=digest)))) == NOW


@pytest.mark.parametrize(("oid", "name"), [("1.2.840.113549.1.1.12", "sha384"), ("1.2.840.113549.1.1.13", "sha512")])
def test_rsa_signs_with_the_larger_hashes_too(oid, name):
    tsa = ours(key_pair("rsa2048"))
    leaf = tsa.chain[0]
    essential = named(der.octets(hashlib.sha256(to_der(leaf)).digest()))
    signed = tuple(attributes(named=essential))
    private = tsa.key.private
    assert isinstance(private, rsa.RSAPrivateKey)
    signature = private.sign(der.set_of(*signed), padding.PKCS1v15(), HASHES[name])
    sid = der.sequence(leaf.issuer.public_bytes(), der.integer(leaf.serial_number))
    pieces = Pieces(sid=sid, signed=signed, algorithm=der.sequence(der.oid(oid)), signature=signature)
    assert check_timestamp(root_of(tsa), response(pieces.token()), MESSAGE) == NOW


@pytest.mark.parametrize("signature", [b"", b"\x30\x00", bytes(70)])
def test_a_signature_that_is_none_is_refused(signature):
    assert fails(Pieces(signature=signature)) == "timestamp is not signed by its authority"


def test_signed_attributes_name_the_certificate_of_the_authority():
    """RFC 5816 section 2.2.1; without a hash algorithm it is SHA-256."""
    assert fails(Pieces(signed=tuple(attributes(named=b"")))) == "timestamp does not name its authority's certificate"
    reason = "timestamp names another certificate of its authority"
    sha384, sha512 = (der.sequence(der.oid(f"2.16.840.1.101.3.4.2.{last}")) for last in (2, 3))
    for wrong in (
        der.octets(hashlib.sha256(to_der(TOP)).digest()),
        der.octets(hashlib.sha1(LEAF).digest()),
        sha384 + der.octets(hashlib.sha256(LEAF).digest()),
    ):
        assert fails(Pieces(signed=tuple(attributes(named=named(wrong))))) == reason
    for right in (
        SHA256 + der.octets(hashlib.sha256(LEAF).digest()),
        sha384 + der.octets(hashlib.sha384(LEAF).digest()),
        sha512 + der.octets(hashlib.sha512(LEAF).digest()) + der.sequence(der.sequence(), der.integer(1)),
    ):
        assert holds(Pieces(signed=tuple(attributes(named=named(right))))) == NOW


def test_the_older_name_of_the_certificate_counts_where_there_is_no_newer_one():
    """RFC 3161 section 2.4.2: ESSCertID, with SHA-1."""
    right, wrong = (named(der.octets(hashlib.sha1(one).digest()), NAMED_V1) for one in (LEAF, to_der(TOP)))
    assert holds(Pieces(signed=tuple(attributes(named=b"", older=right)))) == NOW
    reason = "timestamp names another certificate of its authority"
    assert fails(Pieces(signed=tuple(attributes(named=b"", older=wrong)))) == reason
    newer = named(der.octets(hashlib.sha256(to_der(TOP)).digest()))
    assert fails(Pieces(signed=tuple(attributes(named=newer, older=right)))) == reason
    sha256 = named(SHA256 + der.octets(hashlib.sha256(LEAF).digest()), NAMED_V1)
    assert fails(Pieces(signed=tuple(attributes(named=b"", older=sha256)))) == MALFORMED


# The TSTInfo


def test_the_version_of_a_timestamp_is_1():
    assert fails(about(info(version=2))) == "timestamp's version is not 1"


def test_a_timestamp_is_about_the_message():
    token = response(Pieces().token())
    for other in (b"", MESSAGE + b" ", hashlib.sha256(MESSAGE).digest()):
        assert refusal(token, other) == "timestamp is for another signature"
    for wrong in (b"", hashlib.sha384(MESSAGE).digest(), hashlib.sha256(MESSAGE).digest()[:20]):
        imprint = der.sequence(SHA256, der.octets(wrong))
        assert fails(about(info(imprint=imprint))) == "timestamp is for another signature"
    longer = der.sequence(SHA256, der.octets(hashlib.sha256(MESSAGE).digest()), der.null())
    assert fails(about(info(imprint=longer))) == MALFORMED


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("20250615150640Z", 1750000000.0),
        ("20250615150640.5Z", 1750000000.5),
        ("20250615150640.001Z", 1750000000.001),
        ("20250615150640.123456789Z", 1750000000.123456789),
        ("20240229000000Z", 1709164800.0),
        ("19700101000000Z", 0.0),
    ],
)
def test_times_are_read(text, time):
    root = root_of(ours(TSA.key, window=Window(0, NOW + 9)))
    tsa = root.timestamp_authorities[0].chain
    top = certificate("our root", KEY, "our root", KEY, Window(0), [CA, key_usage("key_cert_sign")])
    root = root_of(TimestampAuthority((tsa[0], top), TSA.key, Window(0)))
    leaf = tsa[0]
    content = info(time=der.tlv(0x18, text.encode()))
    essential = named(der.octets(hashlib.sha256(to_der(leaf)).digest()))
    digest = attribute(MESSAGE_DIGEST, der.octets(hashlib.sha256(content).digest()))
    sid = der.sequence(leaf.issuer.public_bytes(), der.integer(leaf.serial_number))
    pieces = Pieces(content=content, sid=sid, signed=tuple(attributes(digest=digest, named=essential)))
    assert check_timestamp(root, response(pieces.token()), MESSAGE) == pytest.approx(time, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20250615150640",
        "20250615150640z",
        "202506151506Z",
        "20250615150640+0000",
        "20250615150640.Z",
        "20250615150640.0Z",
        "20250615150640.50Z",
        "20250615150640.1234567891Z",
        "20250615150640,5Z",
        "20251315150640Z",
        "20250230150640Z",
        "20250615156040Z",
        "20250615150660Z",
        "00000615150640Z",
        "20250615150640Z\n",
        "2025061515064\u0661Z",
    ],
)
def test_times_that_are_not_in_their_one_form_are_refused(text):
    assert fails(about(info(time=der.tlv(0x18, text.encode())))) == "timestamp's time is malformed"


def test_a_time_is_a_generalized_time():
    assert fails(about(info(time=der.tlv(0x17, b"250615150640Z")))) == MALFORMED


EXTENSION = der.oid("1.3.6.1.5.5.7.1.3")


def test_the_rest_of_a_timestamp_is_read_to_its_end():
    accuracy = der.sequence(der.integer(1))
    extension = der.sequence(EXTENSION, der.octets(b""))
    whole = (accuracy, der.boolean(value=True), der.integer(7), der.explicit(0, der.null()), der.explicit(1, extension))
    for leave_out in range(len(whole) + 1):
        rest = whole[:leave_out] + whole[leave_out + 1 :]
        assert holds(about(info(rest=rest))) == NOW
    assert fails(about(info(rest=(*whole, der.null())))) == MALFORMED
    assert fails(about(info(rest=whole[::-1]))) == MALFORMED


def test_a_critical_extension_is_refused():
    """RFC 3161 section 2.4.2: one that is not known."""
    critical = der.sequence(EXTENSION, der.boolean(value=True), der.octets(b""))
    plain = der.sequence(EXTENSION, der.octets(b""))
    reason = "timestamp has a critical extension, which is not supported"
    for extensions in ((critical,), (plain, critical)):
        assert fails(about(info(rest=(der.explicit(1, *extensions),)))) == reason
    assert fails(about(info(rest=(der.explicit(1, der.integer(1)),)))) == MALFORMED


@pytest.mark.parametrize(
    ("parts", "accuracy"),
    [
        ([], 0.0),
        ([der.integer(2)], 2.0),
        ([der.tlv(0x80, b"\x05")], 0.005),
        ([der.tlv(0x81, b"\x07")], 0.000007),
        ([der.tlv(0x81, b"\x0f\x42\x3f")], 0.999999),
        ([der.integer(1), der.tlv(0x80, b"\x01\xf4"), der.tlv(0x81, b"\x64")], 1.5001),
        ([der.integer((1 << 31) - 1)], 2147483647.0),
    ],
)
def test_the_accuracy_is_read(parts, accuracy):
    token = about(info(rest=(der.sequence(*parts),)), certificates=(LEAF,)).token()
    assert check_token(token, MESSAGE, [TOP]).accuracy == pytest.approx(accuracy, abs=1e-9, rel=1e-9)


@pytest.mark.parametrize(
    "parts",
    [
        [der.integer(-1)],
        [der.integer(1 << 31)],
        [der.integer(1 << 4096)],
        [der.tlv(0x80, b"\x00\x80\x00\x00\x00")],
        [der.tlv(0x81, b"\x00\x80\x00\x00\x00")],
        [der.tlv(0x81, b"\x01"), der.tlv(0x80, b"\x01")],
        [der.null()],
    ],
)
def test_an_accuracy_that_is_none_is_refused(parts):
    assert fails(about(info(rest=(der.sequence(*parts),)))) == MALFORMED


def test_under_the_baseline_policy_only_a_missing_accuracy_is_a_second():
    for rest, accuracy in (((), 1.0), ((der.sequence(der.integer(2)),), 2.0)):
        token = about(info(policy="0.4.0.2023.1.1", rest=rest), certificates=(LEAF,)).token()
        assert check_token(token, MESSAGE, [TOP]).accuracy == accuracy
    assert check_token(Pieces(certificates=(LEAF,)).token(), MESSAGE, [TOP]).accuracy == 0.0


# Bare tokens


def test_a_bare_token_leads_to_an_anchor():
    foreign = authority()
    assert check_token(bare(TSA), MESSAGE, [foreign.chain[-1], TOP]).path == (TSA.chain[0], TOP)
    assert "is not from a trusted authority" in bare_refusal(bare(TSA), [foreign.chain[-1]])
    assert "is not from a trusted authority" in bare_refusal(bare(TSA), [])


def test_a_bare_token_brings_the_certificate_of_its_authority():
    without = signed_data(tst_info(MESSAGE, NOW), TSA.chain[0], TSA.key)
    assert bare_refusal(without, [TOP, TSA.chain[0]]) == "timestamp is not by a trusted authority"


def test_a_bare_token_is_judged_like_any_other():
    assert bare_refusal(bare(TSA), [TOP], b"another") == "timestamp is for another signature"
    token = signed_data(tst_info(MESSAGE, NOW), TSA.chain[0], key_pair(), TSA.chain)
    assert bare_refusal(token, [TOP]) == "timestamp is not signed by its authority"
    late = ours(key_pair(), window=Window(NOW, NOW + 9))
    assert bare_refusal(bare(late, NOW + 10), [TOP]).startswith("timestamp's certificate expired")


def test_signed_attributes_of_the_devkit_are_those_of_the_pieces():
    """So that the wrong ones differ in nothing else."""
    assert sorted(signed_attributes(info(), TSA.chain[0], "sha256")) == sorted(attributes())
