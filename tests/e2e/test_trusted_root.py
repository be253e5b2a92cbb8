"""A trusted root changes on a live cluster, and the verdicts on real keyless signatures with it (flux-compat J4).

The interval of the objects is ten minutes and nobody asks for a pass: only the change of the Secret can bring one.
Keys that change are in test_trust.py.
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
from real.objects import condition, is_ready, oci_repository, secret
from real.operation import fetch
from real.verdicts import Declared, traces

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.cluster import Cluster
    from devkit.controlplane import ControlPlane
    from devkit.live.instance import SigstoreServer
    from devkit.live.keyless import KeylessCosign
    from devkit.services import RegistryServer
    from real.operation import Operator

pytestmark = pytest.mark.e2e

PROMPT = 5.0
"""Seconds from the change of a Secret to the new verdict (flux-compat J4)."""
ANN = "ann@example.com"
ENTRY = "trusted_root.json"


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

    def change(self, root: bytes) -> None:
        """Puts another trusted root into the Secret."""
        self.cluster.patch(self.secret, {"data": {ENTRY: base64.b64encode(root).decode()}})

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
    control_plane: ControlPlane,
    new_operator: Callable[..., Operator],
    namespace: str,
    image: Image,
    keyless: KeylessCosign,
    sigstore: SigstoreServer,
) -> Callable[..., Trusting]:
    """Ann signs the image; an operator with the flags starts; an object is declared that trusts her, or with
    `anybody` any identity, by the trusted root in the Secret `root`."""

    def begin(*flags: str, anybody: bool = False) -> Trusting:
        keyless.sign(image.reference, sigstore.people.email_token(ANN))
        cluster = control_plane.cluster
        operator = new_operator(*flags)
        operator.start()
        root = cluster.create(secret(namespace, "root", {ENTRY: sigstore.trusted_root.read_bytes()}))
        verify: dict[str, Any] = {"provider": "cosign", "trustedRootSecretRef": {"name": "root"}}
        if not anybody:
            issuer, subject = (f"^{re.escape(each)}$" for each in (sigstore.people.url, ANN))
            verify["matchOIDCIdentity"] = [{"issuer": issuer, "subject": subject}]
        url = f"oci://{image.reference.partition('@')[0]}"
        source = cluster.create(oci_repository(namespace, "app", url, ref={"tag": "1.0.0"}, verify=verify))
        return Trusting(cluster, operator, source, root, image)

    return begin


def foreign_root() -> bytes:
    """Somebody else's, and a good one."""
    return OfflineSigstore.create().trusted_root()


def test_a_foreign_trusted_root_takes_the_verdict_back_and_the_right_one_restores_it(
    trust: Any, sigstore: SigstoreServer
) -> None:
    """By default the last verified artifact stays, as in Flux."""
    trusting = trust()
    before = trusting.verified()
    trusting.change(foreign_root())
    seen = trusting.distrusted()
    assert "no matching signatures" in condition(seen, "SourceVerified")["message"]
    assert trusting.still_served(seen, before)
    trusting.change(sigstore.trusted_root.read_bytes())
    trusting.verified(PROMPT)


def test_a_trusted_root_that_cannot_be_read_takes_the_verdict_back_and_is_named(trust: Any) -> None:
    """flux-compat H6: the message names Secret and entry."""
    trusting = trust()
    trusting.verified()
    trusting.change(b"{")
    message = condition(trusting.distrusted(), "SourceVerified")["message"]
    assert f"{trusting.secret['metadata']['namespace']}/root" in message


def test_what_is_no_longer_trusted_is_withdrawn_if_so_wished(trust: Any, sigstore: SigstoreServer) -> None:
    """`--on-verification-failure=withdraw`: out of status and storage, and back with trust."""
    trusting = trust("--on-verification-failure=withdraw")
    url = trusting.verified()["status"]["artifact"]["url"]
    trusting.change(foreign_root())
    seen = trusting.distrusted()
    assert "artifact" not in seen["status"]
    assert traces(trusting.operator.storage, trusting.image) == []
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(url)
    trusting.change(sigstore.trusted_root.read_bytes())
    trusting.verified(PROMPT)


def test_an_operator_that_requires_identities_accepts_no_object_without(trust: Any, image: Image) -> None:
    """`--require-oidc-identity`: what passes elsewhere with a Warning."""
    trusting = trust("--require-oidc-identity", anybody=True)
    message = Declared(trusting.cluster, trusting.operator, trusting.source).refused(image)
    assert "--require-oidc-identity" in message
