"""What `make run` tells its reader: plain text, a heading a step."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_INDENT = " " * 4
_WIDTH = 110


def heading(text: str) -> None:
    """What the next step shows."""
    print(f"\n==> {text}", flush=True)


def tell(text: str) -> None:
    """Something of the step."""
    print(textwrap.indent(text.rstrip("\n"), _INDENT), flush=True)


def commands(*groups: Sequence[str]) -> None:
    """Things to type: of each group, what it is for and its lines."""
    for meaning, *lines in groups:
        tell("")
        tell("\n".join([f"# {meaning}", *lines]))


def columns(rows: Iterable[Sequence[str]], gap: str = "   ") -> str:
    """The rows as lines, each column as wide as its widest text; the last one as it is."""
    rows = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1:] = [0]
    return "\n".join(gap.join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)


def short(text: str) -> str:
    """The text with 8 digits of each digest, for lines that are read and not copied."""
    return re.sub(r"(sha256:[0-9a-f]{8})[0-9a-f]{56}", r"\1…", text)


def realigned(printed: str) -> str:
    """A table that kubectl printed, its columns aligned again after a cell was cut."""
    rows = [re.split(r" {3,}", line.rstrip()) for line in printed.splitlines()]
    return columns(rows) if len({len(row) for row in rows}) == 1 else printed


def table(answer: dict[str, Any]) -> str:
    """A Table of the API server (meta.k8s.io/v1) as kubectl prints it: the columns of priority 0."""
    shown = [at for at, each in enumerate(answer["columnDefinitions"]) if not each.get("priority")]
    rows = [[each["name"].upper() for each in answer["columnDefinitions"]]]
    rows += [["<none>" if cell is None else short(str(cell)) for cell in row["cells"]] for row in answer["rows"]]
    return columns([row[at] for at in shown] for row in rows)


def conditions(status: dict[str, Any]) -> str:
    """The conditions of a status: type, status and reason in a line, the message below it."""
    found = status.get("conditions") or []
    if not found:
        return "(no conditions)"
    heads = columns([each["type"], each["status"], each["reason"]] for each in found).splitlines()
    return "\n".join(f"{head}\n{_folded(each['message'])}" for head, each in zip(heads, found, strict=True))


def _folded(message: str) -> str:
    """Whole words to a line, even long ones."""
    return textwrap.fill(
        short(message),
        _WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
