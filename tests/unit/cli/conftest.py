from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.ocihttp import EmbeddedRegistry
from devkit.signer import Signer
from fakes.world import APP, layer
from ocisource.cli.verify import main


@pytest.fixture(scope="module")
def alice() -> Signer:
    return Signer.generate()


@pytest.fixture
def registry(alice: Signer) -> Iterator[EmbeddedRegistry]:
    """A registry with a signed version 1.0.0 and an unsigned version 2.0.0 of the app."""
    with EmbeddedRegistry() as embedded:
        content = embedded.content
        signed = content.push(APP, "1.0.0", layer({"app.yaml": b"version: 1\n", "docs/a.md": b"#"}))
        one = alice.legacy(signed)
        content.sign_legacy(APP, signed, [(one.payload, one.annotations)])
        content.push(APP, "2.0.0", layer({"app.yaml": b"version: 2\n"}))
        yield embedded


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes YAML documents (dicts, or text as it is) to a file; its path."""

    def write_file(*documents: object, name: str = "source.yaml") -> str:
        path = tmp_path / name
        texts = [one if isinstance(one, str) else yaml.safe_dump(one) for one in documents]
        path.write_text("---\n".join(texts))
        return str(path)

    return write_file


@dataclass(frozen=True)
class Answer:
    """What a command said: its exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def told(self, step: str) -> list[str]:
        """What stands behind the word at the beginning of a line."""
        return [line.partition(" ")[2].strip() for line in self.lines if line.startswith(f"{step} ")]


@pytest.fixture
def verify(registry: EmbeddedRegistry, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs `ocisource verify` about a tag of the app."""

    def run(tag: str, *flags: object) -> Answer:
        status = main([f"oci://{registry.address}/{APP}:{tag}", *map(str, flags)])
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Writes a file; its path."""

    def write_bytes(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write_bytes


def an_object(address: str, **spec: object) -> dict[str, object]:
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1beta2",
        "kind": "OCIRepository",
        "metadata": {"name": "app", "namespace": "team"},
        "spec": {"interval": "5m", "url": f"oci://{address}/{APP}", "ref": {"tag": "1.0.0"}, **spec},
    }


def a_secret(name: str, namespace: str = "team", **data: bytes) -> dict[str, object]:
    encoded = {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": encoded}
