"""Where a binary comes from: KUBEBUILDER_ASSETS, PATH, the cache, a build; in this order."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from devkit.binaries import BINARIES, Binary, BuildError, MissingToolError, find, locate, module_folder, obtain

TOOLS = Path(__file__).resolve().parents[3] / "tools"

# Stands in for the Go toolchain: notes that it ran, waits to be told, writes the file after -o.
GO = """#!/bin/sh
echo run >> "{home}/runs"
echo $$ > "{home}/started"
while [ -e "{home}/hold" ]; do sleep 0.01; done
if [ -e "{home}/broken" ]; then echo "main.go:1: broken"; exit 1; fi
while [ "$1" != "-o" ]; do shift; done
printf '#!/bin/sh\\necho built\\n' > "$2"; chmod +x "$2"
"""


class Machine:
    """A PATH, a cache and a toolchain of the test's own."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = home
        self.path = home / "path"
        self.path.mkdir()
        self.module = home / "module"
        self.module.mkdir()
        (self.module / "go.mod").write_text("module example\n")
        self._monkeypatch = monkeypatch
        monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
        monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
        monkeypatch.setenv("PATH", str(self.path))
        for name in ("chmod", "sleep"):
            (self.path / name).symlink_to(shutil.which(name, path=os.defpath) or f"/bin/{name}")

    @property
    def binary(self) -> Binary:
        return Binary("thing", self.module, "example/cmd/thing", minutes=1, file="thing")

    def executable(self, folder: Path, name: str, text: str = "#!/bin/sh\n") -> Path:
        folder.mkdir(exist_ok=True)
        file = folder / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def with_go(self) -> None:
        self.executable(self.path, "go", GO.format(home=self.home))

    def with_assets(self, folder: Path) -> None:
        self._monkeypatch.setenv("KUBEBUILDER_ASSETS", str(folder))

    @property
    def builds(self) -> int:
        runs = self.home / "runs"
        return len(runs.read_text().splitlines()) if runs.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    yield (machine := Machine(tmp_path, monkeypatch))
    (machine.home / "hold").unlink(missing_ok=True)  # after a failure nobody waits for it any more


def test_kubebuilder_assets_come_before_path(machine: Machine) -> None:
    on_path = machine.executable(machine.path, "thing")
    assert obtain(machine.binary) == on_path
    asset = machine.executable(machine.home / "assets", "thing")
    machine.with_assets(asset.parent)
    assert obtain(machine.binary) == asset


def test_what_is_not_among_the_assets_is_looked_for_on_path(machine: Machine) -> None:
    on_path = machine.executable(machine.path, "thing")
    machine.with_assets(machine.home)
    assert obtain(machine.binary) == on_path


def test_a_build_is_made_once_and_found_again(machine: Machine) -> None:
    machine.with_go()
    made = obtain(machine.binary)
    assert subprocess.run([made], capture_output=True, text=True, check=True).stdout == "built\n"
    assert obtain(machine.binary) == made
    assert machine.builds == 1
    assert made.is_relative_to(machine.home / "cache" / "oci-source-operator" / "tools")


@pytest.mark.parametrize("change", ["go.mod", "go.sum", "main.go", "flags"])
def test_a_changed_source_is_built_anew(machine: Machine, change: str) -> None:
    machine.with_go()
    before = obtain(machine.binary)
    binary = machine.binary
    if change == "flags":
        binary = replace(binary, link="-X main.version=2")
    else:
        (machine.module / change).write_text("changed\n")
    assert obtain(binary) != before
    assert machine.builds == 2


def test_another_program_of_the_same_name_on_path_is_not_taken(machine: Machine) -> None:
    machine.with_go()
    other = machine.executable(machine.path, "thing", "#!/bin/sh\necho other 1.0\n")
    binary = replace(machine.binary, probe=("--version",), answer="ours")
    assert obtain(binary) != other
    ours = machine.executable(machine.path, "thing", "#!/bin/sh\necho ours 1.0 >&2\n")
    assert obtain(binary) == ours


def test_looking_for_a_binary_builds_nothing(machine: Machine) -> None:
    machine.with_go()
    assert find("cosign") is None
    assert machine.builds == 0
    older = machine.executable(machine.path, "cosign", "#!/bin/sh\necho 'GitVersion:    v2.4.1'\n")
    assert find("cosign") is None
    older.write_text("#!/bin/sh\necho 'GitVersion:    v3.1.3'\n")
    assert find("cosign") == older
    older.unlink()
    built = locate("cosign")
    assert find("cosign") == built


def test_our_own_registry_is_never_another_ones(machine: Machine) -> None:
    machine.executable(machine.path, "registry")
    with pytest.raises(MissingToolError):
        locate("registry")


def test_a_missing_toolchain_is_one_sentence_that_says_what_helps(machine: Machine) -> None:
    with pytest.raises(MissingToolError) as missing:
        obtain(machine.binary)
    assert str(missing.value) == (
        "thing is neither in KUBEBUILDER_ASSETS nor on PATH, and building it needs Go 1.26 or newer: "
        "install Go and try again"
    )


def test_a_failed_build_tells_what_the_compiler_said_and_leaves_nothing(machine: Machine) -> None:
    machine.with_go()
    (machine.home / "broken").touch()
    with pytest.raises(BuildError, match=r"building thing failed:\nmain.go:1: broken"):
        obtain(machine.binary)
    assert [each.name for each in (machine.home / "cache").rglob("*") if each.is_file()] == [".thing.lock"]
    (machine.home / "broken").unlink()
    assert obtain(machine.binary).exists()


OBTAIN = """
import sys
from pathlib import Path
from devkit.binaries import Binary, obtain
print(obtain(Binary("thing", Path(sys.argv[1]), "example/cmd/thing", minutes=1, file="thing")))
"""


def begun(machine: Machine) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", OBTAIN, str(machine.module)],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_build_once_and_get_the_same_file(machine: Machine) -> None:
    machine.with_go()
    hold = machine.home / "hold"
    hold.touch()
    first = begun(machine)
    while not (machine.home / "started").exists():
        time.sleep(0.01)
    second = begun(machine)
    assert second.stderr
    assert second.stderr.readline() == "waiting for another process that builds thing…\n"
    hold.unlink()
    assert first.communicate()[0] == second.communicate()[0] != ""
    assert machine.builds == 1


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_build_leaves_no_compiler_and_no_half_a_file(machine: Machine, way: signal.Signals) -> None:
    machine.with_go()
    (machine.home / "hold").touch()
    process = begun(machine)
    while not ((machine.home / "started").exists() and (machine.home / "started").read_text()):
        time.sleep(0.01)
    compiler = psutil.Process(int((machine.home / "started").read_text()))
    process.send_signal(way)
    process.communicate()
    assert psutil.wait_procs([compiler], timeout=10)[1] == []
    assert [each.name for each in (machine.home / "cache").rglob("*") if each.is_file()] == [".thing.lock"]


def test_progress_says_what_is_built_and_how_long_it_takes(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.with_go()
    obtain(machine.binary)
    assert capsys.readouterr().err.startswith("building thing (about 1 minute, once)… 0 s\n")


def test_a_module_that_lacks_what_it_embeds_is_built_from_a_whole_copy(machine: Machine) -> None:
    """The cache of Go is read-only and stays as it is."""
    cached = machine.home / "modules" / "flux"
    (cached / "cmd").mkdir(parents=True)
    (cached / "cmd" / "main.go").write_text("package main\n")
    for each in (cached / "cmd" / "main.go", cached / "cmd", cached):
        each.chmod(0o444 if each.is_file() else 0o555)
    script = f"""#!/bin/sh
if [ "$2" = download ]; then echo '{{"Dir": "{cached}"}}'; exit 0; fi
[ -w "$3/cmd" ] && [ -f "$3/cmd/main.go" ] && [ -f "$3/cmd/manifests/none.yaml" ] || exit 1
while [ "$1" != "-o" ]; do shift; done
echo built > "$2"
"""
    machine.executable(machine.path, "go", script)

    made = obtain(replace(machine.binary, path="example.com/flux", absent="cmd/manifests/none.yaml"))

    assert made.read_text() == "built\n"
    assert sorted(each.name for each in cached.rglob("*")) == ["cmd", "main.go"]


def test_a_module_that_cannot_be_had_is_told(machine: Machine) -> None:
    machine.executable(machine.path, "go", "#!/bin/sh\necho 'no such version' >&2\nexit 1\n")
    with pytest.raises(MissingToolError, match=r"^example\.com/flux cannot be had: no such version$"):
        module_folder(machine.binary, "example.com/flux")


def test_every_binary_has_its_pins_committed() -> None:
    for binary in BINARIES.values():
        assert (binary.module / "go.mod").exists(), binary.name
        assert (binary.module / "go.sum").exists(), binary.name
