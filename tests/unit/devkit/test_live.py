"""The little services around the real Sigstore; the real Fulcio and cosign judge them in tests/e2e/test_keyless.py."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from devkit.live.ctlog import CTLogServer, without_poison
from devkit.live.issuer import AUDIENCE, Issuer
from devkit.live.rekorv1 import RekorV1Server
from devkit.offline.authority import certificate, to_der
from devkit.offline.ctlog import CTLog
from devkit.offline.keys import key_pair
from devkit.offline.rekor import RekorLog
from devkit.offline.windows import NOW, Window

WINDOW = Window.around(NOW)


def ask(url: str, body: object | None = None) -> tuple[int, Any]:
    """The status and the JSON of the answer."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=5)
    try:
        content = None if body is None else json.dumps(body)
        connection.request("GET" if body is None else "POST", address.path, content)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_the_keys_that_the_issuer_publishes_verify_its_tokens() -> None:
    """OpenID Connect Discovery 1.0, section 4; RFC 7515, section 5.2."""
    with Issuer() as issuer:
        status, found = ask(f"{issuer.url}/.well-known/openid-configuration")
        assert (status, found["issuer"]) == (200, issuer.url)
        _, published = ask(found["jwks_uri"])
        token = issuer.email_token("ann@example.com")
    header, claims, signature = token.split(".")
    (key,) = published["keys"]
    assert json.loads(decode(header)) == {"alg": "ES256", "kid": key["kid"], "typ": "JWT"}
    x, y = (int.from_bytes(decode(key[name]), "big") for name in ("x", "y"))
    raw = decode(signature)
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    public.verify(der, f"{header}.{claims}".encode(), ec.ECDSA(SHA256()))
    said = json.loads(decode(claims))
    assert (said["iss"], said["aud"], said["sub"]) == (issuer.url, AUDIENCE, "ann@example.com")
    assert (said["email"], said["email_verified"], said["exp"] > said["iat"]) == ("ann@example.com", True, True)


@pytest.fixture(params=[1, 40], ids=["short", "long"])
def certificates(request: pytest.FixtureRequest) -> tuple[bytes, bytes]:
    """The same certificate with the poison extension and, as its SCT is over it, without."""
    key, serial = key_pair(), x509.random_serial_number()
    names = x509.SubjectAlternativeName([x509.DNSName(f"{number}.example") for number in range(request.param)])

    def make(*extensions: x509.ExtensionType) -> x509.Certificate:
        listed = [(each, isinstance(each, x509.PrecertPoison)) for each in extensions]
        return certificate("leaf", key, "root", key, WINDOW, listed, serial)

    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    return to_der(make(names, x509.PrecertPoison(), usage)), make(names, usage).tbs_certificate_bytes


def test_a_precertificate_without_its_poison_is_what_an_sct_is_over(certificates: tuple[bytes, bytes]) -> None:
    """RFC 6962, section 3.2."""
    precertificate, tbs = certificates
    assert without_poison(precertificate) == tbs


def test_the_ct_log_signs_precertificates_and_answers_nothing_else(certificates: tuple[bytes, bytes]) -> None:
    """RFC 6962, sections 3.2 and 4.2."""
    precertificate, tbs = certificates
    log = CTLog.create(WINDOW)
    issuer = certificate("root", key_pair(), "root", key_pair(), WINDOW, [])
    chain = [base64.b64encode(each).decode() for each in (precertificate, to_der(issuer))]
    with CTLogServer(log) as server:
        status, sct = ask(f"{server.url}/ct/v1/add-pre-chain", {"chain": chain})
        assert ask(f"{server.url}/ct/v1/get-sth")[0] == 404
        assert ask(f"{server.url}/ct/v1/add-pre-chain", {"chain": ["AAAA"]})[0] == 400
    assert (status, sct["sct_version"], base64.b64decode(sct["id"])) == (200, 0, log.log_id)
    spki = issuer.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    message = b"".join(
        [
            b"\0\0" + sct["timestamp"].to_bytes(8, "big") + b"\0\1" + hashlib.sha256(spki).digest(),
            len(tbs).to_bytes(3, "big") + tbs + b"\0\0",
        ]
    )
    signed = base64.b64decode(sct["signature"])
    assert signed[:2] == b"\4\3"  # SHA-256 with ECDSA
    public = log.key.private.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(signed[4:], message, ec.ECDSA(SHA256()))


def test_the_stand_in_for_rekor_v1_keeps_hashes_of_an_envelope() -> None:
    """dsse 0.0.1: neither envelope nor payload are in the entry; the SET is over what the answer says."""
    envelope = json.dumps({"payload": base64.b64encode(b"hello").decode(), "signatures": [{"sig": "c2ln"}]})
    proposed = {
        "apiVersion": "0.0.1",
        "kind": "dsse",
        "spec": {"proposedContent": {"envelope": envelope, "verifiers": ["Y2VydA=="]}},
    }
    log = RekorLog.create("v1", WINDOW)
    with RekorV1Server(log) as server:
        status, answer = ask(f"{server.url}/api/v1/log/entries", proposed)
        assert ask(f"{server.url}/api/v1/log/entries", {**proposed, "kind": "intoto"})[0] == 400
    assert status == 201
    (entry,) = answer.values()
    assert json.loads(base64.b64decode(entry["body"]))["spec"] == {
        "envelopeHash": {"algorithm": "sha256", "value": hashlib.sha256(envelope.encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": hashlib.sha256(b"hello").hexdigest()},
        "signatures": [{"signature": "c2ln", "verifier": "Y2VydA=="}],
    }
    facts = {name: entry[name] for name in ("body", "integratedTime", "logID", "logIndex")}
    message = json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()
    public = log.key.private.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(entry["verification"]["signedEntryTimestamp"]), message, ec.ECDSA(SHA256()))
