"""Dockerfiles, as far as ours goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Stage:
    """One FROM and its instructions, in order, as (INSTRUCTION, rest of the line)."""

    image: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [rest for name, rest in self.instructions if name == instruction]


def stages() -> list[Stage]:
    """The stages of the Dockerfile: comments dropped, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found: list[Stage] = []
    for line in filter(None, re.sub(r"\\\n\s*", "", text).splitlines()):
        instruction, _, rest = line.partition(" ")
        if instruction == "FROM":
            found.append(Stage(rest.split()[0]))
        else:
            found[-1].instructions.append((instruction, rest.strip()))
    return found
