"""Several replicas on a real API server: one works, and who works is followed without a gap and without an overlap
(flux-compat G9)."""

from __future__ import annotations

import itertools
import json
import signal
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocihttp import EmbeddedRegistry
from ocisource.domain.leadership import lease_name
from real.images import Repository
from real.objects import REQUESTED_AT, events, is_ready, oci_repository
from real.operation import Operator, await_true, clear, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

ELECTION = "--enable-leader-election"
QUICK = (
    ELECTION,
    "--leader-election-lease-duration=3s",
    "--leader-election-renew-deadline=2s",
    "--leader-election-retry-period=500ms",
)
"""Terms for tests that must wait for the end of a lease."""

Start = Callable[..., Operator]


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean(control_plane: ControlPlane) -> None:
    """No objects and no Leases of earlier tests."""
    clear(control_plane.cluster)
    for name in ("", "shard=a", "shard=b"):
        control_plane.cluster.delete(lease(name))


@pytest.fixture
def start(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Start]:
    """Starts a replica with storage of its own, which leads or stands by."""
    with ExitStack() as stack:

        def begin(name: str, *flags: str) -> Operator:
            replica = stack.enter_context(Operator(control_plane, tmp_path / name, *flags))
            replica.start()
            return replica

        yield begin


def lease(selector: str = "") -> dict[str, Any]:
    metadata = {"namespace": "flux-system", "name": lease_name(selector)}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}


def leads(replica: Operator) -> bool:
    return any(line["msg"].startswith("leading: ") for line in replica.lines())


def stands_by(replica: Operator) -> bool:
    return any(line["msg"].startswith("standing by: ") for line in replica.lines())


def status(url: str) -> int:
    try:
        fetch(url)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


@pytest.fixture
def obj(control_plane: ControlPlane, namespace: str, registry: EmbeddedRegistry) -> dict[str, Any]:
    repository = Repository(registry.address, "app")
    repository.publish("1.0.0", {"app.yaml": b"kind: A\n"})
    declared: dict[str, Any] = control_plane.cluster.create(
        oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"})
    )
    return declared


@contextmanager
def kept_busy(plane: ControlPlane, obj: dict[str, Any]) -> Iterator[None]:
    """Asks for a pass again and again; each of them ends in a write of whoever makes it."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.05):
            asked = {"annotations": {REQUESTED_AT: datetime.now(UTC).isoformat()}}
            with suppress(OSError):
                plane.cluster.patch(obj, {"metadata": asked})

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def handled_after(plane: ControlPlane, obj: dict[str, Any], moment: datetime) -> Callable[[], bool]:
    """Whether a request that was made after the moment has been seen to."""
    return lambda: (plane.cluster.read(obj)["status"].get("lastHandledReconcileAt") or "") > moment.isoformat()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def tenures(plane: ControlPlane, since: int) -> list[tuple[str, datetime, datetime]]:
    """Who wrote objects, from the first to the last write in a row."""
    found: list[tuple[str, datetime, datetime]] = []
    for event in plane.writes()[since:]:
        if event["objectRef"]["resource"] != "ocirepositories" or event["credential"] == "admin":
            continue
        began, ended = at(event["requestReceivedTimestamp"]), at(event["stageTimestamp"])
        if found and found[-1][0] == event["credential"]:
            found[-1] = (found[-1][0], found[-1][1], ended)
        else:
            found.append((event["credential"], began, ended))
    return found


def holders(plane: ControlPlane, since: int) -> list[tuple[str, str, datetime]]:
    """Who wrote the Lease with whose name in it, and when the API server had it."""
    return [
        (event["credential"], event["requestObject"]["spec"]["holderIdentity"], at(event["stageTimestamp"]))
        for event in plane.writes()[since:]
        if event["objectRef"]["resource"] == "leases"
        and event["objectRef"].get("name", lease_name("")) == lease_name("")
        and event["responseStatus"]["code"] < 300
        and event["verb"] in ("create", "update")
    ]


def assert_one_writer_at_a_time(plane: ControlPlane, since: int) -> None:
    """As the API server saw it: nobody writes an object before it has the Lease, after another one has, or twice."""
    written = tenures(plane, since)
    assert len({credential for credential, _, _ in written}) == len(written), "somebody wrote again after another one"
    for (_, _, ended), (_, began, _) in itertools.pairwise(written):
        assert ended < began
    history = holders(plane, since)
    for credential, began, ended in written:
        first = next(when for writer, holder, when in history if writer == credential and holder)
        others = [when for writer, holder, when in history if writer != credential and holder and when > first]
        assert first < began
        assert all(when > ended for when in others)


def test_a_stop_is_followed_within_five_seconds_and_a_kill_within_forty(
    control_plane: ControlPlane, obj: dict[str, Any], start: Start
) -> None:
    """With the terms of the original, while there is work all the time."""
    since = len(control_plane.writes())
    first = start("first", ELECTION)
    await_true(lambda: leads(first), 10, "the first replica leading")
    second = start("second", ELECTION)
    await_true(lambda: stands_by(second), 10, "the second replica standing by")
    seen = control_plane.cluster.wait(obj, is_ready)
    path = seen["status"]["artifact"]["path"]
    assert [status(f"http://{each.address}/") for each in (first, second)] == [200, 200]
    assert [status(f"http://{each.address}/{path}") for each in (first, second)] == [200, 503]
    name = f'leader_election_master_status{{name="{lease_name("")}"}}'
    assert [f"{name} {number}\n" in each.metrics() for number, each in ((1, first), (0, second))] == [True, True]

    with kept_busy(control_plane, obj):
        first.stop()
        moment, began = datetime.now(UTC), time.monotonic()
        await_true(handled_after(control_plane, obj, moment), 5, "the second replica's first pass")
        assert time.monotonic() - began < 5
        assert status(f"http://{second.address}/{path}") == 200

        third = start("third", ELECTION)
        await_true(lambda: stands_by(third), 10, "the third replica standing by")
        second.kill()
        moment, began = datetime.now(UTC), time.monotonic()
        await_true(handled_after(control_plane, obj, moment), 40, "the third replica's first pass")
        assert time.monotonic() - began > 20, "it waited for the lease"
    third.stop()

    assert len(tenures(control_plane, since)) == 3
    assert_one_writer_at_a_time(control_plane, since)
    assert control_plane.cluster.read(lease())["spec"]["holderIdentity"] == ""
    assert control_plane.cluster.read(lease())["spec"]["leaseTransitions"] == 2


def test_who_stood_still_neither_writes_nor_serves_and_ends(
    control_plane: ControlPlane, obj: dict[str, Any], start: Start
) -> None:
    """SIGSTOP is what a machine without time does to a process; it still believes that it leads."""
    since = len(control_plane.writes())
    first = start("first", *QUICK)
    await_true(lambda: leads(first), 10, "the first replica leading")
    path = control_plane.cluster.wait(obj, is_ready)["status"]["artifact"]["path"]
    second = start("second", *QUICK)
    await_true(lambda: stands_by(second), 10, "the second replica standing by")
    with kept_busy(control_plane, obj):
        first.signal(signal.SIGSTOP)
        moment = datetime.now(UTC)
        await_true(handled_after(control_plane, obj, moment), 10, "the second replica's first pass")
        first.signal(signal.SIGCONT)
        with suppress(OSError):  # it may be gone already
            assert status(f"http://{first.address}/{path}") == 503
        await_true(lambda: first.exit_code is not None, 15, "the first replica's end")
        await_true(handled_after(control_plane, obj, datetime.now(UTC)), 10, "another pass of the second replica")
    second.stop()

    assert first.exit_code == 1
    assert "Lease flux-system/source-controller-leader-election is lost" in first.lines()[-1]["msg"]
    assert len(tenures(control_plane, since)) == 2
    assert_one_writer_at_a_time(control_plane, since)


def test_a_lease_deleted_by_hand_stays_with_its_holder(
    control_plane: ControlPlane, obj: dict[str, Any], start: Start
) -> None:
    """Who stands by hears of it first, and must not lead while the holder still works."""
    since = len(control_plane.writes())
    first = start("first", *QUICK)
    await_true(lambda: leads(first), 10, "the first replica leading")
    control_plane.cluster.wait(obj, is_ready)
    second = start("second", *QUICK)
    await_true(lambda: stands_by(second), 10, "the second replica standing by")
    holder = control_plane.cluster.read(lease())["spec"]["holderIdentity"]
    before = len(holders(control_plane, since))
    with kept_busy(control_plane, obj):
        control_plane.cluster.delete(lease())
        await_true(lambda: len(holders(control_plane, since)) >= before + 2, 10, "the Lease being written again")
        await_true(handled_after(control_plane, obj, datetime.now(UTC)), 10, "another pass")
    assert control_plane.cluster.read(lease())["spec"]["holderIdentity"] == holder
    assert not leads(second)
    first.stop()
    second.stop()
    assert_one_writer_at_a_time(control_plane, since)


def test_a_standby_that_is_stopped_leaves_the_lease_alone(control_plane: ControlPlane, start: Start) -> None:
    first = start("first", *QUICK)
    await_true(lambda: leads(first), 10, "the first replica leading")
    second = start("second", *QUICK)
    await_true(lambda: stands_by(second), 10, "the second replica standing by")
    holder = control_plane.cluster.read(lease())["spec"]["holderIdentity"]
    second.stop()
    assert control_plane.cluster.read(lease())["spec"]["holderIdentity"] == holder
    first.stop()


def test_a_lease_is_kept_where_that_is_asked_for(control_plane: ControlPlane, start: Start) -> None:
    first = start("first", *QUICK, "--leader-election-release-on-cancel=false")
    await_true(lambda: leads(first), 10, "the replica leading")
    first.stop()
    assert control_plane.cluster.read(lease())["spec"]["holderIdentity"] != ""


def test_a_lease_is_written_as_client_go_does(control_plane: ControlPlane, start: Start) -> None:
    """Names, types, the form of times, and the Event; the Lease of another implementation is taken over in place."""
    old = {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": "2026-01-01T00:00:00.000000Z",
        "renewTime": "2026-01-01T00:00:00.000000Z",
        "leaseTransitions": 6,
    }
    control_plane.cluster.create({**lease(), "spec": old})
    first = start("first", ELECTION)
    await_true(lambda: leads(first), 10, "the replica leading")
    spec = control_plane.cluster.read(lease())["spec"]
    first.stop()
    assert spec["holderIdentity"].count("_") == 1
    assert (spec["leaseDurationSeconds"], spec["leaseTransitions"]) == (35, 7)
    holder = spec["holderIdentity"]
    (told,) = events(control_plane.cluster, control_plane.cluster.read(lease()))["LeaderElection"]
    assert (told["message"], told["source"]) == (f"{holder} became leader", {"component": holder})
    age = (datetime.now(UTC) - at(spec["renewTime"])).total_seconds()
    assert 0 <= age < 30
    assert spec["renewTime"].endswith("Z")


def test_shards_elect_apart_and_touch_their_own_objects_only(
    control_plane: ControlPlane, namespace: str, registry: EmbeddedRegistry, start: Start
) -> None:
    """Both work at the same time, each under a Lease of its own name."""
    repository = Repository(registry.address, "app")
    repository.publish("1.0.0", {"app.yaml": b"kind: A\n"})
    shards = {}
    for shard in ("a", "b"):
        each = oci_repository(namespace, f"app-{shard}", repository.url, ref={"tag": "1.0.0"})
        each["metadata"]["labels"] = {"shard": shard}
        shards[shard] = control_plane.cluster.create(each)
    replicas = [start(shard, ELECTION, f"--watch-label-selector=shard={shard}") for shard in shards]
    for shard, each in shards.items():
        control_plane.cluster.wait(each, is_ready)
        assert control_plane.cluster.read(lease(f"shard={shard}"))["spec"]["holderIdentity"]
    assert [list(each.passes(namespace)) for each in replicas] == [["app-a"], ["app-b"]]
    for each in replicas:
        each.stop()
    names = [json.dumps(lease(f"shard={shard}")["metadata"]["name"]) for shard in shards]
    assert len(set(names)) == 2


def test_without_the_right_to_leases_it_says_which_rule_is_missing(control_plane: ControlPlane, tmp_path: Path) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"namespace": "flux-system", "name": "oci-source-operator-leader-election"},
    }
    binding = control_plane.cluster.read(role)
    control_plane.cluster.delete(role)
    try:
        with Operator(control_plane, tmp_path / "storage", ELECTION) as replica:
            with suppress(Exception):
                replica.start()
            await_true(lambda: replica.exit_code is not None, 20, "the end of the operator")
            said = replica.lines()[-1]["msg"]
    finally:
        del binding["metadata"]["resourceVersion"]
        del binding["metadata"]["uid"]
        control_plane.cluster.create(binding)
    assert "apiGroups: ['coordination.k8s.io'], resources: ['leases'], verbs: ['get'] in namespace flux-system" in said
