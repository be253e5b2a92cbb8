"""The operators that make mutants: those of cosmic-ray that are used, and our own.

An operator says where in a syntax tree of parso it can change something (`mutation_positions`), and does it (`mutate`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import parso
from cosmic_ray.operators.provider import OperatorProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

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
"""Line and column where a change begins, and where it ends."""


def operators() -> Iterator[tuple[str, Any]]:
    """Each with its name."""
    provider = OperatorProvider()
    for name in provider:
        if not LEFT_OUT.fullmatch(name):
            yield name, provider[name]()
    for own in (
        RemoveStatement,
        FixCondition,
        DropOperand,
        SwapMembership,
        DropHandler,
        LoosenMatch,
    ):
        yield own.__name__, own()


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


class LoosenMatch:
    """`fullmatch` becomes `match`, and `match` becomes `search`."""

    _LOOSER: ClassVar = {"fullmatch": "match", "match": "search"}

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        if node.type == "name" and node.value in self._LOOSER and node.get_previous_leaf().value == ".":
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        node.value = self._LOOSER[node.value]
        return node


def _replaced(node: Any, place: int, code: str) -> Any:
    prefix = node.children[place].get_first_leaf().prefix
    node.children[place] = parso.parse(prefix + code)
    return node
