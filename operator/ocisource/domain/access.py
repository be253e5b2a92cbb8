"""How one object may reach one repository: where, how, and as whom."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocisource.domain.certificates import TLS
    from ocisource.domain.proxies import Proxy


@dataclass(frozen=True)
class Repository:
    """A repository in a registry, normalised (flux-compat D2).

    `registry` is `host[:port]` (`index.docker.io` for Docker Hub), `path` the name below it.
    """

    registry: str
    path: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@dataclass(frozen=True)
class Credentials:
    """What a registry is shown: user and password, an identity token, or a registry token (flux-compat E3)."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Access:
    """The key under which connections, tokens and answers may be shared (flux-compat J13): equal Access means
    the same repository, seen by the same eyes on the same way. `insecure` allows plain HTTP (flux-compat J5), `tls` is
    the material of `certSecretRef` (E7), `proxy` the one of `proxySecretRef`; None leaves it to the environment (E9).
    """

    repository: Repository
    insecure: bool = False
    credentials: Credentials | None = None
    tls: TLS | None = None
    proxy: Proxy | None = None

    @property
    def to_registry(self) -> Access:
        """The same eyes on the registry as a whole."""
        return replace(self, repository=Repository(self.repository.registry, ""))
