"""How to reach the API server: a kubeconfig file, or the account of the pod."""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import yaml

from ocisource.cluster.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import aiohttp

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its account: token, ca.crt, namespace."""


class TokenSource(Protocol):
    """The bearer token of this moment, "" for none."""

    def __call__(self) -> str: ...


@dataclass(frozen=True)
class StaticToken:
    token: str = field(default="", repr=False)

    def __call__(self) -> str:
        return self.token


class FileToken:
    """A token that is renewed on disk: read again as soon as the file is another one (kubelet renews the account's
    token about once an hour and replaces the file)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._token = ""

    def __call__(self) -> str:
        try:
            facts = self._path.stat()
            seen = (facts.st_mtime_ns, facts.st_ino, facts.st_size)
            if seen != self._seen:
                self._token = self._path.read_text().strip()
                self._seen = seen
        except OSError as error:
            if not self._token:
                raise ConfigError(f"the token file {self._path} cannot be read: {error.strerror}") from error
        return self._token


@dataclass(frozen=True)
class ClusterConfig:
    """The way to one API server. `server` has no trailing slash, `namespace` is the one of the context or pod,
    `ssl` is None for plain HTTP, `proxy` is "" for none. `traces` are told of every request."""

    server: str
    ssl: ssl.SSLContext | None = field(default=None, repr=False)
    token: TokenSource = field(default_factory=StaticToken, repr=False)
    namespace: str = "default"
    proxy: str = ""
    traces: tuple[aiohttp.TraceConfig, ...] = field(default=(), repr=False, compare=False)


def load_config(
    kubeconfig: str = "", environment: Mapping[str, str] | None = None, account: Path = ACCOUNT
) -> ClusterConfig:
    """The first that is there: `kubeconfig` (a path), $KUBECONFIG, the account of the pod, ~/.kube/config.
    Raises ConfigError."""
    environment = os.environ if environment is None else environment
    if kubeconfig:
        return from_kubeconfig([Path(kubeconfig)])
    if environment.get("KUBECONFIG"):
        return from_kubeconfig([Path(path) for path in environment["KUBECONFIG"].split(os.pathsep) if path])
    if environment.get("KUBERNETES_SERVICE_HOST") and (account / "token").exists():
        return from_account(environment, account)
    home = Path(environment.get("HOME") or "/") / ".kube" / "config"
    if home.exists():
        return from_kubeconfig([home])
    raise ConfigError(
        "there is no way to a cluster: not in a pod with a service account, no --kubeconfig, no KUBECONFIG and no "
        "~/.kube/config; set --kubeconfig=<path>"
    )


def from_account(environment: Mapping[str, str], account: Path = ACCOUNT) -> ClusterConfig:
    """The account that Kubernetes mounts into a pod. Raises ConfigError."""
    host = environment["KUBERNETES_SERVICE_HOST"]
    port = environment.get("KUBERNETES_SERVICE_PORT") or "443"
    authority = f"[{host}]" if ":" in host else host
    try:
        context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except OSError as error:
        raise ConfigError(f"the CA of the service account, {account / 'ca.crt'}, cannot be used: {error}") from error
    namespace_file = account / "namespace"
    namespace = namespace_file.read_text().strip() if namespace_file.exists() else "default"
    return ClusterConfig(
        server=f"https://{authority}:{port}",
        ssl=context,
        token=FileToken(account / "token"),
        namespace=namespace,
    )


def from_kubeconfig(paths: list[Path]) -> ClusterConfig:
    """The current context of kubeconfig files; of an entry that several files have, the first counts.
    Raises ConfigError."""
    merged = _merged(paths)
    name = merged.current or _fail(
        merged.where, "current-context", "is not set; choose one: kubectl config use-context"
    )
    context = merged.entry("contexts", "context", name)
    cluster = merged.entry("clusters", "cluster", str(context.get("cluster", "")))
    user = merged.entry("users", "user", str(context["user"])) if context.get("user") else _Entry({}, merged.where)
    server = str(cluster.get("server") or "").rstrip("/")
    if not server.startswith(("https://", "http://")):
        _fail(cluster.where, "cluster.server", f"must be an http(s) URL, not {server!r}")
    return ClusterConfig(
        server=server,
        ssl=_ssl_context(cluster, user) if server.startswith("https://") else None,
        token=_token(user),
        namespace=str(context.get("namespace") or "default"),
        proxy=str(cluster.get("proxy-url") or ""),
    )


def _fail(where: Path, entry: str, problem: str) -> Any:
    raise ConfigError(f"kubeconfig {where}: {entry} {problem}")


class _Entry(dict[str, Any]):
    """One entry of a kubeconfig and the file that it is from: its paths are relative to it."""

    def __init__(self, values: Mapping[str, Any], where: Path) -> None:
        super().__init__(values)
        self.where = where

    def content(self, name: str) -> bytes | None:
        """`<name>-data` (base64), else what the file `<name>` holds, else None."""
        data = self.get(f"{name}-data")
        if data:
            try:
                return base64.b64decode(str(data), validate=True)
            except binascii.Error as error:
                raise ConfigError(f"kubeconfig {self.where}: {name}-data is not base64") from error
        path = self.get(name)
        if not path:
            return None
        return self.file(name, str(path)).read_bytes()

    def file(self, name: str, path: str) -> Path:
        found = self.where.parent / path
        if not found.is_file():
            _fail(self.where, name, f"names {found}, which is not a file")
        return found


@dataclass(frozen=True)
class _Merged:
    files: tuple[_Entry, ...]

    @property
    def where(self) -> Path:
        return self.files[0].where

    @property
    def current(self) -> str:
        return next((str(one["current-context"]) for one in self.files if one.get("current-context")), "")

    def entry(self, section: str, word: str, name: str) -> _Entry:
        for file in self.files:
            for item in file.get(section) or ():
                if isinstance(item, dict) and item.get("name") == name:
                    return _Entry(item.get(word) or {}, file.where)
        raise ConfigError(f"kubeconfig {self.where}: there is no entry {name!r} in {section}")


def _merged(paths: list[Path]) -> _Merged:
    files = []
    for path in paths:
        if not path.is_file():
            continue
        try:
            content = yaml.safe_load(path.read_text())
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise ConfigError(f"kubeconfig {path} cannot be read: {error}") from error
        if not isinstance(content, dict):
            raise ConfigError(f"kubeconfig {path} is not a mapping")
        files.append(_Entry(content, path))
    if not files:
        raise ConfigError(f"kubeconfig {', '.join(map(str, paths))} does not exist")
    return _Merged(tuple(files))


def _token(user: _Entry) -> TokenSource:
    for plugin in ("exec", "auth-provider"):
        if user.get(plugin):
            _fail(
                user.where,
                f"user.{plugin}",
                "is a credential plugin, which the operator does not run; use a token or a client certificate "
                "(kubectl create token, or a service account)",
            )
    if user.get("username"):
        _fail(user.where, "user.username", "is basic authentication, which API servers no longer have; use a token")
    if user.get("token"):
        return StaticToken(str(user["token"]))
    if user.get("tokenFile"):
        return FileToken(user.file("user.tokenFile", str(user["tokenFile"])))
    return StaticToken()


def _ssl_context(cluster: _Entry, user: _Entry) -> ssl.SSLContext:
    authority = cluster.content("certificate-authority")
    try:
        context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"kubeconfig {cluster.where}: certificate-authority is not a PEM certificate") from error
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = user.content("client-certificate"), user.content("client-key")
    if bool(certificate) != bool(key):
        _fail(user.where, "user", "must have both client-certificate and client-key, or neither")
    if certificate and key:
        _load_pair(context, certificate, key, user.where)
    return context


def _load_pair(context: ssl.SSLContext, certificate: bytes, key: bytes, where: Path) -> None:
    """The ssl module takes certificates from files only: one that its owner alone can read, for a moment."""
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(certificate.rstrip() + b"\n" + key)
        file.flush()
        try:
            context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise ConfigError(f"kubeconfig {where}: client-certificate and client-key do not fit: {error}") from error
