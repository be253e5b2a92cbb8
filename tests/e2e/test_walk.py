"""The walk of `make run`, asserted: a declared source becomes a verified tarball, and stays one when trust is missing.

The operator watches all namespaces, with the rights of config/ and no others.
"""

from __future__ import annotations

import time
import urllib.error
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devkit import manifests
from real.images import Image, Repository, files_in
from real.objects import (
    REQUESTED_AT,
    condition,
    events,
    has_failed,
    holds,
    is_ready,
    oci_repository,
    outcomes,
    secret,
    states,
)
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign, DistributionServer, KeyPair, RegistryServer

pytestmark = pytest.mark.e2e

SAMPLE = Path(__file__).resolve().parents[2] / "config" / "samples" / "ocirepository.yaml"
FINALIZER = "finalizers.fluxcd.io"


@pytest.fixture(scope="module")
def key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("walk")


def app(version: str) -> dict[str, bytes]:
    return {"app.yaml": f"kind: ConfigMap\ndata: {{version: {version}}}\n".encode(), "notes/README.md": b"# App\n"}


def request_a_pass(control_plane: ControlPlane, obj: dict[str, Any], when: str) -> None:
    control_plane.cluster.patch(obj, {"metadata": {"annotations": {REQUESTED_AT: when}}})


def handled(when: str) -> Any:
    return lambda obj: obj["status"].get("lastHandledReconcileAt") == when


@pytest.mark.parametrize("kind", ["registry", "distribution"])
def test_a_signed_version_is_served_and_an_unsigned_one_is_not(
    control_plane: ControlPlane,
    operator: Operator,
    cosign: Cosign,
    key: KeyPair,
    namespace: str,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    server: RegistryServer | DistributionServer = request.getfixturevalue(kind)
    cluster, repository = control_plane.cluster, Repository(server.address, "walk/app")
    first = repository.publish("1.0.0", app("1.0.0"))
    second = repository.publish("1.1.0", app("1.1.0"), {"org.opencontainers.image.revision": "main@sha1:abc"})
    cosign.sign(first.reference, key, bundle=False)
    cosign.sign(second.reference, key, bundle=True)
    cluster.create(secret(namespace, "cosign-public-keys", {"cosign.pub": key.public.read_bytes()}))

    # The YAML of the Flux 2.1 time, with the address of this registry.
    (source,) = manifests.load(SAMPLE)
    assert source["apiVersion"] == "source.toolkit.fluxcd.io/v1beta2"
    source["metadata"]["namespace"] = namespace
    source["spec"]["url"] = repository.url
    declared = time.monotonic()
    created = cluster.apply(source).body
    ready = cluster.wait(source, is_ready)

    assert time.monotonic() - declared < 5
    assert outcomes(ready) == {
        "Ready": ("True", "Succeeded"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "SourceVerified": ("True", "Succeeded"),
    }
    assert condition(ready, "SourceVerified")["message"].startswith(f"verified signature of revision {second.revision}")
    assert_served(operator, ready, second, app("1.1.0"))
    assert ready["status"]["artifact"]["metadata"] == {"org.opencontainers.image.revision": "main@sha1:abc"}

    # Nothing of ours on what Git owns, in at most three writes (flux-compat J9).
    assert without_status(ready) == without_status(created) | {"finalizers": [FINALIZER]}
    assert 1 <= len(states(control_plane, created, ready)) <= 3

    unsigned = repository.publish("1.2.0", app("1.2.0"))
    request_a_pass(control_plane, source, "unsigned")
    refused = cluster.wait(source, handled("unsigned"))
    assert outcomes(refused) == {
        "Ready": ("False", "VerificationError"),
        "SourceVerified": ("False", "VerificationError"),
        "ArtifactOutdated": ("True", "NewRevision"),
        "ArtifactInStorage": ("True", "Succeeded"),
        "Reconciling": ("True", "ProgressingWithRetry"),
    }
    assert "the registry holds no signature of it" in condition(refused, "SourceVerified")["message"]
    assert unsigned.digest in condition(refused, "SourceVerified")["message"]
    assert_served(operator, refused, second, app("1.1.0"))
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(refused["status"]["artifact"]["url"].replace(second.digest, unsigned.digest))

    # The same thing said again counts one Event up (flux-compat B21). Two retries are 0.75 s and 1.5 s away.
    await_true(lambda: told(control_plane, created, "VerificationError")["count"] >= 2, 10, "the retry's event")
    assert told(control_plane, created, "NewArtifact")["count"] == 1

    cosign.sign(unsigned.reference, key, bundle=False)
    request_a_pass(control_plane, source, "signed")
    mended = cluster.wait(source, lambda obj: holds(obj, unsigned.revision))
    assert_served(operator, mended, unsigned, app("1.2.0"))
    assert "ArtifactOutdated" not in outcomes(mended)
    assert "Reconciling" not in outcomes(mended)


def assert_served(operator: Operator, obj: dict[str, Any], image: Image, files: dict[str, bytes]) -> None:
    """What the status says about the artifact is true, and it is the image's."""
    artifact, status = obj["status"]["artifact"], obj["status"]
    place = f"ocirepository/{obj['metadata']['namespace']}/{obj['metadata']['name']}"
    assert artifact["revision"] == image.revision
    assert artifact["path"] == f"{place}/{image.digest}.tar.gz"
    assert artifact["url"] == f"http://{operator.address}/{artifact['path']}"
    assert status["url"] == f"http://{operator.address}/{place}/latest.tar.gz"
    content = fetch(artifact["url"])
    assert artifact["size"] == len(content)
    assert artifact["digest"] == f"sha256:{sha256(content).hexdigest()}"
    assert fetch(status["url"]) == content
    assert files_in(content) == files


def without_status(obj: dict[str, Any]) -> dict[str, Any]:
    """Metadata and spec in one, without what the API server itself moves with every write."""
    server_side = {"managedFields", "resourceVersion"}
    return {"spec": obj["spec"], **{key: value for key, value in obj["metadata"].items() if key not in server_side}}


def told(control_plane: ControlPlane, obj: dict[str, Any], reason: str) -> dict[str, Any]:
    """The one Event with that reason."""
    await_true(lambda: events(control_plane.cluster, obj).get(reason), 10, f"an event {reason}")
    (event,) = events(control_plane.cluster, obj)[reason]
    assert event["source"]["component"] == "source-controller"
    return event  # type: ignore[no-any-return]  # JSON


@pytest.fixture
def repository(registry: RegistryServer, namespace: str) -> Repository:
    """A repository of the test's own, with version 1.0.0 of the app."""
    repository = Repository(registry.address, f"walk/{namespace}")
    repository.publish("1.0.0", app("1.0.0"))
    return repository


@pytest.fixture
def ready(control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str) -> dict[str, Any]:
    """An object that follows the newest version, Ready."""
    source = oci_repository(namespace, "app", repository.url, ref={"semver": "*"})
    control_plane.cluster.create(source)
    return control_plane.cluster.wait(source, is_ready)


def test_a_suspended_object_is_left_alone_until_it_is_resumed(
    control_plane: ControlPlane, repository: Repository, ready: dict[str, Any]
) -> None:
    """B4"""
    cluster = control_plane.cluster
    newer = repository.publish("1.1.0", app("1.1.0"))
    suspended = cluster.patch(ready, {"spec": {"suspend": True}})
    request_a_pass(control_plane, ready, "while suspended")
    seen = cluster.wait(ready, handled("while suspended"))
    assert seen["status"]["artifact"] == ready["status"]["artifact"]
    assert seen["status"]["observedGeneration"] == suspended["metadata"]["generation"]
    fetch(seen["status"]["artifact"]["url"])

    cluster.patch(ready, {"spec": {"suspend": False}})
    cluster.wait(ready, lambda obj: holds(obj, newer.revision))


def test_a_request_is_handled_at_once_and_said_to_be(
    control_plane: ControlPlane, repository: Repository, ready: dict[str, Any]
) -> None:
    """B1, B14, I3: `flux reconcile` waits for the annotation's value in the status."""
    newer = repository.publish("1.1.0", app("1.1.0"))
    request_a_pass(control_plane, ready, "2024-01-01T00:00:00.000000001Z")
    seen = control_plane.cluster.wait(ready, handled("2024-01-01T00:00:00.000000001Z"), timeout=5)
    assert holds(seen, newer.revision)


def test_a_changed_spec_is_followed_at_once(
    control_plane: ControlPlane, operator: Operator, ready: dict[str, Any]
) -> None:
    """B1, B8, B13"""
    changed = control_plane.cluster.patch(ready, {"spec": {"ignore": "notes/\n"}})
    seen = control_plane.cluster.wait(
        ready, lambda obj: obj["status"]["observedGeneration"] == changed["metadata"]["generation"], timeout=5
    )
    assert seen["status"]["observedIgnore"] == "notes/\n"
    assert seen["status"]["artifact"]["path"] == ready["status"]["artifact"]["path"]
    assert set(files_in(fetch(seen["status"]["artifact"]["url"]))) == {"app.yaml"}


def test_the_interval_brings_a_new_version_without_anybody_asking(
    control_plane: ControlPlane, repository: Repository, ready: dict[str, Any]
) -> None:
    """B12"""
    control_plane.cluster.patch(ready, {"spec": {"interval": "500ms"}})
    newer = repository.publish("1.1.0", app("1.1.0"))
    control_plane.cluster.wait(ready, lambda obj: holds(obj, newer.revision), timeout=5)


def test_passes_without_news_write_nothing(
    control_plane: ControlPlane, operator: Operator, ready: dict[str, Any], namespace: str
) -> None:
    """B9, J9: no status and no event, however often it is looked."""
    cluster = control_plane.cluster
    changed = cluster.patch(ready, {"spec": {"interval": "50ms"}})
    generation = changed["metadata"]["generation"]
    seen = cluster.wait(ready, lambda obj: obj["status"]["observedGeneration"] == generation)
    told(control_plane, ready, "NewArtifact")
    told_before = events(cluster, ready)
    passes = operator.passes(namespace)["app"]
    await_true(lambda: operator.passes(namespace)["app"] >= passes + 5, 10, "five more passes")
    assert cluster.read(ready) == seen
    assert {reason: each[0]["count"] for reason, each in told_before.items()} == {"NewArtifact": 1}
    assert events(cluster, ready) == told_before
    cluster.delete(ready)


def test_a_deleted_object_goes_with_its_files(
    control_plane: ControlPlane, operator: Operator, ready: dict[str, Any]
) -> None:
    """B20"""
    cluster, metadata = control_plane.cluster, ready["metadata"]
    folder = operator.storage / "ocirepository" / metadata["namespace"] / metadata["name"]
    assert (folder / "latest.tar.gz").exists()
    cluster.delete(ready)
    collection = cluster.path(ready, collection=True)
    await_true(lambda: not cluster.get(collection)["items"], 5, "the deletion")
    assert not folder.exists()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(ready["status"]["artifact"]["url"])
    assert told(control_plane, ready, "GarbageCollectionSucceeded")["type"] == "Normal"


def test_a_suspended_object_without_its_registry_can_be_deleted(
    control_plane: ControlPlane, operator: Operator, ready: dict[str, Any]
) -> None:
    """B20"""
    cluster = control_plane.cluster
    cluster.patch(ready, {"spec": {"suspend": True, "url": "oci://127.0.0.1:1/nobody"}})
    cluster.delete(ready)
    collection = cluster.path(ready, collection=True)
    await_true(lambda: not cluster.get(collection)["items"], 5, "the deletion")


def test_a_url_that_names_nothing_stalls_and_a_mended_one_helps(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """C9, B18, B23: clients take Stalled=True for the end."""
    cluster = control_plane.cluster
    source = oci_repository(namespace, "typo", f"{repository.url}:1.0.0")
    cluster.create(source)
    stalled = cluster.wait(source, has_failed, timeout=5)
    assert outcomes(stalled) == {
        "Ready": ("False", "URLInvalid"),
        "FetchFailed": ("True", "URLInvalid"),
        "Stalled": ("True", "URLInvalid"),
    }
    cluster.patch(source, {"spec": {"url": repository.url, "ref": {"tag": "1.0.0"}}})
    mended = cluster.wait(source, is_ready, timeout=5)
    assert set(outcomes(mended)) == {"Ready", "ArtifactInStorage"}
