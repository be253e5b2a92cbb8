"""The public trusted root of a running operator: refreshed by TUF from a mirror, kept on disk, never waited for."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from devkit.offline import OfflineSigstore
from devkit.seals import attach
from devkit.startup import StartError
from devkit.tufmirror import TufMirror
from real.images import Image, Repository
from real.objects import oci_repository
from real.operation import await_true
from real.verdicts import Declared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from real.operation import Operator

pytestmark = pytest.mark.e2e

TARGET = "trusted_root.json"
ISSUER, SUBJECT = "https://issuer.example", "ci@example.com"
VERIFY = {"provider": "cosign", "matchOIDCIdentity": [{"issuer": f"^{ISSUER}$", "subject": f"^{SUBJECT}$"}]}
AGE, FAILURES = "ocisource_trusted_root_age_seconds", "ocisource_trusted_root_refresh_failures_total"


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


@pytest.fixture
def mirror(sigstore: OfflineSigstore) -> Iterator[TufMirror]:
    with TufMirror({TARGET: sigstore.trusted_root()}) as serving:
        yield serving


@pytest.fixture
def flags(mirror: TufMirror, tmp_path: Path) -> tuple[str, str]:
    bootstrap = tmp_path / "root.json"
    bootstrap.write_bytes(mirror.bootstrap)
    return f"--tuf-mirror={mirror.url}", f"--tuf-root={bootstrap}"


@pytest.fixture
def repository(registry: Any, namespace: str) -> Repository:
    return Repository(registry.address, f"public-root/{namespace}")


@pytest.fixture
def image(repository: Repository, sigstore: OfflineSigstore) -> Image:
    """Signed by an identity of the private Sigstore."""
    pushed = repository.publish("1.0.0", {"app.yaml": os.urandom(2048).hex().encode()})
    attach(repository.pushed(pushed), sigstore.identity(ISSUER, SUBJECT).bundle(pushed.digest))
    return pushed


@pytest.fixture
def declare(control_plane: ControlPlane, namespace: str, repository: Repository) -> Callable[..., Declared]:
    def begin(operator: Operator, name: str = "app") -> Declared:
        source = oci_repository(namespace, name, repository.url, ref={"tag": "1.0.0"}, verify=VERIFY)
        return Declared(control_plane.cluster, operator, control_plane.cluster.create(source))

    return begin


def metric(operator: Operator, name: str) -> float:
    page = operator.metrics()
    found = re.search(rf"^{name} (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return float(found[1])


def refreshing(mirror: TufMirror) -> list[int]:
    """The processes that ask the mirror."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [each.info["pid"] for each in found if mirror.url in (each.info["cmdline"] or ())]


def test_the_root_of_the_mirror_counts_and_outlives_the_mirror(
    new_operator: Any, declare: Any, image: Image, mirror: TufMirror, flags: tuple[str, str]
) -> None:
    """Nothing is asked before an object needs it; after a restart the copy on disk does, also offline."""
    operator = new_operator(*flags)
    operator.start()
    assert (mirror.asked, metric(operator, AGE)) == ([], 0)

    declare(operator).accepted(image)

    assert f"targets/{_hash(mirror)}.{TARGET}" in mirror.asked
    assert 0 < metric(operator, AGE) < 60
    assert metric(operator, FAILURES) == 0
    await_true(lambda: not refreshing(mirror), 10, "the end of the process that refreshed")
    operator.stop()

    mirror.fault = lambda _path, _honest: None
    mirror.asked.clear()
    offline = new_operator(*flags, "--offline-trust")
    offline.start()
    declare(offline, "other").accepted(image)
    assert mirror.asked == []
    offline.stop()


def test_a_mirror_that_hangs_holds_up_nobody_and_not_the_end_of_the_operator(
    new_operator: Any, declare: Any, image: Image, mirror: TufMirror
) -> None:
    """It is taken for a mirror of the public repository, so the shipped root judges meanwhile."""
    mirror.fault = lambda _path, _honest: _drips()
    operator = new_operator(f"--tuf-mirror={mirror.url}")
    operator.start()

    message = declare(operator).refused(image)

    assert "log entry is from a log that is not in the trusted root" in message
    await_true(lambda: mirror.asked and refreshing(mirror), 20, "the refresh")
    operator.stop()
    assert refreshing(mirror) == []


def _drips() -> Iterator[bytes]:
    while True:
        yield b"{"
        time.sleep(0.05)


def _hash(mirror: TufMirror) -> str:
    (name,) = (path for path in mirror.files if path.startswith("targets/"))
    return name.removeprefix("targets/").partition(".")[0]


def test_a_bootstrap_root_that_is_none_ends_the_start(new_operator: Any, tmp_path: Path) -> None:
    (tmp_path / "root.json").write_text("{}")

    with pytest.raises(StartError, match=r"(?s)exit code 2.*--tuf-root=.*must be root metadata of a TUF repository"):
        new_operator(f"--tuf-root={tmp_path / 'root.json'}").start()
