"""The official Python client of Kubernetes, which shares no code with ours: what it declares becomes Ready, and what it
watches is what a client of this API expects."""

from __future__ import annotations

import contextlib

import pytest

from devkit.controlplane import ControlPlane
from devkit.services import RegistryServer
from real.images import Repository
from real.objects import oci_repository
from real.operation import Operator

pytestmark = pytest.mark.e2e

KIND = ("source.toolkit.fluxcd.io", "v1")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_object_of_the_official_client_becomes_ready_and_heeds_its_request(
    control_plane: ControlPlane, operator: Operator, registry: RegistryServer, namespace: str
) -> None:
    kubernetes = pytest.importorskip("kubernetes", reason="kubernetes is in the extra cli: make test installs it")
    api = kubernetes.client.CustomObjectsApi(kubernetes.config.new_client_from_config(str(control_plane.kubeconfig)))
    repository = Repository(registry.address, f"official/{namespace}")
    image = repository.publish("1.0.0", {"app.yaml": b"kind: App\n"})
    where = (*KIND, namespace, "ocirepositories")
    with contextlib.closing(api.api_client):
        api.create_namespaced_custom_object(
            *where, oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
        )

        ready = None
        for event in kubernetes.watch.Watch().stream(api.list_namespaced_custom_object, *where, timeout_seconds=30):
            conditions = {one["type"]: one["status"] for one in event["object"].get("status", {}).get("conditions", ())}
            if conditions.get("Ready") == "True":
                ready = event["object"]
                break
        assert ready is not None
        assert ready["status"]["artifact"]["revision"] == image.revision
        assert ready["status"]["observedGeneration"] == ready["metadata"]["generation"]

        request = {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}}
        api.patch_namespaced_custom_object(*where, "app", request)
        handled = (
            event["object"]["status"].get("lastHandledReconcileAt")
            for event in kubernetes.watch.Watch().stream(api.list_namespaced_custom_object, *where, timeout_seconds=30)
        )
        assert "now" in handled
