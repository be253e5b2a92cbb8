"""`make run` as its reader sees it, on real parts."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest

from devkit.binaries import locate
from devkit.cluster import Cluster
from devkit.controlplane import ControlPlane
from devkit.services import Cosign, RegistryServer
from unit.devkit.leftovers import left_in
from unit.devkit.test_demo import read_until, run

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
SOURCE = {
    "apiVersion": "source.toolkit.fluxcd.io/v1",
    "kind": "OCIRepository",
    "metadata": {"name": "app", "namespace": "default"},
}
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(control_plane: ControlPlane, registry: RegistryServer, cosign: Cosign, tmp_path: Path) -> Iterator[Start]:
    """Starts it with a folder of its own for temporary files. The fixtures skip where real parts cannot be had; it
    uses none of theirs."""
    with ExitStack() as stack:

        def begin(*arguments: str, **variables: str) -> subprocess.Popen[str]:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "devkit.demo", *arguments],
                    env={**os.environ, "PYTHONPATH": str(ROOT / "tools"), "TMPDIR": str(tmp_path), **variables},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield begin


def test_make_run_runs_it() -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "--old-file=.venv/.ready", "run", "ONCE=1"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert recipe.rstrip().endswith("python -m devkit.demo --once")


@pytest.mark.parametrize("kubectl", [True, False], ids=["as-it-is", "without-kubectl"])
def test_a_signed_version_becomes_ready_and_an_unsigned_one_does_not(
    start: Start, tmp_path: Path, kubectl: bool
) -> None:
    """kubectl is used if present, never required."""
    process = start("--once") if kubectl else start("--once", **without_kubectl(tmp_path))
    told, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (0, "")
    steps = sections(told)
    assert [title.partition(":")[0] for title in steps] == [
        "Starting etcd, kube-apiserver and a registry",
        "Installing config/default",
        "Pushing a small app in two versions, signed by cosign",
        "Applying this, and the Secret with the public key",
        "Starting the operator as flux-system/source-controller, with the rights of config/rbac and no others",
        "It becomes Ready",
        "The artifact, as the operator serves it",
        "Pushing 1.2.0 without a signature",
        "It is refused",
        "The old artifact is still the one served",
    ]
    _, _, pushed, applied, _, ready, artifact, _, refused, old = steps.values()
    [digest] = re.findall(r"demo/app:1\.1\.0 +(sha256:\w+)… +signed", pushed)
    for line in ("apiVersion: source.toolkit.fluxcd.io/v1beta2", "interval: 5m", "insecure: true", 'semver: "*"'):
        assert line in applied
    assert "The API server answers: v1beta2 OCIRepository is deprecated, upgrade to v1" in applied
    stored = f"stored artifact for digest '1.1.0@{digest}…'"
    assert re.search(
        rf"NAME +URL +READY +STATUS +AGE\n +app +oci://\S+/demo/app +True +{re.escape(stored)} +\d+s", ready
    )
    assert conditions(ready) == {"Ready": "True", "ArtifactInStorage": "True", "SourceVerified": "True"}
    assert "files: deployment.yaml, kustomization.yaml, settings.yaml" in artifact
    assert re.search(r" +app +oci://\S+ +False +failed to verify the signature using provider 'cosign': ", refused)
    assert conditions(refused) == {
        "Reconciling": "True",
        "Ready": "False",
        "ArtifactInStorage": "True",
        "ArtifactOutdated": "True",
        "SourceVerified": "False",
    }
    assert re.search(rf"status +1\.1\.0@{digest}", old)
    for found in re.findall(r"http://\S+|(?<!/)(?<!@)sha256:\w{64}", artifact):
        assert found in old
    assert left_in(tmp_path) == []


def test_it_stays_up_for_play_until_ctrl_c(start: Start, tmp_path: Path) -> None:
    process = start()
    told = read_until(process, "operator's log ")
    cluster = admin(tmp_path, told)
    [push, *_] = re.findall(r"^ +(\S+/push 1\.3\.0)$", told, re.MULTILINE)
    assert run(push).endswith(", signed by cosign\n")
    cluster.patch(SOURCE, {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}})
    cluster.wait(SOURCE, lambda seen: seen["status"]["artifact"]["revision"].startswith("1.3.0@"))
    [log] = re.findall(r"operator's log +(\S+)", told)
    assert "stored artifact with revision '1.3.0@" in Path(log).read_text()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (0, "")
    assert rest.endswith("\nstopped, and everything removed\n")
    assert left_in(tmp_path) == []


def test_an_operator_that_ends_is_told_with_the_end_of_its_log(start: Start, tmp_path: Path) -> None:
    process = start()
    read_until(process, "operator's log ")
    [operator] = [each for each in psutil.process_iter(["cmdline"]) if is_operator(each.info["cmdline"], tmp_path)]
    operator.send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    sentence, _, tail = errors.strip().partition("\n\nThe end of the operator's log:\n")
    assert sentence == "make run failed: the operator ended with exit code -9"
    assert "failed to verify the signature using provider 'cosign'" in tail
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("moment", ["==> Starting etcd", "==> Pushing a small app", "==> Starting the operator"])
def test_ctrl_c_before_the_end_leaves_nothing_and_no_traceback(start: Start, tmp_path: Path, moment: str) -> None:
    process = start("--once")
    read_until(process, moment)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "")
    assert rest.endswith("\nstopped, and everything removed\n")
    assert left_in(tmp_path) == []


def without_kubectl(folder: Path) -> dict[str, str]:
    """A PATH with nothing on it. The binaries come from where they are."""
    assets = folder.with_name(f"{folder.name}-assets")
    assets.mkdir()
    for name in ("etcd", "kube-apiserver", "cosign"):
        (assets / name).symlink_to(locate(name))
    return {"PATH": "", "KUBEBUILDER_ASSETS": str(assets)}


def sections(told: str) -> dict[str, str]:
    """What was told under each heading."""
    parts = re.split(r"^==> (.*)\n", told, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def conditions(section: str) -> dict[str, str]:
    return dict(re.findall(r"^    ([A-Z]\w+) +(True|False) +[A-Z]\w+$", section, re.MULTILINE))


def admin(folder: Path, told: str) -> Cluster:
    """A client of the API server, as its kubeconfig says."""
    [path] = re.findall(r"export KUBECONFIG=(\S+)", told)
    assert Path(path).is_relative_to(folder)
    config: dict[str, Any] = json.loads(Path(path).read_text())
    cluster = config["clusters"][0]["cluster"]
    return Cluster(cluster["server"], Path(cluster["certificate-authority"]), config["users"][0]["user"]["token"])


def is_operator(command: list[str] | None, folder: Path) -> bool:
    words = command or []
    return "ocisource" in words and any(each.startswith(f"--storage-path={folder}") for each in words)
