"""The OCIRepository API as the API server keeps it (flux-compat A1 to A6, J1)."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import yaml

from devkit.cluster import ApiError
from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

GROUP = "source.toolkit.fluxcd.io"
DIGEST = "sha256:" + "a" * 64


def repository(namespace: str, version: str = "v1", **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{version}",
        "kind": "OCIRepository",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"interval": "5m", "url": "oci://registry.example.com/app", **spec},
    }


def as_version(manifest: dict[str, Any], version: str) -> dict[str, Any]:
    return {**manifest, "apiVersion": f"{GROUP}/{version}"}


def test_discovery_offers_both_versions_and_prefers_v1(control_plane: ControlPlane) -> None:
    group = control_plane.cluster.get(f"/apis/{GROUP}")
    assert group["preferredVersion"]["version"] == "v1"
    assert {each["version"] for each in group["versions"]} == {"v1", "v1beta2"}


def test_the_short_name_and_categories_are_those_that_people_type(control_plane: ControlPlane) -> None:
    resources = control_plane.cluster.get(f"/apis/{GROUP}/v1")["resources"]
    (ours,) = [each for each in resources if each["name"] == "ocirepositories"]
    assert ours["shortNames"] == ["ocirepo"]
    assert ours["categories"] == ["all", "fluxcd", "fluxcd-sources"]
    assert ours["singularName"] == "ocirepository"
    assert ours["namespaced"] is True
    assert "ocirepositories/status" in {each["name"] for each in resources}


@pytest.mark.parametrize("version", ["v1", "v1beta2"])
def test_a_new_object_gets_the_defaults(control_plane: ControlPlane, namespace: str, version: str) -> None:
    made = control_plane.cluster.create(repository(namespace, version, verify={}))
    assert made["spec"]["timeout"] == "60s"
    assert made["spec"]["provider"] == "generic"
    assert made["spec"]["verify"] == {"provider": "cosign"}
    assert made["status"] == {"observedGeneration": -1}


def test_an_object_without_a_spec_is_admitted(control_plane: ControlPlane, namespace: str) -> None:
    """A4: `spec` itself is not required."""
    manifest = repository(namespace)
    del manifest["spec"]
    assert control_plane.cluster.create(manifest)["metadata"]["generation"] == 1


FLUX_2_1 = """
apiVersion: source.toolkit.fluxcd.io/v1beta2
kind: OCIRepository
metadata:
  name: app
spec:
  interval: 5m
  url: oci://ghcr.io/stefanprodan/manifests/podinfo
  ref:
    semver: "*"
  verify:
    provider: cosign
    secretRef:
      name: cosign-pub
"""


def test_yaml_of_the_flux_2_1_time_applies_and_reads_back_as_v1(control_plane: ControlPlane, namespace: str) -> None:
    manifest = yaml.safe_load(FLUX_2_1)
    manifest["metadata"]["namespace"] = namespace
    reply = control_plane.cluster.apply(manifest)
    assert any("v1beta2 OCIRepository is deprecated, upgrade to v1" in warning for warning in reply.warnings)
    stored = control_plane.cluster.read(as_version(manifest, "v1"))
    assert stored["apiVersion"] == f"{GROUP}/v1"
    assert stored["spec"] == {**manifest["spec"], "timeout": "60s", "provider": "generic"}


def test_a_write_through_v1beta2_keeps_what_only_v1_had(control_plane: ControlPlane, namespace: str) -> None:
    """A client of the old version must not take the private trusted root away: the public one would take its place."""
    manifest = repository(namespace, verify={"provider": "cosign", "trustedRootSecretRef": {"name": "root"}})
    control_plane.cluster.create(manifest)
    old = control_plane.cluster.read(as_version(manifest, "v1beta2"))
    path = control_plane.cluster.path(old)
    control_plane.cluster.request("PUT", path, {**old, "spec": {**old["spec"], "interval": "6m"}})
    now = control_plane.cluster.read(manifest)["spec"]
    assert now["interval"] == "6m"
    assert now["verify"]["trustedRootSecretRef"] == {"name": "root"}


ADMITTED: list[dict[str, Any]] = [
    {"interval": "0s"},
    {"interval": "1h30m"},
    {"interval": "1.5h"},
    {"timeout": "500ms"},
    {"url": "oci://"},
    {"ref": {"digest": "anything", "semver": ">=1", "semverFilter": "(", "tag": ""}},
    {"layerSelector": {"mediaType": "a/b", "operation": "copy"}},
    {"provider": "gcp"},
    {"secretRef": {"name": "a"}, "certSecretRef": {"name": "b"}, "proxySecretRef": {"name": "c"}},
    {"serviceAccountName": "a", "ignore": "*.md", "insecure": True, "suspend": True},
    {"verify": {"provider": "notation", "matchOIDCIdentity": [{"issuer": "a", "subject": "b"}]}},
]

REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("spec.url", {"url": "https://registry.example.com/app"}),
    ("spec.url", {"url": None}),
    ("spec.interval", {"interval": None}),
    ("spec.interval", {"interval": "5"}),
    ("spec.interval", {"interval": "1d"}),
    ("spec.timeout", {"timeout": "1h"}),
    ("spec.layerSelector.operation", {"layerSelector": {"operation": "move"}}),
    ("spec.provider", {"provider": "ibm"}),
    ("spec.secretRef.name", {"secretRef": {}}),
    ("spec.certSecretRef.name", {"certSecretRef": {}}),
    ("spec.proxySecretRef.name", {"proxySecretRef": {}}),
    ("spec.verify.provider", {"verify": {"provider": "pgp"}}),
    ("spec.verify.secretRef.name", {"verify": {"secretRef": {}}}),
    ("spec.verify.trustedRootSecretRef.name", {"verify": {"trustedRootSecretRef": {}}}),
    ("spec.verify.matchOIDCIdentity[0].subject", {"verify": {"matchOIDCIdentity": [{"issuer": "a"}]}}),
    ("spec.insecure", {"insecure": "true"}),
]


@pytest.mark.parametrize("version", ["v1", "v1beta2"])
def test_everything_that_a5_allows_is_admitted(control_plane: ControlPlane, namespace: str, version: str) -> None:
    for spec in ADMITTED:
        control_plane.cluster.apply(repository(namespace, version, **spec), dry_run=True)


@pytest.mark.parametrize("version", ["v1", "v1beta2"])
def test_everything_that_a5_forbids_is_refused_with_the_fields_name(
    control_plane: ControlPlane, namespace: str, version: str
) -> None:
    for field, spec in REFUSED:
        with pytest.raises(ApiError) as refusal:
            control_plane.cluster.create(without_none(repository(namespace, version, **spec)))
        assert refusal.value.status == 422, spec
        assert field in str(refusal.value)


def without_none(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "spec": {key: value for key, value in manifest["spec"].items() if value is not None}}


STATUS: dict[str, Any] = {
    "observedGeneration": 1,
    "url": "http://host/latest.tar.gz",
    "lastHandledReconcileAt": "now",
    "observedIgnore": "",
    "observedLayerSelector": {"mediaType": "a/b", "operation": "extract"},
    "conditions": [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": f"stored artifact for digest '1.0.0@{DIGEST}'",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
            "observedGeneration": 1,
        }
    ],
    "artifact": {
        "digest": DIGEST,
        "lastUpdateTime": "2026-01-02T03:04:05Z",
        "metadata": {"org.opencontainers.image.revision": "main@sha1:abc"},
        "path": "ocirepository/a/b/c.tar.gz",
        "revision": f"1.0.0@{DIGEST}",
        "size": 2**40,
        "url": "http://host/c.tar.gz",
    },
}


def test_a_whole_status_is_kept_and_shown_in_the_columns(control_plane: ControlPlane, namespace: str) -> None:
    cluster = control_plane.cluster
    manifest = repository(namespace)
    cluster.create(manifest)
    assert cluster.patch(manifest, {"status": STATUS}, "status")["status"] == STATUS
    table = cluster.request("GET", cluster.path(manifest), accept="application/json;as=Table;v=v1;g=meta.k8s.io").body
    assert [each["name"] for each in table["columnDefinitions"]] == ["Name", "URL", "Ready", "Status", "Age"]
    (row,) = table["rows"]
    assert row["cells"][:4] == ["app", manifest["spec"]["url"], "True", STATUS["conditions"][0]["message"]]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("artifact", "digest"), "no digest"),
        (("artifact", "revision"), None),
        (("conditions", 0, "reason"), "not a word"),
        (("conditions", 0, "status"), "Maybe"),
        (("conditions", 0, "message"), "m" * 32769),
        (("conditions", 0, "lastTransitionTime"), "yesterday"),
    ],
)
def test_a_status_that_a6_forbids_is_refused(
    control_plane: ControlPlane, namespace: str, path: tuple[str | int, ...], value: object
) -> None:
    manifest = repository(namespace)
    control_plane.cluster.create(manifest)
    status: Any = deepcopy(STATUS)
    *parents, last = path
    place = status
    for each in parents:
        place = place[each]
    place[last] = value
    with pytest.raises(ApiError) as refusal:
        control_plane.cluster.patch(manifest, {"status": status}, "status")
    assert refusal.value.status == 422


def test_a_status_written_through_the_object_is_ignored(control_plane: ControlPlane, namespace: str) -> None:
    """A3: status is a subresource, so whoever may only write objects cannot forge an artifact."""
    made = control_plane.cluster.create({**repository(namespace), "status": STATUS})
    assert made["status"] == {"observedGeneration": -1}
