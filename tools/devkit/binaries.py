"""Where the binaries of the real parts come from.

In order: the folder `KUBEBUILDER_ASSETS`, PATH, the cache of an earlier build, a build from the pinned Go modules of
`tools/`. The cache lies outside the checkout (`$XDG_CACHE_HOME/oci-source-operator/tools/<hash>/`), since a fresh clone
starts without one; the hash is of what is built, so a changed pin builds anew.

    python -m devkit.binaries [NAME…]    builds what is missing, prints where each one is
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.keeper import Keeper

if TYPE_CHECKING:
    from collections.abc import Iterator

TOOLS = Path(__file__).resolve().parent.parent
KUBERNETES_VERSION = "v1.36.3"


class MissingToolError(Exception):
    """A binary cannot be had on this machine; the message says why and what helps."""


class BuildError(MissingToolError):
    """Go is here, yet it could not build the binary."""


@dataclass(frozen=True)
class Binary:
    """One binary and its pinned source."""

    name: str
    module: Path  # the folder of its go.mod
    package: str
    minutes: float  # of a first build on two cores
    link: str = ""  # further linker flags
    file: str | None = None  # its name in KUBEBUILDER_ASSETS and on PATH; None if only our own build will do
    probe: tuple[str, ...] = ()  # arguments that make a found binary say which one it is
    answer: str = ""  # what its output then contains
    path: str = ""  # the module to build by itself, if not as a tool of `module`, which then pins it
    absent: str = ""  # a file that its package embeds and that its releases lack: built with an empty one


_VERSION = "k8s.io/component-base/version"
BINARIES = {
    binary.name: binary
    for binary in (
        Binary(
            "kube-apiserver",
            TOOLS,
            "k8s.io/kubernetes/cmd/kube-apiserver",
            minutes=6,
            link=f"-X {_VERSION}.gitVersion={KUBERNETES_VERSION}",
            file="kube-apiserver",
        ),
        Binary("etcd", TOOLS, "go.etcd.io/etcd/server/v3", minutes=0.5, file="etcd"),
        Binary("registry", TOOLS / "registry", ".", minutes=0.3),
        Binary(
            "distribution",
            TOOLS / "distribution",
            "github.com/distribution/distribution/v3/cmd/registry",
            minutes=2,
            file="registry",
            probe=("--version",),
            answer="github.com/distribution/distribution/v3",
        ),
        Binary(
            "cosign",
            TOOLS / "cosign",
            "github.com/sigstore/cosign/v3/cmd/cosign",
            minutes=3,
            file="cosign",
            probe=("version",),
            answer="GitVersion:    v3.",
        ),
        Binary(
            "kustomize-controller",
            TOOLS / "kustomize-controller",
            "github.com/fluxcd/kustomize-controller",
            minutes=4,
            file="kustomize-controller",
        ),
        Binary(
            "helm-controller",
            TOOLS / "helm-controller",
            "github.com/fluxcd/helm-controller",
            minutes=4,
            file="helm-controller",
        ),
        Binary(
            "flux",
            TOOLS / "flux",
            "./cmd/flux",
            minutes=3,
            file="flux",
            probe=("--version",),
            answer="flux version 2.",
            path="github.com/fluxcd/flux2/v2",
            absent="cmd/flux/manifests/none.yaml",
        ),
        Binary("fulcio", TOOLS / "fulcio", "github.com/sigstore/fulcio", minutes=1),
        Binary(
            "rekor-tiles",
            TOOLS / "rekor-tiles",
            "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix",
            minutes=0.5,
        ),
        Binary(
            "timestamp-authority",
            TOOLS / "timestamp-authority",
            "github.com/sigstore/timestamp-authority/v2/cmd/timestamp-server",
            minutes=1,
        ),
        Binary("notation", TOOLS / "notation", "github.com/notaryproject/notation/cmd/notation", minutes=0.5),
        Binary(
            "helm",
            TOOLS / "helm",
            "helm.sh/helm/v3/cmd/helm",
            minutes=1.5,
            file="helm",
            probe=("version", "--short"),
            answer="v3.",
        ),
    )
}


def locate(name: str) -> Path:
    """The path of the binary `name` (a key of BINARIES), built now if it is nowhere yet. Raises MissingToolError."""
    return obtain(BINARIES[name])


def find(name: str) -> Path | None:
    """The path of the binary `name` if it is there already; nothing is built."""
    return _present(BINARIES[name])


def obtain(binary: Binary) -> Path:
    """As `locate`, for any binary."""
    found = _present(binary)
    if found:
        return found
    built = _cache(binary) / binary.name
    _build(binary, built)
    return built


def module_folder(binary: Binary, path: str) -> Path:
    """Where Go keeps the source of the module `path`, in the version that the binary is built from; fetched if it is
    not there. Raises MissingToolError."""
    go = shutil.which("go")
    if go is None:
        raise MissingToolError(f"reading files of {path} needs Go 1.26 or newer: install Go and try again")
    command = [go, "mod", "download", "-C", str(binary.module), "-json", path]
    done = subprocess.run(
        command,
        env={**os.environ, "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MissingToolError(f"{path} cannot be had: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def _present(binary: Binary) -> Path | None:
    """The binary if it is there already, without building anything."""
    cached = _cache(binary) / binary.name
    return _installed(binary) or (cached if cached.exists() else None)


def _installed(binary: Binary) -> Path | None:
    """The binary in KUBEBUILDER_ASSETS or on PATH, if it is the one we mean."""
    if binary.file is None:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    for folders in ([assets] if assets else []) + [os.environ.get("PATH", os.defpath)]:
        found = shutil.which(binary.file, path=folders)
        if found and _is(binary, found):
            return Path(found).absolute()
    return None


def _is(binary: Binary, found: str) -> bool:
    """Whether the file is what its name says: others are called `registry` too, and older cosigns lack flags."""
    if not binary.probe:
        return True
    try:
        said = subprocess.run(
            [found, *binary.probe], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return binary.answer in said.stdout + said.stderr


def _cache(binary: Binary) -> Path:
    """The folder of the builds of exactly this source for this machine."""
    content = hashlib.sha256(f"{platform.system()} {platform.machine()} {binary.link}".encode())
    for source in sorted([*binary.module.glob("go.*"), *binary.module.glob("*.go")]):
        content.update(source.name.encode() + b"\0" + source.read_bytes())
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "oci-source-operator" / "tools" / content.hexdigest()[:16]


def _build(binary: Binary, target: Path) -> None:
    """Builds beside the target and renames: a reader sees no file or a whole one."""
    go = shutil.which("go")
    if go is None:
        places = "neither in KUBEBUILDER_ASSETS nor on PATH" if binary.file else "not built yet"
        raise MissingToolError(
            f"{binary.name} is {places}, and building it needs Go 1.26 or newer: install Go and try again"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(binary, target):
        if target.exists():  # another process has built it meanwhile
            return
        with Keeper() as keeper:
            made = _go_build(go, binary, keeper)
            copy = target.with_name(f".{binary.name}.{os.getpid()}")
            shutil.copy2(made, copy)
            copy.replace(target)


@contextmanager
def _lock(binary: Binary, target: Path) -> Iterator[None]:
    """One build of a binary at a time; the kernel frees the lock of a process that dies."""
    with (target.parent / f".{binary.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another process that builds {binary.name}…")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _go_build(go: str, binary: Binary, keeper: Keeper) -> Path:
    """Builds in the keeper's folder: a build that is interrupted leaves no compiler and no half a file behind."""
    made = keeper.folder / binary.name
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags=-s -w {binary.link}".rstrip()]
    source = _copied(binary, keeper.folder / "source") if binary.path else binary.module
    command = [go, "build", "-C", str(source), *flags, "-o", str(made), binary.package]
    keeper.start("build", command, {**os.environ, "GOWORK": "off", "TMPDIR": str(keeper.folder)})
    _show_progress(binary, keeper)
    if keeper.exit_code("build") != 0:
        tail = "\n".join(keeper.log("build").read_text(errors="replace").splitlines()[-15:])
        raise BuildError(f"building {binary.name} failed:\n{tail}")
    return made


def _copied(binary: Binary, folder: Path) -> Path:
    """A copy of its module that can be written to, and is whole. Returns the folder."""
    shutil.copytree(module_folder(binary, binary.path), folder, copy_function=shutil.copyfile)
    for each in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        each.chmod(0o755)
    if binary.absent:
        (folder / binary.absent).parent.mkdir(parents=True, exist_ok=True)
        (folder / binary.absent).touch()
    return folder


def _show_progress(binary: Binary, keeper: Keeper) -> None:
    """Returns when the build has ended. Meanwhile says how long it has run: on a terminal each second in one line, in
    a log every half minute."""
    terminal = sys.stderr.isatty()
    span = f"{binary.minutes:g} minute{'s' * (binary.minutes > 1)}"
    if binary.minutes < 1:
        span = f"{binary.minutes * 60:.0f} seconds"
    start, told = time.monotonic(), -1
    while True:
        ended = keeper.exit_code("build") is not None
        elapsed = int(time.monotonic() - start)
        if elapsed // (1 if terminal else 30) > told:
            told = elapsed // (1 if terminal else 30)
            line = f"building {binary.name} (about {span}, once)… {elapsed} s"
            _say(f"\r{line}" if terminal else line, end="" if terminal else "\n")
        if ended:
            break
        time.sleep(0.05)
    if terminal:
        _say("")


def _say(text: str, end: str = "\n") -> None:
    print(text, end=end, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="devkit.binaries", description="Builds what is missing, prints the paths.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BINARIES)} (default: all)")
    names = parser.parse_args().names or list(BINARIES)
    unknown = sorted(set(names) - set(BINARIES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(BINARIES)}")
    try:
        for name in names:
            print(f"{name}: {locate(name)}")
    except MissingToolError as missing:
        _say(str(missing))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
