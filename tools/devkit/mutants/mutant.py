"""Mutants of a module: its source with one change that makes another program of it."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from devkit.mutants.operators import operators

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import CodeType


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
    for name, operator in operators():
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
