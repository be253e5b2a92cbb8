"""Any one member of a signature or of its trusted root, changed: refused, unless the table below says that it means
nothing; and never an accident (signatures.md rules 1 and 2).

Every member of every document is changed in every way below: taken out, of another type, a little different.
"""

from __future__ import annotations

import base64
import binascii
import copy
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from devkit.documents import CBOR, JSON, Node
from devkit.offline import NOW, OfflineSigstore, Window
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.offline.signing import REKOR_BUNDLE
from devkit.signer import Signer, to_json
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import BundleSignature, LegacySignature, NotationSignature, Subject
from ocisource.ports import Policy
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.roots import read_trusted_root

Path = tuple[str | int, ...]

DIGEST = "sha256:" + "a" * 64
SUBJECT = Subject("registry.example/app", DIGEST, "application/vnd.oci.image.manifest.v1+json", 528)
SIGSTORE = OfflineSigstore.create()
SIGNING = SIGSTORE.identity()
KEY = Signer.generate()
NOTARY = Notary.create(Window.around(NOW))
IDENTITY = read_identity_policy(read_trusted_root(SIGSTORE.trusted_root()), [])
KEYS = read_keys("pub", {"cosign.pub": KEY.public_pem()})
SECRET = {"trustpolicy.json": trust_policy(), "ca.crt": NOTARY.root_pem()}
NOTATION = read_notation("team/notation", SECRET, SUBJECT.repository, lambda: float(NOW))
LEGACY = SIGNING.legacy(DIGEST)

ABSENT = object()


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Every member and every entry of a list, at any depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def at(document: Any, path: Path) -> Any:
    for step in path:
        document = document[step]
    return document


def changes(value: Any) -> Iterator[Any]:
    """What may stand in the place of a value."""
    yield from (ABSENT, None, "", 0, 1, -1, True, [], {}, "x", 1.5, [value], {"a": value})
    if isinstance(value, dict):
        yield {**value, "unknown": 1}
    if isinstance(value, list):
        yield from (value * 2, [*value, None], [*value, {}], value[::-1], value[1:])
    if isinstance(value, int):
        yield from (value + 1, str(value))
    if isinstance(value, str):
        yield from (value + "x", value[:-1], value.swapcase(), " " + value, value + "\n", value + "\0")
        yield from _other_numbers(value)
        yield from _other_bytes(value)


def _other_numbers(text: str) -> Iterator[Any]:
    if text.isdigit():
        yield from (int(text), int(text) + 1, str(int(text) + 1), "0" + text)


def _other_bytes(text: str) -> Iterator[str]:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return
    if content:
        first, last = bytes([content[0] ^ 1]) + content[1:], content[:-1] + bytes([content[-1] ^ 1])
        yield from (base64.b64encode(one).decode() for one in (first, last, content + b"\0", content[:-1]))
        yield base64.urlsafe_b64encode(content).decode().rstrip("=")


def changed(document: Any, path: Path, value: Any) -> Any:
    whole = copy.deepcopy(document)
    place = at(whole, path[:-1])
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return whole


def every_change(document: Any) -> Iterator[tuple[str, Any, Any, Any]]:
    """Dotted path, old value, new value, and the document that holds it. JSON that is the same is no change."""
    for path in places(document):
        old = at(document, path)
        for new in changes(old):
            if new is ABSENT or json.dumps(new) != json.dumps(old):
                yield ".".join(map(str, path)), old, new, changed(document, path, new)


def reason(policy: Policy, evidence: Any) -> str:
    """ "" where the evidence counts."""
    judgement = policy.judge(SUBJECT, evidence)
    assert "cannot be judged" not in judgement.reason, "an accident"
    assert judgement.accepted == (judgement.reason == "")
    return judgement.reason


# The table: what may change, and why


def _more(old: Any, new: Any) -> bool:
    """A member that nobody knows means nothing."""
    return isinstance(old, dict) and isinstance(new, dict) and all(name in new for name in old)


def _same_number(old: Any, new: Any) -> bool:
    """Protobuf JSON: int64 as text or as a number."""
    return type(new) in (int, str) and str(new) == str(old)


def _gone(_old: Any, new: Any) -> bool:
    return new is ABSENT or new is None


def _anything(_old: Any, _new: Any) -> bool:
    return True


def _an_object(_old: Any, new: Any) -> bool:
    return isinstance(new, dict)


def _one_more(old: Any, new: Any) -> bool:
    """Beside what holds, what does not."""
    return new == [*old, {}]


def _twice(old: Any, new: Any) -> bool:
    return bool(new == old * 2)


Rule = tuple[str, Callable[[Any, Any], bool]]

ENTRY = r"verificationMaterial\.tlogEntries\.0"
BUNDLES: list[Rule] = [
    (r".*", _more),
    (rf"{ENTRY}\.(logIndex|integratedTime)", _same_number),
    (rf"{ENTRY}\.inclusionProof\.(logIndex|treeSize)", _same_number),
    (rf"{ENTRY}\.inclusionProof\.(rootHash|treeSize)", _gone),  # repeat what the checkpoint says, if they are there
    (r"verificationMaterial\.tlogEntries", _one_more),
    (r"verificationMaterial\.timestampVerificationData\.rfc3161Timestamps", _twice),
]
WITH_A_KEY: list[Rule] = [
    (r".*", _more),
    (r"verificationMaterial\.publicKey", _an_object),
    (r"verificationMaterial\.publicKey\.hint", _anything),  # not signed, and for messages only
]
ENVELOPE: list[Rule] = [(r".*", _more), (r"header\.io\.cncf\.notary\.signingAgent", _anything)]
ANNOTATION: list[Rule] = [(r".*", _more)]


def harmless(rules: list[Rule], path: str, old: Any, new: Any) -> bool:
    return any(re.fullmatch(pattern, path) and same(old, new) for pattern, same in rules)


def _bundle(policy: Policy) -> Callable[[bytes], str]:
    return lambda content: reason(policy, BundleSignature("one", content))


def _annotated(content: bytes) -> str:
    annotations = {**LEGACY.annotations, REKOR_BUNDLE: content.decode("utf-8", "surrogatepass")}
    return reason(IDENTITY, LegacySignature("one", LEGACY.payload, annotations))


def _notation(content: bytes) -> str:
    return reason(NOTATION, NotationSignature("one", JWS, content))


DOCUMENTS: dict[str, tuple[bytes, Callable[[bytes], str], list[Rule]]] = {
    "bundle with a key": (KEY.bundle(DIGEST), _bundle(KEYS), WITH_A_KEY),
    "bundle v1": (SIGNING.bundle(DIGEST), _bundle(IDENTITY), BUNDLES),
    "bundle v2": (SIGNING.bundle(DIGEST, "v2"), _bundle(IDENTITY), BUNDLES),
    "log entry of a legacy signature": (LEGACY.annotations[REKOR_BUNDLE].encode(), _annotated, ANNOTATION),
    "Notation": (NOTARY.jws(Order(SUBJECT.media_type, DIGEST, SUBJECT.size, NOW)), _notation, ENVELOPE),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_change_of_any_member_is_refused_unless_it_means_nothing(name):
    content, judged, rules = DOCUMENTS[name]
    assert judged(content) == ""
    wrong = []
    for path, old, new, whole in every_change(json.loads(content)):
        told = judged(to_json(whole))
        if (told == "") != harmless(rules, path, old, new):
            wrong.append((path, "ABSENT" if new is ABSENT else new, told))
    assert wrong == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_member_that_stands_there_twice_is_refused_wherever_it_is(name):
    """Two programs would not read the same."""
    content, judged, _ = DOCUMENTS[name]
    tree = JSON.read(content)
    objects = [node for node in _nodes(tree) if node.head == "{}"]
    assert objects
    for one in objects:
        for number, member in enumerate(list(one.children)):
            one.children.insert(number, member.copy())
            assert judged(JSON.write(tree)).endswith(" twice")
            del one.children[number]
    assert judged(JSON.write(tree)) == ""


def _nodes(node: Node) -> Iterator[Node]:
    yield node
    for child in node.children:
        yield from _nodes(child)


def test_a_change_of_any_part_of_a_cose_envelope_is_refused_unless_it_means_nothing():
    """What counts is the protected header, the payload, the signature and the chain."""
    content = NOTARY.cose(Order(SUBJECT.media_type, DIGEST, SUBJECT.size, NOW))
    tree = CBOR.read(content)
    assert _cose(tree) == ""
    everywhere = [(node, number) for node in _nodes(tree) for number in range(len(node.children))]
    assert len(everywhere) > 8
    for node, number in everywhere:
        old = node.children[number]
        for new in ([], [old, old.copy()], *([one] for one in CBOR.odd)):
            node.children[number : number + 1] = new
            if _cose(tree) == "":
                (parts,) = CBOR.read(CBOR.write(tree)).children
                (original,) = CBOR.read(content).children
                counts = [(one.children[0], one.children[2:], _chain(one)) for one in (parts, original)]
                assert counts[0] == counts[1]
            node.children[number : number + len(new)] = [old]
    assert CBOR.write(tree) == content


def _cose(tree: Node) -> str:
    return reason(NOTATION, NotationSignature("one", COSE, CBOR.write(tree)))


def _chain(parts: Node) -> Node:
    """x5chain (33) of the unprotected header."""
    header = parts.children[1].children
    return next(value for label, value in zip(header[::2], header[1::2], strict=True) if label.content == b"\x18\x21")


@pytest.mark.parametrize("annotation", list(LEGACY.annotations))
def test_a_change_of_any_annotation_is_refused_unless_it_means_nothing(annotation):
    """Text around PEM and white space around JSON mean nothing; without the chain the root's own is enough."""
    old = LEGACY.annotations[annotation]
    for new in [one for one in changes(old) if isinstance(one, str)]:
        told = reason(IDENTITY, LegacySignature("one", LEGACY.payload, {**LEGACY.annotations, annotation: new}))
        if told == "":
            inside = old.strip()
            assert inside in new or (annotation.endswith("/chain") and new == ""), (annotation, new)
    rest = {name: text for name, text in LEGACY.annotations.items() if name != annotation}
    told = reason(IDENTITY, LegacySignature("one", LEGACY.payload, rest))
    assert (told == "") == annotation.endswith("/chain")


# The trusted root


def _legacy(policy: Policy) -> str:
    return reason(policy, LegacySignature("one", LEGACY.payload, LEGACY.annotations))


FORMS: dict[str, tuple[Callable[[Policy], str], int]] = {
    "legacy": (_legacy, 0),
    "bundle v1": (lambda policy: reason(policy, BundleSignature("one", SIGNING.bundle(DIGEST))), 0),
    "bundle v2": (lambda policy: reason(policy, BundleSignature("one", SIGNING.bundle(DIGEST, "v2"))), 1),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_change_of_what_the_root_says_about_keys_is_refused(form):
    """Of the log, of the CT log, of the authority whose leaf it is, and of the timestamp authority where there is a
    timestamp. `certificates.1` are anchors, of which the key counts, and not who signed them."""
    judged, log = FORMS[form]
    document = SIGSTORE.trusted_root_document()
    key = r"publicKey\.(rawBytes|keyDetails)|publicKey|logId|logId\.keyId"
    relied = [rf"(tlogs\.{log}|ctlogs\.0)\.({key})", "tlogs", "ctlogs", "certificateAuthorities", "mediaType"]
    relied.append(rf"(certificateAuthorities\.0\.certChain\.certificates\.{1 if form == 'legacy' else 0})(\.rawBytes)?")
    if form == "bundle v2":
        relied += [r"timestampAuthorities", r"timestampAuthorities\.0\.certChain\.certificates\.0(\.rawBytes)?"]
    assert judged(read_identity_policy(read_trusted_root(to_json(document)), [])) == ""
    missed = []
    for path, old, new, whole in every_change(document):
        if not any(re.fullmatch(pattern, path) for pattern in relied) or _more(old, new):
            continue
        told = _under(whole, judged)
        if told == "" and not _same_trust(path, old, new, log):
            missed.append((path, "ABSENT" if new is ABSENT else new))
    assert missed == []


def _under(root: Any, judged: Callable[[Policy], str]) -> str:
    try:
        return judged(read_identity_policy(read_trusted_root(to_json(root)), []))
    except TrustError as error:
        return str(error)


def _same_trust(path: str, old: Any, new: Any, log: int) -> bool:
    """A list that still holds what counts; an authority that issues leaves and is an anchor itself, nothing being above
    it; an anchor with another signature by itself (which ends it)."""
    if isinstance(old, list) and isinstance(new, list):
        return old[log if path == "tlogs" else 0] in new
    if path == "certificateAuthorities.0.certChain.certificates.1":
        return new is ABSENT
    same_key = isinstance(old, str) and isinstance(new, str) and new[:-8] == old[:-8]
    return path.endswith("certificates.1.rawBytes") and same_key


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities", "timestampAuthorities"])
def test_a_window_that_does_not_hold_the_time_of_the_signature_is_refused(form, part):
    judged, log = FORMS[form]
    document = SIGSTORE.trusted_root_document()
    one = document[part][log if part == "tlogs" else 0]
    window = (one if part in ("certificateAuthorities", "timestampAuthorities") else one["publicKey"])["validFor"]
    counts = part == "timestampAuthorities" and form != "bundle v2"
    for name, time in (("start", "2025-06-15T15:07:41Z"), ("end", "2025-06-15T15:06:39Z")):
        was, window[name] = window[name], time
        assert (_under(document, judged) == "") == counts, name
        window[name] = was
    assert _under(document, judged) == ""
