"""What a Keeper started is gone when we are gone, whichever way we went."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devkit.keeper import Keeper

TOOLS = Path(__file__).resolve().parents[3] / "tools"
SLEEP = ["sleep", "600"]
FAMILY = ["sh", "-c", "sleep 600 & echo $!; wait"]

OWNER = """
import json, signal, sys
from devkit.keeper import Keeper
with Keeper() as keeper:
    pids = [keeper.pid, keeper.start("one", ["sleep", "600"]), keeper.start("two", ["sleep", "600"])]
    print(json.dumps({"pids": pids, "folder": str(keeper.folder)}), flush=True)
    if sys.argv[1] == "fail":
        raise RuntimeError("as a failed test does")
    signal.pause()
"""


def eventually_gone(*pids: int, within: float = 10) -> bool:
    """Gone, or a zombie that only waits for a parent that is not ours."""
    deadline = time.monotonic() + within
    while any(alive(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def keeper() -> Iterator[Keeper]:
    with Keeper() as keeper:
        yield keeper


def test_closing_ends_the_processes_and_removes_the_folder() -> None:
    with Keeper() as keeper:
        pid = keeper.start("sleeper", SLEEP)
        (keeper.folder / "data").mkdir()
        (keeper.folder / "data" / "file").write_text("x")
        assert alive(pid)
    assert not alive(pid)
    assert not keeper.folder.exists()


def test_the_children_of_a_process_end_with_it() -> None:
    with Keeper() as keeper:
        pid = keeper.start("family", FAMILY)
        log = keeper.log("family")
        while not log.read_text().strip():
            time.sleep(0.01)
        child = int(log.read_text())
        assert alive(child)
    assert eventually_gone(pid, child)


@pytest.mark.parametrize("way", ["fail", "SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_nothing_outlives_an_owner_that_goes_this_way(way: str) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, way],
        env={**os.environ, "PYTHONPATH": str(TOOLS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with owner:
        assert owner.stdout
        started = json.loads(owner.stdout.readline())
        if way != "fail":
            owner.send_signal(signal.Signals[way])
    assert owner.returncode != 0
    assert eventually_gone(*started["pids"])
    assert not Path(started["folder"]).exists()


def test_a_killed_keeper_takes_its_processes_with_it() -> None:
    keeper = Keeper()
    pid = keeper.start("sleeper", SLEEP)
    os.kill(keeper.pid, signal.SIGKILL)
    assert eventually_gone(pid)
    with pytest.raises(RuntimeError, match="the keeper was killed"):
        keeper.exit_code("sleeper")
    keeper.close()
    shutil.rmtree(keeper.folder)


def test_ctrl_c_in_a_terminal_reaches_neither_keeper_nor_process(keeper: Keeper) -> None:
    """The terminal signals the foreground group of its session: both are in another one."""
    pid = keeper.start("sleeper", SLEEP)
    assert os.getsid(keeper.pid) != os.getsid(0)
    assert os.getsid(pid) != os.getsid(0)


def test_the_exit_code_is_told_once_there_is_one(keeper: Keeper) -> None:
    keeper.start("three", ["sh", "-c", "echo said; exit 3"])
    while keeper.exit_code("three") is None:
        time.sleep(0.01)
    assert keeper.exit_code("three") == 3
    assert keeper.log("three").read_text() == "said\n"


def test_a_signal_reaches_the_process(keeper: Keeper) -> None:
    keeper.start("sleeper", SLEEP)
    assert keeper.exit_code("sleeper") is None
    keeper.kill("sleeper", signal.SIGTERM)
    while keeper.exit_code("sleeper") is None:
        time.sleep(0.01)
    assert keeper.exit_code("sleeper") == -signal.SIGTERM
    keeper.kill("sleeper")  # it has ended: nothing happens


def test_a_name_can_be_used_again_and_the_first_process_is_gone(keeper: Keeper) -> None:
    first = keeper.start("sleeper", SLEEP)
    second = keeper.start("sleeper", SLEEP)
    assert not alive(first)
    assert alive(second)


def test_a_command_that_is_not_there_is_an_error_and_the_keeper_goes_on(keeper: Keeper) -> None:
    with pytest.raises(RuntimeError, match="no-such-command"):
        keeper.start("nothing", ["no-such-command"])
    assert alive(keeper.start("sleeper", SLEEP))


def test_a_closed_keeper_says_so() -> None:
    keeper = Keeper()
    keeper.close()
    with pytest.raises(RuntimeError, match="closed"):
        keeper.start("sleeper", SLEEP)
