"""What one verdict costs: CPU milliseconds of making the policy and judging one signature, per form, beside the
`sigstore` package on the same bundles in the same run; and what a process pays to be able to.

    PYTHONPATH=tools .venv/bin/python bench/verdicts.py --rounds 300
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

from devkit.offline import NOW, OfflineSigstore, Window
from devkit.offline.notary import COSE, JWS, Notary, Order, trust_policy
from devkit.offline.rekor import Version
from devkit.signer import Kind, Signer, sha256
from ocisource.domain.evidence import BundleSignature, Evidence, LegacySignature, Material, NotationSignature, Subject
from ocisource.domain.source import OIDCIdentity, Verify
from ocisource.trust.room import TrustRoom

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SUBJECT = Subject("registry.example/app", sha256(b"artifact"), MANIFEST, 8)
BATCHES = 5

Work = Callable[[], object]

IMPORTS = {
    "trust in keys": "from ocisource.trust.room import TrustRoom",
    "and in identities": "from ocisource.trust.room import TrustRoom; import ocisource.trust.keyless",
    "and in Notation": "from ocisource.trust.room import TrustRoom; import ocisource.trust.notation.policy",
    "peer: sigstore": "import sigstore.verify.verifier",
}
PROBE = """
import time
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / (1 << 20)
before, started = resident(), time.process_time()
{imports}
print(f"{{time.process_time() - started:.3f}} {{resident() - before:.1f}}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="verdicts of each form (default: %(default)s)")
    rounds = parser.parse_args().rounds
    for form, work in [*_keyed(), *_keyless(), *_notation()]:
        print(json.dumps({"form": form, "cpu_ms": _cost(work, rounds)}), flush=True)
    for name, imports in IMPORTS.items():
        seconds, mebibytes = map(float, _run(PROBE.format(imports=imports)).split())
        print(json.dumps({"import": name, "cpu_s": seconds, "rss_mib": mebibytes}), flush=True)


def _cost(work: Work, rounds: int) -> float:
    """CPU milliseconds of one: the median of a few batches."""
    work()
    batches = []
    for _ in range(BATCHES):
        started = time.process_time()
        for _ in range(max(1, rounds // BATCHES)):
            work()
        batches.append((time.process_time() - started) * 1000 / max(1, rounds // BATCHES))
    return round(statistics.median(batches), 3)


def _ours(room: TrustRoom, verify: Verify, material: Material, evidence: Evidence) -> Work:
    """A pass that needs a verdict: the policy is made anew, as in each pass."""

    def work() -> object:
        judgement = room.policy(verify, material, SUBJECT).judge(SUBJECT, evidence)
        if not judgement.accepted:
            raise SystemExit(f"refused: {judgement.reason}")
        return judgement

    return work


def _keyed() -> Iterator[tuple[str, Work]]:
    room = TrustRoom(lambda: b"", lambda: float(NOW))
    kinds: tuple[Kind, ...] = ("p256", "rsa2048")
    for kind in kinds:
        signer = Signer.generate(kind)
        material = Material("apps", {"cosign.pub": signer.public_pem()})
        payload, annotations = signer.legacy(SUBJECT.digest)
        verify = Verify("cosign", "pub")
        yield f"key {kind}, legacy", _ours(room, verify, material, LegacySignature("x", payload, annotations))
        evidence = BundleSignature("x", signer.bundle(SUBJECT.digest))
        yield f"key {kind}, bundle", _ours(room, verify, material, evidence)


def _keyless() -> Iterator[tuple[str, Work]]:
    sigstore = OfflineSigstore.create()
    root, signing = sigstore.trusted_root(), sigstore.identity()
    room = TrustRoom(lambda: root, lambda: float(NOW))
    verify = Verify("cosign", identities=(OIDCIdentity("^https://issuer.example$", "^ci@example.com$"),))
    payload, annotations = signing.legacy(SUBJECT.digest)
    yield "keyless, legacy", _ours(room, verify, Material("apps"), LegacySignature("x", payload, annotations))
    versions: tuple[Version, ...] = ("v1", "v2")
    for version in versions:
        bundle, rekor = signing.bundle(SUBJECT.digest, version), f"Rekor {version}"
        yield f"keyless, {rekor}", _ours(room, verify, Material("apps"), BundleSignature("x", bundle))
        yield f"peer: sigstore, {rekor}", _sigstore(root, bundle)


def _sigstore(root: bytes, content: bytes) -> Work:
    """The same question to the `sigstore` package. It leaves predicate and subject to its caller."""
    from sigstore.models import Bundle, TrustedRoot  # noqa: PLC0415 - the peer's import is measured by itself
    from sigstore.verify.policy import Identity  # noqa: PLC0415 - the same
    from sigstore.verify.verifier import Verifier  # noqa: PLC0415 - the same

    with tempfile.NamedTemporaryFile() as file:
        file.write(root)
        file.flush()
        verifier = Verifier(trusted_root=TrustedRoot.from_file(file.name))
    policy = Identity(identity="ci@example.com", issuer="https://issuer.example")
    return lambda: verifier.verify_dsse(Bundle.from_json(content), policy)


def _notation() -> Iterator[tuple[str, Work]]:
    notary = Notary.create(Window.around(NOW))
    material = Material("apps", {"trustpolicy.json": trust_policy(), "root.crt": notary.root_pem()})
    room = TrustRoom(lambda: b"", lambda: float(NOW))
    order = Order(MANIFEST, SUBJECT.digest, SUBJECT.size, at=NOW - 60)
    for name, kind in (("JWS", JWS), ("COSE", COSE)):
        evidence = NotationSignature("x", kind, notary.sign(order, kind))
        yield f"Notation, {name}", _ours(room, Verify("notation", "notation"), material, evidence)


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
