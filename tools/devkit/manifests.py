"""Kubernetes objects from YAML files and kustomize folders, as far as config/ goes: `resources` and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def load(path: Path) -> list[dict[str, Any]]:
    """The objects of a YAML file, or of a folder with a kustomization.yaml, in the order of its resources. Raises
    ValueError for a kustomization that asks for more than this follows."""
    if path.is_file():
        return [each for each in yaml.safe_load_all(path.read_text()) if each is not None]
    kustomization = yaml.safe_load((path / "kustomization.yaml").read_text())
    unknown = sorted(set(kustomization) - {"apiVersion", "kind", "resources"})
    if unknown:
        raise ValueError(f"{path}: only `resources` are followed, not {', '.join(unknown)}")
    return [each for resource in kustomization["resources"] for each in load((path / resource).resolve())]
