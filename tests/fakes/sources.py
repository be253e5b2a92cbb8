"""A usual source, for tests of rules."""

from __future__ import annotations

from ocisource.domain.reference import Reference
from ocisource.domain.source import Source

SOURCE = Source(
    namespace="team",
    name="app",
    uid="u",
    generation=1,
    url="oci://registry.example.com/team/app",
    interval=300.0,
    timeout=60.0,
    reference=Reference(semver="*"),
)
