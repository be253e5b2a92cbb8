"""Every way in which one thing about a signature can be wrong while the rest is right.

Each is a `Case` with a name that reads as a sentence and the forms it exists in; it makes a Draft whose signature must
be refused under the draft's root. The real cosign refuses it too (tests/e2e/test_offline_sigstore.py), but where
`own_rule` says that we are stricter.

    @pytest.mark.parametrize(("mistake", "form"), every(MISTAKES), ids=str)
    def test_a_mistake_is_refused(mistake, form):
        wrong = MISTAKES[mistake].make(sigstore, digest, form)
        wrong.evidence, wrong.root                              # LegacyLayer or bundle, trusted_root.json
"""

from __future__ import annotations

from devkit.offline.case import Case
from devkit.offline.mistakes import certificates, content, entries, roots, timestamps

MISTAKES: dict[str, Case] = {
    case.name: case for module in (content, certificates, entries, timestamps, roots) for case in module.MISTAKES
}

__all__ = ["MISTAKES"]
