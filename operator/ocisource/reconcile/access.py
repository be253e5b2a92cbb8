"""The steps before the registry: where the repository is, and as whom it may be read (flux-compat C4 to C9, in the
original's order)."""

from __future__ import annotations

from collections.abc import Callable

from ocisource.domain.access import Access, Repository
from ocisource.domain.errors import SecretMissing
from ocisource.domain.keychain import Keychain, parse_secret
from ocisource.domain.reference import parse_url
from ocisource.domain.source import Source
from ocisource.reconcile import steps
from ocisource.reconcile.rooms import Rooms

Note = Callable[[str, str], None]
"""Told of what deserves a Normal event: its reason and message."""


class Admission:
    """What one pass needs to know before it may ask the registry."""

    def __init__(self, rooms: Rooms, source: Source, deadline: steps.Deadline, note: Note) -> None:
        self._rooms = rooms
        self._source = source
        self._deadline = deadline
        self._note = note

    async def access(self) -> Access:
        """Raises Failure."""
        source = self._source
        keychain = await self._keychain()
        for field, used in (
            ("serviceAccountName", source.service_account),
            ("proxySecretRef", source.proxy_secret),
            ("provider", source.provider != "generic"),
            ("certSecretRef", source.cert_secret),
        ):
            if used:
                raise steps.unsupported(source.url, field)
        async with steps.location(source.url).until(self._deadline):
            repository: Repository = parse_url(source.url)
        credentials = keychain.credentials(repository) if keychain else None
        return Access(repository, insecure=source.insecure, credentials=credentials)

    async def _keychain(self) -> Keychain | None:
        source = self._source
        if not source.secret:
            return None
        async with steps.credential(f"{source.namespace}/{source.secret}").until(self._deadline):
            try:
                kind, data = await self._rooms.secrets.secret(source.namespace, source.secret)
            except SecretMissing:
                self._note(steps.AUTHENTICATION_FAILED, f"auth secret '{source.secret}' not found")
                raise
            return parse_secret(kind, data)
