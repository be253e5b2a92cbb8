"""After a restart the operator knows what it has: it re-reads status and storage, pulls nothing that is there and
whole, and makes anew what is not."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.signer import Signer
from real.images import Repository
from real.objects import events, holds, is_ready, oci_repository, secret, verified_by
from real.operation import Operator, await_true

if TYPE_CHECKING:
    from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

COUNT = 10


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    """It remembers what it was asked."""
    with EmbeddedRegistry() as server:
        yield server


Fleet = list[dict[str, Any]]


@pytest.fixture
def operator(new_operator: Callable[..., Operator]) -> Operator:
    """Not started: `fleet` does that."""
    return new_operator()


@pytest.fixture
def fleet(control_plane: ControlPlane, namespace: str, registry: EmbeddedRegistry, operator: Operator) -> Fleet:
    """Ready objects with images of their own, signed in both formats, chosen by tag and by range."""
    cluster, signer = control_plane.cluster, Signer.generate()
    cluster.create(secret(namespace, "keys", {"signer.pub": signer.public_pem()}))
    declared = []
    for number in range(COUNT):
        repository = Repository(registry.address, f"app-{number}")
        image = repository.publish("1.0.0", {"app.yaml": os.urandom(200).hex().encode()})
        repository.sign(image, signer, bundle=number % 2 == 0)
        ref = {"semver": "*"} if number % 3 == 0 else {"tag": "1.0.0"}
        app = oci_repository(namespace, f"app-{number}", repository.url, ref=ref, verify=verified_by("keys"))
        declared.append(cluster.create(app))
    operator.start()
    return [cluster.wait(each, is_ready) for each in declared]


def file_of(operator: Operator, obj: dict[str, Any]) -> Path:
    return operator.storage / obj["status"]["artifact"]["path"]


def is_whole(operator: Operator, obj: dict[str, Any]) -> bool:
    path = file_of(operator, obj)
    artifact = obj["status"]["artifact"]
    return path.exists() and f"sha256:{sha256(path.read_bytes()).hexdigest()}" == artifact["digest"]


def identities(storage: Path) -> dict[str, tuple[int, int, int]]:
    """What tells that neither a file nor a folder was written to."""
    found = {str(path): path.lstat() for path in storage.rglob("*")}
    return {name: (status.st_ino, status.st_size, status.st_mtime_ns) for name, status in found.items()}


def await_passes(operator: Operator, fleet: Fleet) -> None:
    """Returns when every object had a pass since the start of the process."""
    namespace = fleet[0]["metadata"]["namespace"]
    await_true(lambda: len(operator.passes(namespace)) == len(fleet), 20, "a pass over every object")


@pytest.mark.parametrize("end", [Operator.stop, Operator.kill], ids=["stopped", "killed"])
def test_what_is_there_and_whole_is_not_pulled_again(
    control_plane: ControlPlane,
    registry: EmbeddedRegistry,
    operator: Operator,
    fleet: Fleet,
    end: Callable[[Operator], object],
) -> None:
    """Tags are looked at, once for each object; nothing else is asked for and nothing is written."""
    end(operator)
    files = identities(operator.storage)
    registry.content.asked.clear()
    operator.start()
    await_passes(operator, fleet)

    asked = [(each.method, re.sub(r"^/v2/(app-\d+/)?", "", each.path)) for each in registry.content.asked]
    assert set(asked) <= {("GET", ""), ("HEAD", "manifests/1.0.0"), ("GET", "tags/list")}
    assert asked.count(("HEAD", "manifests/1.0.0")) == COUNT
    assert [control_plane.cluster.read(each) for each in fleet] == fleet
    assert identities(operator.storage) == files
    operator.stop()


def tamper(path: Path) -> None:
    """Another byte in the middle, of the same size and age."""
    status, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [tamper, cut, Path.unlink], ids=["tampered", "cut", "deleted"])
def test_a_stored_file_that_was_harmed_meanwhile_is_made_again(
    control_plane: ControlPlane,
    registry: EmbeddedRegistry,
    operator: Operator,
    fleet: Fleet,
    harm: Callable[[Path], None],
) -> None:
    """C2, J10: and only that one."""
    victim = fleet[3]
    operator.stop()
    harm(file_of(operator, victim))
    assert not is_whole(operator, victim)
    registry.content.asked.clear()
    operator.start()
    await_true(lambda: is_whole(operator, victim), 20, "the harmed file being whole again")
    await_passes(operator, fleet)

    blobs = {each.path.split("/")[2] for each in registry.content.asked if "/blobs/" in each.path}
    assert blobs == {"app-3"}
    seen = control_plane.cluster.wait(victim, is_ready)
    revision = victim["status"]["artifact"]["revision"]
    assert holds(seen, revision)
    assert seen["status"]["artifact"]["digest"] == victim["status"]["artifact"]["digest"]
    operator.stop()  # which lets the events out
    told = events(control_plane.cluster, victim)
    warned = [each["message"] for each in told.get("ArtifactVerificationFailed", [])]
    problem = f"computed digest doesn't match '{victim['status']['artifact']['digest']}'"
    assert warned == ([] if harm is Path.unlink else [f"failed to verify integrity of artifact: {problem}"])
    assert [each["count"] for each in told["NewArtifact"]] == [1]


def test_a_harmed_file_whose_registry_is_gone_is_not_served(
    control_plane: ControlPlane, registry: EmbeddedRegistry, operator: Operator, fleet: Fleet
) -> None:
    """Better none than a wrong one."""
    victim = fleet[1]
    operator.stop()
    tamper(file_of(operator, victim))
    registry.content.repositories.pop("app-1")
    operator.start()
    seen = control_plane.cluster.wait(victim, lambda obj: not is_ready(obj))
    assert "artifact" not in seen["status"]
    assert not file_of(operator, victim).exists()
    operator.stop()


def test_what_was_deleted_meanwhile_is_cleaned_up(
    control_plane: ControlPlane, operator: Operator, fleet: Fleet
) -> None:
    """B20: one object waits for its finalizer to go, of another one only an old folder is left."""
    cluster, (waiting, forgotten, *_) = control_plane.cluster, fleet
    operator.stop()
    cluster.delete(waiting)
    cluster.patch(forgotten, {"metadata": {"finalizers": None}})
    cluster.delete(forgotten)
    folder = file_of(operator, forgotten).parent
    os.utime(folder, (0, 0))
    operator.start()
    await_true(lambda: not folder.exists(), 10, "the forgotten folder being deleted")
    collection = cluster.path(waiting, collection=True)
    await_true(lambda: len(cluster.get(collection)["items"]) == COUNT - 2, 10, "the finalizer being taken away")
    assert not file_of(operator, waiting).parent.exists()
    assert all(is_whole(operator, each) for each in fleet[2:])
    operator.stop()
