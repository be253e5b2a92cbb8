"""Charts that helm made and pushed become artifacts that helm can load (flux-compat D7, F1, F8, I7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from real.images import Repository, files_in
from real.objects import condition, has_failed, is_ready, oci_repository
from real.operation import Operator, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.helm import Helm
    from devkit.services import RegistryServer

pytestmark = pytest.mark.e2e

CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
TEMPLATE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {word: {{ .Values.word }}}\n"
FILES = {
    "values.yaml": "word: hello\n",
    "templates/app.yaml": TEMPLATE,
    "charts/below/Chart.yaml": "apiVersion: v2\nname: below\nversion: 0.1.0\n",
    "charts/below/templates/below.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: below}\n",
}


@pytest.mark.parametrize("kind", ["registry", "distribution"])
@pytest.mark.parametrize("operation", ["copy", "extract"])
def test_a_chart_that_helm_pushed_is_served_as_one_that_helm_loads(
    control_plane: ControlPlane,
    operator: Operator,
    helm: Helm,
    namespace: str,
    tmp_path: Path,
    operation: str,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    """The newest has build metadata, which its tag spells with `_`; provenance lies beside the chart as a second
    layer."""
    address = request.getfixturevalue(kind).address
    repository = Repository(address, f"charts/{namespace}/app")
    helm.push(helm.package("app", "1.0.0", FILES), f"{address}/charts/{namespace}")
    packaged = helm.package("app", "1.1.0+build.5", FILES)
    packaged.with_name(f"{packaged.name}.prov").write_text("-----BEGIN PGP SIGNED MESSAGE-----\n")
    digest = helm.push(packaged, f"{address}/charts/{namespace}")
    assert len(repository.manifest("1.1.0_build.5")["layers"]) == 2

    selector = {"mediaType": CHART, "operation": operation}
    app = oci_repository(namespace, "app", repository.url, ref={"semver": "1.x"}, layerSelector=selector)
    control_plane.cluster.create(app)
    artifact = control_plane.cluster.wait(app, is_ready)["status"]["artifact"]

    assert artifact["revision"] == f"1.1.0_build.5@{digest}"
    assert artifact["metadata"]["org.opencontainers.image.version"] == "1.1.0+build.5"
    content = fetch(artifact["url"])
    assert (content == packaged.read_bytes()) == (operation == "copy")
    assert files_in(content) == files_in(packaged.read_bytes())
    # I7: what a consumer of the artifact makes of it.
    served = tmp_path / "served.tgz"
    served.write_bytes(content)
    assert helm.metadata(served)["version"] == "1.1.0+build.5"
    assert [each["metadata"] for each in helm.render(served)] == [{"name": "below"}, {"name": "app"}]


def test_a_chart_is_found_by_its_media_type_alone(
    control_plane: ControlPlane, operator: Operator, helm: Helm, registry: RegistryServer, namespace: str
) -> None:
    """C14: the layer of another type is not there, whatever else the artifact holds."""
    address = registry.address
    helm.push(helm.package("app", "1.0.0", FILES), f"{address}/charts/{namespace}")
    url = f"oci://{address}/charts/{namespace}/app"
    selector = {"mediaType": "application/vnd.cncf.flux.content.v1.tar+gzip"}
    app = oci_repository(namespace, "app", url, ref={"tag": "1.0.0"}, layerSelector=selector)
    control_plane.cluster.create(app)

    failed = control_plane.cluster.wait(app, has_failed)
    assert condition(failed, "FetchFailed")["reason"] == "OCIArtifactLayerOperationFailed"
    assert condition(failed, "Ready")["message"] == (
        f"failed to find layer with media type '{selector['mediaType']}' in artifact"
    )
