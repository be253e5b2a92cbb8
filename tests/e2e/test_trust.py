"""Trust that stays true on a live cluster: a Secret changes, and the verdict with it, though nothing else did.

The interval of the objects is ten minutes and nobody asks for a pass: only the change of the Secret can bring one.
"""

from __future__ import annotations

import base64
import os
import re
import urllib.error
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from devkit.offline import OfflineSigstore
from real.images import Image, Repository, files_in
from real.objects import condition, is_ready, oci_repository, secret, verified_by
from real.operation import fetch
from real.verdicts import Declared, traces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from devkit.cluster import Cluster
    from devkit.controlplane import ControlPlane
    from devkit.live.instance import SigstoreServer
    from devkit.live.keyless import KeylessCosign
    from devkit.services import Cosign, RegistryServer
    from real.operation import Operator

pytestmark = pytest.mark.e2e

PROMPT = 5.0
"""Seconds from the change of a Secret to the new verdict (flux-compat J4)."""
ANN = "ann@example.com"


@pytest.fixture
def image(registry: RegistryServer, namespace: str) -> Image:
    """An image whose layer has bytes that are nowhere else."""
    repository = Repository(registry.address, f"trust/{namespace}")
    return repository.publish("1.0.0", {"secret.yaml": os.urandom(2048).hex().encode()})


@dataclass(frozen=True)
class Trusting:
    """An object that trusts what one Secret holds."""

    cluster: Cluster
    operator: Operator
    source: dict[str, Any]
    secret: dict[str, Any]
    image: Image

    def change(self, data: Mapping[str, bytes | None]) -> None:
        """Sets entries of the Secret; None takes one away."""
        encoded = {key: value if value is None else base64.b64encode(value).decode() for key, value in data.items()}
        self.cluster.patch(self.secret, {"data": encoded})

    def verified(self, within: float = 30) -> dict[str, Any]:
        """The object, once its verdict is good."""
        ready = self.cluster.wait(
            self.source,
            lambda seen: is_ready(seen) and condition(seen, "SourceVerified").get("status") == "True",
            within,
        )
        assert ready["status"]["artifact"]["revision"] == self.image.revision
        assert files_in(fetch(ready["status"]["artifact"]["url"])) == files_in(self.image.layer)
        found: dict[str, Any] = ready
        return found

    def distrusted(self) -> dict[str, Any]:
        """The object, once its verdict is bad: soon."""
        seen = self.cluster.wait(
            self.source, lambda seen: condition(seen, "SourceVerified").get("status") == "False", PROMPT
        )
        assert condition(seen, "SourceVerified")["reason"] == "VerificationError"
        ready = condition(seen, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "VerificationError")
        found: dict[str, Any] = seen
        return found

    def still_served(self, seen: dict[str, Any], before: dict[str, Any]) -> bool:
        """Whether the artifact of before stands in status and is served."""
        assert seen["status"]["artifact"] == before["status"]["artifact"]
        return files_in(fetch(seen["status"]["artifact"]["url"])) == files_in(self.image.layer)


@pytest.fixture
def trust(
    control_plane: ControlPlane, new_operator: Callable[..., Operator], namespace: str, image: Image
) -> Callable[..., Trusting]:
    """Starts an operator with the flags and declares the image as a source; `verify` refers to the Secret `trusted`,
    which holds the entries."""

    def begin(verify: Mapping[str, Any], entries: Mapping[str, bytes], *flags: str) -> Trusting:
        cluster = control_plane.cluster
        operator = new_operator(*flags)
        operator.start()
        trusted = secret(namespace, "trusted", entries)
        cluster.create(trusted)
        url = f"oci://{image.reference.partition('@')[0]}"
        source = oci_repository(namespace, "app", url, ref={"tag": "1.0.0"}, verify=verify)
        cluster.create(source)
        return Trusting(cluster, operator, source, trusted, image)

    return begin


@pytest.fixture
def trust_ann(trust: Any, keyless: KeylessCosign, sigstore: SigstoreServer, image: Image) -> Callable[..., Trusting]:
    """Ann signs; the Secret is the trusted root."""
    keyless.sign(image.reference, sigstore.people.email_token(ANN))
    verify = {
        "provider": "cosign",
        "trustedRootSecretRef": {"name": "trusted"},
        "matchOIDCIdentity": [{"issuer": f"^{re.escape(sigstore.people.url)}$", "subject": f"^{re.escape(ANN)}$"}],
    }
    return lambda *flags: trust(verify, {"trusted_root.json": sigstore.trusted_root.read_bytes()}, *flags)


def foreign_root() -> bytes:
    """Somebody else's, and a good one."""
    return OfflineSigstore.create().trusted_root()


def test_a_foreign_trusted_root_takes_the_verdict_back_and_the_right_one_restores_it(
    trust_ann: Any, sigstore: SigstoreServer
) -> None:
    """By default the last verified artifact stays, as in Flux."""
    trusting = trust_ann()
    before = trusting.verified()
    trusting.change({"trusted_root.json": foreign_root()})
    seen = trusting.distrusted()
    assert "no matching signatures" in condition(seen, "SourceVerified")["message"]
    assert trusting.still_served(seen, before)
    trusting.change({"trusted_root.json": sigstore.trusted_root.read_bytes()})
    trusting.verified(PROMPT)


def test_a_trusted_root_that_cannot_be_read_takes_the_verdict_back_and_is_named(trust_ann: Any) -> None:
    """flux-compat H6: the message names Secret and entry."""
    trusting = trust_ann()
    trusting.verified()
    trusting.change({"trusted_root.json": b"{"})
    message = condition(trusting.distrusted(), "SourceVerified")["message"]
    assert f"{trusting.secret['metadata']['namespace']}/trusted" in message


def test_a_key_taken_away_takes_the_verdict_back(trust: Any, cosign: Cosign, image: Image) -> None:
    """Another key stays, so the Secret is a good one still."""
    mine, other = cosign.key_pair("mine"), cosign.key_pair("other")
    cosign.sign(image.reference, mine, bundle=True)
    entries = {"mine.pub": mine.public.read_bytes(), "other.pub": other.public.read_bytes()}
    trusting = trust(verified_by("trusted"), entries)
    before = trusting.verified()
    trusting.change({"mine.pub": None})
    seen = trusting.distrusted()
    assert "signed by another key" in condition(seen, "SourceVerified")["message"]
    assert trusting.still_served(seen, before)
    trusting.change({"mine.pub": mine.public.read_bytes()})
    trusting.verified(PROMPT)


def test_a_secret_that_is_deleted_takes_the_verdict_back(trust: Any, cosign: Cosign, image: Image) -> None:
    mine = cosign.key_pair("mine")
    cosign.sign(image.reference, mine, bundle=True)
    trusting = trust(verified_by("trusted"), {"mine.pub": mine.public.read_bytes()})
    trusting.verified()
    trusting.cluster.delete(trusting.secret)
    assert 'secrets "trusted" not found' in condition(trusting.distrusted(), "SourceVerified")["message"]


def test_what_is_no_longer_trusted_is_withdrawn_if_so_wished(trust_ann: Any, sigstore: SigstoreServer) -> None:
    """`--on-verification-failure=withdraw`: out of status and storage, and back with trust."""
    trusting = trust_ann("--on-verification-failure=withdraw")
    url = trusting.verified()["status"]["artifact"]["url"]
    trusting.change({"trusted_root.json": foreign_root()})
    seen = trusting.distrusted()
    assert "artifact" not in seen["status"]
    assert traces(trusting.operator.storage, trusting.image) == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(url)
    trusting.change({"trusted_root.json": sigstore.trusted_root.read_bytes()})
    trusting.verified(PROMPT)


def test_an_operator_that_requires_identities_accepts_no_object_without(
    trust: Any, keyless: KeylessCosign, sigstore: SigstoreServer, image: Image
) -> None:
    """`--require-oidc-identity`: what passes elsewhere with a Warning."""
    keyless.sign(image.reference, sigstore.people.email_token(ANN))
    verify = {"provider": "cosign", "trustedRootSecretRef": {"name": "trusted"}}
    trusting = trust(verify, {"trusted_root.json": sigstore.trusted_root.read_bytes()}, "--require-oidc-identity")
    message = Declared(trusting.cluster, trusting.operator, trusting.source).refused(image)
    assert "--require-oidc-identity" in message
