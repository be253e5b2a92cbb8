"""`make run` on a machine without Go and binaries: `ocisource check` in place of the operator."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from unit.devkit.leftovers import left_in

TOOLS = Path(__file__).resolve().parents[3] / "tools"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts it with an empty PATH, an empty cache and a folder of its own for temporary files."""
    with ExitStack() as stack:

        def begin(*arguments: str) -> subprocess.Popen[str]:
            environment = {**os.environ, "PATH": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
            environment |= {"TMPDIR": str(tmp_path), "PYTHONPATH": str(TOOLS)}
            environment.pop("KUBEBUILDER_ASSETS", None)
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "devkit.demo", *arguments],
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            return process

        yield begin


def test_the_same_is_shown_by_check_and_what_is_missing_is_said(start: Start, tmp_path: Path) -> None:
    process = start("--once")
    told, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert (
        "kube-apiserver is neither in KUBEBUILDER_ASSETS nor on PATH, and building it needs Go 1.26 or newer: "
        "install Go and try again\n"
    ) in told
    good, _, bad = told.partition("==> Pushing 1.2.0 without a signature")
    assert re.search(r"verified +sha256:[0-9a-f]{64} is signed by key 'cosign.pub'", good)
    assert re.search(r"files +deployment.yaml, kustomization.yaml, settings.yaml\n", good)
    assert re.search(r"\n +READY +Succeeded: stored artifact for digest '1\.1\.0@sha256:", good)
    assert re.search(r"\n +NOT READY +VerificationError: .*no matching signatures were found for .*/demo/app@", bad)
    assert left_in(tmp_path) == []


def test_it_stays_up_for_play_until_ctrl_c(start: Start, tmp_path: Path) -> None:
    process = start()
    told = read_until(process, "the YAML ")
    push, check = re.findall(r"again: READY\n +(.+)\n +(.+)\n", told)[0]
    assert run(push).startswith("pushed 127.0.0.1:")
    assert re.search(r"\n +READY +Succeeded: stored artifact for digest '1\.3\.0@", run(check))
    mistake = re.findall(r"what does the check say\?\n +(.+)\n", told)[0]
    run(mistake)
    assert "NOT READY     URLInvalid: " in run(check)
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (0, "")
    assert rest.endswith("\nstopped, and everything removed\n")
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    ("moment", "way"), [("==> Pushing a small app", signal.SIGTERM), ("==> It would be Ready", signal.SIGINT)]
)
def test_a_signal_before_the_end_leaves_nothing_and_no_traceback(
    start: Start, tmp_path: Path, moment: str, way: signal.Signals
) -> None:
    process = start("--once")
    read_until(process, moment)
    for _ in range(3):  # impatient
        process.send_signal(way)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    assert rest.endswith("\nstopped, and everything removed\n")
    assert left_in(tmp_path) == []


def read_until(process: subprocess.Popen[str], mark: str) -> str:
    """What it told, up to the line with the mark."""
    told = ""
    assert process.stdout
    for line in process.stdout:
        told += line
        if mark in line:
            return told
    pytest.fail(f"it ended without {mark!r}:\n{told}")


def run(command: str) -> str:
    """As typed into a terminal."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr
