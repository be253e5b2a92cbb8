"""Mutation testing of the trust room: every small change to its code must make a test fail.

The changes are those of cosmic-ray (https://cosmic-ray.readthedocs.io), and a few of the kind that matters most where
checks are made one after the other: a statement that is gone, a condition or a part of one that does not count. Each is
tried on the tests of `tests/unit/trust` that run the changed line, those of the module's own file first. What survives
is printed as a difference.

No file is touched, and little is done twice: a change within a function goes into the living function, in a fork of a
process that has collected the tests; any other one is imported, in a fork of a process that has only imported what is
not ours.

    make mutants                                    all of it, about twenty minutes on one core
    make mutants MODULES="keyless proofs"           some of it
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import importlib
import importlib.abc
import importlib.util
import json
import os
import re
import resource
import signal
import sys
import tempfile
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any

import parso
import pytest
from _pytest.runner import runtestprotocol
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.provider import OperatorProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "operator"
TRUST = SOURCE / "ocisource" / "trust"
TESTS = "tests/unit/trust"

SECONDS, TIMES = 3, 2
"""Of CPU that the tests of a mutant have: to start, and as a multiple of what they took. A loop without an end is a
change that was noticed."""
UNLIMITED = 600
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

LEFT_OUT = re.compile(
    r"Variable.*"  # wants parameters
    r"|ExceptionReplacer"  # stumbles over a.B; DropHandler does the same
    r"|AddNot"  # FixCondition makes the condition both true and false
    r"|ReplaceComparisonOperator_(Eq|NotEq)_(?!Eq|NotEq).*"  # nor did anybody ever write < for !=
    r"|ReplaceBinaryOperator_(?!Add_Sub|Sub_Add|Mul_Add|Div_Mul|FloorDiv_Mul|Mod_FloorDiv|Pow_Mul|RShift_LShift"
    r"|LShift_RShift|BitOr_BitAnd|BitAnd_BitOr).*"  # one way to be wrong is enough
)
"""Operators of cosmic-ray that are not used."""

Position = tuple[tuple[int, int], tuple[int, int]]
Lines = dict[int, list[str]]
"""The tests that run a line. Line 0: those that run any line of the module."""


class RemoveStatement:
    """`check(x)`, `raise …` and `a += b` become `pass`."""

    _KINDS = ("atom_expr", "raise_stmt")

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "simple_stmt":
            first = node.children[0]
            added = first.type == "expr_stmt" and first.children[1].get_code().strip() in ("+=", "-=", "|=")
            if first.type in self._KINDS or added:
                yield first.start_pos, first.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        return _replaced(node, 0, "pass")


class FixCondition:
    """The condition of an `if`, of a choice or of a comprehension is always true, or never."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for place in self._places(node):
            for _ in ("True", "False"):
                yield node.children[place].start_pos, node.children[place].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return _replaced(node, self._places(node)[index // 2], ("True", "False")[index % 2])

    @staticmethod
    def _places(node: Any) -> list[int]:
        if node.type not in ("if_stmt", "test", "comp_if"):
            return []
        words = [child.get_code().strip() for child in node.children]
        return [place + 1 for place, word in enumerate(words) if word in ("if", "elif")]


class DropOperand:
    """Of `a or b` or `a and b`, one part does not count."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type in ("or_test", "and_test"):
            for operand in node.children[::2]:
                yield operand.start_pos, operand.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return _replaced(node, 2 * index, "False" if node.type == "or_test" else "True")


class SwapMembership:
    """`in` becomes `not in`, and the other way round."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for place in self._places(node):
            yield node.children[place].start_pos, node.children[place].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        place = self._places(node)[index]
        return _replaced(node, place, "not in" if node.children[place].get_code().strip() == "in" else "in")

    @staticmethod
    def _places(node: Any) -> list[int]:
        if node.type != "comparison":
            return []
        words = [" ".join(child.get_code().split()) for child in node.children]
        return [place for place, word in enumerate(words) if place % 2 and word in ("in", "not in")]


class DropHandler:
    """One kind of exception is not caught."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for parent, place in self._places(node):
            yield parent.children[place].start_pos, parent.children[place].end_pos

    def mutate(self, node: Any, index: int) -> Any:
        _replaced(*self._places(node)[index], "KeyboardInterrupt")
        return node

    @staticmethod
    def _places(node: Any) -> list[tuple[Any, int]]:
        if node.type != "except_clause":
            return []
        caught = node.children[1]
        if caught.type != "atom":
            return [(node, 1)]
        kinds = caught.children[1]
        return [(kinds, place) for place in range(0, len(kinds.children), 2)]


def _replaced(node: Any, place: int, code: str) -> Any:
    prefix = node.children[place].get_first_leaf().prefix
    node.children[place] = parso.parse(prefix + code)
    return node


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    operator: str
    start: int
    end: int
    """The lines that it changes."""
    function: str
    """The qualified name of the outermost function within which the change is, "" if there is none."""
    source: str
    code: CodeType


def mutants(source: str, path: Path) -> Iterator[Mutant]:
    """Every change that makes another program; each once."""
    tree, shape = get_ast(source), ast.parse(source)
    seen = {_meaning(source)}
    for name, operator in _operators():
        places = [place for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for number, (start, end) in enumerate(places):
            changed = mutate_code(source, operator, number)
            try:
                meaning = _meaning(changed)
            except SyntaxError:
                continue
            if meaning not in seen:
                seen.add(meaning)
                with warnings.catch_warnings(action="ignore"):
                    code = compile(changed, path, "exec", dont_inherit=True)
                yield Mutant(name, start[0], end[0], _function(shape, start[0], end[0]), changed, code)


def _function(tree: ast.Module | ast.ClassDef, start: int, end: int, prefix: str = "") -> str:
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.lineno <= start <= (node.end_lineno or 0):
            return _function(node, start, end, f"{node.name}.")
        if isinstance(node, ast.FunctionDef) and node.body[0].lineno <= start and end <= (node.end_lineno or 0):
            return prefix + node.name
    return ""


def _operators() -> Iterator[tuple[str, Any]]:
    provider = OperatorProvider()
    for name in provider:
        if not LEFT_OUT.fullmatch(name):
            yield name, provider[name]()
    for own in (RemoveStatement, FixCondition, DropOperand, SwapMembership, DropHandler):
        yield own.__name__, own()


class _Bare(ast.NodeTransformer):
    """Without what no test is about: annotations, imports for them, and how a dataclass is shown and compared."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in ("dataclass", "field"):
            node.keywords = [each for each in node.keywords if each.arg in ("default", "default_factory")]
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST:
        if isinstance(node.test, ast.Name | ast.UnaryOp | ast.Constant) and _imports_only(node.body):
            return ast.Pass()
        return self.generic_visit(node)


def _imports_only(body: list[ast.stmt]) -> bool:
    """What stands under TYPE_CHECKING."""
    return all(isinstance(each, ast.ImportFrom | ast.Import) for each in body)


def _meaning(source: str) -> str:
    with warnings.catch_warnings(action="ignore"):
        return ast.dump(_Bare().visit(ast.parse(source)))


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

        if _forked(lambda: _observe(folder), UNLIMITED, quiet=False) != 0:
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


class _Collected:
    """Tries mutants in place of running the collected tests."""

    def __init__(self, work: Callable[[_Collected], None]) -> None:
        self._work = work
        self._items: dict[str, pytest.Item] = {}
        self._functions: dict[str, list[FunctionType]] = defaultdict(list)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(TRUST)):
                self._functions[_place(each.__code__)].append(each)
        gc.freeze()
        if _forked(lambda: self._fail(list(self._items)), UNLIMITED, quiet=True) != 0:
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
        return _forked(run, seconds, quiet=True) == pytest.ExitCode.OK

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

    status = _forked(run, seconds, quiet=True)
    if status == pytest.ExitCode.NO_TESTS_COLLECTED:
        sys.exit(f"no test was run for {module}:{mutant.start}")
    return status == pytest.ExitCode.OK


def _forked(work: Callable[[], int], seconds: int, *, quiet: bool) -> int:
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
            signal.alarm(10 * seconds)
        status = work()
    finally:
        os._exit(status)


@dataclass(frozen=True)
class Examination:
    """How the mutants of some modules fare. What survives is printed as it is found."""

    paths: Sequence[Path]
    coverage: Coverage
    fared: Counter[tuple[Path, bool]]
    """By module, and whether they survived."""

    def of_functions(self) -> None:
        """Those within functions."""

        def work(collected: _Collected) -> None:
            self._each(collected.survives, within=True)

        pytest.main([*PYTEST, "--capture=no", TESTS], plugins=[_Collected(work)])

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


def _preload() -> None:
    """What a fork need not import again. Nothing of ours: a fork has to import the mutant."""
    sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests"), str(SOURCE)]
    os.chdir(ROOT)
    for name in PRELOADED:
        importlib.import_module(name)
    if any(name.partition(".")[0] == "ocisource" for name in sys.modules):
        sys.exit("what is preloaded imports the code under test")


def main() -> None:
    parser = argparse.ArgumentParser(description="mutation testing of the trust room")
    parser.add_argument("modules", nargs="*", help="their names, such as keyless or notation/jws; all by default")
    names = parser.parse_args().modules
    paths = [TRUST / f"{name}.py" for name in names] if names else sorted(TRUST.rglob("*.py"))
    paths = [path for path in paths if path.name != "__init__.py"]
    _preload()
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
