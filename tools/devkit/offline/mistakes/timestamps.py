"""Timestamps that are not over this signature, or that no timestamp authority of the root made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography.x509.oid import ExtendedKeyUsageOID

from devkit.offline import tsa
from devkit.offline.authority import TIME_STAMPING
from devkit.offline.case import STAMPED, Case
from devkit.offline.draft import Draft, Form, draft
from devkit.offline.keys import key_pair
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.offline.case import Make
    from devkit.offline.sigstore import OfflineSigstore


def _stamps(change: Callable[[OfflineSigstore, Draft], tuple[bytes, ...]]) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        good = draft(sigstore, digest, form)
        return replace(good, timestamps=change(sigstore, good))

    return make


def _claimed_time(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """The entry states a time, which a Rekor v2 does not sign."""
    good = draft(sigstore, digest, form)
    return replace(good, timestamps=(), entries=(replace(good.entries[0], time=int(good.signing.at)),))


def _authority(**changes: Any) -> Make:
    """A timestamp authority that the root knows."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        other = TimestampAuthority.create(sigstore.tsa.window, **changes)
        return draft(replace(sigstore, tsa=other), digest, form)

    return make


def _leaf_window(window: Callable[[float], Window]) -> Make:
    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        return _authority(leaf_window=window(sigstore.now))(sigstore, digest, form)

    return make


def _foreign(sigstore: OfflineSigstore, good: Draft, *, embed: bool) -> tuple[bytes, ...]:
    """Of the same names, with its certificates in the token or without."""
    foreign = TimestampAuthority.create(sigstore.tsa.window)
    chain = foreign.chain if embed else ()
    return (foreign.timestamp(good.sealed.signature, good.signing.at, embed=chain),)


def _token(sigstore: OfflineSigstore, good: Draft, **changes: Any) -> bytes:
    """The ContentInfo, made in another way."""
    content = tsa.tst_info(good.sealed.signature, good.signing.at)
    arguments: dict[str, Any] = {"signer": sigstore.tsa.chain[0], "key": sigstore.tsa.key} | changes
    return tsa.signed_data(content, **arguments)


def _about_other_content(sigstore: OfflineSigstore, good: Draft) -> tuple[bytes, ...]:
    """The signed message digest is of another TSTInfo than the one that is shown."""
    other = tsa.tst_info(b"another", good.signing.at)
    attributes = tsa.signed_attributes(other, sigstore.tsa.chain[0], "sha256")
    return (tsa.response(_token(sigstore, good, attributes=attributes)),)


def _names_another_certificate(sigstore: OfflineSigstore, good: Draft) -> tuple[bytes, ...]:
    """ESSCertIDv2 (RFC 5816) is the root's."""
    content = tsa.tst_info(good.sealed.signature, good.signing.at)
    attributes = tsa.signed_attributes(content, sigstore.tsa.chain[-1], "sha256")
    return (tsa.response(_token(sigstore, good, attributes=attributes)),)


def _over(message: Callable[[Draft], bytes]) -> Make:
    return _stamps(lambda one, good: (one.tsa.timestamp(message(good), good.signing.at),))


def _another_hash(sigstore: OfflineSigstore, good: Draft) -> tuple[bytes, ...]:
    return (sigstore.tsa.timestamp(good.sealed.signature, good.signing.at, hash_="sha1"),)


MISTAKES = (
    Case("there is no timestamp", _stamps(lambda _, __: ()), STAMPED),
    Case("a time that nobody signed stands in for the timestamp", _claimed_time, STAMPED),
    Case("the timestamp is over other bytes", _over(lambda _: b"another"), STAMPED),
    Case("the timestamp is over the payload", _over(lambda good: good.sealed.payload), STAMPED),
    Case("the timestamp uses SHA-1", _stamps(_another_hash), STAMPED),
    Case(
        "the timestamp is by an unknown authority", _stamps(lambda one, good: _foreign(one, good, embed=False)), STAMPED
    ),
    Case(
        "the timestamp brings an authority of its own",
        _stamps(lambda one, good: _foreign(one, good, embed=True)),
        STAMPED,
    ),
    Case(
        "the timestamp is by another key in the authority's name",
        _stamps(lambda one, good: (tsa.response(_token(one, good, key=key_pair())),)),
        STAMPED,
    ),
    Case("the timestamp's signature is about other content", _stamps(_about_other_content), STAMPED),
    Case("the timestamp names another certificate as its own", _stamps(_names_another_certificate), STAMPED, STAMPED),
    Case(
        "the timestamp is signed data of another type",
        _stamps(lambda one, good: (tsa.response(_token(one, good, content_type="1.2.840.113549.1.7.1")),)),
        STAMPED,
        STAMPED,
    ),
    Case(
        "the timestamp has two signers",
        _stamps(lambda one, good: (tsa.response(_token(one, good, signers=2)),)),
        STAMPED,
    ),
    Case(
        "the timestamp was rejected",
        _stamps(lambda one, good: (tsa.response(_token(one, good), status=2),)),
        STAMPED,
    ),
    Case(
        "the timestamp authority may not make timestamps",
        _authority(usages=(ExtendedKeyUsageOID.CODE_SIGNING,)),
        STAMPED,
    ),
    Case(
        "the timestamp authority may do more than timestamps",
        _authority(usages=(TIME_STAMPING, ExtendedKeyUsageOID.CODE_SIGNING)),
        STAMPED,
    ),
    Case("the timestamp authority has no extended key usage", _authority(usages=None), STAMPED),
    Case("the timestamp authority's usage is not critical", _authority(critical=False), STAMPED),
    Case(
        "the timestamp authority's certificate had expired", _leaf_window(lambda now: Window(now - 9, now - 1)), STAMPED
    ),
    Case(
        "the timestamp authority's certificate was not valid yet",
        _leaf_window(lambda now: Window(now + 300, now + 900)),
        STAMPED,
    ),
)
