"""Secrets of the cluster, read when they are needed and never kept (flux-compat B1)."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from ocisource.cluster.errors import ApiError, NotFoundError
from ocisource.domain.errors import SecretError, SecretMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocisource.cluster.api import KubeAPI


class ClusterSecrets:
    """Fits `ports.Secrets`."""

    def __init__(self, api: KubeAPI) -> None:
        self._api = api

    async def secret(self, namespace: str, name: str) -> tuple[str, Mapping[str, bytes]]:
        """Type and decoded data of the Secret. Raises SecretMissing or SecretError."""
        try:
            found = await self._api.get(f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except NotFoundError as error:
            raise SecretMissing(namespace, name) from error
        except ApiError as error:
            raise SecretError(f"secret '{namespace}/{name}' cannot be read: {error}") from error
        data: dict[str, bytes] = {}
        for key, value in (found.get("data") or {}).items():
            try:
                data[key] = base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError, ValueError) as error:
                raise SecretError(f"secret '{namespace}/{name}': the value of '{key}' is not base64") from error
        return str(found.get("type") or "Opaque"), data
