"""The tables in docs/signatures.md are made from good signatures and from the mistakes that are refused.

A form passes through a check if a good signature of it does. The number beside it is how many mistakes, made one at a
time in an otherwise good signature, are refused (test_mistakes.py holds that each is refused by the check it is for).
"""

from __future__ import annotations

from pathlib import Path

from devkit.offline import MISTAKES, NOW, OfflineSigstore, Window, draft
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.signer import Signer, sha256
from ocisource.domain.evidence import BundleSignature, Evidence, LegacySignature, NotationSignature, Subject
from ocisource.ports import Policy
from ocisource.trust.keyed import read_keys
from ocisource.trust.keyless import read_identity_policy
from ocisource.trust.notation.policy import read_notation
from ocisource.trust.roots import read_trusted_root

DOCUMENT = Path(__file__).parents[3] / "docs" / "signatures.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SUBJECT = Subject("registry.example/app", sha256(b"artifact"), MANIFEST, 8)

Form = tuple[Policy, Evidence]


def _keyed() -> dict[str, Form]:
    signer = Signer.generate()
    policy = read_keys("pub", {"cosign.pub": signer.public_pem()})
    made = signer.legacy(SUBJECT.digest)
    return {
        "key, legacy": (policy, LegacySignature("x", made.payload, made.annotations)),
        "key, bundle": (policy, BundleSignature("x", signer.bundle(SUBJECT.digest))),
    }


def _keyless() -> dict[str, Form]:
    sigstore = OfflineSigstore.create()
    policy = read_identity_policy(read_trusted_root(sigstore.trusted_root()), ())
    legacy = draft(sigstore, SUBJECT.digest, "legacy").evidence
    return {
        "keyless, legacy": (policy, LegacySignature("x", legacy.payload, legacy.annotations)),
        "keyless, Rekor v1": (policy, BundleSignature("x", draft(sigstore, SUBJECT.digest, "v1").evidence)),
        "keyless, Rekor v2": (policy, BundleSignature("x", draft(sigstore, SUBJECT.digest, "v2").evidence)),
    }


def _notation() -> dict[str, Form]:
    notary = Notary.create(Window.around(NOW))
    data = {"trustpolicy.json": trust_policy(), "root.crt": notary.root_pem()}
    policy = read_notation("apps/notation", data, SUBJECT.repository, lambda: float(NOW))
    order = Order(MANIFEST, SUBJECT.digest, SUBJECT.size, at=NOW - 60)
    return {
        f"Notation, {name}": (policy, NotationSignature("x", kind, notary.sign(order, kind)))
        for name, kind in (("JWS", JWS), ("COSE", COSE))
    }


def _table() -> str:
    forms = {**_keyed(), **_keyless(), **_notation()}
    passed: dict[str, list[str]] = {}
    for name, (policy, evidence) in forms.items():
        judgement = policy.judge(SUBJECT, evidence)
        assert judgement.accepted, (name, judgement)
        passed[name] = [check.name for check in judgement.checks]
    checks = list(dict.fromkeys(check for name in reversed(passed) for check in passed[name]))
    order = list(dict.fromkeys([*passed["keyless, Rekor v2"], *passed["Notation, JWS"], *checks]))
    lines = [f"| check | {' | '.join(forms)} |", f"|---|{'---|' * len(forms)}"]
    lines += [
        f"| {check} | " + " | ".join("✓" if check in passed[form] else "" for form in forms) + " |" for check in order
    ]
    return "\n".join(lines) + "\n"


def _mistakes() -> str:
    lines = ["| mistake, in an otherwise good keyless signature | legacy | Rekor v1 | Rekor v2 |", "|---|---|---|---|"]
    for name, case in MISTAKES.items():
        cells = ["refused" if form in case.forms else "" for form in ("legacy", "v1", "v2")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _with_tables(document: str) -> str:
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    assert begin
    assert end
    return f"{head}{begin}{_table()}\n{_mistakes()}{end}{tail}"


def test_the_tables_are_those_of_the_document() -> None:
    """`make tables` writes them."""
    found = DOCUMENT.read_text()
    assert found == _with_tables(found)


if __name__ == "__main__":
    DOCUMENT.write_text(_with_tables(DOCUMENT.read_text()))
