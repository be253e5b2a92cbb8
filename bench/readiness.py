"""Who is Ready, told by one watch: looking must cost the API server little."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workload import COLLECTION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.controlplane import ControlPlane


class Readiness:
    """Counts the objects that are Ready in their present generation."""

    def __init__(self) -> None:
        self._ready: set[str] = set()
        self._changed = threading.Condition()
        self._failure: str = ""

    def wait(self, count: int, seconds: float) -> bool:
        """Whether `count` objects are Ready, now or within `seconds`. Raises RuntimeError if the watch broke."""
        with self._changed:
            reached = self._changed.wait_for(lambda: self._failure or len(self._ready) >= count, seconds)
        if self._failure:
            raise RuntimeError(f"the watch broke: {self._failure}")
        return bool(reached)

    def __len__(self) -> int:
        return len(self._ready)

    def see(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        with self._changed:
            if is_ready(obj):
                self._ready.add(name)
            else:
                self._ready.discard(name)
            self._changed.notify_all()

    def fail(self, why: str) -> None:
        with self._changed:
            self._failure = why
            self._changed.notify_all()


def is_ready(obj: dict[str, Any]) -> bool:
    return any(
        each["type"] == "Ready"
        and each["status"] == "True"
        and each.get("observedGeneration") == obj["metadata"]["generation"]
        for each in obj.get("status", {}).get("conditions") or []
    )


@contextmanager
def watching(plane: ControlPlane) -> Iterator[Readiness]:
    """Follows the objects while the context lasts."""
    readiness = Readiness()
    since = plane.cluster.get(COLLECTION)["metadata"]["resourceVersion"]
    address = plane.url.removeprefix("https://")
    context = ssl.create_default_context(cafile=str(plane.ca))
    connection = http.client.HTTPSConnection(address, context=context)
    connection.request(
        "GET", f"{COLLECTION}?watch=true&resourceVersion={since}", headers={"Authorization": f"Bearer {plane.token}"}
    )
    response = connection.getresponse()
    over = threading.Event()

    def follow() -> None:
        try:
            while line := response.readline():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise OSError(event["object"].get("message", "unknown"))
                readiness.see(event["object"])
            raise OSError("the API server ended it")
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as error:
            if not over.is_set():  # closing the connection under a reader ends in one of these
                readiness.fail(str(error))

    thread = threading.Thread(target=follow, name="watch", daemon=True)
    thread.start()
    try:
        yield readiness
    finally:
        over.set()
        if connection.sock is not None:
            connection.sock.shutdown(2)
        thread.join(5)
        connection.close()
