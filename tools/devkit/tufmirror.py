"""A small TUF repository on loopback, with its four top-level roles, that can be honest or not.

    with TufMirror({"trusted_root.json": document}) as mirror:
        ... mirror.url, mirror.bootstrap
        mirror.publish({"trusted_root.json": newer})

What misbehaves is a function around the honest answer: `mirror.fault = lambda path, honest: …` gives bytes, None for
404, or an iterator of bytes that may never end. `asked` has the path of every request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]  # its documented place
from tuf.api.metadata import (  # type: ignore[attr-defined]  # their documented place
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

Answer = bytes | Iterator[bytes] | None
Fault = Callable[[str, Answer], Answer]

_ROLES = ("root", "timestamp", "snapshot", "targets")


def _in_a_year() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=365)


class TufMirror:
    """Serves what was published last. Metadata holds for a year, unless `publish` is told otherwise."""

    def __init__(self, targets: Mapping[str, bytes]) -> None:
        self._keys = {role: CryptoSigner.generate_ecdsa() for role in _ROLES}
        self._root = Root(consistent_snapshot=True, expires=_in_a_year())
        for role, signer in self._keys.items():
            self._root.add_key(signer.public_key, role)
        self._version = 0
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.fault: Fault | None = None
        self.bootstrap = self._sign("root", self._root)
        self.publish(targets)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, name="tuf-mirror", args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/tuf"

    def publish(self, targets: Mapping[str, bytes], *, expires: datetime | None = None) -> None:
        """A new version of everything but the root. `expires` is the timestamp's."""
        self._version += 1
        version = self._version
        listed = {}
        for name, content in targets.items():
            listed[name] = TargetFile.from_data(name, content, ["sha256"])
            self.files[f"targets/{listed[name].hashes['sha256']}.{name}"] = content
        a_year = _in_a_year()
        self.files[f"{version}.targets.json"] = self._sign("targets", Targets(version, expires=a_year, targets=listed))
        snapshot = Snapshot(version, expires=a_year, meta={"targets.json": MetaFile(version)})
        self.files[f"{version}.snapshot.json"] = self._sign("snapshot", snapshot)
        timestamp = Timestamp(version, expires=expires or a_year, snapshot_meta=MetaFile(version))
        self.files["timestamp.json"] = self._sign("timestamp", timestamp)

    def rotate_root(self) -> None:
        """A new root key, vouched for by the old one (TUF specification, 5.3.4)."""
        old, new = self._keys["root"], CryptoSigner.generate_ecdsa()
        self._root = deepcopy(self._root)
        self._root.version += 1
        self._root.revoke_key(old.public_key.keyid, "root")
        self._root.add_key(new.public_key, "root")
        self._keys["root"] = new
        self.files[f"{self._root.version}.root.json"] = self._sign("root", self._root, old)

    def forge(self) -> None:
        """From now on all but the root is signed with keys that the root does not name."""
        for role in ("timestamp", "snapshot", "targets"):
            self._keys[role] = CryptoSigner.generate_ecdsa()

    def _sign(self, role: str, content: Any, *more: CryptoSigner) -> bytes:
        metadata: Metadata[Any] = Metadata(content)
        for signer in (self._keys[role], *more):
            metadata.sign(signer, append=True)
        return metadata.to_bytes()

    def _answer(self, path: str) -> Answer:
        self.asked.append(path)
        honest: Answer = self.files.get(path)
        return self.fault(path, honest) if self.fault else honest

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                answer = mirror._answer(self.path.removeprefix("/tuf/"))
                self.send_response(404 if answer is None else 200)
                self.end_headers()
                with suppress(OSError):  # who asked may be gone
                    for part in [answer] if isinstance(answer, bytes) else answer or ():
                        self.wfile.write(part)
                        self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Nothing: `asked` has it."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
