"""Real parts, started once a session: API server, registries, cosign; a private Sigstore once a module.

A part that cannot be had on this machine skips its tests with the reason; where the environment variable CI is set
it fails them, since there they are the point.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from devkit import manifests
from devkit.applier import KustomizeController
from devkit.binaries import MissingToolError
from devkit.controlplane import ControlPlane
from devkit.fluxcli import FluxCommand
from devkit.helm import Helm
from devkit.helmcontroller import HelmController
from devkit.live.instance import SigstoreServer
from devkit.live.keyless import KeylessCosign
from devkit.live.notation import Notation
from devkit.services import ALICE, BOB, Cosign, DistributionServer, RegistryServer
from real.operation import Operator, clear

ROOT = Path(__file__).resolve().parents[2]
Part = TypeVar("Part")


@contextmanager
def _or_skip() -> Iterator[None]:
    try:
        yield
    except MissingToolError as missing:
        if os.environ.get("CI"):
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def _started(part: AbstractContextManager[Part]) -> Iterator[Part]:
    with ExitStack() as stack:
        with _or_skip():
            started = stack.enter_context(part)
        yield started


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """An API server that serves OCIRepository and holds everything that config/default installs."""
    for plane in _started(ControlPlane()):
        objects = manifests.load(ROOT / "config" / "default")
        crds = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        plane.cluster.apply_crds(crds)
        for each in objects:
            if each not in crds:
                plane.cluster.apply(each)
        yield plane


@pytest.fixture(scope="session")
def registry() -> Iterator[RegistryServer]:
    """A registry with the referrers API."""
    yield from _started(RegistryServer())


@pytest.fixture(scope="session")
def distribution() -> Iterator[DistributionServer]:
    """The CNCF Distribution registry: no referrers API, open to all."""
    yield from _started(DistributionServer())


@pytest.fixture(scope="session")
def private_distribution() -> Iterator[DistributionServer]:
    """The same for ALICE and BOB only."""
    yield from _started(DistributionServer(ALICE, BOB))


@pytest.fixture(scope="session")
def cosign(tmp_path_factory: pytest.TempPathFactory) -> Cosign:
    """The real cosign; its keys lie in a folder of the session."""
    with _or_skip():
        return Cosign(tmp_path_factory.mktemp("cosign"))


@pytest.fixture(scope="module")
def sigstore(cosign: Cosign) -> Iterator[SigstoreServer]:
    """Fulcio, Rekor v2 and a timestamp authority, with keys of their own each time."""
    yield from _started(SigstoreServer(cosign))


@pytest.fixture(scope="module")
def keyless(cosign: Cosign, sigstore: SigstoreServer) -> KeylessCosign:
    """The real cosign with that Sigstore."""
    return KeylessCosign(cosign, sigstore)


@pytest.fixture
def notation(tmp_path: Path) -> Notation:
    """The real notation; its keys and its trust lie in a folder of the test."""
    with _or_skip():
        return Notation(tmp_path)


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """The real helm; its charts lie in a folder of the test."""
    folder = tmp_path / "helm"
    folder.mkdir()
    with _or_skip():
        return Helm(folder)


@pytest.fixture
def start_kustomize_controller(control_plane: ControlPlane) -> Iterator[Callable[[str], KustomizeController]]:
    """Starts kustomize-controller for artifacts at host:port; it ends with the test."""
    with ExitStack() as stack:

        def begin(source: str) -> KustomizeController:
            with _or_skip():
                return stack.enter_context(KustomizeController(control_plane, source))

        yield begin


@pytest.fixture(scope="module")
def operator(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator that runs for all tests of the module and watches all namespaces. It must end well."""
    clear(control_plane.cluster)
    with Operator(control_plane, tmp_path_factory.mktemp("storage")) as process:
        process.start()
        yield process
        process.stop()


@pytest.fixture
def flux_command(control_plane: ControlPlane, tmp_path: Path) -> FluxCommand:
    """The real flux; its own files lie in a folder of the test."""
    with _or_skip():
        return FluxCommand(control_plane, tmp_path)


@pytest.fixture(scope="module")
def helm_controller(control_plane: ControlPlane, operator: Operator) -> Iterator[HelmController]:
    """helm-controller beside the operator of the module."""
    yield from _started(HelmController(control_plane, operator.address))


@pytest.fixture
def new_operator(control_plane: ControlPlane, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Makes an operator of the test's own from flags; the test starts it. No other operator may run."""
    clear(control_plane.cluster)
    with ExitStack() as stack:
        yield lambda *flags: stack.enter_context(Operator(control_plane, tmp_path / "storage", *flags))


@pytest.fixture
def namespace(control_plane: ControlPlane, request: pytest.FixtureRequest) -> str:
    """A Namespace of the test's own. It is not deleted: nothing here would carry that out."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:50].strip("-")
    name = f"{name}-{os.urandom(3).hex()}"
    control_plane.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name
