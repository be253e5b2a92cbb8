"""config/ on a real API server: everything applies, the Pod passes the restricted standard, the rights are minimal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from devkit import manifests
from devkit.cluster import ApiError, Cluster
from devkit.controlplane import ControlPlane
from ocisource.settings import parse_settings

if TYPE_CHECKING:
    from devkit.fluxcli import FluxCommand

pytestmark = pytest.mark.e2e

CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize("folder", ["default", "samples", "workload-identity"])
def test_every_object_passes_a_server_side_dry_run_without_a_complaint(
    control_plane: ControlPlane, folder: str
) -> None:
    for manifest in manifests.load(CONFIG / folder):
        reply = control_plane.cluster.apply(manifest, dry_run=True)
        deprecated = manifest["apiVersion"].endswith("/v1beta2")  # the sample shows the old YAML on purpose
        assert not reply.warnings or deprecated, (manifest["kind"], reply.warnings)


def deployment() -> dict[str, Any]:
    (found,) = [each for each in manifests.load(CONFIG / "manager") if each["kind"] == "Deployment"]
    return found


def pod() -> dict[str, Any]:
    template = deployment()["spec"]["template"]
    metadata = {**template["metadata"], "name": "source-controller", "namespace": "flux-system"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def test_the_pod_passes_the_restricted_standard_that_the_namespace_enforces(control_plane: ControlPlane) -> None:
    control_plane.cluster.apply(pod(), dry_run=True)
    loose = pod()
    del loose["spec"]["containers"][0]["securityContext"]["capabilities"]
    with pytest.raises(ApiError, match="restricted"):
        control_plane.cluster.apply(loose, dry_run=True)


def built(flux_command: FluxCommand, folder: str, tmp_path: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` applies: by the kustomize within flux."""
    kustomization = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": "any", "namespace": "flux-system"},
        "spec": {"interval": "1h", "path": "./", "prune": False, "sourceRef": {"kind": "GitRepository", "name": "any"}},
    }
    (tmp_path / "any.yaml").write_text(json.dumps(kustomization))
    told = flux_command.run(
        "flux-system",
        *("build", "kustomization", "any", f"--path={CONFIG / folder}", "--dry-run"),
        f"--kustomization-file={tmp_path / 'any.yaml'}",
    )
    return [each for each in yaml.safe_load_all(told.result) if each is not None]


def test_beside_the_original_nothing_of_it_is_touched_and_objects_are_shared_by_label(
    control_plane: ControlPlane, flux_command: FluxCommand, tmp_path: Path
) -> None:
    """G12: other names, another Service, and only objects with the label; the arguments are ones that `run` takes."""
    beside = {each["kind"]: each for each in built(flux_command, "beside", tmp_path)}
    for each in beside.values():
        assert not control_plane.cluster.apply(each, dry_run=True).warnings
        assert each["metadata"]["name"].endswith("-oci")
    assert "CustomResourceDefinition" not in beside
    assert "Namespace" not in beside

    selector = beside["Service"]["spec"]["selector"]
    template = beside["Deployment"]["spec"]["template"]
    assert selector.items() <= template["metadata"]["labels"].items()
    assert not selector.items() <= pod()["metadata"]["labels"].items()
    (service,) = manifests.load(CONFIG / "manager" / "service.yaml")
    assert not service["spec"]["selector"].items() <= template["metadata"]["labels"].items()

    (container,) = template["spec"]["containers"]
    settings = parse_settings(container["args"][1:], {"RUNTIME_NAMESPACE": "flux-system"}, "any")
    assert settings.watch_label_selector == "sharding.fluxcd.io/key=oci"
    address = f"{beside['Service']['metadata']['name']}.$(RUNTIME_NAMESPACE).svc.cluster.local."
    assert settings.storage_adv_addr == address
    account = template["spec"]["serviceAccountName"]
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        assert [each["name"] for each in beside[kind]["subjects"]] == [account]


def test_every_file_of_config_is_reached_from_what_is_applied() -> None:
    applied = ("default", "samples", "workload-identity")
    reached = [each for folder in applied for each in manifests.load(CONFIG / folder)]
    files = [each for each in CONFIG.rglob("*.yaml") if each.name != "kustomization.yaml"]
    for file in files:
        for manifest in manifests.load(file):
            assert manifest in reached, file


OBJECTS = ("source.toolkit.fluxcd.io", "ocirepositories")
ALLOWED = [
    *[(*OBJECTS, "", verb) for verb in ("get", "list", "watch", "patch")],
    (*OBJECTS, "status", "patch"),
    *[("", "secrets", "", verb) for verb in ("get", "list", "watch")],
    *[("", "serviceaccounts", "", verb) for verb in ("get", "list", "watch")],
    ("", "events", "", "create"),
    ("", "events", "", "patch"),
]
DENIED = [
    *[(*OBJECTS, "", verb) for verb in ("create", "update", "delete", "deletecollection")],
    (*OBJECTS, "status", "update"),
    *[("", "secrets", "", verb) for verb in ("create", "update", "patch", "delete")],
    *[("", "serviceaccounts", "", verb) for verb in ("create", "update", "patch", "delete", "impersonate")],
    ("", "serviceaccounts", "token", "create"),
    ("", "pods", "", "list"),
    ("", "namespaces", "", "list"),
    ("", "configmaps", "", "get"),
    ("apiextensions.k8s.io", "customresourcedefinitions", "", "get"),
    *[("coordination.k8s.io", "leases", "", verb) for verb in ("get", "create", "update")],
]
LEASES = ("coordination.k8s.io", "leases", "")
"""In the namespace of the operator only (flux-compat G9)."""


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane) -> Cluster:
    """The API server as the operator's ServiceAccount sees it."""
    return control_plane.service_account_cluster("flux-system", "source-controller")


def allows(cluster: Cluster, group: str, resource: str, subresource: str, verb: str, namespace: str = "any") -> bool:
    attributes = {"group": group, "resource": resource, "subresource": subresource, "verb": verb}
    attributes["namespace"] = namespace
    review = cluster.request(
        "POST",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        },
    )
    return bool(review.body["status"]["allowed"])


def test_the_operators_account_may_do_its_work_and_nothing_else(operator: Cluster) -> None:
    assert [each for each in ALLOWED if not allows(operator, *each)] == []
    assert [each for each in DENIED if allows(operator, *each)] == []
    verbs = ("get", "list", "watch", "create", "update", "patch", "delete")
    allowed = {verb for verb in verbs if allows(operator, *LEASES, verb, "flux-system")}
    assert allowed == {"get", "watch", "create", "update"}


def test_the_operators_account_can_look_whether_the_kind_is_served(operator: Cluster) -> None:
    """Discovery is what the operator asks at start to say clearly that the CRD is missing."""
    resources = operator.get("/apis/source.toolkit.fluxcd.io/v1")["resources"]
    assert "ocirepositories" in {each["name"] for each in resources}
