"""Keys are made once: the RSA one costs a tenth of a second."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest

from devkit.signer import Kind, Signer
from ocisource.domain.evidence import Subject
from ocisource.trust.keyed import read_keys


@cache
def _signer(kind: Kind, number: int, always_sha256: bool) -> Signer:
    return Signer.generate(kind, always_sha256=always_sha256)


class Bench:
    """What a test of the trust room works with: a digest, another digest, keys, and the judge."""

    digest = "sha256:" + hashlib.sha256(b"the artifact").hexdigest()
    other_digest = "sha256:" + hashlib.sha256(b"another artifact").hexdigest()

    def signer(self, kind: Kind = "p256", number: int = 0, always_sha256: bool = False) -> Signer:
        return _signer(kind, number, always_sha256)

    def ring(self, *signers: Signer):
        return read_keys("pub", {f"{n}.pub": one.public_pem() for n, one in enumerate(signers)})

    def judge(self, ring, evidence, digest: str | None = None):
        return ring.judge(Subject("reg.example/app", self.digest if digest is None else digest), evidence)


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench()
