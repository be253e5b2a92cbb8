"""Trials: whether the tests hold with a mutant, each in a fork of a process that is warm."""

from __future__ import annotations

import gc
import importlib
import importlib.abc
import importlib.util
import os
import resource
import signal
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.runner import runtestprotocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from devkit.mutants.mutant import Mutant

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "operator"
TRUST = SOURCE / "ocisource" / "trust"
TESTS = "tests/unit/trust"

UNLIMITED = 600
"""Seconds that all tests have, and that no trial may wait for."""
MEMORY = 4 << 30

PRELOADED = (
    "cbor2",
    "cryptography.x509",
    "devkit.offline",
    "devkit.signer",
    "hypothesis",
    "_hypothesis_pytestplugin",
    "pytest_asyncio.plugin",
    "re2",
    "semver",
)

PYTEST = ("-q", "--no-header", "--tb=no", "--assert=plain", *["-p", "no:cacheprovider", "-p", "no:unraisableexception"])
"""Only whether they hold matters."""


def preload() -> None:
    """What a fork need not import again. Nothing of ours: a fork has to import the mutant."""
    sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests"), str(SOURCE)]
    os.chdir(ROOT)
    for name in PRELOADED:
        importlib.import_module(name)
    if any(name.partition(".")[0] == "ocisource" for name in sys.modules):
        sys.exit("what is preloaded imports the code under test")


class _Mutated(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the mutant in place of its module."""

    def __init__(self, module: str, code: CodeType) -> None:
        self._module = module
        self._code = code

    def find_spec(self, name: str, _path: Any = None, _target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == self._module else None

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


class _Selection:
    """Leaves of the collected tests those that are named, and runs the first named ones first."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted(
            (item for item in items if item.nodeid in self._rank), key=lambda item: self._rank[item.nodeid]
        )


class Collected:
    """Tries mutants in place of running the collected tests."""

    def __init__(self, work: Callable[[Collected], None]) -> None:
        self._work = work
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[str, list[FunctionType]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(TRUST)):
                self._functions[_place(each.__code__)].append(each)
        gc.freeze()
        if forked(lambda: self._fail(list(self._items)), UNLIMITED, quiet=True) != 0:
            sys.exit("the tests fail here, even without a change")
        self._work(self)
        return True

    def survives(self, mutant: Mutant, tests: Sequence[str], seconds: int) -> bool:
        """Whether all tests hold with the mutant, whose change is within a function."""

        def run() -> int:
            for code in _codes(mutant.code):
                for function in self._functions[_place(code)] if code.co_qualname == mutant.function else ():
                    function.__code__ = code
            return self._fail(tests)

        if not self._functions[f"{mutant.code.co_filename}:{mutant.function}"]:
            sys.exit(f"{mutant.function} is not there")
        return forked(run, seconds, quiet=True) == pytest.ExitCode.OK

    def _fail(self, tests: Sequence[str]) -> bool:
        """Whether one of the tests fails."""
        for test, after in pairwise([*tests, ""]):
            reports = runtestprotocol(self._items[test], log=False, nextitem=self._items.get(after))
            if any(report.failed for report in reports):
                return True
        return False


def _place(code: CodeType) -> str:
    return f"{code.co_filename}:{code.co_qualname}"


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _codes(each)


def survives_import(module: str, mutant: Mutant, tests: Sequence[str], seconds: int) -> bool:
    """Whether all tests hold with the mutant, whose change shows when the module is imported."""

    def run() -> int:
        sys.meta_path.insert(0, _Mutated(module, mutant.code))
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        return int(pytest.main([*PYTEST, "-x", *files], plugins=[_Selection(tests)]))

    status = forked(run, seconds, quiet=True)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        sys.exit(f"no test was run for {module}:{mutant.start}")
    return status == pytest.ExitCode.OK


def forked(work: Callable[[], int], seconds: int, *, quiet: bool) -> int:
    """The status of `work` in a fork of this process; negative where a signal ended it."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        if quiet:
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            signal.alarm(UNLIMITED)
        status = work()
    finally:
        os._exit(status)
