"""The steps of the Dockerfile, followed by hand: this machine may have no container engine, the result is the same
folder of packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from unit.packaging.dockerfile import ROOT, stages

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder /site of the image, made by the COPY and RUN lines of the first stage."""
    home = tmp_path_factory.mktemp("image")
    source = home / "src"
    source.mkdir()
    made = subprocess.run([sys.executable, "-m", "venv", home / "python"], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        missing(f"no virtual environment can be made with {sys.executable}: {made.stdout}{made.stderr}")
    arguments: dict[str, str] = {}
    for instruction, rest in stages()[0].instructions:
        if instruction == "ARG":
            arguments |= dict([rest.split("=", 1)])
        if instruction == "COPY":
            copy(rest.split(), source)
        if instruction == "RUN":
            run(rest, home, arguments)
    return home / "site"


def missing(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def copy(paths: list[str], target: Path) -> None:
    *sources, folder = paths
    for name in sources:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target / folder, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (target / folder).mkdir(exist_ok=True)
            shutil.copy2(ROOT / name, target / folder)


def run(line: str, home: Path, arguments: Mapping[str, str]) -> None:
    line = line.replace("/site", f"{home}/site").replace("/wheel", f"{home}/wheel")
    environment = {
        **os.environ,
        **arguments,
        "PATH": f"{home}/python/bin:{os.environ['PATH']}",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    done = subprocess.run(
        ["sh", "-ec", line], cwd=home / "src", env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    if "NewConnectionError" in done.stderr or "Could not find a version" in done.stderr:
        missing(f"the packages of the lock cannot be fetched: {done.stderr[-500:]}")
    assert done.returncode == 0, done.stderr[-2000:]


def ask(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python with nothing but the image's packages and environment."""
    environment = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "", "LANG": "C.UTF-8"}
    return subprocess.run(
        [Path(sys.executable).resolve(), "-P", *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_operator_starts_from_the_images_packages_alone(site: Path) -> None:
    done = ask(site, "-m", "ocisource", "--help")
    assert done.returncode == 0, done.stderr
    assert "run the operator against a cluster" in done.stdout
    done = ask(site, "-m", "ocisource", "run", "--help")
    assert done.returncode == 0, done.stderr
    assert "--storage-path" in done.stdout


EVERY_MODULE = """
import importlib, pkgutil, ocisource
print(ocisource.__file__)
for each in pkgutil.walk_packages(ocisource.__path__, "ocisource."):
    if not each.name.endswith("__main__"):
        try:
            importlib.import_module(each.name)
        except ModuleNotFoundError as error:
            print(each.name, error.name)
"""


def test_every_module_of_the_operator_finds_what_it_imports(site: Path) -> None:
    """But for the libraries of the clouds, which are extras."""
    done = ask(site, "-c", EVERY_MODULE)
    assert done.returncode == 0, done.stderr
    place, *lacking = done.stdout.splitlines()
    assert Path(place).is_relative_to(site)
    assert set(lacking) <= {
        "ocisource.clouds.aws botocore",
        "ocisource.clouds.azure azure",
        "ocisource.clouds.gcp google",
    }


def test_the_image_carries_neither_clients_nor_tools_of_development(site: Path) -> None:
    packages = {each.name.partition("-")[0].lower() for each in site.glob("*.dist-info")}
    assert "kopf" in packages
    assert packages.isdisjoint({"kubernetes", "oras", "pip", "pytest", "hatchling", "devkit"})
    assert not (site / "bin").exists()


def test_the_bytecode_is_there_since_nothing_can_be_written_later(site: Path) -> None:
    assert list(site.glob("ocisource/__pycache__/__init__.*.pyc"))
    assert list(site.glob("kopf/**/__pycache__/*.pyc"))
