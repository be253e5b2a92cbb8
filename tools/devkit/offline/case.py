"""What a mistake is, and what a variant is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from devkit.offline.draft import FORMS, Draft, Form
from devkit.offline.sigstore import OfflineSigstore

Make = Callable[[OfflineSigstore, str, Form], Draft]

BUNDLES: tuple[Form, ...] = ("v1", "v2")
PROMISED: tuple[Form, ...] = ("legacy", "v1")
"""Forms with a signed entry timestamp."""
STAMPED: tuple[Form, ...] = ("v2",)
"""Forms with an RFC 3161 timestamp."""


@dataclass(frozen=True)
class Case:
    """`make(sigstore, digest, form)` makes it. Where `own_rule` names a form, our answer about it is by a rule of our
    own, which other verifiers need not share."""

    name: str
    make: Make
    forms: tuple[Form, ...] = FORMS
    own_rule: tuple[Form, ...] = ()


def every(cases: Mapping[str, Case]) -> list[tuple[str, Form]]:
    """The name of each case with each of its forms: parameters for a test."""
    return [(case.name, form) for case in cases.values() for form in case.forms]


def shared(cases: Mapping[str, Case]) -> list[tuple[str, Form]]:
    """The same without those that are judged by a rule of our own."""
    return [(name, form) for name, form in every(cases) if form not in cases[name].own_rule]
