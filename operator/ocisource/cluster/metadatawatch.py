"""Which Secrets and ServiceAccounts have changed: a watch of their metadata only (flux-compat J4). Nothing that they
hold comes here; who needs it reads it (secrets.py, accounts.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocisource.cluster.errors import ApiError, ForbiddenError
from ocisource.domain.durations import backoff

if TYPE_CHECKING:
    from ocisource.cluster.api import KubeAPI

logger = logging.getLogger(__name__)

LISTED = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
WATCHED = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
CHUNK = 500

SILENCE = 70.0
"""Seconds without an event or a bookmark after which a watch is taken for dead; bookmarks come each minute."""

FIRST_WAIT, LONGEST_WAIT = 0.5, 60.0
"""Seconds before the watch is tried again: after one failure, and at most."""

PATIENCE = 3
"""Failures in a row after which a watch begins with a list again."""

REFUSED_WAIT = 600.0
"""Seconds before a watch that RBAC does not allow is tried again."""

Name = tuple[str, str]
OnChange = Callable[[str, str], None]
"""What is called with namespace and name of an object that was added, changed or deleted."""


@dataclass(frozen=True)
class Kind:
    """What is watched: a resource of core/v1, the word that people know it by, and what of it matters here."""

    resource: str
    word: str
    matters: str


SECRETS = Kind("secrets", "Secrets", "keys, roots or credentials")
ACCOUNTS = Kind("serviceaccounts", "ServiceAccounts", "pull secrets or identities")


class MetadataWatch:
    """Watches the objects of a kind in one namespace, or in all (""). `opened` is set once it is known whether that
    works: what changes from then on is told, and what changes in a gap of the watch is told after it. What is there at
    first is not.

    It keeps the resourceVersion of each object, about 300 bytes for each.
    """

    def __init__(
        self,
        api: KubeAPI,
        kind: Kind,
        namespace: str,
        on_change: OnChange,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.opened = asyncio.Event()
        self._api = api
        self._kind = kind
        self._namespace = namespace
        self._path = f"/api/v1/namespaces/{namespace}/{kind.resource}" if namespace else f"/api/v1/{kind.resource}"
        self._on_change = on_change
        self._sleep = sleep
        self._known: dict[Name, str] = {}
        self._listed = False
        self._version = ""
        self._failures = 0
        self._refused = False

    async def run(self) -> None:
        """Watches until it is cancelled. Whatever breaks, it begins again: without it changes are only seen later."""
        while True:
            try:
                await self._round()
            except ForbiddenError:
                self._note_refusal()
                wait = REFUSED_WAIT
            except Exception as error:  # noqa: BLE001 - see above; nobody else would bring it up again
                wait = backoff(self._failures, FIRST_WAIT, LONGEST_WAIT)
                self._note_failure(error, wait)
            else:  # the server ends a watch now and then; one that ends at once, again and again, is none
                wait = backoff(self._failures, FIRST_WAIT, LONGEST_WAIT) if self._failures else 0.0
            self.opened.set()
            await self._sleep(wait)

    async def _round(self) -> None:
        """One watch, from where the last one ended or from a list, to its end."""
        self._failures += 1  # until something comes
        if not self._version:
            await self._list()
        params = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": self._version}
        async with aclosing(self._api.stream(self._path, params, WATCHED, SILENCE)) as events:
            async for event in events:
                self._take(str(event.get("type")), event.get("object") or {})

    async def _list(self) -> None:
        """Every object there is; what differs from what was known is told."""
        listed: dict[Name, str] = {}
        params = {"limit": str(CHUNK)}
        while True:
            page = await self._api.get(self._path, params, LISTED)
            for item in page.get("items") or ():
                name, version = _identity(item)
                listed[name] = version
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                break
            params["continue"] = metadata["continue"]
        before, self._known = self._known, listed
        self._version = str(metadata.get("resourceVersion") or "")
        self.opened.set()
        if not self._listed:
            self._listed = True
            return
        changed = {name for name, version in listed.items() if before.get(name) != version}
        for name in changed | (before.keys() - listed.keys()):
            self._on_change(*name)

    def _take(self, kind: str, obj: Mapping[str, Any]) -> None:
        if kind == "ERROR":
            code = int(obj.get("code") or 0)
            raise ApiError(code, str(obj.get("reason") or ""), str(obj.get("message") or "the watch broke"))
        self._failures = 0
        if self._refused:
            self._refused = False
            logger.info("%s are watched now", self._kind.word)
        if kind == "BOOKMARK":
            self._version = str(obj["metadata"]["resourceVersion"])
            return
        name, version = _identity(obj)
        self._version = version
        if kind == "DELETED":
            self._known.pop(name, None)
        elif self._known.get(name) == version:
            return
        else:
            self._known[name] = version
        self._on_change(*name)

    def _note_refusal(self) -> None:
        """RBAC does not let us watch: said once, and tried again now and then."""
        self._version = ""
        if self._refused:
            return
        self._refused = True
        where = f" in namespace {self._namespace}" if self._namespace else ""
        logger.warning(
            "%s cannot be watched, so a change of %s is seen at the next interval only: "
            "grant the operator's account the RBAC rule apiGroups: [''], resources: ['%s'], "
            "verbs: ['list', 'watch']%s",
            self._kind.word,
            self._kind.matters,
            self._kind.resource,
            where,
        )

    def _note_failure(self, error: Exception, wait: float) -> None:
        """The watch goes on from where it was. A version that is too old (410 Gone) is nobody's fault; then, or where
        going on does not help, it begins with a list again."""
        gone = isinstance(error, ApiError) and error.status == 410
        if gone or self._failures >= PATIENCE:
            self._version = ""
        if not gone:
            logger.warning("the watch of %s broke and is tried again in %.1f s: %s", self._kind.word, wait, error)


def _identity(obj: Mapping[str, Any]) -> tuple[Name, str]:
    metadata = obj["metadata"]
    return (str(metadata["namespace"]), str(metadata["name"])), str(metadata["resourceVersion"])
