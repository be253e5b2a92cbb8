"""Which tests run which lines: those that a change of a line can make fail."""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from devkit.mutants.trials import PYTEST, TESTS, TRUST, UNLIMITED, forked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from devkit.mutants.mutant import Mutant

Lines = dict[int, list[str]]
"""The tests that run a line. Line 0: those that run any line of the module."""


class _Watch:
    """Tells coverage which test is running, and takes its time."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = defaultdict(float)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self._coverage.switch_context(item.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration


@dataclass(frozen=True)
class Coverage:
    """Which tests run which lines, by module, and the seconds that each test takes."""

    lines: dict[Path, Lines]
    seconds: dict[str, float]

    @classmethod
    def observed(cls, modules: Sequence[Path], folder: Path) -> Coverage:
        """Runs all tests once."""
        from coverage import CoverageData  # noqa: PLC0415 - not while it would watch all of us

        if forked(lambda: _observe(folder), UNLIMITED, quiet=False) != 0:
            sys.exit("the tests fail, even without a change")
        data = CoverageData(str(folder / "lines"))
        data.read()
        lines = {path: _lines(data.contexts_by_lineno(str(path))) for path in modules}
        return cls(lines, defaultdict(float, json.loads((folder / "seconds").read_text())))


def _lines(found: dict[int, list[str]]) -> Lines:
    lines = {line: [test for test in tests if test] for line, tests in found.items()}
    return {0: sorted({test for tests in lines.values() for test in tests}), **lines}


def _observe(folder: Path) -> int:
    import coverage  # noqa: PLC0415 - as above

    measured = coverage.Coverage(data_file=folder / "lines", source=[str(TRUST)], config_file=False)
    watch = _Watch(measured)
    measured.start()
    status = pytest.main([*PYTEST, TESTS], plugins=[watch])
    measured.stop()
    measured.save()
    (folder / "seconds").write_text(json.dumps(watch.seconds))
    return int(status)


def relevant(mutant: Mutant, tree: ast.Module, lines: Lines, own: str) -> list[str]:
    """All tests of the module's own file, then the others that run what was changed."""
    first, last = _statement(tree, mutant.start, mutant.end)
    found = {test for line in range(first, last + 1) for test in lines.get(line, ())} or set(lines[0])
    owned = [test for test in lines[0] if test.startswith(own)]
    return [*owned, *sorted(found.difference(owned))]


def _statement(tree: ast.Module, start: int, end: int) -> tuple[int, int]:
    """The lines of the innermost statement, of a compound one those of its head."""
    first, last = start, end
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and node.lineno <= start <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            head = body[0].lineno - 1 if body else node.end_lineno or 0
            if start <= max(head, node.lineno):
                first, last = min(first, node.lineno), max(last, head)
    return first, last
