"""An unmodified helm-controller installs charts from our OCIRepository (flux-compat I7, D7, F1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from devkit.cluster import ApiError
from devkit.ocicontent import MANIFEST
from real.images import Repository
from real.objects import condition, has_failed, holds, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import await_true

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane
    from devkit.helm import Helm
    from devkit.services import Cosign, RegistryServer

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("operator", "helm_controller")]

CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
CONFIG = "application/vnd.cncf.helm.config.v1+json"
COPY = {"mediaType": CHART, "operation": "copy"}
ROLLOUT = 30
"""Seconds. It takes two or three."""
TEMPLATE = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {chart: {{ .Chart.Version | quote }}, word: {{ .Values.word }}}
"""


class Shelf:
    """The chart `app` of the test's own repository, as the real helm makes and pushes it."""

    def __init__(self, helm: Helm, registry: RegistryServer, namespace: str) -> None:
        self._helm = helm
        self._parent = f"{registry.address}/charts/{namespace}"
        self.repository = Repository(registry.address, f"charts/{namespace}/app")

    def push(self, version: str, word: str) -> str:
        """The digest of the manifest."""
        files = {"values.yaml": f"word: {word}\n", "templates/app.yaml": TEMPLATE}
        return self._helm.push(self._helm.package("app", version, files), self._parent)


@pytest.fixture
def shelf(helm: Helm, registry: RegistryServer, namespace: str) -> Shelf:
    return Shelf(helm, registry, namespace)


def release(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "helm.toolkit.fluxcd.io/v2",
        "kind": "HelmRelease",
        "metadata": {"name": "app", "namespace": namespace},
        "spec": {"interval": "10m", "chartRef": {"kind": "OCIRepository", "name": "app"}},
    }


def installed(control_plane: ControlPlane, namespace: str) -> dict[str, str]:
    """What the ConfigMap of the chart says, {} before there is one."""
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": namespace}}
    try:
        data: dict[str, str] = control_plane.cluster.read(config_map)["data"]
    except ApiError as error:
        if error.status != 404:
            raise
        return {}
    return data


def await_installed(control_plane: ControlPlane, namespace: str, version: str, digest: str, word: str) -> Any:
    """The HelmRelease once the chart's objects stand. helm-controller puts twelve digits of the digest, that it reads
    from our revision, where the chart's version has its build metadata."""
    mutated = f"{version}+{digest.removeprefix('sha256:')[:12]}"
    await_true(
        lambda: installed(control_plane, namespace) == {"chart": mutated, "word": word}, ROLLOUT, f"chart {version}"
    )

    def recorded(obj: Any) -> bool:
        history = obj["status"].get("history") or [{}]
        return is_ready(obj) and history[0].get("chartVersion") == mutated

    done = control_plane.cluster.wait(release(namespace), recorded, ROLLOUT)
    assert done["status"]["lastAttemptedRevision"] == mutated
    return done


@pytest.mark.parametrize("operation", ["copy", "extract"])
def test_signed_charts_are_installed_and_unsigned_ones_are_not(
    control_plane: ControlPlane, cosign: Cosign, shelf: Shelf, namespace: str, operation: str
) -> None:
    """Newer versions are followed; one has build metadata, which its tag spells with `_`."""
    cluster, key = control_plane.cluster, cosign.key_pair(f"helm-{operation}")
    first = shelf.push("1.0.0", "one")
    manifest = shelf.repository.manifest("1.0.0")
    assert manifest["config"]["mediaType"] == CONFIG
    assert [each["mediaType"] for each in manifest["layers"]] == [CHART]
    cosign.sign(f"{shelf.repository}@{first}", key, bundle=True)
    cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    app = oci_repository(
        namespace,
        "app",
        shelf.repository.url,
        interval="1s",
        ref={"semver": "1.x"},
        layerSelector={"mediaType": CHART, "operation": operation},
        verify=verified_by("keys"),
    )
    cluster.create(app)
    cluster.create(release(namespace))
    done = await_installed(control_plane, namespace, "1.0.0", first, "one")
    assert done["status"]["lastAttemptedRevisionDigest"] == first

    second = shelf.push("1.1.0+build.5", "two")
    refused = cluster.wait(app, lambda obj: second in condition(obj, "SourceVerified").get("message", ""))
    assert outcomes(refused)["Ready"] == ("False", "VerificationError")
    # Asked to install what there is now, it finds the version that was there before.
    cluster.patch(release(namespace), {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}})
    seen = cluster.wait(
        release(namespace), lambda obj: obj["status"].get("lastHandledReconcileAt") == "now" and is_ready(obj), ROLLOUT
    )
    assert seen["status"]["lastAttemptedRevisionDigest"] == first
    assert installed(control_plane, namespace)["word"] == "one"

    cosign.sign(f"{shelf.repository}@{second}", key, bundle=False)
    cluster.wait(app, lambda obj: holds(obj, f"1.1.0_build.5@{second}"))
    done = await_installed(control_plane, namespace, "1.1.0", second, "two")
    assert done["status"]["lastAttemptedRevisionDigest"] == second
    assert [each["status"] for each in done["status"]["history"]] == ["deployed", "superseded"]


def test_a_chart_is_installed_by_its_digest(control_plane: ControlPlane, shelf: Shelf, namespace: str) -> None:
    """The revision then is the digest alone."""
    digest = shelf.push("1.0.0", "one")
    app = oci_repository(namespace, "app", shelf.repository.url, ref={"digest": digest}, layerSelector=COPY)
    control_plane.cluster.create(app)
    control_plane.cluster.create(release(namespace))

    done = await_installed(control_plane, namespace, "1.0.0", digest, "one")
    assert done["status"]["lastAttemptedRevisionDigest"] == digest


def test_a_tag_that_is_no_version_is_followed_as_it_moves(
    control_plane: ControlPlane, shelf: Shelf, namespace: str
) -> None:
    app = oci_repository(
        namespace, "app", shelf.repository.url, interval="1s", ref={"tag": "stable"}, layerSelector=COPY
    )
    for version, word in (("1.0.0", "one"), ("2.0.0", "two"), ("1.0.1", "three")):
        digest = shelf.push(version, word)
        content = shelf.repository.get(f"manifests/{version}").body
        shelf.repository.put_manifest("stable", MANIFEST, content)
        if version == "1.0.0":
            control_plane.cluster.create(app)
            control_plane.cluster.create(release(namespace))
        await_installed(control_plane, namespace, version, digest, word)


def test_a_kept_artifact_goes_on_being_installed_while_the_source_fails(
    control_plane: ControlPlane, shelf: Shelf, namespace: str
) -> None:
    """Ready=False is no hindrance where the generation is observed and nothing is stalled. Here the tag moves to
    something that is no chart."""
    digest = shelf.push("1.0.0", "one")
    shelf.repository.put_manifest("stable", MANIFEST, shelf.repository.get("manifests/1.0.0").body)
    app = oci_repository(
        namespace, "app", shelf.repository.url, interval="1s", ref={"tag": "stable"}, layerSelector=COPY
    )
    control_plane.cluster.create(app)
    control_plane.cluster.wait(app, is_ready)
    shelf.repository.publish("stable", {"app.yaml": b"kind: ConfigMap\n"})
    failed = control_plane.cluster.wait(app, has_failed)
    assert outcomes(failed)["Ready"] == ("False", "OCIArtifactLayerOperationFailed")

    control_plane.cluster.create(release(namespace))
    await_installed(control_plane, namespace, "1.0.0", digest, "one")
    assert has_failed(control_plane.cluster.read(app))


def test_a_source_that_stalls_is_not_taken_until_it_is_mended(
    control_plane: ControlPlane, shelf: Shelf, namespace: str
) -> None:
    """It tells why in our words. The pass that mends it wakes helm-controller, although the revision is the same."""
    digest = shelf.push("1.0.0", "one")
    app = oci_repository(namespace, "app", shelf.repository.url, ref={"tag": "1.0.0"}, layerSelector=COPY)
    control_plane.cluster.create(app)
    control_plane.cluster.wait(app, is_ready)
    control_plane.cluster.patch(app, {"spec": {"url": f"{shelf.repository.url}:1.0.0"}})
    stalled = control_plane.cluster.wait(app, has_failed)

    control_plane.cluster.create(release(namespace))
    waiting = control_plane.cluster.wait(release(namespace), lambda obj: "is not ready" in str(obj.get("status")))
    assert condition(waiting, "Ready")["reason"] == "SourceNotReady"
    assert condition(waiting, "Ready")["message"].endswith(
        f"'{namespace}/app' is not ready: {condition(stalled, 'Stalled')['message']}"
    )
    assert installed(control_plane, namespace) == {}

    control_plane.cluster.patch(app, {"spec": {"url": shelf.repository.url}})
    await_installed(control_plane, namespace, "1.0.0", digest, "one")
