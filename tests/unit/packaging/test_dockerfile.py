"""What the image promises, read off the Dockerfile; tests/e2e/test_image.py follows its steps."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from devkit import manifests
from ocisource.settings import parse_settings
from unit.packaging.dockerfile import ROOT, Stage, stages


@pytest.fixture
def build() -> Stage:
    return stages()[0]


@pytest.fixture
def final() -> Stage:
    return stages()[-1]


@pytest.fixture
def pod() -> dict[str, Any]:
    (deployment,) = [each for each in manifests.load(ROOT / "config" / "manager") if each["kind"] == "Deployment"]
    spec: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


def test_both_stages_are_of_the_same_debian_and_glibc(build: Stage, final: Stage) -> None:
    """Wheels with compiled parts are chosen by the Python of the first stage and run by that of the second: trixie
    is Debian 13, whose Python is 3.13."""
    assert re.fullmatch(r"python:3\.13-slim-trixie", build.image)
    assert re.fullmatch(r"gcr\.io/distroless/python3-debian13(:nonroot)?", final.image)


def test_the_final_stage_runs_nothing_so_it_needs_no_shell(final: Stage) -> None:
    assert final.all("RUN") == []
    assert json.loads(final.all("ENTRYPOINT")[0])[-2:] == ["-m", "ocisource"]
    assert json.loads(final.all("CMD")[0]) == ["run"]


def test_the_image_and_the_pod_run_as_the_same_nobody(final: Stage, pod: dict[str, Any]) -> None:
    security = pod["securityContext"]
    assert final.all("USER") == ["65534:65534"]
    assert (security["runAsUser"], security["runAsGroup"], security["fsGroup"]) == (65534, 65534, 65534)
    assert security["runAsNonRoot"] is True


def test_every_package_of_the_image_is_pinned_by_its_hash(build: Stage) -> None:
    installs = [step for line in build.all("RUN") for step in line.split(" && ") if "pip install" in step]
    assert len(installs) == 3
    for step in installs:
        assert "--require-hashes" in step or "--no-index" in step, step


def test_the_tool_that_builds_the_wheel_is_the_one_that_developers_have() -> None:
    built, developed = (set(pins(ROOT / "requirements" / name)) for name in ("build.txt", "dev.txt"))
    assert "hatchling" in {each.partition("==")[0] for each in built}
    assert built <= developed


def test_the_image_can_have_the_libraries_of_the_clouds_too() -> None:
    """`--build-arg LOCK=clouds`: the same packages, and those of the extras."""
    plain, clouds = (set(pins(ROOT / "requirements" / f"{name}.txt")) for name in ("operator", "clouds"))
    assert plain < clouds
    assert {"botocore", "azure-identity", "google-auth"} <= {each.partition("==")[0] for each in clouds}


def pins(lock: Path) -> list[str]:
    return re.findall(r"^[a-z0-9-]+==[^ ;]+", lock.read_text(), flags=re.MULTILINE)


def test_everything_that_is_copied_passes_the_dockerignore(build: Stage) -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in build.all("COPY"):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert Path(source).parts[0] in kept, source


def test_the_wheel_is_built_from_what_pyproject_names(build: Stage) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = [source.rstrip("/") for line in build.all("COPY") for source in line.split()[:-1]]
    for needed in (project["project"]["readme"], *project["project"]["license-files"]):
        assert needed in copied
    for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert Path(package).parts[0] in copied


def test_the_pod_runs_the_image_of_this_version(container: dict[str, Any]) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert container["image"] == f"oci-source-operator:{version}"


def test_the_pod_gives_the_operator_flags_that_it_knows(container: dict[str, Any]) -> None:
    """The address is the one that clients are used to (flux-compat G3)."""
    command, *flags = [each.replace("$(RUNTIME_NAMESPACE)", "flux-system") for each in container["args"]]
    settings = parse_settings(flags, {"RUNTIME_NAMESPACE": "flux-system"}, "host")
    assert command == "run"
    assert settings.storage_adv_addr == "source-controller.flux-system.svc.cluster.local."
    assert [each["name"] for each in container["env"]] == ["RUNTIME_NAMESPACE"]


def test_the_pod_opens_the_ports_that_the_operator_listens_on(final: Stage, container: dict[str, Any]) -> None:
    settings = parse_settings([], {}, "host")
    assert settings.metrics_addr
    assert settings.health_addr
    ports = {each["name"]: each["containerPort"] for each in container["ports"]}
    listened = (settings.storage_addr.port, settings.metrics_addr.port, settings.health_addr.port)
    assert (ports["http"], ports["http-prom"], ports["healthz"]) == listened
    assert [int(port) for port in final.all("EXPOSE")[0].split()] == [9090, 8080, 9440]


def test_only_the_storage_and_the_folder_for_temporary_files_can_be_written(container: dict[str, Any]) -> None:
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert {each["mountPath"] for each in container["volumeMounts"]} == {"/data", "/tmp"}
    assert "--storage-path=/data" in container["args"]


def test_readiness_is_the_artifact_server_and_liveness_the_health_server(container: dict[str, Any]) -> None:
    """flux-compat G5, G7."""
    assert container["readinessProbe"]["httpGet"] == {"port": "http", "path": "/"}
    assert container["livenessProbe"]["httpGet"] == {"port": "healthz", "path": "/healthz"}


def test_the_service_reaches_the_artifact_port_of_the_pod() -> None:
    objects = {each["kind"]: each for each in manifests.load(ROOT / "config" / "manager")}
    service, template = objects["Service"]["spec"], objects["Deployment"]["spec"]["template"]
    assert service["selector"].items() <= template["metadata"]["labels"].items()
    assert [(each["port"], each["targetPort"]) for each in service["ports"]] == [(80, "http")]
    assert objects["Service"]["metadata"]["name"] == "source-controller"
