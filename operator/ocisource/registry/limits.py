"""How much of a registry's answers is taken, and how patient we are."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024

# Registries take manifests of up to 4 MiB (distribution-spec, pushing manifests), so what is to be pulled may be as
# large; what only claims to sign something may not (signatures.md rule 6).
MANIFEST_BYTES = 4 * MIB
SIGNATURE_BYTES = 1 * MIB
SIGNATURES = 64
TAG_PAGE_BYTES = 16 * MIB
TAG_PAGES = 1_000
TAGS = 1_000_000
TOKEN_BYTES = 64 * 1024
ERROR_BYTES = 64 * 1024
NESTED_INDEXES = 4


@dataclass(frozen=True)
class Limits:
    """What an operator may want to set. Sizes in bytes, times in seconds.

    `platform` chooses the child of an index (flux-compat J14), `retry_delays` are the waits between tries: one try
    more than there are delays (flux-compat E10).
    """

    platform: str = "linux/amd64"
    user_agent: str = "oci-source-operator flux/v2"
    connections_per_host: int = 256
    max_blob_size: int = 1024 * MIB
    connect_seconds: float = 30.0
    retry_delays: tuple[float, ...] = (1.0, 3.0)
    max_retry_after: float = 30.0


DEFAULTS = Limits()
