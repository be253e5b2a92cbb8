"""Trusted roots: what the Go tools accept is accepted, what is broken is refused by the name of the field."""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import importlib.resources
import json
import math
import re
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from devkit.offline import NOW, CTLog, OfflineSigstore, RekorLog, Window
from devkit.signer import KINDS, Signer
from ocisource.domain.errors import TrustError
from ocisource.trust import roots
from ocisource.trust.roots import LogKey, TrustedRoot, read_trusted_root

GONE = object()
PUBLIC = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
STAGING = "https%3A%2F%2Ftuf-repo-cdn.sigstage.dev"


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture
def document(sigstore):
    return copy.deepcopy(sigstore.trusted_root_document())


def put(document, path: str, value: object):
    """`document` with `value` at the path `tlogs.0.publicKey`; GONE removes what is there."""
    *parents, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place = document
    for step in parents:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return document


def read(document) -> TrustedRoot:
    return read_trusted_root(json.dumps(document).encode())


def refusal(document) -> str:
    with pytest.raises(TrustError) as caught:
        read(document)
    return str(caught.value)


def base64_text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def spki(private) -> bytes:
    return private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def log_of(key: Signer, **changes) -> dict:
    return CTLog(key, Window(0)).document() | changes


def shipped(store: str) -> bytes:
    return importlib.resources.files("sigstore").joinpath("_store", store, "trusted_root.json").read_bytes()


def test_everything_in_the_root_is_read(sigstore):
    root = read_trusted_root(sigstore.trusted_root())
    [authority] = root.authorities
    assert authority.chain == sigstore.authority.chain
    assert authority.uri == sigstore.authority.uri
    assert authority.window == roots.Window(sigstore.authority.window.start, sigstore.authority.window.end)
    assert [tsa.chain for tsa in root.timestamp_authorities] == [sigstore.tsa.chain]
    assert [log.key_id for log in root.logs] == [sigstore.rekor_v1.log_id, sigstore.rekor_v2.log_id]
    assert [log.kind for log in root.logs] == ["ECDSA secp256r1", "Ed25519"]
    [ctlog] = root.ctlogs
    assert (ctlog.key_id, ctlog.base_url) == (sigstore.ctlog.log_id, sigstore.ctlog.url)
    assert ctlog.verify(sigstore.ctlog.key.sign(b"m"), b"m")
    assert not ctlog.verify(sigstore.ctlog.key.sign(b"m"), b"n")


def test_the_public_root_is_read():
    """Dates and key IDs as they stand in the document, which comes with the sigstore package."""
    root = read_trusted_root(shipped(PUBLIC))
    assert [len(authority.chain) for authority in root.authorities] == [1, 2]
    assert root.authorities[0].window == roots.Window(1615087229, 1672531199.999)  # 2021-03-07 … 2022-12-31
    assert root.authorities[1].window.end is None
    assert root.logs[0].base_url == "https://rekor.sigstore.dev"
    assert root.logs[0].key_id.hex() == "c0d23d6ad406973f9559f3ba2d1ca01f84147d8ffc5b8445c224f98b9591801d"
    assert [log.base_url for log in root.ctlogs] == [
        "https://ctfe.sigstore.dev/test",
        "https://ctfe.sigstore.dev/2022",
    ]
    assert len(root.timestamp_authorities) == 1


def test_the_key_of_a_public_rekor_v2_has_the_id_of_a_signed_note():
    """https://c2sp.org/signed-note: SHA-256 of name, newline, 0x01 and the Ed25519 key."""
    document = json.loads(shipped(PUBLIC))
    [log] = [log for log in document["tlogs"] if log["publicKey"]["keyDetails"] == "PKIX_ED25519"]
    name = log["baseUrl"].removeprefix("https://").encode()
    key = base64.b64decode(log["publicKey"]["rawBytes"])[-32:]
    [read_log] = [log for log in read_trusted_root(shipped(PUBLIC)).logs if log.kind == "Ed25519"]
    assert read_log.key_id == hashlib.sha256(name + b"\n\x01" + key).digest()


def test_the_staging_root_with_a_pkcs1_key_is_read():
    kinds = [log.kind for log in read_trusted_root(shipped(STAGING)).ctlogs]
    assert kinds == ["RSA 4096", "ECDSA secp256r1", "ECDSA secp256r1", "ECDSA secp256r1"]


@pytest.mark.parametrize(
    "name", ["ctlogs", "tlogs", "timestampAuthorities", "certificateAuthorities", "baseUrl", "subject", "uri", "end"]
)
def test_what_may_be_absent_may_be_null_too(sigstore, name):
    """The Go tools accept roots without these."""
    read_trusted_root(sigstore.trusted_root(without={name}))

    def nulled(value):
        if isinstance(value, dict):
            return {key: None if key == name else nulled(member) for key, member in value.items()}
        return [nulled(member) for member in value] if isinstance(value, list) else value

    read(nulled(sigstore.trusted_root_document()))


def test_an_authority_without_validity_is_valid_at_any_time_of_its_certificates(document):
    root = read(put(document, "certificateAuthorities.0.validFor", GONE))
    assert root.authorities[0].window == roots.Window(-math.inf, None)
    assert root.authorities[0].window.contains(0)


def test_an_authority_may_be_valid_since_ever(document):
    root = read(put(document, "certificateAuthorities.0.validFor", {"end": "1970-01-01T00:00:10Z"}))
    assert root.authorities[0].window == roots.Window(-math.inf, 10)


def test_an_absent_url_is_empty(sigstore):
    root = read_trusted_root(sigstore.trusted_root(without={"baseUrl", "uri"}))
    assert root.logs[0].base_url == ""
    assert root.authorities[0].uri == ""


def test_both_ends_of_a_window_belong_to_it():
    """protobuf-specs, CertificateAuthority: "inclusive of the endpoints"."""
    window = roots.Window(10, 20)
    assert [window.contains(at) for at in (9.999, 10, 20, 20.001)] == [False, True, True, False]
    assert roots.Window(10).contains(1e12)


@pytest.mark.parametrize(
    "written",
    [
        "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "application/vnd.dev.sigstore.trustedroot.v0.1+json",
        "application/vnd.dev.sigstore.trustedroot.v0.2+json",
        *(f"application/vnd.dev.sigstore.trustedroot.v{version}+json" for version in ("0.9", "0.10", "0.95")),
        *(f"application/vnd.dev.sigstore.trustedroot+json;version={version}" for version in ("0.9", "0.10", "0.95")),
    ],
)
def test_the_media_types_of_trusted_roots_are_known(document, written):
    read(document | {"mediaType": written})


@pytest.mark.parametrize(
    "written",
    [
        "application/vnd.dev.sigstore.signingconfig.v0.2+json",
        "application/vnd.dev.sigstore.trustedroot.v1.0+json",
        "application/vnd.dev.sigstore.trustedroot.v0.1+jsonx",
        *(f"application/vnd.dev.sigstore.trustedroot.v{version}+json" for version in ("0.0", "0.100", "013")),
        *(f"application/vnd.dev.sigstore.trustedroot+json;version={version}" for version in ("0.0", "0.100", "013")),
        "application/vndxdev.sigstore.trustedroot.v0.1+json",
        "application/vnd.devxsigstore.trustedroot.v0.1+json",
        "application/vnd.dev.sigstorextrustedroot.v0.1+json",
        "application/vnd.dev.sigstore.trustedrootxv0.1+json",
        "",
    ],
)
def test_another_document_is_refused(document, written):
    assert refusal(document | {"mediaType": written}) == f"mediaType '{written}' is not supported"


def test_a_document_without_media_type_is_refused(document):
    assert refusal(put(document, "mediaType", GONE)) == "mediaType '' is not supported"


def test_members_that_nobody_knows_mean_nothing(document):
    document["certificateAuthorities"][0]["operator"] = "example.com"
    document["future"] = [{"a": 1}]
    assert len(read(document).authorities) == 1


def test_the_names_of_the_proto_files_mean_the_same(document):
    def original(value):
        if isinstance(value, dict):
            return {re.sub("[A-Z]", lambda c: "_" + c[0].lower(), k): original(v) for k, v in value.items()}
        return [original(member) for member in value] if isinstance(value, list) else value

    assert "certificate_authorities" in original(document)
    assert replace(read(original(document)), fingerprint="") == replace(read(document), fingerprint="")


def test_a_member_under_both_of_its_names_is_refused(document):
    document["certificateAuthorities"][0]["valid_for"] = {}
    assert refusal(document) == "certificateAuthorities[0].validFor is there twice"


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-01T00:00:01.123456789Z", 1.123456),
        ("1970-01-01T01:00:01+01:00", 1),
        ("1969-12-31T23:00:01-01:00", 1),
        ("0001-01-01T00:00:00Z", -62135596800),
    ],
)
def test_times_are_those_of_rfc_3339(document, written, seconds):
    window = read(put(document, "ctlogs.0.publicKey.validFor.start", written)).ctlogs[0].window
    assert window.start == seconds


@pytest.mark.parametrize(
    "written",
    [
        "yesterday",
        "2025-02-30T00:00:00Z",
        "2025-01-01T00:00:00",
        "2025-01-01",
        "2025-01-01 00:00:00Z",
        "2025-01-01T00:00:00+02:00:30",
        5,
        "",
        "٢025-01-01T00:00:00Z",
    ],
)
@pytest.mark.parametrize("end", ["start", "end"])
def test_what_is_no_time_is_refused(document, end, written):
    path = f"certificateAuthorities.0.validFor.{end}"
    problem = "certificateAuthorities[0].validFor.{} is not a time of RFC 3339"
    assert refusal(put(document, path, written)) == problem.format(end)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        ("tlogs", {}, "tlogs is not a list"),
        ("tlogs.0", 5, "tlogs[0] is not a JSON object"),
        ("tlogs.0.baseUrl", 5, "tlogs[0].baseUrl is not text"),
        ("tlogs.0.hashAlgorithm", GONE, "tlogs[0].hashAlgorithm (none) is not supported"),
        ("tlogs.0.hashAlgorithm", "SHA2_512", "tlogs[0].hashAlgorithm 'SHA2_512' is not supported"),
        ("tlogs.0.hashAlgorithm", 3, "tlogs[0].hashAlgorithm '3' is not supported"),
        ("tlogs.0.hashAlgorithm", True, "tlogs[0].hashAlgorithm (not text) is not supported"),
        ("tlogs.0.publicKey", GONE, "tlogs[0].publicKey is missing"),
        ("tlogs.0.publicKey.keyDetails", "ML_DSA_65", "tlogs[0].publicKey.keyDetails 'ML_DSA_65' is not supported"),
        ("tlogs.0.publicKey.keyDetails", [], "tlogs[0].publicKey.keyDetails (not text) is not supported"),
        ("tlogs.0.publicKey.rawBytes", GONE, "tlogs[0].publicKey.rawBytes is missing"),
        ("tlogs.0.publicKey.rawBytes", "MFkw\n", "tlogs[0].publicKey.rawBytes is not base64"),
        (
            "tlogs.0.publicKey.rawBytes",
            "MFkw",
            "tlogs[0].publicKey.rawBytes: not a public key: its content cannot be read",
        ),
        ("tlogs.0.publicKey.validFor", GONE, "tlogs[0].publicKey.validFor is missing"),
        ("tlogs.0.publicKey.validFor.start", GONE, "tlogs[0].publicKey.validFor.start is missing"),
        ("tlogs.0.logId", GONE, "tlogs[0].logId is missing"),
        ("tlogs.0.logId", "abc", "tlogs[0].logId is not a JSON object"),
        ("tlogs.0.logId.keyId", GONE, "tlogs[0].logId.keyId is missing"),
        ("tlogs.0.checkpointKeyId", {"keyId": "?"}, "tlogs[0].checkpointKeyId.keyId is not base64"),
        ("ctlogs.0.publicKey", GONE, "ctlogs[0].publicKey is missing"),
        ("certificateAuthorities.0.uri", 5, "certificateAuthorities[0].uri is not text"),
        ("certificateAuthorities.0.certChain", GONE, "certificateAuthorities[0].certChain is missing"),
        ("certificateAuthorities.0.certChain", {}, "certificateAuthorities[0].certChain.certificates is empty"),
        (
            "certificateAuthorities.0.certChain.certificates.1.rawBytes",
            "?",
            "certificateAuthorities[0].certChain.certificates[1].rawBytes is not base64",
        ),
        (
            "certificateAuthorities.0.certChain.certificates.1.rawBytes",
            "MAA=",
            "certificateAuthorities[0].certChain.certificates[1].rawBytes is not an X.509 certificate that can be read",
        ),
        ("timestampAuthorities.0.certChain", GONE, "timestampAuthorities[0].certChain is missing"),
        ("timestampAuthorities.0.validFor", [], "timestampAuthorities[0].validFor is not a JSON object"),
    ],
)
def test_a_broken_root_is_refused_by_the_name_of_the_field(document, path, value, problem):
    assert refusal(put(document, path, value)) == problem


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "trusted root is not JSON"),
        (b"[]", "trusted root is not a JSON object"),
        (b'{"tlogs": [], "tlogs": []}', "trusted root has the key 'tlogs' twice"),
        (b"\xff", "trusted root is not UTF-8"),
        (b" " * (1 << 20) + b"{}", "trusted root is larger than 1 MiB"),
    ],
)
def test_what_is_no_strict_json_is_refused(content, problem):
    with pytest.raises(TrustError) as caught:
        read_trusted_root(content)
    assert str(caught.value) == problem


@pytest.mark.parametrize("name", ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"])
def test_64_of_each_kind_are_read_and_no_more(document, name):
    document[name] = document[name][:1] * 64
    read(document)
    document[name].append(document[name][0])
    assert refusal(document) == f"{name} has more than 64 entries"


def test_a_chain_has_up_to_8_certificates(document):
    chain = document["certificateAuthorities"][0]["certChain"]
    chain["certificates"] = chain["certificates"][:1] * 8
    assert len(read(document).authorities[0].chain) == 8
    chain["certificates"].append(chain["certificates"][0])
    assert refusal(document) == "certificateAuthorities[0].certChain.certificates has more than 8 entries"


@pytest.fixture(scope="module")
def keys():
    return {kind: Signer.generate(kind) for kind in KINDS if kind not in ("rsa3072", "rsa4096")}


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_logs_have_keys_of_these_kinds(document, keys, kind):
    key = keys[kind]
    document["ctlogs"] = [log_of(key)]
    [log] = read(document).ctlogs
    assert log.verify(key.sign(b"message"), b"message")
    assert not log.verify(key.sign(b"message"), b"another message")


@pytest.mark.parametrize(
    ("kind", "number"),
    [("p256", 5), ("ed25519", 7), ("rsa2048", 9), ("rsa2048", 10), ("rsa2048", 11), ("p384", 12), ("p521", 13)],
)
def test_enums_may_be_numbers(document, keys, kind, number):
    """protobuf JSON accepts either; the numbers are those of protobuf-specs, `sigstore_common.proto`. Go does not hold
    the size of an RSA key against its key details, nor do we."""
    log = log_of(keys[kind], hashAlgorithm=1)
    log["publicKey"]["keyDetails"] = number
    [found] = read(document | {"ctlogs": [log]}).ctlogs
    assert found.verify(keys[kind].sign(b"m"), b"m")


def test_the_deprecated_number_means_a_key_in_pkcs1(document, keys):
    log = log_of(keys["rsa2048"])
    pkcs1 = keys["rsa2048"].private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    log["publicKey"] |= {"keyDetails": 1, "rawBytes": base64_text(pkcs1)}
    assert read(document | {"ctlogs": [log]}).ctlogs[0].kind == "RSA 2048"


@pytest.mark.parametrize("kind", ["p384", "p521"])
def test_a_log_signs_with_the_hash_that_its_key_details_say(document, keys, kind):
    document["ctlogs"] = [log_of(keys[kind])]
    [log] = read(document).ctlogs
    assert not log.verify(keys[kind].private.sign(b"message", ec.ECDSA(hashes.SHA256())), b"message")


def test_the_deprecated_form_of_an_rsa_key_is_read(document, keys):
    """The staging instance has one: the key in PKCS #1, the ID still that of the SubjectPublicKeyInfo."""
    key = keys["rsa2048"]
    log = log_of(key)
    pkcs1 = key.private.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    log["publicKey"] |= {"keyDetails": "PKCS1_RSA_PKCS1V5", "rawBytes": base64_text(pkcs1)}
    [read_log] = read(document | {"ctlogs": [log]}).ctlogs
    assert read_log.verify(key.sign(b"m"), b"m")
    log["publicKey"]["rawBytes"] = base64_text(spki(key.private))
    assert "standard encoding" in refusal(document | {"ctlogs": [log]})


@pytest.mark.parametrize(
    ("kind", "details"),
    [
        ("p384", "PKIX_ECDSA_P256_SHA_256"),
        ("p256", "PKIX_ED25519"),
        ("rsa2048", "PKIX_ECDSA_P521_SHA_512"),
        ("p256", "PKIX_RSA_PKCS1V15_2048_SHA256"),
        ("ed25519", "PKIX_ECDSA_P384_SHA_384"),
    ],
)
def test_a_key_of_another_kind_than_its_key_details_is_refused(document, keys, kind, details):
    log = log_of(keys[kind])
    log["publicKey"]["keyDetails"] = details
    reason = refusal(document | {"ctlogs": [log]})
    assert re.fullmatch(rf"ctlogs\[0\]\.publicKey\.rawBytes is a key of .+, not of keyDetails {details}", reason)


@pytest.mark.parametrize(
    ("private", "problem"),
    [
        (rsa.generate_private_key(65537, 1024), "an RSA key of 1024 bits is too small; use 2048 or more"),
        (ec.generate_private_key(ec.SECP256K1()), "the curve secp256k1 is not supported"),
        (ed448.Ed448PrivateKey.generate(), "this kind of key is not supported"),
    ],
    ids=["rsa1024", "secp256k1", "ed448"],
)
def test_a_key_that_is_weak_or_strange_is_refused(document, private, problem):
    document["tlogs"][0]["publicKey"]["rawBytes"] = base64_text(spki(private))
    assert refusal(document).startswith(f"tlogs[0].publicKey.rawBytes: {problem}")


@pytest.mark.parametrize("kind", ["p256", "rsa2048", "ed25519"])
def test_the_id_of_a_ct_log_is_the_hash_of_its_key(document, keys, kind):
    """RFC 6962 section 3.2. With another one no timestamp of the log could ever be found to be its own."""
    log = log_of(keys[kind], logId={"keyId": base64_text(b"x" * 32)})
    problem = "ctlogs[0].logId.keyId is not the SHA-256 of ctlogs[0].publicKey"
    assert refusal(document | {"ctlogs": [log]}) == problem


def test_the_id_of_a_log_with_an_ecdsa_key_is_the_hash_of_its_key_or_its_start(document, keys):
    """So for Rekor v1 and, of 4 bytes in media type 0.2, for the signed notes of Rekor v2."""
    whole = hashlib.sha256(spki(keys["p256"].private)).digest()
    for key_id in (whole, whole[:4]):
        root = read(document | {"tlogs": [log_of(keys["p256"], logId={"keyId": base64_text(key_id)})]})
        assert root.logs[0].key_id == key_id
    for key_id in (whole[:5], whole[:3], whole[4:8], b"x" * 32):
        log = log_of(keys["p256"], logId={"keyId": base64_text(key_id)})
        problem = "tlogs[0].logId.keyId is not the SHA-256 of tlogs[0].publicKey"
        assert refusal(document | {"tlogs": [log]}) == problem


@pytest.mark.parametrize("kind", ["rsa2048", "ed25519"])
def test_the_id_of_another_log_is_as_the_root_gives_it(document, keys, kind):
    """It is made with the log's name, which the root need not say."""
    log = log_of(keys[kind], logId={"keyId": base64_text(b"note")})
    assert read(document | {"tlogs": [log]}).logs[0].key_id == b"note"


def test_the_id_for_checkpoints_is_kept(document):
    document["tlogs"][1]["checkpointKeyId"] = {"keyId": base64_text(b"note")}
    assert [log.checkpoint_id for log in read(document).logs] == [b"", b"note"]


def test_the_fingerprint_is_of_what_the_root_says_not_of_how_it_is_written(sigstore):
    document = sigstore.trusted_root_document()
    other_order = dict(reversed(document.items()))
    written = [json.dumps(document), json.dumps(other_order), json.dumps(document, indent=1)]
    assert len({read_trusted_root(text.encode()).fingerprint for text in written}) == 1
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert read(document).fingerprint == hashlib.sha256(canonical.encode()).hexdigest()


def test_another_window_is_another_fingerprint(sigstore):
    moved = replace(sigstore.rekor_v1, window=Window(NOW))
    other = sigstore.trusted_root(logs=[moved, sigstore.rekor_v2])
    assert read_trusted_root(other).fingerprint != read_trusted_root(sigstore.trusted_root()).fingerprint


def test_roots_of_the_same_content_are_equal(sigstore):
    content = sigstore.trusted_root()
    assert read_trusted_root(content) == read_trusted_root(content)
    assert len({read_trusted_root(content), read_trusted_root(content)}) == 1


def test_a_log_does_not_show_its_verifier(sigstore):
    log: LogKey = read_trusted_root(sigstore.trusted_root(logs=[RekorLog.create("v1", Window(0))])).logs[0]
    assert "function" not in repr(log)


@pytest.mark.parametrize("junk", [None, True, 5, -1.5, "x", "", [], {}, [[]], [None], {"keyId": {}}, "9" * 5000, 1e300])
def test_whatever_stands_in_a_field_the_root_is_read_or_refused(sigstore, junk):
    """Nothing but TrustError comes out."""

    def places(value, path=()):
        if path:
            yield path
        members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for step, member in members:
            yield from places(member, (*path, step))

    document = sigstore.trusted_root_document()
    for path in list(places(document)):
        broken = copy.deepcopy(document)
        put(broken, ".".join(map(str, path)), junk)
        with contextlib.suppress(TrustError):
            read(broken)
