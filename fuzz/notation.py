"""Targets: Notation's envelopes as they come, what is signed in them, and the policies and certificates of a Secret."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import cbor2
from target import Target, both, expect, lenient, outcome, unarmored
from world import AT, DIGEST, NOTARY, NOTARY_KEY, ORDER, SIGSTORE, SUBJECT, WINDOW, accepted, certified

from devkit.documents import CBOR, DER
from devkit.offline.authority import to_der, to_pem
from devkit.offline.notary import COSE, JWS, Notary, trust_policy
from devkit.offline.windows import base64_text
from devkit.signer import to_json
from ocisource.domain.evidence import NotationSignature
from ocisource.trust.notation.policy import NotationPolicy, read_notation

NAMED = "x509.subject: C=US, ST=WA, O=wabbit-networks.io"
RSA = Notary.create(WINDOW, kind="rsa2048")
TRUSTED = b"".join([NOTARY.root_pem(), RSA.root_pem(), to_pem(SIGSTORE.tsa.chain[-1]).encode()])


def _countersigned(signature: bytes) -> bytes:
    """The token of a response, behind its status."""
    return DER.write(DER.read(SIGSTORE.tsa.timestamp(signature, AT, embed=SIGSTORE.tsa.chain)).children[1])


VOUCHED = replace(ORDER, scheme="notary.x509.signingAuthority")
STAMPED = replace(ORDER, expiry=AT + 3600.0, timestamp=_countersigned)
DOCUMENTS = (
    trust_policy(stores=("ca:store", "tsa:store"), identities=(NAMED,)),
    trust_policy(level="permissive", scopes=(SUBJECT.repository,), override={"revocation": "skip"}),
    trust_policy(level="audit"),
)
GOOD = {kind: NOTARY.sign(STAMPED, kind) for kind in (JWS, COSE)}


def _policy(document: bytes, trusted: bytes = TRUSTED) -> NotationPolicy | None:
    data = {"trustpolicy.json": document, "ca.crt": trusted}
    return outcome(lambda: read_notation("team/notation", data, SUBJECT.repository, lambda: float(AT)))


STRICT, PLAIN = (
    read_notation("", {"trustpolicy.json": one, "ca.crt": TRUSTED}, SUBJECT.repository, lambda: float(AT))
    for one in (DOCUMENTS[0], trust_policy(stores=("ca:store", "signingAuthority:store")))
)


def _passes(kind: str, envelope: bytes, *policies: NotationPolicy) -> bool:
    return accepted(NotationSignature("signature", kind, envelope), *policies or (STRICT, PLAIN))


def _jws(data: bytes) -> bool:
    if _passes(JWS, data):
        found = lenient(data)["payload"]
        expect(base64.urlsafe_b64decode(found + "==") == STAMPED.payload(), "a payload that nobody signed", data)
        return True
    return False


def _cose(data: bytes) -> bool:
    if _passes(COSE, data):
        (parts,) = CBOR.read(data).children
        expect(parts.children[2].content == STAMPED.payload(), "a payload that nobody signed", data.hex())
        return True
    return False


def _payload(data: bytes) -> bool:
    """Signed anew."""
    order = replace(STAMPED, raw_payload=data)
    passed = [_passes(JWS, NOTARY.jws(order)) if data else False, _passes(COSE, NOTARY.cose(order))]
    if both(passed, data):
        target = lenient(data)["targetArtifact"]
        expect(target["digest"] == DIGEST, "another digest", data)
        expect((target["size"], target["mediaType"]) == (SUBJECT.size, SUBJECT.media_type), "other content", data)
        return True
    return False


def _jws_header(data: bytes) -> bool:
    """The protected header, signed anew."""
    head, payload = (base64.urlsafe_b64encode(part).rstrip(b"=") for part in (data, STAMPED.payload()))
    signature = NOTARY.primitive(head + b"." + payload)
    header = {
        "x5c": [base64_text(to_der(each)) for each in NOTARY.chain],
        "io.cncf.notary.timestampSignature": base64_text(_countersigned(signature)),
    }
    parts = {"payload": payload, "protected": head, "signature": base64.urlsafe_b64encode(signature).rstrip(b"=")}
    document = {name: part.decode() for name, part in parts.items()} | {"header": header}
    if _passes(JWS, to_json(document)):
        said = lenient(data)
        expect(said["alg"] == "ES256", "another algorithm", data)
        expect({one for one in said["crit"] if not one.startswith("io.cncf.notary.")} == set(), "not understood", data)
        return True
    return False


def _cose_header(data: bytes) -> bool:
    """The protected header, signed anew."""
    payload = STAMPED.payload()
    signature = NOTARY.primitive(cbor2.dumps(["Signature1", data, b"", payload]))
    header = {
        33: [to_der(each) for each in NOTARY.chain],
        "io.cncf.notary.timestampSignature": _countersigned(signature),
    }
    if _passes(COSE, cbor2.dumps(cbor2.CBORTag(18, [data, header, payload, signature]))):
        written = CBOR.read(data).children
        said = dict(zip([label.content for label in written[::2]], written[1::2], strict=True))
        expect(said[b"\x01"].content == b"\x26", "another algorithm", data.hex())
        critical = [one.content for one in said[b"\x02"].children]
        expect(all(one.startswith(b"io.cncf.notary.") for one in critical), "not understood", data.hex())
        return True
    return False


def _leaf(data: bytes) -> bool:
    """The signing certificate, signed anew."""
    chain = [certified(data, NOTARY_KEY), to_der(NOTARY.root)]
    envelope = json.loads(GOOD[JWS])
    envelope["header"]["x5c"] = [base64_text(each) for each in chain]
    return _passes(JWS, to_json(envelope))


def _document(data: bytes) -> bool:
    policy = _policy(data)
    if policy is None:
        return False
    said = lenient(data)
    statements = [one for one in said["trustPolicies"] if {SUBJECT.repository, "*"} & set(one["registryScopes"])]
    if policy.waived:
        levels = [one["signatureVerification"]["level"] for one in statements]
        expect("skip" in levels, "a check that nobody waived", data)
    if both([_passes(kind, envelope, policy) for kind, envelope in GOOD.items()], data):
        expect(any(one["trustStores"] and one["trustedIdentities"] for one in statements), "nobody's word", data)
        return True
    return False


def _certificates(data: bytes) -> bool:
    strict, plain = _policy(DOCUMENTS[0], data), _policy(trust_policy(), data)
    if strict is None or plain is None:
        return False
    held = data + unarmored(data)
    if both([_passes(kind, envelope, strict, plain) for kind, envelope in GOOD.items()], data):
        expect(to_der(NOTARY.root) in held or to_der(NOTARY.chain[0]) in held, "a stranger's root", data)
        return True
    return False


def _protected(envelope: bytes) -> bytes:
    part = json.loads(envelope)["protected"]
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _protected_cose(envelope: bytes) -> bytes:
    (parts,) = CBOR.read(envelope).children
    return parts.children[0].content


TARGETS = (
    Target("JWS", (GOOD[JWS], NOTARY.jws(ORDER), NOTARY.jws(VOUCHED), RSA.jws(STAMPED)), _jws),
    Target("COSE", (GOOD[COSE], NOTARY.cose(ORDER), NOTARY.cose(VOUCHED), RSA.cose(STAMPED)), _cose),
    Target("Notation payload", (STAMPED.payload(),), _payload),
    Target("JWS protected header", (_protected(GOOD[JWS]), _protected(NOTARY.jws(VOUCHED))), _jws_header),
    Target("COSE protected header", tuple(map(_protected_cose, (GOOD[COSE], NOTARY.cose(VOUCHED)))), _cose_header),
    Target("Notation certificate, signed", (NOTARY.chain[0].tbs_certificate_bytes,), _leaf),
    Target("trust policy", DOCUMENTS, _document),
    Target("trust store", (TRUSTED, to_der(NOTARY.root)), _certificates),
)
