"""What the Secrets of `spec.verify` hold, read anew for each pass."""

from __future__ import annotations

from ocisource.domain.errors import SecretError, SecretMissing, TrustError, Unjudged
from ocisource.domain.evidence import Material
from ocisource.domain.source import Verify
from ocisource.ports import Secrets


async def gather(secrets: Secrets, namespace: str, verify: Verify) -> Material:
    """Raises SecretErrors for `secretRef`; about `trustedRootSecretRef` TrustError where there is none, Unjudged where
    it could not be looked at (flux-compat H6)."""
    data = (await secrets.secret(namespace, verify.secret))[1] if verify.secret else None
    if not verify.trusted_root_secret:
        return Material(namespace, data)
    prefix = f"failed to read trusted root from secret '{namespace}/{verify.trusted_root_secret}'"
    try:
        _, root = await secrets.secret(namespace, verify.trusted_root_secret)
    except SecretMissing as error:
        raise TrustError(f"{prefix}: {error}") from error
    except SecretError as error:
        raise Unjudged(f"{prefix}: {error}") from error
    return Material(namespace, data, root)
