"""docs/ is true: what code and tests cite is there, and what it quotes is what the code says."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ocisource.settings import FLAGS, IGNORED_PREFIXES

ROOT = Path(__file__).resolve().parents[3]
COMPAT = (ROOT / "docs" / "flux-compat.md").read_text()
SIGNATURES = (ROOT / "docs" / "signatures.md").read_text()
READERS = ("operator", "tests", "tools", "bench")

# In comments and docstrings a letter from A to J with a number is nothing else than an item.
ITEM = re.compile(r"\b[A-J][0-9]{1,2}\b")
RULES = re.compile(r"\brules? ([0-9]+(?:(?:, | and | or | to )[0-9]+)*)")
DOCUMENT = re.compile(r"(?:[\w.-]+/)*[\w-]+\.md\b")

# Documents of specifications, cited with the specification's name.
ELSEWHERE = {"manifest.md", "image-index.md", "descriptor.md", "SIGNATURE_SPEC.md"}

PLACEHOLDER = re.compile(r"<[^<>`]*>|…")


@cache
def remarks() -> list[tuple[str, str]]:
    """Every comment and docstring: where it stands and what it says."""
    sources = [path for folder in READERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [
        (f"{path.relative_to(ROOT)}:{line}", text) for path in sources for line, text in _remarks_of(path.read_text())
    ]


def _remarks_of(source: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(node.value.value.split())


def about_signatures() -> list[tuple[str, str]]:
    return [(place, text) for place, text in remarks() if "signatures.md" in text]


@cache
def literals() -> str:
    """Every text in the operator's code but docstrings, each on a line of its own; of a formatted text its constant
    parts."""
    texts: set[str] = set()
    for path in (ROOT / "operator").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                texts.add(node.value)
    return "\n".join(sorted(texts))


def section(letter: str) -> str:
    """The section of flux-compat.md with this letter."""
    return re.split(r"^## ", COMPAT.partition(f"## {letter}. ")[2], maxsplit=1, flags=re.MULTILINE)[0]


def code_spans(text: str) -> list[str]:
    return [" ".join(span.split()) for _, span in re.findall(r"(`+)(.+?)\1(?!`)", text, re.DOTALL)]


def constant_parts(message: str) -> list[str]:
    """What of a quoted message must stand in the code: the parts between placeholders that are more than a word."""
    if re.fullmatch(r"\w+: \S+", message):  # a field with its value
        return []
    parts = (part.strip(" '\"`:;,.$") for part in PLACEHOLDER.split(message))
    return [part for part in parts if " " in part]


def test_items_are_numbered_without_a_gap() -> None:
    found = re.findall(r"^- \*\*([A-J])([0-9]+)\*\*", COMPAT, re.MULTILINE)
    lengths = {letter: sum(1 for other, _ in found if other == letter) for letter in "ABCDEFGHIJ"}

    assert found == [(letter, str(number)) for letter, last in lengths.items() for number in range(1, last + 1)]
    assert all(lengths.values())


def test_every_cited_item_exists() -> None:
    items = set(re.findall(r"^- \*\*([A-J][0-9]+)\*\*", COMPAT, re.MULTILINE))
    cited = [(item, place) for place, text in remarks() for item in ITEM.findall(text)]

    assert len({item for item, _ in cited}) > 50, "the citations are no longer recognised"
    assert [f"{place} cites {item}" for item, place in cited if item not in items] == []


def test_items_cite_items_that_exist() -> None:
    items = set(re.findall(r"^- \*\*([A-J][0-9]+)\*\*", COMPAT, re.MULTILINE))
    prose = re.sub(r"(`+)(.+?)\1(?!`)", "", COMPAT + SIGNATURES, flags=re.DOTALL)

    assert set(ITEM.findall(prose)) - items == set()


def test_every_cited_rule_exists() -> None:
    rules = re.findall(r"^([0-9]+)\. ", SIGNATURES.partition("## The rules\n")[2].partition("\n## ")[0], re.MULTILINE)
    cited = [
        (number, place)
        for place, text in about_signatures()
        for numbers in RULES.findall(text)
        for number in re.findall("[0-9]+", numbers)
    ]

    assert rules == [str(number) for number in range(1, 10)]
    assert cited
    assert [f"{place} cites rule {number}" for number, place in cited if number not in rules] == []


def test_every_cited_section_exists() -> None:
    titles = re.findall(r"^## (.+)$", SIGNATURES, re.MULTILINE)
    cited = [
        (title, place)
        for place, text in about_signatures()
        for title in re.findall(r'signatures\.md,? "([^"]+)"', text)
    ]

    assert cited
    assert [f"{place} cites {title!r}" for title, place in cited if title not in titles] == []


def test_every_cited_document_can_be_opened() -> None:
    def opens(name: str, place: str) -> bool:
        beside = (ROOT / place).parent
        return name in ELSEWHERE or any((folder / name).is_file() for folder in (ROOT, ROOT / "docs", beside))

    cited = [
        (name, place)
        for place, text in remarks()
        for name in DOCUMENT.findall(re.sub(r"https://\S+|[`'][^`']*[`']", "", text))
    ]

    assert [f"{place} cites {name}" for name, place in cited if not opens(name, place)] == []


@pytest.mark.parametrize("letter", ["B", "C", "H", "J"])
def test_quoted_messages_are_those_of_the_code(letter: str) -> None:
    """Clients compare these texts. What a registry or a library says stands in double backticks and is not held."""
    text = re.sub(r"``.+?``", "", section(letter), flags=re.DOTALL)
    parts = [part for span in code_spans(text) for part in constant_parts(span)]

    assert len(parts) > 1
    assert [part for part in parts if part not in literals()] == []


def test_every_named_flag_exists() -> None:
    known = {f"--{flag.name}" for flag in FLAGS} | {f"--{prefix}" for prefix in IGNORED_PREFIXES}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", COMPAT))

    assert named - known - {"--flag"} == set()
    assert known - named == set(), "flags that section G does not tell of"
