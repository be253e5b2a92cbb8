"""docs/command-line.md is true."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from devkit.signer import Signer
from ocisource.cli.rootkeepers import AGE, FAILURES, FOLDER
from ocisource.cli.verify import main
from unit.cli.conftest import Answer

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "command-line.md").read_text()


def shape(value: Any) -> Any:
    """Names and types of a JSON document; of a list, those of its first element."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


def test_the_documented_json_has_the_members_of_the_real_one(
    verify: Callable[..., Answer], alice: Signer, put: Callable[[str, bytes], Path]
) -> None:
    documented = json.loads(TEXT.partition("```json\n")[2].partition("```")[0])

    said = verify("1.0.0", "--key", put("cosign.pub", alice.public_pem()), "-o", "json")

    assert shape(said.json) == shape(documented)


def test_every_flag_of_verify_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))

    assert flags - {"--help"} <= set(re.findall(r"--[a-z][a-z-]+", TEXT))


def test_metrics_and_folder_are_named_as_they_are() -> None:
    assert f"`{AGE}`" in TEXT
    assert f"`{FAILURES}`" in TEXT
    assert f"`{FOLDER}` below `--storage-path`" in TEXT
