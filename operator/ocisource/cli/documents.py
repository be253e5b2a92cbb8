"""What stands in YAML files: OCIRepositories and Secrets, each with the place it came from."""

from __future__ import annotations

import base64
import binascii
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ocisource.domain.accounts import ServiceAccount, parse_account
from ocisource.domain.errors import AccountError, RoomError, SecretError
from ocisource.domain.source import GROUP, KIND


class BadInput(RoomError):
    """A file cannot be used; the text names the file, the place in it and the mend."""


@dataclass(frozen=True)
class Document:
    """One YAML document. `place` is `file:line`."""

    place: str
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.content.get("kind") or "")

    @property
    def is_source(self) -> bool:
        """Whether it is an OCIRepository, or would be if its apiVersion or kind were spelt right."""
        ours = str(self.content.get("apiVersion")).startswith(f"{GROUP}/")
        return self.kind.casefold() == KIND.casefold() or (ours and not self.kind)


def read(paths: Iterable[str]) -> Iterator[Document]:
    """All documents of the files, those of a List one by one; `-` is standard input. Raises BadInput."""
    for path in paths:
        text = _text(path)
        try:
            nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
            contents = list(yaml.safe_load_all(text))
        except (yaml.YAMLError, ValueError) as error:
            raise BadInput(f"{path}: not valid YAML: {_one_line(error)}") from error
        except RecursionError as error:
            raise BadInput(f"{path}: no Kubernetes object: it is nested too deeply") from error
        for node, content in zip(nodes, contents, strict=True):
            if content is None:
                continue
            _refuse_repeated_keys(path, node)
            place = f"{path}:{node.start_mark.line + 1}"
            if not isinstance(content, dict):
                raise BadInput(f"{place}: a Kubernetes object is expected, with apiVersion, kind and metadata")
            yield from _each(place, content)


def _refuse_repeated_keys(path: str, root: yaml.Node) -> None:
    """Raises BadInput: of two values one would be dropped without a word, and kubectl takes neither."""
    pending, seen = [root], set()
    while pending:
        node = pending.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                pending.append(value)
                if not isinstance(key, yaml.ScalarNode):
                    continue
                if key.value in keys:
                    line = key.start_mark.line + 1
                    raise BadInput(f"{path}:{line}: {key.value} stands there twice: take one of them out")
                keys.add(key.value)


def _each(place: str, content: Mapping[str, Any]) -> Iterator[Document]:
    if content.get("kind") != "List":
        yield Document(place, content)
        return
    items = content.get("items") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BadInput(f"{place}: items must be a list of objects")
    for index, item in enumerate(items):
        yield from _each(f"{place} items[{index}]", item)


def _text(path: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: not a text file in UTF-8") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


@dataclass
class FileSecrets:
    """Secrets from files in place of the cluster's; fits `ports.Secrets`."""

    _found: dict[tuple[str, str], tuple[str, Mapping[str, bytes]]] = field(default_factory=dict)
    _encrypted: dict[tuple[str, str], str] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Takes the Secret of a document. Raises BadInput."""
        metadata = document.content.get("metadata")
        if not isinstance(metadata, dict) or not metadata.get("name"):
            raise BadInput(f"{document.place}: metadata.name of the Secret is required")
        namespace, name = str(metadata.get("namespace") or "default"), str(metadata["name"])
        if "sops" in document.content:
            self._encrypted[namespace, name] = document.place
            return
        data = {
            **_decoded(document.place, _strings(document, "data")),
            **{key: value.encode() for key, value in _strings(document, "stringData").items()},
        }
        self.put(namespace, name, str(document.content.get("type") or "Opaque"), data)

    def put(self, namespace: str, name: str, kind: str, data: Mapping[str, bytes]) -> None:
        self._found[namespace, name] = (kind, data)

    async def secret(self, namespace: str, name: str) -> tuple[str, Mapping[str, bytes]]:
        """Raises SecretError, saying where the Secret was looked for."""
        found = self._found.get((namespace, name))
        if found is not None:
            return found
        elsewhere = sorted(other for other, same in self._found if same == name)
        if (namespace, name) in self._encrypted:
            there = f"{self._encrypted[namespace, name]} holds it encrypted: give what `sops decrypt` makes of it"
        elif elsewhere:
            there = f"there is one in namespace {', '.join(elsewhere)}, but it must be in the object's own"
        else:
            there = f"no file holds the Secret {namespace}/{name}: add one with --secret-file"
        raise SecretError(f'secrets "{name}" not found ({there})')


@dataclass
class FileAccounts:
    """ServiceAccounts from files in place of the cluster's; fits `ports.Accounts`."""

    _found: dict[tuple[str, str], ServiceAccount] = field(default_factory=dict)

    def add(self, document: Document) -> None:
        """Takes the ServiceAccount of a document. Raises BadInput."""
        try:
            account = parse_account(document.content)
        except (AttributeError, KeyError, TypeError) as error:
            problem = "metadata.name is required, annotations is an object, imagePullSecrets a list of objects"
            raise BadInput(f"{document.place}: this is no ServiceAccount: {problem}") from error
        self._found[account.namespace, account.name] = account

    async def account(self, namespace: str, name: str) -> ServiceAccount:
        """Raises AccountError, saying where the ServiceAccount was looked for."""
        found = self._found.get((namespace, name))
        if found is None:
            raise AccountError(f"serviceaccount '{namespace}/{name}' not found (no file holds it: add its YAML)")
        return found

    async def token(self, account: ServiceAccount, _audience: str) -> str:
        """Raises AccountError: only a cluster vouches for its ServiceAccounts."""
        raise AccountError(f"without a cluster there is no token for service account '{account}' to show to the cloud")


def _strings(document: Document, name: str) -> dict[str, str]:
    values = document.content.get(name) or {}
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        raise BadInput(f"{document.place}: {name} of the Secret must be an object of strings")
    return values


def _decoded(place: str, values: Mapping[str, str]) -> dict[str, bytes]:
    decoded = {}
    for name, value in values.items():
        try:
            decoded[name] = base64.b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadInput(f"{place}: data[{name!r}] is not base64: put plain text under stringData") from error
    return decoded
