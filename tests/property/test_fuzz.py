"""The fuzz targets of `fuzz/` hold for a while. `make fuzz` goes on for longer."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUNS = 2500

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None,
    reason="NOT FUZZED: atheris has no wheel for this Python or this machine (Linux on x86_64, up to Python 3.13)",
)


def test_nothing_but_refusals_comes_out_of_the_trust_room_whatever_is_fed(tmp_path: Path) -> None:
    """Every target accepts its seeds, and nothing that is changed is accepted unless it means the same."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools")}
    command = [sys.executable, "fuzz/run.py", "--runs", str(RUNS), "--seconds", "120", "--seed", "1"]

    ran = subprocess.run(
        [*command, "--findings", str(tmp_path)], check=False, cwd=ROOT, env=environment, capture_output=True, text=True
    )

    told = ran.stderr[-5000:]
    assert ran.returncode == 0, told
    assert re.search(rf"stat::number_of_executed_units: {RUNS}", told)
    assert list(tmp_path.iterdir()) == []
