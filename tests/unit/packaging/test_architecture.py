"""ARCHITECTURE.md is true: what it names exists, and what exists is named."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()
PACKAGE = ROOT / "operator" / "ocisource"


def named() -> set[str]:
    """Everything in backticks that looks like a path of the repository."""
    words = re.findall(r"`([^`\s]+)`", TEXT)
    return {word for word in words if re.fullmatch(r"[\w.-]+(/[\w.-]*)+|[\w-]+\.(md|py|toml|yaml)|[\w-]+/", word)}


def test_every_path_it_names_exists() -> None:
    def exists(path: str) -> bool:
        return any((root / path).exists() for root in (ROOT, PACKAGE))

    assert len(named()) > 20
    assert [path for path in sorted(named()) if not exists(path)] == []


def test_every_folder_and_room_is_named() -> None:
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name[0] not in "._"]
    ignored = {"dist", "build"}
    missing = [folder.name for folder in folders if f"{folder.name}/" not in TEXT and folder.name not in ignored]
    rooms = [path for path in PACKAGE.iterdir() if path.name not in ("__init__.py", "__pycache__")]
    missing += [room.name for room in rooms if f"operator/ocisource/{room.name}" not in TEXT]

    assert missing == []


def test_the_source_root_is_no_package() -> None:
    """It would shadow the standard library's module of that name."""
    assert not (ROOT / "operator" / "__init__.py").exists()
