"""Notation: what the real notation signs is judged by the operator as notation itself judges it, and the real
notation accepts what devkit.offline.notary makes and refuses its mistakes.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509

from devkit.offline.authority import to_pem
from devkit.offline.notary import COSE, JWS, PREFIX, Notary, Order, referrer, trust_policy
from devkit.offline.tsa import TimestampAuthority, signed_data, tst_info
from devkit.offline.windows import Window
from devkit.signer import MANIFEST, Kind
from real.images import Image, Repository
from real.objects import condition, is_ready, oci_repository, secret
from real.verdicts import Declared

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devkit.controlplane import ControlPlane
    from devkit.live.notation import Notation
    from real.operation import Operator

pytestmark = pytest.mark.e2e

PREFIX_OF_REFUSALS = "failed to verify the signature using provider 'notation': "
IDENTITY = "x509.subject: C=US, ST=WA, O=wabbit-networks.io, CN=secure builder"
STRANGER = "x509.subject: C=US, ST=WA, O=wabbit-networks.io, CN=somebody else"
FORMS = pytest.mark.parametrize("form", [JWS, COSE])
NOW = int(time.time())
WINDOW = Window(NOW - 86400, NOW + 86400)
EXPIRED = Window(NOW - 600, NOW - 30)


@pytest.fixture(scope="module")
def notary() -> Notary:
    return Notary.create(WINDOW, authorities=2)


@pytest.fixture
def repository(registry: Any, namespace: str) -> Repository:
    """A repository of the test's own."""
    return Repository(registry.address, f"notation/{namespace}")


@pytest.fixture(params=["registry", "distribution"])
def any_repository(request: pytest.FixtureRequest, namespace: str) -> Repository:
    """With and without the referrers API."""
    return Repository(request.getfixturevalue(request.param).address, f"notation/{namespace}")


@pytest.fixture
def image(repository: Repository) -> Image:
    return publish(repository)


@pytest.fixture
def declare(control_plane: ControlPlane, operator: Operator, namespace: str) -> Callable[..., Declared]:
    """Declares the repository as a source that trusts the certificates by the policy."""

    def begin(repository: Repository, policy: bytes, certificates: Mapping[str, x509.Certificate]) -> Declared:
        cluster = control_plane.cluster
        files = {f"{name}.crt": to_pem(each).encode() for name, each in certificates.items()}
        cluster.create(secret(namespace, "trust", {"trustpolicy.json": policy, **files}))
        verify = {"provider": "notation", "secretRef": {"name": "trust"}}
        source = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"}, verify=verify)
        return Declared(cluster, operator, cluster.create(source))

    return begin


def publish(repository: Repository) -> Image:
    """An image whose layer has bytes that are nowhere else."""
    return repository.publish("1.0.0", {"app.yaml": os.urandom(2048).hex().encode()})


def order_for(image: Image, **change: Any) -> Order:
    return replace(Order(MANIFEST, image.digest, len(image.manifest), at=NOW - 60), **change)


@FORMS
def test_what_notation_signs_is_accepted_and_the_certificate_is_named(
    declare: Any, notation: Notation, notary: Notary, any_repository: Repository, form: str
) -> None:
    """signatures.md rule 8."""
    image, policy = publish(any_repository), trust_policy(identities=[IDENTITY])
    notation.sign(image.reference, notary, form)
    assert notation.verify(image.reference, policy, {"ca/store": notary.root}) == ""
    message = declare(any_repository, policy, {"root": notary.root}).accepted(image)
    assert message.startswith(f"verified signature of revision {image.revision}")
    assert "certificate 'CN=secure builder,O=wabbit-networks.io,ST=WA,C=US'" in message


@pytest.mark.parametrize(
    ("kind", "form"), [("p384", COSE), ("p521", JWS), ("rsa2048", COSE), ("rsa3072", JWS), ("rsa4096", COSE)]
)
def test_keys_of_every_kind_are_accepted(
    declare: Any, notation: Notation, repository: Repository, image: Image, kind: Kind, form: str
) -> None:
    notary = Notary.create(WINDOW, kind=kind)
    notation.sign(image.reference, notary, form, "--expiry=24h", "--user-metadata=build=7")
    assert declare(repository, trust_policy(), {"root": notary.root}).accepted(image)


@FORMS
def test_a_timestamp_vouches_for_a_certificate_that_has_expired(
    declare: Any, notation: Notation, repository: Repository, image: Image, form: str
) -> None:
    notary, authority = Notary.create(WINDOW, leaf_window=EXPIRED), TimestampAuthority.create(WINDOW)
    attach(repository, order_for(image, timestamp=stamp(authority, EXPIRED.start + 60)), notary, form)
    policy = trust_policy(stores=["ca:store", "tsa:timestamps"], identities=[IDENTITY])
    root = authority.chain[-1]
    assert notation.verify(image.reference, policy, {"ca/store": notary.root, "tsa/timestamps": root}) == ""
    assert declare(repository, policy, {"root": notary.root, "timestamps": root}).accepted(image)


@FORMS
def test_a_timestamp_from_after_the_certificate_expired_is_refused(
    declare: Any, notation: Notation, repository: Repository, image: Image, form: str
) -> None:
    notary, authority = Notary.create(WINDOW, leaf_window=EXPIRED), TimestampAuthority.create(WINDOW)
    attach(repository, order_for(image, timestamp=stamp(authority, NOW - 10)), notary, form)
    policy, root = trust_policy(stores=["ca:store", "tsa:timestamps"]), authority.chain[-1]
    stores = {"ca/store": notary.root, "tsa/timestamps": root}
    assert "timestamp can be after certificate" in notation.verify(image.reference, policy, stores)
    message = declare(repository, policy, {"root": notary.root, "timestamps": root}).refused(image)
    assert "the timestamp is after certificate" in message


def test_an_expired_certificate_without_a_timestamp_is_refused(
    declare: Any, notation: Notation, repository: Repository, image: Image
) -> None:
    notary = Notary.create(WINDOW, leaf_window=EXPIRED)
    attach(repository, order_for(image), notary)
    policy = trust_policy()
    assert "was expired" in notation.verify(image.reference, policy, {"ca/store": notary.root})
    assert "now is after certificate" in declare(repository, policy, {"root": notary.root}).refused(image)


@FORMS
def test_a_stranger_and_another_root_are_refused(
    declare: Any, notation: Notation, notary: Notary, repository: Repository, image: Image, form: str
) -> None:
    notation.sign(image.reference, notary, form)
    policy = trust_policy(identities=[STRANGER])
    assert notation.verify(image.reference, policy, {"ca/store": notary.root})
    message = declare(repository, policy, {"root": notary.root}).refused(image)
    assert message.startswith(f"{PREFIX_OF_REFUSALS}signature verification failed for '{image.reference}': signature ")
    assert "is not among the trusted identities" in message


def test_a_certificate_of_another_root_is_refused(
    declare: Any, notation: Notation, notary: Notary, repository: Repository, image: Image
) -> None:
    notation.sign(image.reference, notary)
    other = Notary.create(WINDOW)
    assert notation.verify(image.reference, trust_policy(), {"ca/store": other.root})
    message = declare(repository, trust_policy(), {"root": other.root}).refused(image)
    assert "does not lead to a trusted certificate" in message


def test_an_unsigned_artifact_is_refused_in_the_words_of_notation(
    declare: Any, notation: Notation, notary: Notary, repository: Repository, image: Image
) -> None:
    """flux-compat H7."""
    policy = trust_policy()
    words = f'no signature is associated with "{image.reference}", make sure the artifact was signed successfully'
    assert words in notation.verify(image.reference, policy, {"ca/store": notary.root})
    assert declare(repository, policy, {"root": notary.root}).refused(image) == PREFIX_OF_REFUSALS + words


def test_a_repository_without_a_statement_is_refused_in_the_words_of_notation(
    declare: Any, notation: Notation, notary: Notary, repository: Repository, image: Image
) -> None:
    notation.sign(image.reference, notary)
    policy = trust_policy(scopes=["registry.example/other"])
    message = declare(repository, policy, {"root": notary.root}).refused(image)
    theirs = notation.verify(image.reference, policy, {"ca/store": notary.root})
    assert message.removeprefix(PREFIX_OF_REFUSALS) in theirs


@pytest.mark.parametrize("level", ["skip", "audit"])
def test_what_is_tolerated_is_served_and_nobody_is_said_to_have_signed_it(
    control_plane: ControlPlane, declare: Any, notary: Notary, repository: Repository, image: Image, level: str
) -> None:
    """flux-compat H7: skip looks at nothing, audit tolerates a signature of a stranger."""
    attach(repository, order_for(image), notary)
    policy = trust_policy(level=level, scopes=[str(repository)], identities=[STRANGER])
    declared = declare(repository, policy, {"root": notary.root})
    ready = control_plane.cluster.wait(declared.source, is_ready)
    assert ready["status"]["artifact"]["revision"] == image.revision
    assert condition(ready, "SourceVerified") == {}


# The real notation and devkit.offline.notary.


@FORMS
@pytest.mark.parametrize("kind", ["p256", "p384", "p521", "rsa2048", "rsa3072", "rsa4096"])
def test_notation_accepts_what_our_notary_makes(
    notation: Notation, repository: Repository, image: Image, kind: Kind, form: str
) -> None:
    notary = Notary.create(WINDOW, kind=kind, authorities=1)
    order = order_for(image, expiry=NOW + 86400, more={"com.example.may": "be understood"})
    attach(repository, order, notary, form)
    assert notation.verify(image.reference, trust_policy(identities=[IDENTITY]), {"ca/store": notary.root}) == ""


@FORMS
def test_notation_accepts_a_self_signed_certificate_and_our_timestamp(
    notation: Notation, repository: Repository, image: Image, form: str
) -> None:
    notary, authority = Notary.create(WINDOW, authorities=0), TimestampAuthority.create(WINDOW)
    attach(repository, order_for(image, timestamp=stamp(authority, NOW - 30)), notary, form)
    stores = {"ca/store": notary.root, "tsa/timestamps": authority.chain[-1]}
    assert notation.verify(image.reference, trust_policy(stores=["ca:store", "tsa:timestamps"]), stores) == ""


@FORMS
def test_notation_accepts_our_signing_authority(
    notation: Notation, repository: Repository, image: Image, form: str
) -> None:
    notary = Notary.create(WINDOW, leaf_window=EXPIRED)
    attach(repository, order_for(image, scheme="notary.x509.signingAuthority"), notary, form)
    policy = trust_policy(stores=["signingAuthority:store"])
    assert notation.verify(image.reference, policy, {"signingAuthority/store": notary.root}) == ""


@FORMS
@pytest.mark.parametrize(
    "mistake",
    [
        {"digest": "sha256:" + "0" * 64},
        {"size": 1},
        {"media_type": "application/vnd.oci.image.index.v1+json"},
        {"content_type": "application/json"},
        {"scheme": "notary.x509.other"},
        {"expiry": NOW - 30},
        {"expiry": NOW + 86400, "unmark": (PREFIX + "expiry",)},
        {"leave_out": (PREFIX + "signingTime",)},
        {"more": {PREFIX + "verificationPlugin": "example"}, "mark": (PREFIX + "verificationPlugin",)},
    ],
)
def test_notation_refuses_the_mistakes_too(
    notation: Notation, notary: Notary, repository: Repository, image: Image, form: str, mistake: dict[str, Any]
) -> None:
    """So that tests which use them prove something."""
    attach(repository, order_for(image), notary, form, order_for(image, **mistake))
    assert notation.verify(image.reference, trust_policy(), {"ca/store": notary.root})


def attach(repository: Repository, order: Order, notary: Notary, form: str = JWS, signed: Order | None = None) -> None:
    """Puts a signature beside what the order is about; what it signs may be another order."""
    upload = referrer(order, notary.sign(signed or order, form), form)
    upload.push(repository.put_blob, repository.put_manifest)


def stamp(authority: TimestampAuthority, at: float) -> Callable[[bytes], bytes]:
    """What makes the authority's token over a signature."""

    def begin(signature: bytes) -> bytes:
        return signed_data(tst_info(signature, at), authority.chain[0], authority.key, authority.chain)

    return begin
