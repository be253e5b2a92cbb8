"""Secrets of the cluster, read when they are needed and never kept (flux-compat B1). Who asks while the same Secret
is being read gets that answer: objects that share keys are often looked at together."""

from __future__ import annotations

import base64
import binascii
from functools import partial
from typing import TYPE_CHECKING

from ocisource.cluster import paths
from ocisource.cluster.errors import ApiError, NotFoundError
from ocisource.domain.errors import SecretError, SecretMissing
from ocisource.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocisource.cluster.api import KubeAPI


class ClusterSecrets:
    """Fits `ports.Secrets`."""

    def __init__(self, api: KubeAPI) -> None:
        self._api = api.apart()
        self._reading: Flight[tuple[str, str], tuple[str, Mapping[str, bytes]]] = Flight()

    async def secret(self, namespace: str, name: str) -> tuple[str, Mapping[str, bytes]]:
        """Type and decoded data of the Secret. Raises SecretMissing or SecretError."""
        return await self._reading.join((namespace, name), partial(self._read, namespace, name))

    def changed(self, namespace: str, name: str) -> None:
        """The Secret is another one now: an answer that is under way is nobody's from here on."""
        self._reading.drop((namespace, name))

    async def _read(self, namespace: str, name: str) -> tuple[str, Mapping[str, bytes]]:
        try:
            found = await self._api.get(paths.core("secrets", namespace, name))
        except NotFoundError as error:
            raise SecretMissing(namespace, name) from error
        except ApiError as error:  # who asked says of which Secret this is told
            raise SecretError(str(error)) from error
        data: dict[str, bytes] = {}
        for key, value in (found.get("data") or {}).items():
            try:
                data[key] = base64.b64decode(value, validate=True)
            except (binascii.Error, TypeError, ValueError) as error:
                raise SecretError(f"secret '{namespace}/{name}': the value of '{key}' is not base64") from error
        return str(found.get("type") or "Opaque"), data
