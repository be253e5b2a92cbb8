"""Two hundred objects at once, with registries among them that never answer."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocifaults import hang, when
from devkit.ocihttp import EmbeddedRegistry
from devkit.signer import Signer
from real.images import Repository, tarball
from real.objects import condition, has_failed, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import await_true

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from devkit.controlplane import ControlPlane
    from devkit.services import RegistryServer
    from real.operation import Operator

pytestmark = pytest.mark.e2e

OBJECTS = 200
DEAD = 40
"""Further objects on a registry that never answers, with a timeout that none of this test would outlive. There are
more of them than passes that a registry gets at a time, so they would hold up the others if they could."""

IN_TIME = 60.0
"""Seconds until all that can be Ready is: far more than it takes, far less than waiting for those that hang."""


@contextmanager
def silence() -> Iterator[str]:
    """The address of a server that takes connections and never says a word."""
    taken: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            with suppress(OSError):  # the end of the listener
                while True:
                    taken.append(listener.accept()[0])

        thread = threading.Thread(target=take, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for each in taken:
                each.close()


def test_registries_that_never_answer_hold_up_nobody_else(
    control_plane: ControlPlane, new_operator: Callable[..., Operator], registry: RegistryServer, namespace: str
) -> None:
    """J6. Everything is there when the operator starts, so all of it is due at once."""
    cluster, signer = control_plane.cluster, Signer.generate()
    cluster.create(secret(namespace, "keys", {"signer.pub": signer.public_pem()}))

    def declare(number: int) -> dict[str, Any]:
        """An object with an image of its own, signed in one format or the other."""
        repository = Repository(registry.address, f"load/{namespace}/app-{number}")
        image = repository.publish("1.0.0", {"app.yaml": f"number: {number}\n".encode()})
        repository.sign(image, signer, bundle=number % 2 == 0)
        app = oci_repository(
            namespace, f"app-{number}", repository.url, ref={"semver": "*"}, verify=verified_by("keys")
        )
        created: dict[str, Any] = cluster.create(app)
        return created

    with silence() as dead, silence() as silent, EmbeddedRegistry() as partly, ThreadPoolExecutor(4) as pool:
        partly.content.push("quick", "1.0.0", tarball({"app.yaml": b"quick: true\n"}))
        partly.content.fault = when("/stuck/", hang())
        urls = {
            "silent": f"oci://{silent}/app",
            "stuck": f"oci://{partly.address}/stuck",
            "beside-stuck": f"oci://{partly.address}/quick",
        }
        list(pool.map(declare, range(OBJECTS - len(urls))))
        others = {
            name: oci_repository(namespace, name, url, ref={"tag": "1.0.0"}, timeout="4s") for name, url in urls.items()
        }
        for each in others.values():
            cluster.create(each)
        for number in range(DEAD):
            cluster.create(oci_repository(namespace, f"dead-{number}", f"oci://{dead}/app", timeout="5m"))
        began = time.monotonic()
        operator = new_operator()
        operator.start()

        collection = cluster.path(others["silent"], collection=True)

        def unready() -> set[str]:
            found = {each["metadata"]["name"] for each in cluster.get(collection)["items"] if not is_ready(each)}
            return {name for name in found if not name.startswith("dead-")}

        await_true(lambda: unready() <= {"silent", "stuck"}, IN_TIME, "everything else being Ready")

        for name in ("silent", "stuck"):
            failed = cluster.wait(others[name], has_failed, timeout=10)
            assert outcomes(failed)["FetchFailed"] == ("True", "OCIArtifactPullFailed")
            message = condition(failed, "FetchFailed")["message"]
            assert message == "failed to determine artifact digest: no answer within spec.timeout (4s)"
        assert unready() == {"silent", "stuck"}
        assert time.monotonic() - began < IN_TIME
        operator.kill()  # it would give the dead ones their grace
