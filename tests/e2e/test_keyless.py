"""Signatures without a key, by the real cosign with a real Fulcio, Rekor v2 and timestamp authority of our own.

What is NOT real here: the CT log (`devkit.live.ctlog`) and Rekor v1 (`devkit.live.rekorv1`), which need a Trillian log
server and a database; the offline log stands in for it. With Rekor v2 cosign makes no legacy signature, so those with a
log entry need Rekor v1; without one they are refused. Nor does cosign certify Ed25519 keys with these services: such
leaves are proven with the offline Sigstore alone.

In each case cosign itself says the same of the same image with the same trusted root.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devkit.live.keyless import Form, Identity
from devkit.offline import OfflineSigstore
from devkit.signer import Kind, Signer
from real.images import Image, Repository
from real.objects import events, oci_repository, secret
from real.verdicts import Declared

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.live.instance import SigstoreServer
    from devkit.live.keyless import KeylessCosign
    from real.operation import Operator

pytestmark = pytest.mark.e2e

PREFIX = "failed to verify the signature using provider 'cosign keyless': "
ANN = "ann@example.com"
WORKFLOW = "https://ci.example.com/team/app/.ci/release.yml@refs/heads/main"
FORMS: tuple[Form, ...] = ("bundle", "bundle-v1", "legacy")
CAUSES = {
    "certificateAuthorities": "certificate is not from a trusted authority",
    "tlogs": "log entry is from a log that is not",
    "ctlogs": "signed certificate timestamp is from a log that is not",
    "timestampAuthorities": "timestamp is not by a trusted authority",
}
"""Sections of a trusted root → the reason where they are foreign."""


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Form:
    """Every form that cosign makes and that proves when it was signed."""
    found: Form = request.param
    return found


@pytest.fixture
def repository(registry: Any, namespace: str) -> Repository:
    """A repository of the test's own."""
    return Repository(registry.address, f"keyless/{namespace}")


@pytest.fixture
def image(repository: Repository) -> Image:
    """An image whose layer has bytes that are nowhere else."""
    return repository.publish("1.0.0", {"secret.yaml": os.urandom(2048).hex().encode()})


@pytest.fixture
def ann(sigstore: SigstoreServer) -> Identity:
    """Exactly her."""
    return Identity(exactly(sigstore.people.url), exactly(ANN))


@pytest.fixture
def sign(keyless: KeylessCosign, sigstore: SigstoreServer) -> Callable[..., None]:
    """Signs as Ann."""

    def begin(image: Image, form: Form = "bundle", *, key: Path | None = None) -> None:
        keyless.sign(image.reference, sigstore.people.email_token(ANN), form, key=key)

    return begin


@pytest.fixture
def declare(
    control_plane: ControlPlane, operator: Operator, namespace: str, sigstore: SigstoreServer
) -> Callable[..., Declared]:
    """Declares the image's repository as a source that trusts identities of a trusted root (by default the one of
    `sigstore`)."""

    def begin(repository: Repository, *identities: Identity, root: Path | None = None) -> Declared:
        cluster = control_plane.cluster
        cluster.create(secret(namespace, "root", {"trusted_root.json": (root or sigstore.trusted_root).read_bytes()}))
        verify = {
            "provider": "cosign",
            "trustedRootSecretRef": {"name": "root"},
            "matchOIDCIdentity": [{"issuer": each.issuer, "subject": each.subject} for each in identities],
        }
        source = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"}, verify=verify)
        return Declared(cluster, operator, cluster.create(source))

    return begin


def exactly(text: str) -> str:
    """The regular expression that matches this text only."""
    return f"^{re.escape(text)}$"


@pytest.fixture(params=["registry", "distribution"])
def any_repository(request: pytest.FixtureRequest, namespace: str) -> Repository:
    """With and without the referrers API."""
    return Repository(request.getfixturevalue(request.param).address, f"keyless/{namespace}")


def test_what_cosign_signs_without_a_key_is_accepted_and_the_identity_is_named(
    declare: Any,
    sign: Any,
    keyless: KeylessCosign,
    any_repository: Repository,
    ann: Identity,
    form: Form,
    sigstore: Any,
) -> None:
    """signatures.md rule 8."""
    image = any_repository.publish("1.0.0", {"secret.yaml": os.urandom(2048).hex().encode()})
    sign(image, form)
    assert keyless.verify(image.reference, ann, form) == ""
    message = declare(any_repository, ann).accepted(image)
    assert message.startswith(f"verified signature of revision {image.revision}")
    assert ANN in message
    assert sigstore.people.url in message


def test_the_uri_of_a_workflow_is_an_identity_and_one_that_matches_is_enough(
    declare: Any, keyless: KeylessCosign, sigstore: SigstoreServer, repository: Repository, image: Image, ann: Identity
) -> None:
    """signatures.md rule 5 and J2: ORed, and found anywhere unless anchored."""
    keyless.sign(image.reference, sigstore.workflows.token(WORKFLOW))
    workflow = Identity("127.0.0.1", "ci.example.com/team/[a-z]+/")
    assert keyless.verify(image.reference, workflow) == ""
    assert WORKFLOW in declare(repository, ann, workflow).accepted(image)


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *(("p384", "bundle"), ("p521", "bundle"), ("rsa2048", "bundle"), ("rsa4096", "bundle")),
        *(("rsa2048", "bundle-v1"), ("rsa2048", "legacy")),
    ],
)
def test_keys_of_every_kind_that_fulcio_certifies_are_accepted(
    declare: Any, sign: Any, keyless: KeylessCosign, repository: Repository, image: Image, ann: Identity, kind: Kind,
    form: Form, tmp_path: Path,
) -> None:  # fmt: skip
    """Entries of Rekor v2 hold the hash of the key's own size. With Rekor v1, cosign verifies SHA-256 only."""
    pem = tmp_path / "own.pem"
    pem.write_bytes(Signer.generate(kind).private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    sign(image, form, key=keyless.import_key(pem))
    assert keyless.verify(image.reference, ann, form) == ""
    assert ANN in declare(repository, ann).accepted(image)


def test_another_identity_is_refused_and_the_one_seen_is_named(
    declare: Any, sign: Any, keyless: KeylessCosign, repository: Repository, image: Image, ann: Identity, form: Form
) -> None:
    """flux-compat H4."""
    sign(image, form)
    bob = Identity(ann.issuer, exactly("bob@example.com"))
    assert keyless.verify(image.reference, bob, form)
    message = declare(repository, bob).refused(image)
    assert message.startswith(
        f"{PREFIX}no matching signatures: none of the expected identities matched what was in the certificate"
    )
    assert ANN in message


def test_issuer_and_subject_must_be_those_of_one_certificate(
    declare: Any, sign: Any, keyless: KeylessCosign, sigstore: SigstoreServer, repository: Repository, image: Image,
    ann: Identity,
) -> None:  # fmt: skip
    """signatures.md rule 5: two signatures that each match a half make no match."""
    sign(image)
    keyless.sign(image.reference, sigstore.workflows.token(WORKFLOW))
    mixed = Identity(exactly(sigstore.workflows.url), ann.subject)
    assert keyless.verify(image.reference, mixed)
    message = declare(repository, mixed).refused(image)
    assert "none of the expected identities matched" in message
    assert ANN in message
    assert WORKFLOW in message


@pytest.fixture
def root_with_foreign(sigstore: SigstoreServer, tmp_path: Path) -> Callable[..., Path]:
    """The trusted root with parts of another Sigstore in the place of its own."""
    foreign = json.loads(OfflineSigstore.create().trusted_root())

    def write(*sections: str) -> Path:
        root = json.loads(sigstore.trusted_root.read_text())
        path = tmp_path / "foreign_root.json"
        path.write_text(json.dumps(root | {section: foreign[section] for section in sections}))
        return path

    return write


@pytest.mark.parametrize("section", CAUSES)
def test_each_part_of_the_trusted_root_is_needed_for_a_bundle(
    declare: Any, sign: Any, keyless: KeylessCosign, root_with_foreign: Any, repository: Repository, image: Image,
    ann: Identity, section: str,
) -> None:  # fmt: skip
    """The certificate, the log entry, the SCT and the timestamp are each judged by the root."""
    sign(image)
    root = root_with_foreign(section)
    assert keyless.verify(image.reference, ann, trusted_root=root)
    assert CAUSES[section] in declare(repository, ann, root=root).refused(image)


@pytest.mark.parametrize("form", ["bundle-v1", "legacy"])
@pytest.mark.parametrize("section", ["certificateAuthorities", "tlogs", "ctlogs"])
def test_each_part_of_the_trusted_root_is_needed_with_rekor_v1(
    declare: Any, sign: Any, keyless: KeylessCosign, root_with_foreign: Any, repository: Repository, image: Image,
    ann: Identity, form: Form, section: str,
) -> None:  # fmt: skip
    sign(image, form)
    root = root_with_foreign(section)
    assert keyless.verify(image.reference, ann, form, trusted_root=root)
    assert CAUSES[section] in declare(repository, ann, root=root).refused(image)


def test_a_foreign_root_trusts_nobody_here(
    declare: Any, sign: Any, keyless: KeylessCosign, root_with_foreign: Any, repository: Repository, image: Image,
    ann: Identity,
) -> None:  # fmt: skip
    sign(image)
    root = root_with_foreign(*CAUSES)
    assert keyless.verify(image.reference, ann, trusted_root=root)
    assert "no matching signatures" in declare(repository, ann, root=root).refused(image)


def test_an_unsigned_image_is_refused(
    declare: Any, keyless: KeylessCosign, repository: Repository, image: Image, ann: Identity
) -> None:
    """flux-compat H4."""
    assert keyless.verify(image.reference, ann)
    assert declare(repository, ann).refused(image).startswith(f"{PREFIX}no signatures found")


def test_a_legacy_signature_without_a_log_entry_is_refused(
    declare: Any, sign: Any, keyless: KeylessCosign, repository: Repository, image: Image, ann: Identity
) -> None:
    """signatures.md, "Legacy cosign": keyless needs the log's SET. This one has a certificate and a timestamp, which
    is the only legacy form that cosign makes without Rekor v1 (and verifies with --insecure-ignore-tlog only)."""
    sign(image, "legacy-unlogged")
    (layer,) = repository.manifest(image.digest.replace(":", "-") + ".sig")["layers"]
    assert "dev.sigstore.cosign/bundle" not in layer["annotations"]
    assert "dev.sigstore.cosign/rfc3161timestamp" in layer["annotations"]
    assert keyless.verify(image.reference, ann, "legacy-unlogged")
    message = declare(repository, ann).refused(image)
    assert message.startswith(f"{PREFIX}no matching signatures: ")


def test_every_form_that_cosign_makes_has_its_test() -> None:
    assert {*FORMS, "legacy-unlogged"} == set(get_args(Form))


def test_without_matchers_any_identity_of_the_root_passes_with_a_warning(
    declare: Any, sign: Any, repository: Repository, image: Image, control_plane: ControlPlane, form: Form
) -> None:
    """flux-compat H5; the Warning names who it was."""
    sign(image, form)
    declared = declare(repository)
    assert ANN in declared.accepted(image)
    told = [each for group in events(control_plane.cluster, declared.source).values() for each in group]
    assert [each for each in told if each["type"] == "Warning" and ANN in each["message"]]


def test_verification_asks_none_of_the_services(
    declare: Any, sign: Any, sigstore: SigstoreServer, repository: Repository, image: Image, ann: Identity, form: Form
) -> None:
    """A trusted root needs no network: the services are stopped, and whoever asked them would wait for ever."""
    sign(image, form)
    with sigstore.paused():
        declare(repository, ann).accepted(image)


class Verdict:
    """What `ocisource verify` says of an image."""

    def __init__(self, image: Image, root: Path, identity: Identity) -> None:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "ocisource", "verify", f"oci://{image.reference}", "-o", "json"),
                f"--trusted-root={root}",
                f"--certificate-identity-regexp={identity.subject}",
                f"--certificate-oidc-issuer-regexp={identity.issuer}",
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.status = done.returncode
        self.text = done.stdout + done.stderr


def test_the_command_line_gives_the_same_verdicts(
    sign: Any, sigstore: SigstoreServer, root_with_foreign: Any, image: Image, ann: Identity, form: Form
) -> None:
    """Exit status 0 with who it was, 1 with why not."""
    sign(image, form)
    verified = Verdict(image, sigstore.trusted_root, ann)
    assert (verified.status, ANN in verified.text) == (0, True), verified.text
    bob = Verdict(image, sigstore.trusted_root, Identity(ann.issuer, exactly("bob@example.com")))
    assert (bob.status, "none of the expected identities matched" in bob.text) == (1, True), bob.text
    foreign = Verdict(image, root_with_foreign(*CAUSES), ann)
    assert (foreign.status, "no matching signatures" in foreign.text) == (1, True), foreign.text
