"""A desk to judge Notation signatures at: an artifact, a notary that signs it, and policies. RSA keys are made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest

from devkit.offline.notary import JWS, Notary, Order, trust_policy
from devkit.offline.windows import NOW, Window
from ocisource.domain.evidence import Judgement, NotationSignature, Subject
from ocisource.trust.notation.policy import NotationPolicy, read_notation

REPOSITORY = "registry.example:5000/team/app"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
IDENTITY = "x509.subject: C=US, ST=WA, O=wabbit-networks.io"


class Desk:
    """`subject` is the artifact, `order` a good order to sign it, `notary` one whose root `policy` trusts."""

    now = float(NOW)
    window = Window.around(NOW)
    subject = Subject(REPOSITORY, "sha256:" + "a" * 64, MANIFEST, 1234)
    order = Order(MANIFEST, subject.digest, subject.size, at=NOW - 3600)

    @property
    def notary(self) -> Notary:
        return self.notary_of()

    def notary_of(self, **knobs: Any) -> Notary:
        return Notary.create(self.window, **knobs) if knobs else _notary()

    def policy(
        self,
        *,
        document: bytes | None = None,
        notary: Notary | None = None,
        extra: Mapping[str, bytes] | None = None,
        now: Callable[[], float] | None = None,
        repository: str = REPOSITORY,
        **knobs: Any,
    ) -> NotationPolicy:
        """Trusts the notary's root; `knobs` are those of `trust_policy`."""
        content = trust_policy(**{"identities": [IDENTITY], **knobs}) if document is None else document
        data = {"trustpolicy.json": content, "root.crt": (notary or self.notary).root_pem(), **(extra or {})}
        return read_notation("team/trust", data, repository, now or (lambda: self.now))

    def evidence(self, envelope: bytes, media_type: str = JWS) -> NotationSignature:
        return NotationSignature("signature sha256:0123", media_type, envelope)

    def judge(
        self,
        order: Order | None = None,
        media_type: str = JWS,
        *,
        notary: Notary | None = None,
        policy: NotationPolicy | None = None,
        subject: Subject | None = None,
        **knobs: Any,
    ) -> Judgement:
        """The judgement on what the notary makes of the order."""
        notary = notary or self.notary
        policy = policy or self.policy(notary=notary, **knobs)
        envelope = notary.sign(order or self.order, media_type)
        return policy.judge(subject or self.subject, self.evidence(envelope, media_type))


@cache
def _notary() -> Notary:
    return Notary.create(Desk.window)


@pytest.fixture(scope="session")
def desk() -> Desk:
    return Desk()


def failed(judgement: Judgement) -> str:
    """The name of the check that did not hold."""
    return next((check.name for check in judgement.checks if not check.passed), "")
