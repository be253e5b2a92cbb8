"""`python -m devkit.mutants [MODULE …]`"""

from __future__ import annotations

import argparse
import ast
import difflib
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devkit.mutants.coverage import Coverage, relevant
from devkit.mutants.mutant import Mutant, mutants
from devkit.mutants.trials import PYTEST, SOURCE, TESTS, TRUST, Collected, preload, survives_import

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SECONDS, TIMES = 3, 2
"""Of CPU that the tests of a mutant have: to start, and as a multiple of what they took. A loop without an end is a
change that was noticed."""


@dataclass(frozen=True)
class Examination:
    """How the mutants of some modules fare. What survives is printed as it is found."""

    paths: Sequence[Path]
    coverage: Coverage
    fared: Counter[tuple[Path, bool]]
    """By module, and whether they survived."""

    def of_functions(self) -> None:
        """Those within functions."""

        def work(collected: Collected) -> None:
            self._each(collected.survives, within=True)

        pytest.main([*PYTEST, "--capture=no", TESTS], plugins=[Collected(work)])

    def of_imports(self) -> None:
        """The others."""

        def survives(mutant: Mutant, tests: Sequence[str], seconds: int) -> bool:
            return survives_import(_module(Path(mutant.code.co_filename)), mutant, tests, seconds)

        self._each(survives, within=False)

    def _each(self, survives: Callable[[Mutant, Sequence[str], int], bool], *, within: bool) -> None:
        for path in self.paths:
            source = path.read_text()
            tree, lines = ast.parse(source), self.coverage.lines[path]
            own = f"{TESTS}/{path.relative_to(TRUST).with_name(f'test_{path.name}')}"
            for mutant in mutants(source, path):
                if bool(mutant.function) != within:
                    continue
                tests = relevant(mutant, tree, lines, own)
                seconds = SECONDS + int(TIMES * sum(self.coverage.seconds[test] for test in tests))
                survived = survives(mutant, tests, seconds)
                self.fared[path, survived] += 1
                if survived:
                    print(_difference(source, mutant, _module(path)), flush=True)


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def _difference(source: str, mutant: Mutant, name: str) -> str:
    title = f"{name} {mutant.operator}"
    lines = difflib.unified_diff(source.splitlines(), mutant.source.splitlines(), title, title, n=1, lineterm="")
    return "\n".join([f"=== {title}", *list(lines)[2:]])


def main() -> None:
    parser = argparse.ArgumentParser(description="mutation testing of the trust room")
    parser.add_argument("modules", nargs="*", help="their names, such as keyless or notation/jws; all by default")
    names = parser.parse_args().modules
    paths = [TRUST / f"{name}.py" for name in names] if names else sorted(TRUST.rglob("*.py"))
    paths = [path for path in paths if path.name != "__init__.py"]
    preload()
    with tempfile.TemporaryDirectory() as folder:
        coverage = Coverage.observed(paths, Path(folder))
    fared: Counter[tuple[Path, bool]] = Counter()
    examination = Examination(paths, coverage, fared)
    examination.of_imports()
    examination.of_functions()
    for path in paths:
        print(f"{path.relative_to(TRUST)}: {fared[path, False]} killed, {fared[path, True]} survived")


if __name__ == "__main__":
    main()
