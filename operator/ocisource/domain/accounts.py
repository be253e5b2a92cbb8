"""ServiceAccounts, as far as this operator looks at them: pull Secrets and annotations (flux-compat E2, E6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from ocisource.domain.content import EMPTY


@dataclass(frozen=True)
class ServiceAccount:
    """`pull_secrets` are names of Secrets in its namespace, in its order."""

    namespace: str
    name: str
    pull_secrets: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_account(obj: Mapping[str, Any]) -> ServiceAccount:
    """Reads a core/v1 ServiceAccount. An entry of `imagePullSecrets` without a name is passed over, as kubelet
    does."""
    metadata = obj["metadata"]
    named = (entry.get("name") for entry in obj.get("imagePullSecrets") or ())
    annotations = {str(key): str(value) for key, value in (metadata.get("annotations") or {}).items()}
    return ServiceAccount(
        str(metadata.get("namespace") or "default"),
        str(metadata["name"]),
        tuple(str(name) for name in named if name),
        MappingProxyType(annotations),
    )
