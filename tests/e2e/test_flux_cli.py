"""Every command of `flux` on an OCIRepository comes to its end and prints what it should (flux-compat I2 to I5): the
CLI itself, and step by step what it does."""

from __future__ import annotations

import json
import urllib.error
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devkit import manifests
from devkit.cluster import ApiError
from devkit.fluxcli import FluxError
from devkit.kubelet import LogNode
from real.flux import Flux, PlainFlux, RealFlux, kstatus
from real.images import Repository
from real.objects import condition, has_failed, holds, is_ready, oci_repository, secret
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane
    from devkit.fluxcli import FluxCommand
    from devkit.helm import Helm
    from devkit.services import Cosign, RegistryServer

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
ORIGIN = {
    "org.opencontainers.image.source": "https://git.example.com/app",
    "org.opencontainers.image.revision": "main@sha1:8f3b9c",
}


@pytest.fixture
def repository(registry: RegistryServer, namespace: str) -> Repository:
    return Repository(registry.address, f"flux/{namespace}")


@pytest.fixture(params=["real", "plain"])
def flux(control_plane: ControlPlane, operator: Operator, namespace: str, request: pytest.FixtureRequest) -> Flux:
    if request.param == "plain":
        return PlainFlux(control_plane.cluster, namespace)
    return RealFlux(request.getfixturevalue("flux_command"), control_plane.cluster, namespace)


def test_create_waits_for_the_artifact_and_a_second_create_for_the_new_one(flux: Flux, repository: Repository) -> None:
    """I4."""
    first = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    second = repository.publish("2.0.0", {"app.yaml": b"version: 2\n"})

    created = flux.create("app", repository.url, tag="1.0.0")
    updated = flux.create("app", repository.url, semver="2.x")

    done = "OCIRepository reconciliation completed"
    assert created == ["OCIRepository created", done, f"fetched revision: {first.revision}"]
    assert updated == ["OCIRepository updated", done, f"fetched revision: {second.revision}"]


def test_reconcile_fetches_what_was_pushed_meanwhile(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I3: the interval is far away, so it is the annotation that does it; each time anew."""
    app = oci_repository(namespace, "app", repository.url, interval="1h", ref={"tag": "latest"})
    repository.publish("latest", {"app.yaml": b"version: 0\n"})
    control_plane.cluster.create(app)
    control_plane.cluster.wait(app, is_ready)
    for version in (b"1", b"2"):
        pushed = repository.publish("latest", {"app.yaml": b"version: %s\n" % version})
        assert flux.reconcile("app") == ["OCIRepository annotated", f"fetched revision {pushed.revision}"]
    assert kstatus(control_plane.cluster.read(app))[0] == "Current"


def test_reconcile_ends_at_once_with_the_reason_of_what_stalls(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I3, B23: Failed by kstatus, not a wait until the timeout."""
    repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    flux.create("app", repository.url, tag="1.0.0")
    app = oci_repository(namespace, "app", repository.url)
    control_plane.cluster.patch(app, {"spec": {"url": f"{repository.url}:1.0.0"}})
    stalled = control_plane.cluster.wait(app, has_failed)

    with pytest.raises(FluxError) as failed:
        flux.reconcile("app")
    assert str(failed.value) == condition(stalled, "Stalled")["message"]
    assert kstatus(stalled)[0] == "Failed"
    assert stalled["status"]["artifact"]["revision"].startswith("1.0.0@")


def test_a_failure_that_is_retried_keeps_reconcile_waiting_until_it_is_mended(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I3, B23: InProgress by kstatus."""
    app = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    control_plane.cluster.create(app)
    failed = control_plane.cluster.wait(app, has_failed)
    assert kstatus(failed)[0] == "InProgress"
    with pytest.raises(FluxError, match="context deadline exceeded"):
        flux.reconcile("app", timeout=1)

    pushed = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    assert flux.reconcile("app")[-1] == f"fetched revision {pushed.revision}"


def test_get_shows_each_object_in_a_row(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I2, before the first pass too, which a suspended object never has."""
    pushed = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    flux.create("app", repository.url, tag="1.0.0")
    missing = oci_repository(namespace, "missing", repository.url, ref={"digest": f"sha256:{'0' * 64}"})
    idle = oci_repository(namespace, "idle", repository.url, suspend=True)
    for each in (missing, idle):
        control_plane.cluster.create(each)
    control_plane.cluster.wait(missing, has_failed)

    app, resting, failed = flux.get()
    short = pushed.digest[: len("sha256:") + 8]
    assert app == [
        "app",
        f"1.0.0@{short}",
        "False",
        "True",
        f"stored artifact for digest '1.0.0@{short}'",
    ]
    assert resting == ["idle", "", "True", "False", "waiting to be reconciled"]
    assert failed[:4] == ["missing", "", "False", "False"]
    assert "sha256:00000000" in failed[4]
    assert "0" * 9 not in failed[4]


def test_suspend_holds_and_resume_catches_up(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I4."""
    first = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    flux.create("app", repository.url, semver="*")
    flux.suspend("app")
    second = repository.publish("1.1.0", {"app.yaml": b"version: 2\n"})

    with pytest.raises(FluxError, match="resource is suspended"):
        flux.reconcile("app")
    assert flux.get()[0][1:3] == [f"1.0.0@{first.digest[:15]}", "True"]
    completed = "OCIRepository app reconciliation completed"
    assert flux.resume("app") == ["source oci resumed", completed, f"fetched revision {second.revision}"]
    held = control_plane.cluster.read(oci_repository(namespace, "app", repository.url))
    assert "suspend" not in held["spec"]


def test_what_export_prints_makes_the_same_object_again(
    control_plane: ControlPlane, operator: Operator, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I4: nothing of the operator's stands in metadata and spec, and after `flux delete` nothing is left of it."""
    pushed = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    app = oci_repository(namespace, "app", repository.url, interval="10m0s", ref={"tag": "1.0.0"}, ignore="*.md\n")
    app["metadata"] |= {"labels": {"team": "a"}, "annotations": {"example.com/owner": "b"}}
    control_plane.cluster.create(app)
    url = control_plane.cluster.wait(app, is_ready)["status"]["artifact"]["url"]

    exported = flux.export("app")
    assert exported["metadata"] == app["metadata"]
    assert exported["spec"] == {**app["spec"], "provider": "generic"}

    flux.delete("app")
    await_true(lambda: is_gone(control_plane, app), 10, "the end of the object")
    with pytest.raises(FluxError, match=f'no OCIRepository objects found in "{namespace}" namespace'):
        flux.get()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(url)
    control_plane.cluster.create(exported)
    control_plane.cluster.wait(app, lambda obj: holds(obj, pushed.revision))


def is_gone(control_plane: ControlPlane, obj: dict[str, object]) -> bool:
    try:
        control_plane.cluster.read(obj)
    except ApiError as error:
        return error.status == 404
    return False


def test_trace_tells_where_the_source_comes_from(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I5, while it is well and when it has failed."""
    pushed = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"}, ORIGIN)
    flux.create("app", repository.url, semver="1.x")
    app = oci_repository(namespace, "app", repository.url)

    head = [
        "OCIRepository:   app",
        f"Namespace:       {namespace}",
        f"URL:             {repository.url}",
    ]
    fetched = [
        f"Revision:        {pushed.revision}",
        "Origin Revision: main@sha1:8f3b9c",
        "Origin Source:   https://git.example.com/app",
    ]
    *lines, status, message = flux.trace("app")
    assert lines == [*head, "Tag:             1.x", *fetched]
    assert status.startswith("Status:          Last reconciled at 20")
    assert message == f"Message:         stored artifact for digest '{pushed.revision}'"

    control_plane.cluster.patch(app, {"spec": {"ref": {"semver": "9.x"}}})
    control_plane.cluster.wait(app, has_failed)
    *lines, status, message = flux.trace("app")
    assert lines == [*head, "Tag:             9.x", *fetched]
    assert status.startswith("Status:          Last reconciliation failed at 20")
    assert "9.x" in message


def test_stats_counts_and_adds_up(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I5: Running, Failing, Suspended and Storage, which is what the artifacts take."""
    repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    size = 0
    for name in ("one", "two"):
        flux.create(name, repository.url, tag="1.0.0")
        obj = control_plane.cluster.read(oci_repository(namespace, name, repository.url))
        size += len(fetch(obj["status"]["artifact"]["url"]))
    flux.suspend("two")
    missing = oci_repository(namespace, "missing", repository.url, ref={"tag": "none"})
    control_plane.cluster.create(missing)
    control_plane.cluster.wait(missing, has_failed)

    assert size < 1024
    assert flux.stats() == ["2", "1", "1", f"{size} B"]


def test_events_are_found_by_kind_and_name_in_order(
    control_plane: ControlPlane, flux: Flux, repository: Repository, namespace: str
) -> None:
    """I5."""
    repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    flux.create("app", repository.url, tag="1.0.0")
    flux.create("other", repository.url, tag="1.0.0")
    app = oci_repository(namespace, "app", repository.url)
    control_plane.cluster.patch(app, {"spec": {"ref": {"tag": "none"}}})
    control_plane.cluster.wait(app, has_failed)
    await_true(lambda: len(flux.events("app")) >= 2, 10, "the events")

    told = flux.events("app")
    assert [each[:3] for each in told[:2]] == [
        ["Normal", "NewArtifact", "OCIRepository/app"],
        ["Warning", "OCIArtifactPullFailed", "OCIRepository/app"],
    ]
    assert told[0][3].startswith("stored artifact with revision '1.0.0@sha256:")
    await_true(lambda: "OCIRepository/other" in {each[2] for each in flux.events()}, 10, "the event about the other")


def test_what_create_can_say_is_taken(
    control_plane: ControlPlane,
    operator: Operator,
    flux_command: FluxCommand,
    cosign: Cosign,
    helm: Helm,
    registry: RegistryServer,
    namespace: str,
) -> None:
    """I4: a signed chart by its layer, with a login and a timeout."""
    key = cosign.key_pair("flux")
    control_plane.cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    login = {"auths": {registry.address: {"username": "nobody", "password": "asks"}}}
    pull = secret(
        namespace, "login", {".dockerconfigjson": json.dumps(login).encode()}, "kubernetes.io/dockerconfigjson"
    )
    control_plane.cluster.create(pull)
    digest = helm.push(helm.package("app", "1.0.0", {"values.yaml": "word: one\n"}), f"{registry.address}/{namespace}")
    cosign.sign(f"{registry.address}/{namespace}/app@{digest}", key, bundle=True)

    created = flux_command.run(
        namespace,
        *("create", "source", "oci", "app", f"--url=oci://{registry.address}/{namespace}/app", "--tag-semver=1.x"),
        *("--layer-selector=application/vnd.cncf.helm.chart.content.v1.tar+gzip:copy", "--label=team=a"),
        *("--verify-provider=cosign", "--verify-secret-ref=keys", "--secret-ref=login", "--insecure"),
        *("--interval=5m", "--fetch-timeout=20s", "--ignore-paths=*.md,docs/"),
    )

    assert created.done()[-1] == f"fetched revision: 1.0.0@{digest}"
    app = control_plane.cluster.read(oci_repository(namespace, "app", ""))
    assert condition(app, "SourceVerified")["status"] == "True"
    assert app["metadata"]["labels"] == {"team": "a"}
    assert app["status"]["observedIgnore"] == "*.md\ndocs/"


def test_get_selects_by_the_status_of_a_condition(
    control_plane: ControlPlane, operator: Operator, flux_command: FluxCommand, repository: Repository, namespace: str
) -> None:
    """I2."""
    repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    app = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    missing = oci_repository(namespace, "missing", repository.url, ref={"tag": "none"})
    for each in (app, missing):
        control_plane.cluster.create(each)
    control_plane.cluster.wait(app, is_ready)
    control_plane.cluster.wait(missing, has_failed)

    def names(*selected: str) -> list[str]:
        return [row[0] for row in flux_command.run(namespace, "get", "sources", "oci", *selected).table()]

    assert names() == ["app", "missing"]
    assert names("--status-selector=ready=false") == ["missing"]
    assert names("--status-selector=ready=true") == ["app"]
    assert names("--status-selector=FetchFailed=true") == ["missing"]


def test_check_finds_the_deployment_and_the_kind(flux_command: FluxCommand, namespace: str) -> None:
    """I5: as config/ installs them. It waits for a Pod, which nobody here ever runs; in a Namespace with no Deployment
    it comes to the kind at once."""
    (deployment,) = manifests.load(ROOT / "config" / "manager" / "deployment.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]

    def checked(where: str, timeout: float) -> list[str]:
        with pytest.raises(FluxError) as failed:
            flux_command.run(where, "check", "--poll-interval=100ms", timeout=timeout)
        return failed.value.said.splitlines()

    assert f"► {container['image']}" in checked("flux-system", 2)
    assert "✔ ocirepositories.source.toolkit.fluxcd.io/v1" in checked(namespace, 30)


def test_logs_shows_and_filters_what_the_operator_says(
    control_plane: ControlPlane,
    operator: Operator,
    flux_command: FluxCommand,
    repository: Repository,
    namespace: str,
    tmp_path: Path,
) -> None:
    """I5, G11: it finds the Pod by the labels of config/, whose container it knows by its name."""
    pushed = repository.publish("1.0.0", {"app.yaml": b"version: 1\n"})
    missing = oci_repository(namespace, "missing", repository.url, ref={"tag": "none"})
    app = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    for each in (app, missing):
        control_plane.cluster.create(each)
    control_plane.cluster.wait(app, is_ready)
    control_plane.cluster.wait(missing, has_failed)
    log = tmp_path / "log"
    await_true(
        lambda: (namespace, "missing") in {(each.get("namespace"), each.get("name")) for each in operator.lines()},
        *(5, "the failure in the log"),
    )
    log.write_text(operator.log())
    (deployment,) = manifests.load(ROOT / "config" / "manager" / "deployment.yaml")

    def told(*selected: str) -> list[str]:
        """Its lines without their times."""
        return [line.partition(" ")[2] for line in flux_command.run(namespace, "logs", *selected).result.splitlines()]

    with LogNode(control_plane.cluster, log) as node:
        node.place(deployment)
        everything = told("--all-namespaces")
        mine = told("--kind=OCIRepository", "--name=app")
        failures = told("--level=error")

    stored = f"info OCIRepository/app.{namespace} - stored artifact with revision '{pushed.revision}' from "
    assert mine == [f"{stored}'{repository.url}' "]
    assert len(everything) == len(log.read_text().splitlines()), "every line is one that it understands"
    failed = f"error OCIRepository/missing.{namespace} - Reconciler error failed to determine artifact digest: "
    assert failures
    assert all(line.startswith(failed) for line in failures), "as the original's are shown"
