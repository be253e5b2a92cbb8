"""Legacy cosign signatures, keyed (signatures.md "Legacy cosign", checks 2 to 4)."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from devkit.signer import legacy_image, signing_payload, to_json
from ocisource.domain.evidence import LegacySignature

SIGNATURE = "dev.cosignproject.cosign/signature"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def evidence(layer) -> LegacySignature:
    return LegacySignature("layer 1", layer.payload, layer.annotations)


def with_signature(bench, signature: str) -> LegacySignature:
    return LegacySignature("layer 1", bench.signer().legacy(bench.digest).payload, {SIGNATURE: signature})


def reason_of(bench, payload: bytes) -> str:
    """Why a payload is refused although our own key signed it."""
    judgement = bench.judge(bench.ring(bench.signer()), evidence(bench.signer().legacy_over(payload)))
    assert not judgement.accepted
    return judgement.reason


@pytest.mark.parametrize("always_sha256", [False, True], ids=["own hash", "SHA-256"])
@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_a_signature_by_our_key_counts(bench, kind, always_sha256):
    signer = bench.signer(kind, 0, always_sha256)
    judgement = bench.judge(bench.ring(signer), evidence(signer.legacy(bench.digest)))
    assert judgement.accepted
    assert judgement.reason == ""


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_a_signature_by_another_key_does_not_count(bench, kind):
    judgement = bench.judge(bench.ring(bench.signer(kind, 1)), evidence(bench.signer(kind).legacy(bench.digest)))
    assert not judgement.accepted
    assert judgement.reason.startswith("signed by another key")


def test_a_signature_counts_only_for_the_digest_that_it_names(bench):
    """signatures.md rule 1: a good signature that was copied to another artifact's tag."""
    signer = bench.signer()
    judgement = bench.judge(bench.ring(signer), evidence(signer.legacy(bench.other_digest)))
    assert judgement.reason == f"signature is for another digest '{bench.other_digest}'"


@pytest.mark.parametrize("change", [str.upper, lambda d: d + " ", lambda d: d[7:], lambda d: [d], lambda _: None])
def test_the_digest_is_compared_exactly(bench, change):
    payload = json.loads(signing_payload(bench.digest, "x"))
    payload["critical"]["image"]["docker-manifest-digest"] = change(bench.digest)
    assert reason_of(bench, to_json(payload)).startswith("signature is for another digest")


def test_layers_that_share_a_blob_are_judged_one_by_one(bench):
    """Two signatures over one payload: the blob is one, the annotations make them two."""
    ours, stranger = bench.signer(), bench.signer("p256", 1)
    layers = [one.legacy(bench.digest) for one in (stranger, ours)]
    manifest = json.loads(legacy_image(bench.digest, layers).manifest)
    first, second = manifest["layers"]
    assert first["digest"] == second["digest"]
    verdicts = [
        bench.judge(bench.ring(ours), LegacySignature("x", layers[0].payload, layer["annotations"]))
        for layer in (first, second)
    ]
    assert [verdict.accepted for verdict in verdicts] == [False, True]


def test_annotations_swapped_between_layers_do_not_count(bench):
    signer = bench.signer()
    right, wrong = signer.legacy(bench.digest), signer.legacy(bench.other_digest)
    swapped = LegacySignature("x", right.payload, wrong.annotations)
    assert bench.judge(bench.ring(signer), swapped).reason == "signed by another key"


def test_the_signature_is_over_the_bytes_as_they_came(bench):
    """The same JSON in another spelling was not signed."""
    layer = bench.signer().legacy(bench.digest)
    respelled = json.dumps(json.loads(layer.payload), indent=1).encode()
    assert not bench.judge(bench.ring(bench.signer()), LegacySignature("x", respelled, layer.annotations)).accepted
    spaced = b"\n " + layer.payload + b"\t\n"
    assert bench.judge(bench.ring(bench.signer()), evidence(bench.signer().legacy_over(spaced))).accepted


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text[:20] + "\n" + text[20:],
        lambda text: text.rstrip("=") + "=" * (3 if text.endswith("==") else 2 if text.endswith("=") else 1),
        lambda text: text.replace("+", "-").replace("/", "_") + "-",
        lambda text: text[:-4] + "\u0660AA=",
    ],
    ids=["line end", "space", "folded", "padding", "url-safe", "other digits"],
)
def test_base64_is_read_strictly(bench, change):
    signature = bench.signer().legacy(bench.digest).annotations[SIGNATURE]
    judgement = bench.judge(bench.ring(bench.signer()), with_signature(bench, change(signature)))
    assert judgement.reason == f"annotation {SIGNATURE} is not base64"


def test_unpadded_base64_and_stray_bits_are_no_base64(bench):
    assert bench.judge(bench.ring(bench.signer()), with_signature(bench, "YQ")).reason.endswith("is not base64")
    assert bench.judge(bench.ring(bench.signer()), with_signature(bench, "YR==")).reason.endswith("is not base64")


def test_a_layer_without_signature_says_so(bench):
    ring = bench.ring(bench.signer())
    payload = bench.signer().legacy(bench.digest).payload
    assert bench.judge(ring, LegacySignature("x", payload)).reason == f"annotation {SIGNATURE} is missing"
    assert bench.judge(ring, with_signature(bench, "")).reason == f"annotation {SIGNATURE} is empty"
    assert bench.judge(ring, LegacySignature("x", payload, {SIGNATURE: 5})).reason.endswith("is not text")


def test_a_signature_with_high_s_counts(bench):
    """Signers do not normalise S, and the Go tools do not ask for it."""
    layer = bench.signer().legacy(bench.digest)
    r, s = decode_dss_signature(base64.b64decode(layer.annotations[SIGNATURE]))
    for form in (s, P256_ORDER - s):
        text = base64.b64encode(encode_dss_signature(r, form)).decode()
        assert bench.judge(bench.ring(bench.signer()), with_signature(bench, text)).accepted


@pytest.mark.parametrize(
    "change",
    [
        lambda der: der + b"\x00",
        lambda der: b"\x30\x81" + der[1:],
        lambda der: der[:-1],
        lambda der: b"\x30" + bytes([der[1] + 1, 2, der[3] + 1, 0]) + der[4:],
        lambda der: b"\x31" + der[1:],
        lambda der: b"\x30\x06\x02\x01\x00\x02\x01\x00",
        lambda der: b"".join(n.to_bytes(32, "big") for n in decode_dss_signature(der)),
    ],
    ids=["bytes behind", "long length", "truncated", "padded integer", "other tag", "zeros", "raw r and s"],
)
def test_an_ecdsa_signature_is_der_and_nothing_else(bench, change):
    der = base64.b64decode(bench.signer().legacy(bench.digest).annotations[SIGNATURE])
    text = base64.b64encode(change(der)).decode()
    assert not bench.judge(bench.ring(bench.signer()), with_signature(bench, text)).accepted


def test_truncated_payloads_never_count(bench):
    layer = bench.signer().legacy(bench.digest)
    ring = bench.ring(bench.signer())
    for length in range(len(layer.payload)):
        assert not bench.judge(ring, LegacySignature("x", layer.payload[:length], layer.annotations)).accepted


def test_a_key_twice_in_the_payload_is_refused(bench):
    """Two readers could take different digests from it."""
    payload = signing_payload(bench.digest, "x")
    twice = payload.replace(
        b'"image":', b'"image":{"docker-manifest-digest":"%s"},"image":' % bench.other_digest.encode()
    )
    assert reason_of(bench, twice) == "payload has the key 'image' twice"


def test_another_type_of_document_is_refused(bench):
    """Only cosign's own document is a signature; other simple signing documents look alike."""
    payload = signing_payload(bench.digest, "x").replace(b"cosign container image", b"atomic container")
    assert reason_of(bench, payload).startswith("payload's critical.type is 'atomic container signature'")


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "payload is not JSON"),
        (b"[]", "payload is not a JSON object"),
        (b"{}", "payload's critical is missing"),
        (b'{"critical":[]}', "payload's critical is not a JSON object"),
        (b'{"critical":NaN}', "payload is not JSON"),
        (b'{"critical":{}} {}', "payload is not JSON"),
        (b'{"critical":"\xff"}', "payload is not UTF-8"),
        (b"\xef\xbb\xbf{}", "payload is not JSON"),
        ('{"critical":{}}'.encode("utf-16"), "payload is not UTF-8"),
        (b'{"critical":{"type":"cosign container image signature"}}', "payload's critical.image is missing"),
        (b"[" * 9_000, "payload is not JSON"),
        (b"[" * 20_000, "payload has more than 10000 objects and arrays"),
        (b'"' + b"x" * (1 << 20) + b'"', "payload is larger than 1 MiB"),
    ],
)
def test_a_payload_that_our_key_signed_still_has_to_make_sense(bench, payload, reason):
    assert reason_of(bench, payload) == reason


def test_a_payload_past_the_bound_is_not_even_hashed(bench):
    """signatures.md rule 6: the reason is the size, whoever signed it."""
    layer = bench.signer("p256", 1).legacy_over(b"x" * ((1 << 20) + 1))
    assert bench.judge(bench.ring(bench.signer()), evidence(layer)).reason == "payload is larger than 1 MiB"


def test_what_is_quoted_from_the_registry_is_short_and_printable(bench):
    payload = json.loads(signing_payload("\x1b]0;\u202e" + "A" * 5000, "x"))
    reason = reason_of(bench, to_json(payload))
    assert reason.isascii()
    assert reason.isprintable()
    assert len(reason) < 130


def test_a_keyless_signature_says_that_it_is_one(bench):
    layer = bench.signer("p256", 1).legacy(bench.digest)
    keyless = LegacySignature("x", layer.payload, {**layer.annotations, "dev.sigstore.cosign/certificate": "-----"})
    reason = bench.judge(bench.ring(bench.signer()), keyless).reason
    assert reason == "made with a certificate (keyless), not with a key of the Secret"


def test_a_certificate_beside_a_signature_by_our_key_does_no_harm(bench):
    """`cosign sign --key --certificate` attaches one."""
    layer = bench.signer().legacy(bench.digest)
    both = LegacySignature("x", layer.payload, {**layer.annotations, "dev.sigstore.cosign/certificate": "-----"})
    assert bench.judge(bench.ring(bench.signer()), both).accepted


def test_the_docker_reference_may_be_any(bench):
    """A signature moves with its artifact to another registry, as with cosign."""
    layer = bench.signer().legacy(bench.digest, "elsewhere.example/other")
    assert bench.judge(bench.ring(bench.signer()), evidence(layer)).accepted
