"""Registries and the clients around them: what a source controller meets in the field."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

from devkit.binaries import locate
from devkit.keeper import Keeper
from devkit.startup import answers, start

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import TracebackType

    from devkit.certificates import Authority

Part = TypeVar("Part")


@dataclass(frozen=True)
class Account:
    """Who may log in to a DistributionServer. The registry reads bcrypt only, which Python's library lacks, so the
    hash stands here beside the password."""

    user: str
    password: str
    bcrypt: str


ALICE = Account("alice", "wonderland", "$2a$04$liuw0E3BwzWBc/KHWsBmMu905g9jhOEQBkNA9T4HFwfYe/V4ydG7a")
BOB = Account("bob", "builder", "$2a$04$ERjTwVYlaRDdadOMFiyWAuqK33sIW2uZLN5itI6Ha4fH90kKQ9w3W")


class Service:
    """A process of a keeper of its own, while the context lasts."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.keeper = stack.enter_context(Keeper())
            self._starting = stack
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def start(self) -> None:
        raise NotImplementedError

    def also(self, part: AbstractContextManager[Part]) -> Part:
        """Enters another part, which ends with this one: for `start`."""
        return self._starting.enter_context(part)


class RegistryServer(Service):
    """Our registry with the referrers API: `address` is its host:port, plain HTTP. Anyone may read and write."""

    address: str

    def start(self) -> None:
        binary = locate("registry")

        def command(ports: list[int]) -> list[str]:
            return [str(binary), f"--addr=127.0.0.1:{ports[0]}", f"--dir={self.keeper.folder / 'blobs'}"]

        ports = start(self.keeper, "registry", command, ports=1, ready=_speaks_distribution, timeout=30)
        self.address = f"127.0.0.1:{ports[0]}"


class DistributionServer(Service):
    """The CNCF Distribution registry, which has no referrers API: `address` is its host:port, plain HTTP.

    With `accounts`, only they may read and write, by Basic authentication. With `authority` it speaks TLS, for
    127.0.0.1 and localhost, and with `clients` only to those who have a certificate of that authority. `content` is
    the folder of what it holds; one with the same `content` as another has the same repositories."""

    address: str

    def __init__(
        self,
        *accounts: Account,
        authority: Authority | None = None,
        clients: Authority | None = None,
        content: Path | None = None,
    ) -> None:
        super().__init__()
        self._accounts = accounts
        self._authority = authority
        self._clients = clients
        self._content = content

    @property
    def content(self) -> Path:
        return self._content or self.keeper.folder / "data"

    def start(self) -> None:
        binary = locate("distribution")

        def command(ports: list[int]) -> list[str]:
            config = self.keeper.folder / "config.json"  # JSON is YAML too
            config.write_text(json.dumps(self._config(ports[0])))
            return [str(binary), "serve", str(config)]

        ports = start(
            self.keeper,
            "distribution",
            command,
            ports=1,
            ready=_speaks_distribution if self._authority is None else _listens,
            timeout=30,
            environment={"OTEL_TRACES_EXPORTER": "none"},
        )
        self.address = f"127.0.0.1:{ports[0]}"

    def _config(self, port: int) -> dict[str, Any]:
        config: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": {
                "filesystem": {"rootdirectory": str(self.content)},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{port}"},
        }
        if self._authority is not None:
            config["http"]["tls"] = self._tls(self._authority)
        if self._accounts:
            passwords = self.keeper.folder / "htpasswd"
            passwords.write_text("".join(f"{each.user}:{each.bcrypt}\n" for each in self._accounts))
            config["auth"] = {"htpasswd": {"realm": "devkit", "path": str(passwords)}}
        return config

    def _tls(self, authority: Authority) -> dict[str, Any]:
        folder, pair = self.keeper.folder, authority.server()
        (folder / "server.crt").write_bytes(pair.certificate)
        (folder / "server.key").write_bytes(pair.key)
        tls: dict[str, Any] = {"certificate": str(folder / "server.crt"), "key": str(folder / "server.key")}
        if self._clients is not None:
            (folder / "clients.crt").write_bytes(self._clients.pem)
            tls["clientcas"] = [str(folder / "clients.crt")]
        return tls


@dataclass(frozen=True)
class KeyPair:
    """The files of a cosign key without a password."""

    private: Path
    public: Path


class Cosign:
    """The real cosign, offline: no transparency log, plain HTTP allowed. `folder` holds its keys and its HOME."""

    def __init__(self, folder: Path) -> None:
        self._binary = locate("cosign")
        self._folder = folder

    def key_pair(self, name: str = "cosign") -> KeyPair:
        """A new pair of files `<name>.key` and `<name>.pub` in the folder."""
        self.run("generate-key-pair", f"--output-key-prefix={name}")
        return KeyPair(self._folder / f"{name}.key", self._folder / f"{name}.pub")

    def sign(self, reference: str, key: KeyPair, *, bundle: bool, account: Account | None = None) -> None:
        """Signs `host:port/repository@sha256:<hex>` with the key: as a Sigstore bundle, or as a legacy `.sig` tag."""
        self.run(
            "sign",
            f"--key={key.private}",
            f"--new-bundle-format={str(bundle).lower()}",
            "--use-signing-config=false",
            "--tlog-upload=false",
            *_access(account),
            reference,
        )

    def verify(self, reference: str, key: KeyPair, *, bundle: bool, account: Account | None = None) -> bool:
        """cosign's own opinion."""
        try:
            self.run(
                "verify",
                f"--key={key.public}",
                f"--new-bundle-format={str(bundle).lower()}",
                "--insecure-ignore-tlog=true",
                *_access(account),
                reference,
            )
        except CosignError:
            return False
        return True

    def run(self, *arguments: str) -> None:
        """Any command of cosign. Raises CosignError."""
        environment = {**os.environ, "COSIGN_PASSWORD": "", "COSIGN_YES": "true"}
        environment |= {"HOME": str(self._folder), "DOCKER_CONFIG": str(self._folder)}
        done = subprocess.run(
            [str(self._binary), *arguments],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise CosignError(f"cosign {arguments[0]}: {done.stderr.strip()}")


class CosignError(Exception):
    """cosign ended with an error; the message is its own."""


def _access(account: Account | None) -> list[str]:
    plain = ["--allow-http-registry=true", "--allow-insecure-registry=true"]
    if account is None:
        return plain
    return [*plain, f"--registry-username={account.user}", f"--registry-password={account.password}"]


def _listens(ports: list[int]) -> bool:
    """Whether somebody is there, who may not talk to everybody."""
    try:
        socket.create_connection(("127.0.0.1", ports[0]), 5).close()
    except OSError:
        return False
    return True


def _speaks_distribution(ports: list[int]) -> bool:
    return answers(f"http://127.0.0.1:{ports[0]}/v2/")
