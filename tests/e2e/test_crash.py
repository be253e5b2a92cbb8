"""The operator dies or is stopped in the middle of its work: what is on disk is whole, and it goes on from there."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from devkit.ocifaults import chain, hang, when
from devkit.ocihttp import EmbeddedRegistry
from real.objects import is_ready, oci_repository
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.ocihttp import Fault, Proceed

pytestmark = pytest.mark.e2e

BIG = 48 << 20
"""Bytes of a layer that takes long enough to archive to be caught at it."""


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry() as server:
        yield server


@dataclass
class Gate:
    """A fault that sends half of a layer, and the rest once the gate is open. `waiting` layers are half there."""

    opened: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0

    def fault(self) -> Fault:
        async def apply(request: web.Request, proceed: Proceed) -> web.StreamResponse:
            whole = await proceed()
            assert isinstance(whole, web.Response)
            assert isinstance(whole.body, bytes)
            if len(whole.body) < 64:  # the config
                return whole
            answer = web.StreamResponse(headers={"Content-Length": str(len(whole.body))})
            await answer.prepare(request)
            await answer.write(whole.body[: len(whole.body) // 2])
            self.waiting += 1
            while not self.opened.is_set():  # it is set in another thread
                await asyncio.sleep(0.01)
            await answer.write(whole.body[len(whole.body) // 2 :])
            return answer

        return when("/blobs/", apply, method="GET")


def layer(size: int) -> bytes:
    """A tar of one file that does not compress, quickly made."""
    content = os.urandom(size)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = size
        tar.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), compresslevel=0, mtime=0)


@dataclass(frozen=True)
class Fleet:
    """Objects of a namespace, each with an image of its own."""

    control_plane: ControlPlane
    namespace: str
    registry: EmbeddedRegistry

    def declare(self, count: int, size: int) -> None:
        for number in range(count):
            name = f"app-{number}"
            self.registry.content.push(name, "1.0.0", layer(size))
            url = f"oci://{self.registry.address}/{name}"
            self.control_plane.cluster.create(
                oci_repository(self.namespace, name, url, ref={"tag": "1.0.0"}, timeout="60s")
            )

    def objects(self) -> list[dict[str, Any]]:
        path = f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{self.namespace}/ocirepositories"
        found: list[dict[str, Any]] = self.control_plane.cluster.get(path)["items"]
        return found

    def unready(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.objects() if not is_ready(each)]

    def await_ready(self) -> None:
        await_true(lambda: not self.unready(), 30, "all objects being Ready")


@pytest.fixture
def fleet(control_plane: ControlPlane, namespace: str, registry: EmbeddedRegistry) -> Fleet:
    return Fleet(control_plane, namespace, registry)


def tarballs(storage: Path) -> dict[str, Path]:
    """The published files: path below the storage → file."""
    return {str(path.relative_to(storage)): path for path in storage.rglob("sha256:*.tar.gz")}


def strays(storage: Path) -> list[str]:
    """Whatever is neither a folder, nor a published file, nor the link to one."""
    published = {*tarballs(storage).values(), *storage.rglob("latest.tar.gz")}
    return [str(path) for path in storage.rglob("*") if not path.is_dir() and path not in published]


def assert_whole(storage: Path) -> None:
    """Every published file is a complete gzip stream of a complete tar."""
    for path in tarballs(storage).values():
        with tarfile.open(fileobj=io.BytesIO(gzip.decompress(path.read_bytes()))) as tar:
            assert tar.getnames() == [".", "content"], path


def assert_served(operator: Operator, fleet: Fleet) -> None:
    """Every object's artifact is what its status says, and the storage holds nothing else."""
    for each in fleet.objects():
        artifact = each["status"]["artifact"]
        assert f"sha256:{sha256(fetch(artifact['url'])).hexdigest()}" == artifact["digest"]
        assert fetch(each["status"]["url"]) == fetch(artifact["url"])
    expected = {each["status"]["artifact"]["path"] for each in fleet.objects()}
    assert set(tarballs(operator.storage)) == expected
    assert strays(operator.storage) == []


def test_killed_while_layers_arrive(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    gate = Gate()
    fleet.registry.content.fault = gate.fault()
    fleet.declare(12, 600_000)
    operator = new_operator()
    operator.start()
    await_true(lambda: gate.waiting == 12, 20, "passes that have half of their layer")
    operator.kill()
    assert tarballs(operator.storage) == {}

    gate.opened.set()
    operator.start()
    fleet.await_ready()
    assert_served(operator, fleet)
    operator.stop()


def test_killed_while_tarballs_are_written(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    fleet.declare(4, BIG)
    operator = new_operator()
    operator.start()
    await_true(lambda: strays(operator.storage), 20, "a temporary file in storage")
    operator.kill()
    assert strays(operator.storage), "it was killed too late to leave a temporary file: make the layers bigger"
    assert_whole(operator.storage)

    operator.start()
    fleet.await_ready()
    assert_served(operator, fleet)
    operator.stop()


def test_killed_between_the_tarball_and_the_status(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    """Some files are published that no status tells of, in the midst of passes in every stage. Some never end."""
    fleet.registry.content.fault = when("/app-3", hang(), method="GET")  # and app-30 to app-39
    fleet.declare(40, 20_000)
    operator = new_operator()
    operator.start()
    await_true(lambda: tarballs(operator.storage), 20, "the first tarball")
    operator.kill()
    assert fleet.unready()
    assert_whole(operator.storage)

    fleet.registry.content.fault = None
    operator.start()
    fleet.await_ready()
    assert_served(operator, fleet)
    operator.stop()


def test_killed_again_and_again_it_gets_there(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    """Whenever it dies, what was done stays done: each life needs to finish one object only."""
    fleet.declare(3, 20_000)
    operator = new_operator()
    for life in range(3):
        # The layers of one more object come, those of the others never do.
        absent = [when(f"/app-{number}/blobs/", hang()) for number in range(life + 1, 3)]
        fleet.registry.content.fault = chain(*absent)
        operator.start()
        folder = operator.storage / "ocirepository" / fleet.namespace / f"app-{life}"
        await_true(lambda folder=folder: tarballs(folder), 20, f"the tarball of life {life}")
        operator.kill()
        assert len(tarballs(operator.storage)) == life + 1
        assert_whole(operator.storage)
    fleet.registry.content.fault = None
    operator.start()
    fleet.await_ready()
    assert_served(operator, fleet)
    operator.stop()


def test_stopped_during_passes_it_lets_them_end(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    gate = Gate()
    fleet.registry.content.fault = gate.fault()
    fleet.declare(5, 100_000)
    operator = new_operator()
    operator.start()
    await_true(lambda: gate.waiting == 5, 20, "passes that have half of their layer")

    def open_gate() -> None:
        await_true(lambda: "stopping" in operator.log(), 5, "the operator saying that it stops")
        gate.opened.set()

    opener = threading.Thread(target=open_gate)
    opener.start()
    operator.stop()
    opener.join()
    assert fleet.unready() == []
    assert_whole(operator.storage)
    assert len(tarballs(operator.storage)) == 5


def test_stopped_during_passes_that_never_end_it_gives_them_up(
    new_operator: Callable[..., Operator], fleet: Fleet
) -> None:
    """Within the 10 seconds that a pod of the stock Deployment gets, and without a trace of them."""
    gate = Gate()
    fleet.registry.content.fault = gate.fault()
    fleet.declare(5, 100_000)
    operator = new_operator()
    operator.start()
    await_true(lambda: gate.waiting == 5, 20, "passes that have half of their layer")
    assert operator.stop(within=10) >= 5
    assert tarballs(operator.storage) == {}
    assert strays(operator.storage) == []


def test_a_second_signal_gives_passes_up_at_once(new_operator: Callable[..., Operator], fleet: Fleet) -> None:
    """Without a trace of them: the objects say what they said before, and nothing lies around."""
    gate = Gate()
    fleet.registry.content.fault = gate.fault()
    fleet.declare(5, 100_000)
    operator = new_operator()
    operator.start()
    await_true(lambda: gate.waiting == 5, 20, "passes that have half of their layer")
    operator.signal(signal.SIGTERM)
    await_true(lambda: "stopping: " in operator.log(), 5, "the operator saying that it stops")
    assert operator.exit_code is None
    assert operator.stop(within=5) < 5
    assert "stopping at once: " in operator.log()
    assert tarballs(operator.storage) == {}
    assert strays(operator.storage) == []
    for each in fleet.objects():
        assert "artifact" not in each["status"]
        assert each["status"]["observedGeneration"] == -1

    fleet.registry.content.fault = None
    operator.start()
    fleet.await_ready()
    operator.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_while_the_api_server_does_not_answer(tmp_path: Path, number: signal.Signals) -> None:
    """Signals count from the beginning. To the first process of a container one without a handler is lost."""
    flags = [f"--{server}-addr=127.0.0.1:0" for server in ("storage", "health", "metrics")]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(20)
        config = tmp_path / "kubeconfig"
        config.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{listener.getsockname()[1]}")))
        command = [sys.executable, "-m", "ocisource", "run", f"--storage-path={tmp_path}", f"--kubeconfig={config}"]
        with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True) as process:
            try:
                connection, _ = listener.accept()
                with connection:
                    process.send_signal(number)
                    _, log = process.communicate(timeout=5)
            finally:
                process.kill()
    assert process.returncode == 0
    assert [json.loads(line)["msg"] for line in log.splitlines()] == ["stopped by a signal before the watch was up"]


def kubeconfig(server: str) -> dict[str, Any]:
    return {
        "clusters": [{"name": "silent", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "token"}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "me"}}],
        "current-context": "silent",
    }
