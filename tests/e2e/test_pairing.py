"""The applier that all this is for: an unmodified kustomize-controller with a Kustomization on our OCIRepository."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from devkit.cluster import ApiError
from real.images import Image, Repository
from real.objects import condition, has_failed, holds, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import Operator, await_true

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.applier import KustomizeController
    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign, RegistryServer

pytestmark = pytest.mark.e2e

ROLLOUT = 30
"""Seconds. It takes two or three."""


def deployed(namespace: str, version: str) -> dict[str, bytes]:
    """What the image holds: a ConfigMap that says its version."""
    manifest = f"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: app
  namespace: {namespace}
data:
  version: {version}
"""
    return {"deploy/app.yaml": manifest.encode()}


def kustomization(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {
            "interval": "10m",
            "retryInterval": "2s",
            "path": "./deploy",
            "prune": True,
            "sourceRef": {"kind": "OCIRepository", "name": "app"},
        },
    }


def running(control_plane: ControlPlane, namespace: str) -> str:
    """The version that the applied ConfigMap says, "" before there is one."""
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": namespace}}
    try:
        return str(control_plane.cluster.read(config_map)["data"]["version"])
    except ApiError:
        return ""


def test_signed_versions_roll_out_and_unsigned_ones_do_not(
    control_plane: ControlPlane,
    operator: Operator,
    registry: RegistryServer,
    cosign: Cosign,
    start_kustomize_controller: Callable[[str], KustomizeController],
    namespace: str,
) -> None:
    """I6. The applier looks at nothing but the artifact in the status: what we do not store cannot be applied."""
    cluster, key = control_plane.cluster, cosign.key_pair("pairing")
    repository = Repository(registry.address, f"pairing/{namespace}")
    first = repository.publish("1.0.0", deployed(namespace, "1.0.0"))
    cosign.sign(first.reference, key, bundle=True)
    cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    app = oci_repository(
        namespace, "app", repository.url, interval="1s", ref={"semver": "*"}, verify=verified_by("keys")
    )
    cluster.create(app)
    start_kustomize_controller(operator.address)
    applied = kustomization(namespace)
    cluster.create(applied)

    def version() -> str:
        return running(control_plane, namespace)

    await_true(lambda: version() == "1.0.0", ROLLOUT, "the first version")
    cluster.wait(applied, lambda obj: obj["status"].get("lastAppliedRevision") == first.revision)

    second = repository.publish("1.1.0", deployed(namespace, "1.1.0"))
    cosign.sign(second.reference, key, bundle=False)
    await_true(lambda: version() == "1.1.0", ROLLOUT, "the second version")

    unsigned = repository.publish("1.2.0", deployed(namespace, "1.2.0"))
    refused = cluster.wait(app, lambda obj: unsigned.digest in condition(obj, "SourceVerified").get("message", ""))
    assert outcomes(refused)["SourceVerified"] == ("False", "VerificationError")
    assert refused["status"]["artifact"]["revision"] == second.revision
    # Asked to apply what there is now, the applier finds the version that was there before.
    cluster.patch(applied, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}})
    seen = cluster.wait(applied, lambda obj: obj["status"].get("lastHandledReconcileAt") == "now", ROLLOUT)
    assert seen["status"]["lastAppliedRevision"] == second.revision
    assert version() == "1.1.0"

    cosign.sign(unsigned.reference, key, bundle=True)
    cluster.wait(app, lambda obj: holds(obj, unsigned.revision))
    await_true(lambda: version() == "1.2.0", ROLLOUT, "the version that was signed late")


@pytest.mark.parametrize("algorithm", ["sha384", "blake3"])
def test_an_applied_version_outlives_whatever_happens_to_its_source(
    control_plane: ControlPlane,
    new_operator: Callable[..., Operator],
    registry: RegistryServer,
    start_kustomize_controller: Callable[[str], KustomizeController],
    namespace: str,
    algorithm: str,
) -> None:
    """I6, F9: a way back, a source that fails, rests, stalls or is gone, and storage that is lost with the process."""
    cluster, repository = control_plane.cluster, Repository(registry.address, f"pairing/{namespace}")
    first, second = (repository.publish(each, deployed(namespace, each)) for each in ("1.0.0", "2.0.0"))
    app = oci_repository(namespace, "app", repository.url, interval="1h", ref={"semver": "*"})
    operator = new_operator(f"--artifact-digest-algo={algorithm}")
    operator.start()
    cluster.create(app)
    start_kustomize_controller(operator.address)
    applied = kustomization(namespace)
    cluster.create(applied)

    def rolls_out(image: Image) -> None:
        cluster.wait(applied, lambda obj: obj.get("status", {}).get("lastAppliedRevision") == image.revision, ROLLOUT)
        assert running(control_plane, namespace) == image.tag

    def ask(when: str) -> dict[str, Any]:
        """The Kustomization after a pass that was asked for, whatever came of it."""
        cluster.patch(applied, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": when}}})
        seen: dict[str, Any] = cluster.wait(
            applied, lambda obj: obj["status"].get("lastHandledReconcileAt") == when, ROLLOUT
        )
        return seen

    rolls_out(second)
    assert cluster.read(app)["status"]["artifact"]["digest"].startswith(f"{algorithm}:")
    cluster.patch(app, {"spec": {"ref": {"semver": "1.x"}}})
    rolls_out(first)

    cluster.patch(app, {"spec": {"ref": {"semver": "9.x"}}})
    cluster.wait(app, has_failed)
    assert is_ready(ask("while it fails"))
    cluster.patch(app, {"spec": {"url": f"{repository.url}:1.0.0"}})
    cluster.wait(app, lambda obj: condition(obj, "Stalled"))
    assert is_ready(ask("while it is stalled"))
    cluster.patch(app, {"spec": {"url": repository.url, "ref": {"semver": "2.x"}, "suspend": True}})
    cluster.wait(app, lambda obj: obj["status"]["observedGeneration"] == obj["metadata"]["generation"])
    assert is_ready(ask("while it rests"))
    assert running(control_plane, namespace) == "1.0.0"

    cluster.patch(app, {"spec": {"suspend": None}})
    rolls_out(second)
    operator.stop()
    shutil.rmtree(operator.storage)
    operator.storage.mkdir()
    cluster.patch(app, {"spec": {"ref": {"semver": "1.x"}}})
    operator.start()
    rolls_out(first)

    cluster.delete(app)
    gone = ask("without a source")
    assert condition(gone, "Ready")["reason"] == "ArtifactFailed"
    assert running(control_plane, namespace) == "1.0.0"
    operator.stop()
