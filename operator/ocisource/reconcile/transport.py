"""How an object reaches its registry: through its proxy, and with its certificates (flux-compat C5, C8)."""

from __future__ import annotations

from collections.abc import Mapping

from ocisource.domain.certificates import TLS, parse_certificates
from ocisource.domain.errors import SecretError, SecretMissing
from ocisource.domain.proxies import Proxy, parse_proxy
from ocisource.domain.source import Source
from ocisource.reconcile import steps
from ocisource.reconcile.rooms import Rooms


async def proxy(rooms: Rooms, source: Source, deadline: steps.Deadline) -> Proxy | None:
    """The proxy of `spec.proxySecretRef`, None where it is left to the environment. Raises Failure."""
    if not source.proxy_secret:
        return None
    async with steps.proxy_address().until(deadline):
        return parse_proxy(*await _read(rooms, source, source.proxy_secret))


async def certificates(rooms: Rooms, source: Source, deadline: steps.Deadline) -> TLS | None:
    """The material of `spec.certSecretRef`, which can be used; None without one. Raises Failure."""
    if not source.cert_secret:
        return None
    async with steps.transport(source.url).until(deadline):
        tls = parse_certificates(*await _read(rooms, source, source.cert_secret))
        await rooms.registry.prepare(tls)
        return tls


async def _read(rooms: Rooms, source: Source, name: str) -> tuple[str, Mapping[str, bytes]]:
    """The Secret's full name and its data."""
    secret = f"{source.namespace}/{name}"
    try:
        return secret, (await rooms.secrets.secret(source.namespace, name))[1]
    except SecretMissing as error:
        raise SecretError(f"secret '{secret}' not found") from error
    except SecretError as error:
        raise SecretError(f"failed to get secret '{secret}': {error}") from error
