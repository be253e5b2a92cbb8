"""The `*.pub` entries of a Secret (signatures.md "Keys" and rule 9, flux-compat H3)."""

from __future__ import annotations

import base64
import hashlib
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from devkit.signer import Signer
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import LegacySignature
from ocisource.trust.keyed import read_keys

RECORDED = Path(__file__).parent / "recorded"


def pem(key, form: PublicFormat = PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, form)


def wrapped(der: bytes, label: str = "PUBLIC KEY") -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


@pytest.fixture(scope="module")
def good(bench) -> bytes:
    return bench.signer().public_pem()


def keyring(**entries: bytes):
    return read_keys("pub", {name.replace("_", "."): content for name, content in entries.items()})


def refusal(content: bytes) -> str:
    with pytest.raises(TrustError) as caught:
        keyring(cosign_pub=content)
    return str(caught.value)


def test_every_entry_that_ends_in_pub_is_a_key_and_no_other(bench, good):
    second = bench.signer("ed25519").public_pem()
    ring = keyring(b_pub=second, a_pub=good, cosign_key=b"no key at all", pub=b"neither", a_pub_bak=b"nor this")
    assert [key.entry for key in ring.keyring.keys] == ["a.pub", "b.pub"]


def test_any_key_of_the_secret_may_match(bench):
    stranger, ours = bench.signer("p256", 1), bench.signer("p256", 2)
    layer = ours.legacy(bench.digest)
    judgement = bench.judge(bench.ring(stranger, ours), LegacySignature("x", layer.payload, layer.annotations))
    assert judgement.signer == f"key '1.pub' (SHA256:{ours.hint})"


def test_a_secret_without_pub_entry_is_no_error_but_accepts_nothing_and_says_why(bench):
    """flux-compat H3: the outcome is "no matching signatures", not an error of its own."""
    ring = keyring(cosign_key=b"x")
    layer = bench.signer().legacy(bench.digest)
    judgement = bench.judge(ring, LegacySignature("x", layer.payload, layer.annotations))
    assert not judgement.accepted
    assert judgement.reason == ring.flaw == "secret 'pub' has no entry that ends in '.pub'"


def test_an_empty_entry_is_an_error_that_names_it():
    empty = "secret 'pub' entry 'cosign.pub': it is empty; put a PEM public key there"
    assert refusal(b" \n") == f"PEM decoding failed: {empty}"


@pytest.mark.parametrize(
    "content",
    [
        b"garbage",
        b"-----BEGIN PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nMFkw\n-----END RSA PUBLIC KEY-----\n",
        b"\x00\xff\xfe",
    ],
)
def test_an_unparsable_entry_is_an_error_that_names_it(content):
    assert "secret 'pub' entry 'cosign.pub': not a PEM public key" in refusal(content)


@pytest.mark.parametrize("content", [b"garbage", b"-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----\n"])
def test_what_is_no_pem_is_refused_in_the_words_that_clients_know(content):
    """flux-compat H3."""
    assert refusal(content).startswith("PEM decoding failed: secret 'pub' entry 'cosign.pub': ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"-----BEGIN", b"x-----BEGIN"),
        (b"-----BEGIN", b"----BEGIN"),
        (b"BEGIN PUBLIC KEY-----", b"BEGIN PUBLIC KEY-----x"),
        (b"\n-----END", b"-----END"),
        (b"END PUBLIC KEY-----", b"END PUBLIC KEY-----x"),
        (b"PUBLIC KEY", b""),
        (b"PUBLIC KEY", b"public key"),
    ],
)
def test_the_lines_around_a_key_are_whole(good, old, new):
    """RFC 7468 section 2."""
    changed = good.replace(old, new)
    assert changed != good
    assert "not a PEM public key" in refusal(changed)


@pytest.mark.parametrize("end", [b"\r\n", b" \n", b"\t\n"])
def test_lines_may_end_in_white_space(good, end):
    """RFC 7468 section 2: editors of other systems leave it there."""
    assert keyring(cosign_pub=good.replace(b"\n", end)).keyring.keys == keyring(cosign_pub=good).keyring.keys


def test_one_bad_entry_is_an_error_though_another_is_good(good):
    with pytest.raises(TrustError, match=r"entry 'z\.pub'"):
        keyring(a_pub=good, z_pub=b"")


def test_a_truncated_key_is_an_error_at_every_length(good):
    whole = len(good.rstrip())
    for length in range(whole):
        with pytest.raises(TrustError):
            keyring(cosign_pub=good[:length])
    assert keyring(cosign_pub=good[:whole]).keyring.keys


def test_a_private_key_is_refused_by_name_and_never_quoted(bench):
    private = bench.signer().private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    message = refusal(private)
    assert "a private one" in message
    assert private.splitlines()[1].decode() not in message


@pytest.mark.parametrize("stray", [b"!", b"\xff", b"_", b"="])
def test_a_stray_character_in_a_key_is_not_passed_over(good, stray):
    head, body, tail = good.partition(b"KEY-----\n")
    assert "its content cannot be read" in refusal(head + body + stray + tail)


def test_ed25519ph_is_only_guessed_where_it_can_be(bench):
    """The signature has the length that Ed25519 gives, and there is such a key."""
    ecdsa, edwards = bench.ring(bench.signer()).keyring, bench.ring(bench.signer("ed25519")).keyring
    assert ecdsa.stranger(b"x" * 64) == "signed by another key"
    assert edwards.stranger(b"x" * 71) == "signed by another key"
    assert edwards.stranger(b"x" * 64).startswith("signed by another key; perhaps made with Ed25519ph")


def test_a_certificate_is_not_a_public_key():
    assert refusal(wrapped(b"0", "CERTIFICATE")).endswith("not a PEM public key but 'CERTIFICATE'")


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP224R1(), ec.BrainpoolP256R1()], ids=lambda curve: curve.name)
def test_another_curve_is_refused_by_name(curve):
    assert f"the curve {curve.name} is not supported" in refusal(pem(ec.generate_private_key(curve)))


def test_an_rsa_key_below_2048_bits_is_refused():
    for bits in (1024, 2047):
        key = rsa.RSAPublicNumbers(65537, (1 << bits) - 1).public_key()
        content = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        assert f"an RSA key of {bits} bits is too small" in refusal(content)


@pytest.mark.parametrize("exponent", [1, 2])
def test_an_rsa_key_whose_exponent_proves_nothing_is_refused(bench, exponent):
    """With exponent 1 anybody can write a signature that "holds"; an even one is no RSA."""
    modulus = bench.signer("rsa2048").private.public_key().public_numbers().n
    body = b"\x02\x82\x01\x01" + modulus.to_bytes(257, "big") + bytes([2, 1, exponent])
    pkcs1 = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    assert "cannot be read" in refusal(wrapped(pkcs1, "RSA PUBLIC KEY"))
    usual = wrapped(pkcs1[:-1] + b"\x03", "RSA PUBLIC KEY")
    assert keyring(cosign_pub=usual).keyring.keys


@pytest.mark.parametrize("key", [x25519.X25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()])
def test_another_kind_of_key_is_refused(key):
    assert "this kind of key is not supported; use ECDSA P-256" in refusal(pem(key))


def test_a_kind_of_key_that_nobody_knows_is_refused():
    """A SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) with the algorithm 1.2.3.4."""
    unknown = bytes.fromhex("300d300506032a03040304000102ff")
    assert "this kind of key is not supported; use ECDSA P-256" in refusal(wrapped(unknown))


def test_a_key_in_another_encoding_than_the_standard_one_is_refused(bench):
    """A compressed point and bytes behind the key: one key has one form, as in crypto/x509."""
    private = bench.signer().private
    compressed = private.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    prefix = bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    assert "standard encoding" in refusal(wrapped(prefix + compressed))
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert "cannot be read" in refusal(wrapped(der + b"\x00"))


def test_an_rsa_key_restricted_to_pss_is_refused():
    """We check PKCS #1 v1.5: using the key so would go against what it says of itself."""
    assert "standard encoding" in refusal((RECORDED / "rsa2048pss.pub").read_bytes())


def test_pkcs1_pem_is_the_same_key_as_its_spki_pem():
    """Both files were written by OpenSSL from one key."""
    ring = keyring(a_pub=(RECORDED / "rsa2048.pub").read_bytes(), b_pub=(RECORDED / "rsa2048.pkcs1.pub").read_bytes())
    assert [key.entry for key in ring.keyring.keys] == ["a.pub"]


def test_a_label_that_promises_another_form_is_refused(bench):
    private = bench.signer("rsa2048").private
    spki = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pkcs1 = private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    assert "standard encoding" in refusal(wrapped(spki, "RSA PUBLIC KEY"))
    assert "standard encoding" in refusal(wrapped(pkcs1, "PUBLIC KEY"))


def test_each_pem_block_of_an_entry_is_a_key(bench, good):
    """Whoever puts two keys into one file means both."""
    second = bench.signer("ed25519").public_pem()
    assert len(keyring(cosign_pub=good + second).keyring.keys) == 2
    with pytest.raises(TrustError):
        keyring(cosign_pub=good + second[:-20])


def test_text_around_the_block_and_windows_line_ends_do_no_harm(good):
    ring = keyring(cosign_pub=b"# release key, 2026\r\n" + good.replace(b"\n", b"\r\n") + b"\r\n# end\r\n")
    assert ring.keyring.keys == keyring(cosign_pub=good).keyring.keys


def test_the_fingerprint_is_the_hint_that_cosign_writes():
    """cosign's bundle names the key by base64(SHA-256(SubjectPublicKeyInfo))."""
    content = (RECORDED / "p256.pub").read_bytes()
    spki = base64.b64decode(b"".join(content.splitlines()[1:-1]))
    expected = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    assert expected in (RECORDED / "p256.bundle.json").read_text()
    assert str(keyring(cosign_pub=content).keyring.keys[0]) == f"key 'cosign.pub' (SHA256:{expected})"


def test_a_keyring_is_a_value(good):
    """It may be cached by the hash of the Secret, and shared between threads."""
    one, same = keyring(a_pub=good).keyring, keyring(a_pub=good).keyring
    assert one == same
    assert hash(one) == hash(same)
    assert one != keyring(b_pub=good).keyring
    with pytest.raises(AttributeError):
        one.keys = ()


def test_a_secret_holds_a_bounded_number_of_keys(bench):
    """Else a registry full of bad signatures, tried with each, costs minutes."""
    pems = [Signer.generate().public_pem() for _ in range(33)]
    entries = {f"k{n:02}_pub": pem for n, pem in enumerate(pems)}
    with pytest.raises(TrustError, match=r"^secret 'pub' has more than 32 public keys"):
        keyring(**entries)
    assert "more than 32 public keys" in refusal(b"".join(pems))
    del entries["k32_pub"]
    assert len(keyring(**entries).keyring.keys) == 32
    assert len(keyring(**entries, again_pub=pems[0]).keyring.keys) == 32


def test_a_large_entry_of_unfinished_blocks_is_refused_in_linear_time():
    """A megabyte of them, the most a Secret holds; reading each to the end would take minutes."""
    begin, end = b"-----BEGIN PUBLIC KEY-----\nAAAA\n", b"-----END RSA PUBLIC KEY-----\n"
    started = time.process_time()
    for content in (begin * 30_000, (begin + end) * 16_000):
        assert "not a PEM public key" in refusal(content)
    assert time.process_time() - started < 2


def test_another_key_is_another_trust(bench):
    """J4: the fingerprint moves with the keys and with nothing else."""
    one, other = bench.signer(), bench.signer("ed25519")
    trust = bench.ring(one).fingerprint
    assert trust == read_keys("renamed", {"0.pub": one.public_pem(), "notes.txt": b"x"}).fingerprint
    assert len({trust, bench.ring(other).fingerprint, bench.ring(one, other).fingerprint}) == 3


def test_names_from_a_file_are_quoted_safely():
    with pytest.raises(TrustError) as caught:
        read_keys("pub\x1b[31m", {"\u202e" * 500 + ".pub": b""})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_a_signer_made_now_has_the_hint_we_print(bench):
    signer = Signer.generate("p384")
    assert bench.ring(signer).keyring.keys[0].fingerprint == f"SHA256:{signer.hint}"
