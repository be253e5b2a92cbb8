"""Which credentials a pull Secret holds for which repository (flux-compat E2, E3, E4, J5).

Pure: Secrets come in as type and data. A Secret without an entry for the registry means anonymous, never anything
that the operator itself may do.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ocisource.domain.access import Credentials
from ocisource.domain.errors import SecretError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocisource.domain.access import Repository

DOCKER_CONFIG_JSON = "kubernetes.io/dockerconfigjson"
DOCKER_CONFIG = "kubernetes.io/dockercfg"

# What may stand for a host and a port; only an address in brackets has brackets.
_AUTHORITY = re.compile(r"(?:\[[^\[\]\s]*\]|[^\s\x00-\x1f\x7f:\[\]\\^`{|}]*)(?::[0-9]*)?")
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2})")
_HOST_PORT = re.compile(r"(?P<host>\[[^\]]*\]|[^:]*):(?P<port>[^:]*)")


@dataclass(frozen=True)
class Entry:
    """One registry entry of a Secret. `host` may hold a glob in each of its labels; `path` is a textual prefix."""

    key: str
    host: tuple[str, ...]
    port: str
    path: str
    credentials: Credentials | None

    def matches(self, host: tuple[str, ...], port: str, path: str) -> bool:
        """Whether the entry is for that place (flux-compat E4): equal ports, as many labels, path a prefix."""
        if port != self.port or len(host) != len(self.host) or not path.startswith(self.path):
            return False
        return all(fnmatchcase(label, glob) for label, glob in zip(host, self.host, strict=True))


@dataclass(frozen=True)
class Keychain:
    """The entries of one or more Secrets, in their order."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def combined(cls, keychains: Iterable[Keychain]) -> Keychain:
        """All of them: within one key the first Secret wins, so the order is the caller's (flux-compat E2)."""
        return cls(tuple(entry for keychain in keychains for entry in keychain.entries))

    def credentials(self, repository: Repository) -> Credentials | None:
        """What to show for the repository; None is anonymous. The longest key wins (reverse lexical order)."""
        host, port = _host_and_port(repository.registry)
        path = "/" + repository.path
        matching = [entry for entry in self.entries if entry.matches(host, port, path)]
        # max() keeps the first of equal keys, which is the first Secret's.
        return max(matching, key=lambda entry: entry.key).credentials if matching else None


def parse_secret(kind: str, data: Mapping[str, bytes]) -> Keychain | None:
    """The keychain in a Secret of type `kind`, or None where the type is not one of pull Secrets (flux-compat E2).

    Raises SecretError, naming the entry, where the content cannot be read. The text never holds a credential.
    """
    if kind == DOCKER_CONFIG_JSON:
        key = ".dockerconfigjson"
    elif kind == DOCKER_CONFIG:
        key = ".dockercfg"
    else:
        return None
    content = data.get(key)
    if not content:
        return Keychain()
    document = _json(key, content)
    if document is not None and kind == DOCKER_CONFIG_JSON:
        document = _fields(_object(document, f"key '{key}'")).get("auths")
    if document is None:
        return Keychain()
    entries = _object(document, "field 'auths'" if kind == DOCKER_CONFIG_JSON else f"key '{key}'")
    return Keychain(tuple(_entry(name, value) for name, value in entries.items()))


def _json(key: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        # The parser's text may quote the document, so only the place is told.
        where = f" at line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise SecretError(f"key '{key}' does not hold valid JSON{where}") from None


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise SecretError(f"{name} must be a JSON object")
    return value


def _fields(document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields by lower-case name: the original reads them without regard to case."""
    return {name.lower(): value for name, value in document.items()}


def _entry(name: str, value: Any) -> Entry:
    rest = name.removeprefix("https://") if name.startswith("https://") else name.removeprefix("http://")
    authority, slash, path = re.split(r"[?#]", rest, maxsplit=1)[0].partition("/")
    authority = authority.rpartition("@")[2]
    if not _AUTHORITY.fullmatch(authority) or _BAD_ESCAPE.search(authority + path):
        raise SecretError(f"entry '{name}' does not name a registry host")
    path = unquote(slash + path)
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    if path == "/":
        path = ""
    host, port = _host_and_port(authority)
    return Entry(authority + path, host, port, path, _credentials(name, value))


def _host_and_port(authority: str) -> tuple[tuple[str, ...], str]:
    match = _HOST_PORT.fullmatch(authority)
    host, port = (match["host"].strip("[]"), match["port"]) if match else (authority, "")
    return tuple(host.split(".")), port


def _credentials(name: str, value: Any) -> Credentials | None:
    if value is None:
        return None
    fields = _fields(_object(value, f"entry '{name}'"))
    texts: dict[str, str] = {}
    for field in ("username", "password", "auth", "identitytoken", "registrytoken"):
        text = fields.get(field) or ""
        if not isinstance(text, str):
            raise SecretError(f"entry '{name}': field '{field}' must be a string")
        texts[field] = text
    username, password = texts["username"], texts["password"]
    if texts["auth"]:
        username, password = _decode_auth(name, texts["auth"])
    found = Credentials(username, password, texts["identitytoken"], texts["registrytoken"])
    return None if found == Credentials() else found


def _decode_auth(name: str, text: str) -> tuple[str, str]:
    """User and password of an `auth` field: base64, padded or not, of `user:password` (flux-compat E3)."""
    compact = text.replace("\r", "").replace("\n", "")
    try:
        decoded = base64.b64decode(
            compact + ("" if compact.endswith("=") else "=" * (-len(compact) % 4)), validate=True
        )
    except ValueError:
        raise SecretError(f"entry '{name}': unable to decode auth field: it is not valid base64") from None
    # A password is bytes: what is not UTF-8 has to arrive at the registry as it is here.
    username, colon, password = decoded.decode("utf-8", "surrogateescape").partition(":")
    if not colon:
        raise SecretError(
            f"entry '{name}': unable to decode auth field: must be formatted as base64(username:password)"
        )
    return username, password
