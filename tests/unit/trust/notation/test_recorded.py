"""What the real notation made is accepted, and no byte of it may change (recorded/README.md)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import cbor2
import pytest

from devkit.offline.notary import COSE, JWS, trust_policy
from ocisource.domain.evidence import Judgement, NotationSignature, Subject
from ocisource.trust.notation.policy import NotationPolicy, read_notation

RECORDED = Path(__file__).parent / "recorded"
KINDS = ("p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096")
STAMPED = ("p256", "p384", "rsa2048")
# 2027-01-15 and 2200-01-01: while the certificates are valid, and long after that.
NOW, LATER = 1_800_000_000.0, 7_258_118_400.0
SIGNER = "x509.subject: C=US, ST=WA, O=wabbit-networks.io, CN=secure builder"


@cache
def _content(name: str) -> bytes:
    return (RECORDED / name).read_bytes()


def _name(kind: str, form: str) -> str:
    return f"{kind}.jws.json" if form == JWS else f"{kind}.cose"


def _policy(kind: str, form: str, now: float = NOW, *stores: str) -> NotationPolicy:
    document = trust_policy(stores=["ca:store", *stores], identities=[SIGNER])
    root = _content(f"{kind}.{'jws' if form == JWS else 'cose'}.crt")
    data = {"trustpolicy.json": document, "root.crt": root, "tsa.crt": _content("tsa.crt")}
    return read_notation("team/trust", data, "registry.example/app", lambda: now)


def _judge(kind: str, form: str, policy: NotationPolicy, envelope: bytes = b"") -> Judgement:
    subject = json.loads(_content(f"{kind}.subject.json"))
    about = Subject("registry.example/app", subject["digest"], subject["mediaType"], subject["size"])
    return policy.judge(about, NotationSignature("recorded", form, envelope or _content(_name(kind, form))))


@pytest.mark.parametrize("form", [JWS, COSE])
@pytest.mark.parametrize("kind", KINDS)
def test_what_notation_signed_is_accepted(kind, form):
    judgement = _judge(kind, form, _policy(kind, form))
    assert judgement.reason == ""
    assert judgement.signer.startswith("certificate 'CN=secure builder,O=wabbit-networks.io,ST=WA,C=US'")


@pytest.mark.parametrize("form", [JWS, COSE])
@pytest.mark.parametrize("kind", STAMPED)
def test_its_timestamps_outlive_its_certificates(kind, form):
    reason = _judge(kind, form, _policy(kind, form, LATER)).reason
    if kind == "p384":
        assert reason == "signature has expired"
        return
    assert reason.startswith("now is after certificate 'CN=secure builder")
    assert _judge(kind, form, _policy(kind, form, LATER, "tsa:store")).accepted


@pytest.mark.parametrize("form", [JWS, COSE])
def test_another_root_is_not_its_own(form):
    assert "does not lead to a trusted" in _judge("p256", form, _policy("p384", form)).reason


@pytest.mark.parametrize("form", [JWS, COSE])
def test_every_byte_that_is_signed_counts(form):
    """All but the unprotected header: its chain proves itself, and the signing agent is nobody's word."""
    envelope, policy = _content(_name("p521", form)), _policy("p521", form)
    if form == JWS:
        unsigned = range(envelope.index(b'"header":{') + 9, envelope.index(b'},"signature"') + 1)
    else:
        protected, _, payload, _ = cbor2.loads(envelope).value
        unsigned = range(envelope.index(protected) + len(protected), envelope.index(payload) - 2)
    places = [place for place in range(len(envelope)) if place not in unsigned]
    assert len(places) > 400
    for place in places:
        changed = envelope[:place] + bytes([envelope[place] ^ 1]) + envelope[place + 1 :]
        assert not _judge("p521", form, policy, changed).accepted, place
