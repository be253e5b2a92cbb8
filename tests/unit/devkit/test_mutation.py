"""What the fuzzer and the property tests stand on: documents are written as they were read, and changes go deep."""

from __future__ import annotations

import base64
import json
from random import Random

import pytest

from devkit.documents import CBOR, DER, FORMATS, JSON
from devkit.mutation import Mutation
from devkit.offline import NOW, OfflineSigstore, Window
from devkit.offline.authority import to_der
from devkit.offline.notary import COSE, Notary, Order

SIGSTORE = OfflineSigstore.create()
SIGNING = SIGSTORE.identity()
DIGEST = "sha256:" + "a" * 64
BUNDLE = SIGNING.bundle(DIGEST, "v2")
ENTRY = json.loads(BUNDLE)["verificationMaterial"]["tlogEntries"][0]
DOCUMENTS = {
    "JSON": BUNDLE,
    "base64": ENTRY["canonicalizedBody"].encode(),
    "base64url": b"eyJhIjoxfQ_-",
    "note": ENTRY["inclusionProof"]["checkpoint"]["envelope"].encode(),
    "DER": to_der(SIGNING.certificate),
    "timestamp": SIGSTORE.tsa.timestamp(b"x", NOW),
    "CBOR": Notary.create(Window.around(NOW)).sign(Order("a/b", DIGEST, 5, NOW), COSE),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_is_written_as_it_was_read(name):
    content = DOCUMENTS[name]
    for format_ in FORMATS:
        try:
            tree = format_.read(content)
        except ValueError:
            continue
        assert format_.write(tree) == content
        assert format_.write(tree.copy()) == content
        return
    raise AssertionError("nobody reads it")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_same_choices_make_the_same_change_and_nothing_stops_them(name):
    """Changes of changes too, whatever they have become."""
    content, again = DOCUMENTS[name], DOCUMENTS[name]
    mutation, other = Mutation(Random(name)), Mutation(Random(name))
    different = 0
    for _ in range(300):
        content, again = mutation.change(content), other.change(again)
        assert content == again
        different += content != DOCUMENTS[name]
    assert different > 250


def test_changes_reach_what_is_within_what_is_within():
    """The body stays base64 of JSON, and the certificate in that is another one, and can still be read."""
    deep = 0
    for seed in range(2000):
        try:
            body = json.loads(base64.b64decode(Mutation(Random(seed)).change(DOCUMENTS["base64"])))
            verifier = body["spec"]["hashedRekordV002"]["signature"]["verifier"]["x509Certificate"]
            changed = DER.read(base64.b64decode(verifier["rawBytes"]))
        except (ValueError, KeyError, TypeError, IndexError):
            continue
        deep += DER.write(changed) != to_der(SIGNING.certificate)
    assert deep > 5


def test_what_raw_bytes_are_changed_with_may_be_given():
    assert Mutation(Random(1), lambda content: content + b"!").change(b"\xff\xfe") == b"\xff\xfe!"


@pytest.mark.parametrize(("format_", "content"), [(JSON, b'{"a":1'), (DER, b"\x30\x05"), (CBOR, b"\x83\x01")])
def test_what_is_cut_off_is_of_no_format(format_, content):
    with pytest.raises(ValueError):  # noqa: PT011 - of whichever kind
        format_.read(content)
