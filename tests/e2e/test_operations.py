"""What people who run the operator see of it: logs, notifications, metrics, health, what it is at; and what it looks
after."""

from __future__ import annotations

import http.server
import json
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocifaults import hang, when
from devkit.ocihttp import EmbeddedRegistry
from real.images import Repository
from real.objects import REQUESTED_AT, has_failed, holds, is_ready, oci_repository
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

Object = dict[str, Any]


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry() as server:
        yield server


@pytest.fixture
def repository(registry: EmbeddedRegistry) -> Repository:
    found = Repository(registry.address, "app")
    found.publish("1.0.0", {"app.yaml": b"kind: A\n"})
    return found


def declare(plane: ControlPlane, namespace: str, repository: Repository, name: str = "app", **spec: Any) -> Object:
    each = oci_repository(namespace, name, repository.url, **{"ref": {"tag": "1.0.0"}, **spec})
    declared: Object = plane.cluster.create(each)
    return declared


class Receiver:
    """What stands where the notification controller does: takes down every POST, and answers with the next of
    `answers`, or with 202."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.taken: list[tuple[dict[str, str], Object]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.taken.append((dict(self.headers), body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def about(self, obj: Object) -> list[Object]:
        return [body for _, body in self.taken if body["involvedObject"]["uid"] == obj["metadata"]["uid"]]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.server.serve_forever)
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


def test_the_notification_controller_is_told_in_its_own_words(
    control_plane: ControlPlane,
    namespace: str,
    repository: Repository,
    receiver: Receiver,
    new_operator: Callable[..., Operator],
) -> None:
    """B22: every field, and again when it was not taken."""
    began = datetime.now(UTC).replace(microsecond=0)
    receiver.answers = [500]
    operator = new_operator(f"--events-addr={receiver.url}")
    operator.start()
    each = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    each["metadata"]["annotations"] = {"event.toolkit.fluxcd.io/team": "payments", "other": "hidden"}
    obj = control_plane.cluster.create(each)
    seen = control_plane.cluster.wait(obj, is_ready)
    await_true(lambda: len(receiver.about(obj)) == 2, 10, "the notification being sent again")

    first, second = (dict(each) for each in receiver.about(obj))
    assert first == second
    assert receiver.taken[0][0]["Content-Type"] == "application/json"
    artifact = seen["status"]["artifact"]
    involved = dict(second.pop("involvedObject"))
    assert involved.pop("resourceVersion").isdigit()
    assert involved == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "OCIRepository",
        "name": "app",
        "namespace": namespace,
        "uid": obj["metadata"]["uid"],
    }
    told = datetime.strptime(second.pop("timestamp"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert began <= told <= datetime.now(UTC)
    assert second == {
        "severity": "info",
        "reason": "NewArtifact",
        "message": f"stored artifact with revision '{artifact['revision']}' from '{repository.url}'",
        "metadata": {
            "event.toolkit.fluxcd.io/team": "payments",
            "source.toolkit.fluxcd.io/digest": artifact["digest"],
            "source.toolkit.fluxcd.io/revision": artifact["revision"],
        },
        "reportingController": "source-controller",
        "reportingInstance": socket.gethostname(),
    }

    receiver.answers = [429] * 10
    control_plane.cluster.patch(obj, {"spec": {"ref": {"tag": "none"}}})
    failed = control_plane.cluster.wait(obj, has_failed)
    await_true(lambda: len(receiver.about(obj)) > 2, 10, "the failure being told")
    third = receiver.about(obj)[2]
    assert (third["severity"], third["reason"]) == ("error", "OCIArtifactPullFailed")
    assert third["message"] == next(c["message"] for c in failed["status"]["conditions"] if c["type"] == "FetchFailed")
    operator.stop()
    assert "was not taken" not in operator.log(), "429 means that the receiver has it already"


LEVELS = {"trace", "debug", "info", "error"}


def as_flux_logs_reads(line: str) -> dict[str, str]:
    """What `flux logs` takes from a line: it unmarshals into fields that are strings, and passes over other lines."""
    entry = json.loads(line)
    fields = ("ts", "level", "msg", "error", "logger", "controllerKind", "name", "namespace")
    found = {field: entry.get(field, "") for field in fields}
    assert all(isinstance(value, str) for value in found.values()), line
    return found


def test_flux_logs_can_read_and_filter_the_log(
    control_plane: ControlPlane, namespace: str, repository: Repository, new_operator: Callable[..., Operator]
) -> None:
    """G11: by --kind, --name, --namespace and --level, and --since reads the time."""
    operator = new_operator("--log-level=debug", "--helm-cache-ttl=1h")
    operator.start()
    obj = declare(control_plane, namespace, repository)
    control_plane.cluster.wait(obj, is_ready)
    control_plane.cluster.patch(obj, {"spec": {"ref": {"tag": "none"}}})
    control_plane.cluster.wait(obj, has_failed)
    operator.stop()

    entries = [as_flux_logs_reads(line) for line in operator.log().splitlines()]
    assert {each["level"] for each in entries} <= LEVELS
    for each in entries:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", each["ts"])
        assert abs((datetime.now(UTC) - datetime.fromisoformat(each["ts"])).total_seconds()) < 120
    mine = [
        each
        for each in entries
        if (each["controllerKind"], each["name"], each["namespace"]) == ("OCIRepository", "app", namespace)
    ]
    assert {each["level"] for each in mine} == {"debug", "info", "error"}
    stored = [each for each in mine if each["msg"].startswith("stored artifact with revision '1.0.0@sha256:")]
    assert [each["level"] for each in stored] == ["info"]
    failed = [each for each in mine if each["level"] == "error"]
    assert {each["msg"] for each in failed} == {"Reconciler error"}, "as controllers in Go say it"
    assert all(each["error"].startswith("failed to determine artifact digest: ") for each in failed)
    told = [each["msg"] for each in entries if "no effect" in each["msg"]]
    assert told == ["--helm-cache-ttl has no effect: it is about other kinds of sources"]


def test_the_metrics_of_controllers_in_go_are_there(
    control_plane: ControlPlane, namespace: str, repository: Repository, new_operator: Callable[..., Operator]
) -> None:
    """G7: names and labels that dashboards select by."""
    operator = new_operator()
    operator.start()
    obj = declare(control_plane, namespace, repository)
    control_plane.cluster.wait(obj, is_ready)
    control_plane.cluster.patch(obj, {"metadata": {"annotations": {REQUESTED_AT: "now"}}})
    control_plane.cluster.wait(obj, lambda seen: seen["status"].get("lastHandledReconcileAt") == "now")
    await_true(lambda: operator.passes(namespace) == {"app": 2}, 5, "two passes being counted")
    page = operator.metrics()
    operator.stop()

    values = dict(re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", page, re.MULTILINE))
    queue = '{name="ocirepository",controller="ocirepository"}'
    controller = '{controller="ocirepository"}'
    assert float(values[f"workqueue_adds_total{queue}"]) >= 2
    assert float(values[f"workqueue_retries_total{queue}"]) >= 2, "each pass is followed by one at the interval"
    assert float(values[f"workqueue_queue_duration_seconds_count{queue}"]) >= 2
    assert float(values[f"workqueue_work_duration_seconds_sum{queue}"]) > 0
    assert values[f"workqueue_unfinished_work_seconds{queue}"] == "0"
    assert values[f"workqueue_longest_running_processor_seconds{queue}"] == "0"
    assert values['workqueue_depth{name="ocirepository",controller="ocirepository",priority="0"}'] == "0"
    total = "controller_runtime_reconcile_total"
    assert values[f'{total}{{controller="ocirepository",result="requeue_after"}}'] == "2"
    assert values[f"controller_runtime_reconcile_time_seconds_count{controller}"] == "2"
    assert values[f"controller_runtime_reconcile_errors_total{controller}"] == "0"
    assert values[f"controller_runtime_reconcile_panics_total{controller}"] == "0"
    assert values[f"controller_runtime_active_workers{controller}"] == "0"
    assert values[f"controller_runtime_max_concurrent_reconciles{controller}"] == "2"
    assert "leader_election_master_status" not in page
    requests = {
        re.sub(r'host="[^"]+"', "", series) for series in values if series.startswith("rest_client_requests_total")
    }
    assert 'rest_client_requests_total{code="200",,method="PATCH"}' in requests
    assert 'rest_client_requests_total{code="201",,method="POST"}' in requests
    types = re.findall(r"^# TYPE (\S+) (\S+)$", page, re.MULTILINE)
    assert len({name for name, _ in types}) == len(types)
    assert all(kind == "counter" for name, kind in types if name.endswith("_total"))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_what_it_is_at_is_told_only_where_that_is_asked_for(
    control_plane: ControlPlane,
    namespace: str,
    registry: EmbeddedRegistry,
    repository: Repository,
    new_operator: Callable[..., Operator],
) -> None:
    port = free_port()
    operator = new_operator(f"--debug-addr=:{port}")
    operator.start()
    obj = declare(control_plane, namespace, repository)
    control_plane.cluster.wait(obj, is_ready)
    registry.content.fault = when("/stuck/", hang())
    stuck = Repository(registry.address, "stuck")
    declare(control_plane, namespace, stuck, "stuck", timeout="50s")

    def queue() -> Object:
        return json.loads(fetch(f"http://127.0.0.1:{port}/debug/queue"))  # type: ignore[no-any-return]  # JSON

    await_true(lambda: queue()["running"], 10, "the pass that hangs")
    told = queue()
    (running,) = told["running"]
    assert (running["object"], running["lane"]) == (f"{namespace}/stuck", registry.address)
    assert told["lanes"] == {registry.address: 1}
    (scheduled,) = [each for each in told["scheduled"] if each["object"] == f"{namespace}/app"]
    assert 0 < scheduled["in"] < 660
    assert scheduled["failures"] == 0
    tasks = json.loads(fetch(f"http://127.0.0.1:{port}/debug/tasks"))
    (waiting,) = [each for each in tasks if each["name"] == f"pass {namespace}/stuck"]
    assert re.fullmatch(r"\w+ \(\w+\.py:\d+\)", waiting["stack"][-1])
    with pytest.raises(urllib.error.HTTPError, match="404"):
        fetch(f"http://127.0.0.1:{port}/debug/pprof")
    for each in (operator.address, operator.metrics_address):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            fetch(f"http://{each}/debug/queue")


def test_one_namespace_is_looked_after_where_that_is_asked_for(
    control_plane: ControlPlane, namespace: str, repository: Repository, new_operator: Callable[..., Operator]
) -> None:
    """G8: the one of the pod, which is RUNTIME_NAMESPACE."""
    operator = new_operator("--watch-all-namespaces=false")
    operator.start()
    elsewhere = declare(control_plane, namespace, repository)
    here = declare(control_plane, "flux-system", repository)
    seen = control_plane.cluster.wait(here, is_ready)
    assert holds(seen, seen["status"]["artifact"]["revision"])
    operator.stop()
    left = control_plane.cluster.read(elsewhere)
    assert left["metadata"].get("finalizers") is None
    assert left["status"] == {"observedGeneration": -1}


def test_an_object_that_moves_to_another_shard_is_left_to_it(
    control_plane: ControlPlane, namespace: str, repository: Repository, new_operator: Callable[..., Operator]
) -> None:
    """G9: with its files, since clients still fetch them, and its finalizer."""
    operator = new_operator("--watch-label-selector=shard=a")
    operator.start()
    each = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    each["metadata"]["labels"] = {"shard": "a"}
    obj = control_plane.cluster.create(each)
    path = control_plane.cluster.wait(obj, is_ready)["status"]["artifact"]["path"]
    moved = control_plane.cluster.patch(obj, {"metadata": {"labels": {"shard": "b"}}, "spec": {"interval": "7m"}})
    await_true(lambda: operator.passes(namespace) == {}, 10, "the object being let go")
    assert control_plane.cluster.read(obj) == moved
    assert (operator.storage / path).exists()
    operator.stop()


def test_health_and_readiness_are_told(new_operator: Callable[..., Operator]) -> None:
    """G7"""
    operator = new_operator()
    operator.start()
    for path in ("healthz", "readyz"):
        with urllib.request.urlopen(f"http://{operator.health_address}/{path}", timeout=5) as response:
            assert (response.status, response.read()) == (200, b"ok\n")
    operator.stop()
