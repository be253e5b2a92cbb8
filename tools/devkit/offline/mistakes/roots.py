"""Roots that did not trust a service at the time of the signature (`validFor`), or do not know it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from devkit.offline.case import STAMPED, Case
from devkit.offline.draft import Draft, Form, draft
from devkit.offline.mistakes.entries import log_of
from devkit.offline.windows import YEAR, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.offline.case import Make
    from devkit.offline.sigstore import OfflineSigstore


def _ended(now: float) -> Window:
    """A minute before the leaf was issued."""
    return Window(now - YEAR, now - 60)


def _later(now: float) -> Window:
    """After the leaf's last moment."""
    return Window(now + YEAR)


def _trusted(
    change: Callable[[OfflineSigstore, Form, Window], OfflineSigstore], window: Callable[[float], Window]
) -> Make:
    """A good signature; the root says of a service that it was to be trusted at another time."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        other = change(sigstore, form, window(sigstore.now))
        return replace(draft(sigstore, digest, form), document=other.trusted_root_document())

    return make


def _without(name: str) -> Make:
    """The root knows none of these."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        return replace(draft(sigstore, digest, form), document=sigstore.trusted_root_document(without=[name]))

    return make


def _authority(sigstore: OfflineSigstore, _: Form, window: Window) -> OfflineSigstore:
    return replace(sigstore, authority=replace(sigstore.authority, window=window))


def _ctlog(sigstore: OfflineSigstore, _: Form, window: Window) -> OfflineSigstore:
    return replace(sigstore, ctlog=replace(sigstore.ctlog, window=window))


def _log(sigstore: OfflineSigstore, form: Form, window: Window) -> OfflineSigstore:
    log = replace(log_of(sigstore, form), window=window)
    return replace(sigstore, rekor_v2=log) if form == "v2" else replace(sigstore, rekor_v1=log)


def _tsa(sigstore: OfflineSigstore, _: Form, window: Window) -> OfflineSigstore:
    return replace(sigstore, tsa=replace(sigstore.tsa, window=window))


MISTAKES = (
    Case("the root had stopped to trust the authority", _trusted(_authority, _ended)),
    Case("the root did not trust the authority yet", _trusted(_authority, _later)),
    Case("the root had stopped to trust the CT log", _trusted(_ctlog, _ended)),
    Case("the root did not trust the CT log yet", _trusted(_ctlog, _later)),
    Case("the root had stopped to trust the log", _trusted(_log, _ended), own_rule=("v2",)),
    Case("the root did not trust the log yet", _trusted(_log, _later), own_rule=("v2",)),
    Case("the root had stopped to trust the timestamp authority", _trusted(_tsa, _ended), STAMPED),
    Case("the root did not trust the timestamp authority yet", _trusted(_tsa, _later), STAMPED),
    Case("the root knows no authority", _without("certificateAuthorities")),
    Case("the root knows no CT log", _without("ctlogs")),
    Case("the root knows no log", _without("tlogs")),
    Case("the root knows no timestamp authority", _without("timestampAuthorities"), STAMPED),
)
