"""A small HTTP server in a thread, on a free loopback port: what the real services expect to find around them."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_BODY_LIMIT = 1 << 20


@dataclass(frozen=True)
class Answer:
    """A status and a body of JSON."""

    status: int
    body: object
    headers: tuple[tuple[str, str], ...] = ()


NOT_FOUND = Answer(404, {"message": "not found"})


class Loopback:
    """While the context lasts, `answer` answers every request to `url`; it may be called from several threads at once.
    What it raises becomes a 400 with the error's text."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self.answer))
        self._server.daemon_threads = False  # the end waits for answers under way
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def answer(self, method: str, path: str, body: bytes, /) -> Answer:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(answer: Callable[[str, str, bytes], Answer]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            self._reply(answer("GET", self.path, b""))

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            if size > _BODY_LIMIT:
                self._reply(Answer(413, {"message": "too large"}))
                return
            try:
                said = answer("POST", self.path, self.rfile.read(size))
            except (ValueError, KeyError, TypeError, IndexError) as error:
                said = Answer(400, {"code": 400, "message": f"{type(error).__name__}: {error}"})
            self._reply(said)

        def _reply(self, said: Answer) -> None:
            content = json.dumps(said.body).encode()
            self.send_response(said.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            for name, value in said.headers:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name is the base class's
            """Says nothing: requests are not worth a line."""

    return Handler
