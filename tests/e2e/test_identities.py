"""Who an object is: the pull secrets of its ServiceAccount (flux-compat C4, C6, E2, J4)."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from devkit.services import ALICE
from real.images import Repository
from real.objects import condition, has_failed, is_ready, oci_repository, outcomes, secret

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane
    from devkit.services import DistributionServer

pytestmark = pytest.mark.e2e

ROLE = "arn:aws:iam::123456789012:role/reader"
ECR = "oci://123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/app"


def account(namespace: str, *pull_secrets: str, **annotations: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": "puller", "annotations": annotations},
        "imagePullSecrets": [{"name": name} for name in pull_secrets],
    }


def pull_secret(namespace: str, host: str, password: str) -> dict[str, Any]:
    auth = base64.b64encode(f"{ALICE.user}:{password}".encode()).decode()
    config = json.dumps({"auths": {host: {"auth": auth}}}).encode()
    return secret(namespace, "pull", {".dockerconfigjson": config}, "kubernetes.io/dockerconfigjson")


@pytest.fixture
def repository(private_distribution: DistributionServer, namespace: str) -> Repository:
    repository = Repository(private_distribution.address, f"private/{namespace}", ALICE)
    repository.publish("1.0.0", {"app.yaml": b"kind: Private\n"})
    return repository


def source(namespace: str, url: str, **spec: Any) -> dict[str, Any]:
    """With an interval that nobody waits for."""
    chosen = {"ref": {"tag": "1.0.0"}, "interval": "1h", "serviceAccountName": "puller"} | spec
    return oci_repository(namespace, "app", url, **chosen)


@pytest.mark.usefixtures("operator")
def test_a_service_account_and_its_secret_are_followed(
    control_plane: ControlPlane, repository: Repository, namespace: str
) -> None:
    """Each step below is seen within seconds, whatever the retry is at."""
    cluster = control_plane.cluster
    app = source(namespace, repository.url)
    cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert condition(failed, "Ready")["message"] == (
        f"failed to get credential: serviceaccount '{namespace}/puller' not found"
    )

    cluster.create(account(namespace, "pull"))
    told = (
        f"failed to get credential: failed to get image pull secret for serviceaccount '{namespace}/puller': "
        f"secret '{namespace}/pull' not found"
    )
    cluster.wait(app, lambda obj: condition(obj, "Ready")["message"] == told)

    wrong = pull_secret(namespace, repository.address, "wrong")
    cluster.create(wrong)
    cluster.wait(app, lambda obj: "UNAUTHORIZED" in condition(obj, "Ready")["message"])

    right = pull_secret(namespace, repository.address, ALICE.password)
    cluster.patch(wrong, {"data": right["data"]})
    cluster.wait(app, is_ready)


@pytest.mark.usefixtures("operator")
def test_without_the_gate_a_service_account_asks_no_cloud(control_plane: ControlPlane, namespace: str) -> None:
    """C6"""
    cluster = control_plane.cluster
    cluster.create(account(namespace, **{"eks.amazonaws.com/role-arn": ROLE}))
    app = source(namespace, ECR, provider="aws")
    cluster.create(app)

    stalled = cluster.wait(app, has_failed)
    assert outcomes(stalled) == {
        "Stalled": ("True", "FeatureGateDisabled"),
        "Ready": ("False", "FeatureGateDisabled"),
    }
    assert stalled["status"]["observedGeneration"] == 1
