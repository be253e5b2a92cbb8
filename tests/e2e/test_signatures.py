"""Signatures of the real cosign, in both formats, on both kinds of registry: what counts, and what does not.

What is refused leaves nothing on disk: no tarball and no byte of the layer (verify comes before fetch).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from devkit.services import KeyPair
from devkit.signer import MANIFEST, Kind, Signer, Upload, referrers_index, sha256
from real.images import Image, Repository
from real.objects import oci_repository, secret, verified_by
from real.verdicts import Declared

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign
    from real.operation import Operator

pytestmark = pytest.mark.e2e

PREFIX = "failed to verify the signature using provider 'cosign': "


@pytest.fixture(scope="module")
def key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("trusted")


@pytest.fixture(scope="module")
def other_key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("untrusted")


@pytest.fixture(params=["registry", "distribution"])
def repository(request: pytest.FixtureRequest, namespace: str) -> Repository:
    """A repository of the test's own, with and without the referrers API."""
    return Repository(request.getfixturevalue(request.param).address, f"signatures/{namespace}")


@pytest.fixture(params=[False, True], ids=["legacy", "bundle"])
def bundle(request: pytest.FixtureRequest) -> bool:
    """The format of the signature."""
    return bool(request.param)


@pytest.fixture
def image(repository: Repository) -> Image:
    """An image whose layer has bytes that are nowhere else."""
    return repository.publish("1.0.0", {"secret.yaml": os.urandom(2048).hex().encode()})


@pytest.fixture
def declare(control_plane: ControlPlane, operator: Operator, namespace: str, repository: Repository) -> Any:
    """Declares the repository as a source that trusts these entries of a Secret (None: there is no Secret)."""

    def begin(entries: dict[str, bytes] | None) -> Declared:
        cluster = control_plane.cluster
        if entries is not None:
            cluster.create(secret(namespace, "keys", entries))
        source = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"}, verify=verified_by("keys"))
        cluster.create(source)
        return Declared(cluster, operator, source)

    return begin


def test_a_good_signature_is_accepted_and_named(
    declare: Any, cosign: Cosign, key: KeyPair, image: Image, bundle: bool
) -> None:
    cosign.sign(image.reference, key, bundle=bundle)
    message = declare({"cosign.pub": key.public.read_bytes()}).accepted(image)
    assert message.startswith(f"verified signature of revision {image.revision}")
    assert "signed by key 'cosign.pub'" in message


def test_one_good_signature_among_foreign_ones_is_enough(
    declare: Any, cosign: Cosign, key: KeyPair, other_key: KeyPair, image: Image, bundle: bool
) -> None:
    """signatures.md rule 3: nor does it matter in which format the foreign ones are."""
    cosign.sign(image.reference, other_key, bundle=False)
    cosign.sign(image.reference, key, bundle=bundle)
    cosign.sign(image.reference, other_key, bundle=True)
    entries = {"old.pub": Signer.generate().public_pem(), "new.pub": key.public.read_bytes()}
    assert "signed by key 'new.pub'" in declare(entries).accepted(image)


def test_a_signature_of_another_key_is_refused(
    declare: Any, cosign: Cosign, key: KeyPair, other_key: KeyPair, image: Image, bundle: bool
) -> None:
    cosign.sign(image.reference, other_key, bundle=bundle)
    message = declare({"cosign.pub": key.public.read_bytes()}).refused(image)
    repository, _, digest = image.reference.partition("@")
    assert message.startswith(f"{PREFIX}no matching signatures were found for '{repository}@{digest}'")
    assert "signed by another key" in message


def test_a_signature_of_another_digest_is_refused(
    declare: Any, cosign: Cosign, key: KeyPair, repository: Repository, image: Image, bundle: bool
) -> None:
    """The signature is real and by the trusted key, and it lies where one of this image would lie (rule 1)."""
    signed = repository.publish("0.9.0", {"app.yaml": b"kind: Other\n"})
    cosign.sign(signed.reference, key, bundle=bundle)
    (attach_foreign_bundle if bundle else copy_legacy_signature)(repository, signed, image)
    message = declare({"cosign.pub": key.public.read_bytes()}).refused(image)
    assert "no matching signatures were found for" in message
    assert signed.digest in message


def copy_legacy_signature(repository: Repository, signed: Image, image: Image) -> None:
    found = repository.manifest(signed.digest.replace(":", "-") + ".sig")
    repository.put_manifest(image.digest.replace(":", "-") + ".sig", found["mediaType"], json.dumps(found).encode())


def attach_foreign_bundle(repository: Repository, signed: Image, image: Image) -> None:
    (listed,) = repository.referrers(signed.digest)
    found = repository.manifest(listed["digest"])
    assert found["subject"]["digest"] == signed.digest
    subject = {"mediaType": MANIFEST, "digest": image.digest, "size": len(image.manifest)}
    content = json.dumps({**found, "subject": subject}).encode()
    attached = Upload(sha256(content), MANIFEST, content)
    attached.push(repository.put_blob, repository.put_manifest)
    if not repository.lists_referrers(image.digest):
        referrers_index(image.digest, [attached]).push(repository.put_blob, repository.put_manifest)


def test_an_unsigned_image_is_refused(declare: Any, key: KeyPair, image: Image) -> None:
    message = declare({"cosign.pub": key.public.read_bytes()}).refused(image)
    repository, _, digest = image.reference.partition("@")
    assert message == (
        f"{PREFIX}no matching signatures were found for '{repository}@{digest}': the registry holds no signature of it"
    )


def test_a_missing_secret_is_named(declare: Any, cosign: Cosign, key: KeyPair, image: Image) -> None:
    cosign.sign(image.reference, key, bundle=False)
    assert declare(None).refused(image) == f'{PREFIX}secrets "keys" not found'


BAD = "secret 'keys' entry 'bad.pub': "
NO_PEM = "PEM decoding failed: "


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", f"{NO_PEM}{BAD}it is empty"),
        (b"ssh-ed25519 AAAA me@example.com\n", f"{NO_PEM}{BAD}not a PEM public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", f"{BAD}not a PEM public key"),
    ],
    ids=["empty", "no-pem", "no-key"],
)
def test_a_key_that_cannot_be_read_is_named_and_never_passed_over(
    declare: Any, cosign: Cosign, key: KeyPair, image: Image, content: bytes, why: str
) -> None:
    """Rule 9: also beside a key that would do. What is no PEM at all begins as clients know it (H3)."""
    cosign.sign(image.reference, key, bundle=True)
    message = declare({"good.pub": key.public.read_bytes(), "bad.pub": content}).refused(image)
    assert message.startswith(f"{PREFIX}{why}")


def test_a_secret_without_a_public_key_trusts_nobody(declare: Any, cosign: Cosign, key: KeyPair, image: Image) -> None:
    """H3"""
    cosign.sign(image.reference, key, bundle=False)
    message = declare({"cosign.key": key.public.read_bytes()}).refused(image)
    assert "no matching signatures were found for" in message


def test_a_refused_image_is_taken_once_it_is_signed(
    declare: Any, cosign: Cosign, key: KeyPair, image: Image, bundle: bool
) -> None:
    """Nobody asks: the retries of the failed pass see the signature."""
    declared = declare({"cosign.pub": key.public.read_bytes()})
    declared.refused(image)
    cosign.sign(image.reference, key, bundle=bundle)
    declared.accepted(image)


@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "ed25519"])
def test_our_own_signers_signatures_are_real_ones(
    cosign: Cosign, repository: Repository, image: Image, bundle: bool, kind: Kind, tmp_path: Path
) -> None:
    """What fixtures are signed with, cosign verifies; so tests that use them prove something. By itself, cosign
    verifies SHA-256 only, also where it signs with the curve's own hash."""
    signer = Signer.generate(kind, always_sha256=True)
    public = tmp_path / "signer.pub"
    public.write_bytes(signer.public_pem())
    repository.sign(image, signer, bundle=bundle)
    assert cosign.verify(image.reference, KeyPair(public, public), bundle=bundle)
    stranger = tmp_path / "stranger.pub"
    stranger.write_bytes(Signer.generate().public_pem())
    assert not cosign.verify(image.reference, KeyPair(stranger, stranger), bundle=bundle)
