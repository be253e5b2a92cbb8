"""Certificates that no authority of the root would have issued, or that were not valid when they signed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from devkit.offline.authority import CA, Authority, key_usage
from devkit.offline.case import Case
from devkit.offline.ctlog import CTLog
from devkit.offline.draft import FORMS, Draft, Form, draft
from devkit.offline.keys import digest as hashed
from devkit.offline.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from devkit.offline.case import Make
    from devkit.offline.ctlog import SctMaker
    from devkit.offline.sigstore import OfflineSigstore


def _profile(**changes: Any) -> Make:
    """A leaf that says something else."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        signing = sigstore.identity(profile=replace(sigstore.profile(), **changes))
        return draft(sigstore, digest, form, signing)

    return make


def _scts(made: Callable[[OfflineSigstore], list[SctMaker]]) -> Make:
    """A leaf with other SCTs."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        return draft(sigstore, digest, form, sigstore.identity(scts=made(sigstore)))

    return make


def _authority(made: Callable[[OfflineSigstore], Authority]) -> Make:
    """Everything is as this authority does it, and the root knows it."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        other = replace(sigstore, authority=made(sigstore))
        return draft(other, digest, form)

    return make


def _expired(number: int) -> Make:
    """The certificate `number` of root and intermediate ended before the leaf began."""

    def made(sigstore: OfflineSigstore) -> Authority:
        windows = [sigstore.authority.window] * 2
        windows[number] = Window(windows[number].start, sigstore.now - 1)
        return Authority.create(sigstore.authority.window, windows=windows)

    return _authority(made)


def _foreign(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """Of the same names; a legacy signature brings its chain along."""
    foreign = Authority.create(sigstore.authority.window)
    return draft(sigstore, digest, form, sigstore.identity(authority=foreign))


def _self_signed(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    lonely = Authority.create(sigstore.authority.window, kinds=["p256"])
    return draft(sigstore, digest, form, sigstore.identity(authority=lonely))


def _issued_by_a_leaf(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
    """A leaf of the authority signs a further leaf."""
    between = sigstore.identity()
    chain = (between.certificate, *sigstore.authority.chain)
    issuer = Authority(chain, between.key, sigstore.authority.window)
    return draft(sigstore, digest, form, sigstore.identity(authority=issuer))


def _witnessed(offset: Callable[[Window], float]) -> Make:
    """Log and timestamp say another time, and say it well."""

    def make(sigstore: OfflineSigstore, digest: str, form: Form) -> Draft:
        return draft(sigstore, digest, form, at=offset(sigstore.profile().window))

    return make


def _posing(sigstore: OfflineSigstore) -> list[SctMaker]:
    return [replace(CTLog.create(sigstore.ctlog.window), claimed=sigstore.ctlog.log_id).at(sigstore.now)]


def _for_another_certificate(sigstore: OfflineSigstore) -> list[SctMaker]:
    return [lambda tbs, issuer: sigstore.ctlog.sct(tbs + b"\0", issuer, sigstore.now)]


def _for_another_issuer(sigstore: OfflineSigstore) -> list[SctMaker]:
    return [lambda tbs, _: sigstore.ctlog.sct(tbs, hashed("sha256", b"another"), sigstore.now)]


def _intermediate(**changes: Any) -> Make:
    return _authority(lambda sigstore: Authority.create(sigstore.authority.window, **changes))


NO_CA = (x509.BasicConstraints(ca=False, path_length=None), True)

MISTAKES = (
    Case("an unknown authority of the same name issued the certificate", _foreign),
    Case("the certificate's authority is its own root", _self_signed),
    Case("a leaf issued the certificate", _issued_by_a_leaf),
    Case("the intermediate had expired", _expired(1)),
    Case("the root had expired", _expired(0)),
    Case("the intermediate is no CA", _intermediate(constraints=NO_CA)),
    Case("the intermediate has no basic constraints", _intermediate(constraints=None)),
    Case("the intermediate may not sign certificates", _intermediate(usage=key_usage("digital_signature"))),
    Case("the intermediate is not for code signing", _intermediate(usages=(ExtendedKeyUsageOID.SERVER_AUTH,))),
    Case("the certificate has no extended key usage", _profile(usages=None), own_rule=FORMS),
    Case("the certificate is not for code signing", _profile(usages=(ExtendedKeyUsageOID.SERVER_AUTH,))),
    Case("the certificate's key may not sign", _profile(key_usage=key_usage("key_agreement")), own_rule=FORMS),
    Case("the certificate is a CA's", _profile(extra=(CA,)), own_rule=FORMS),
    Case("the certificate names nobody", _profile(names=())),
    Case("the certificate names no issuer", _profile(issuer=None)),
    Case("the certificate had expired", _witnessed(lambda window: window.final + 1)),
    Case("the certificate was not valid yet", _witnessed(lambda window: window.start - 1)),
    Case("the certificate has no SCT", _scts(lambda _: [])),
    Case("the SCT is by an unknown log", _scts(lambda one: [CTLog.create(one.ctlog.window).at(one.now)])),
    Case("the SCT is by another key in the log's name", _scts(_posing)),
    Case("the SCT is for another certificate", _scts(_for_another_certificate)),
    Case("the SCT is for another issuer", _scts(_for_another_issuer)),
)
