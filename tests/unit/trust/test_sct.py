"""Embedded SCTs (RFC 6962 sections 3.2 and 3.3; signatures.md, "Legacy cosign" (8)). The offline CT log signs at NOW,
when the leaf begins to be valid; signatures are made a minute later."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from devkit.offline import NOW, Authority, CTLog, OfflineSigstore, Window
from devkit.offline.authority import to_der
from devkit.signer import Signer
from ocisource.trust.certificates import check_chain, read_leaf
from ocisource.trust.roots import LogKey, read_trusted_root
from ocisource.trust.sct import check_scts
from ocisource.trust.wire import RefusedError

AT = NOW + 60
YEARS = Window.around(NOW)
FOREIGN = "is from a log that is not among the trusted root's ctlogs"
UNSIGNED = "does not hold: it is for another certificate, or by another key"
UNTRUSTED = "is from a time when its log was not trusted"


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


def check(sigstore, scts=None, ctlogs=None, issuer=None) -> LogKey:
    """`scts` make the leaf's timestamps; by default it has a good one."""
    leaf = read_leaf(to_der(sigstore.identity(scts=scts).certificate))
    root = read_trusted_root(sigstore.trusted_root(ctlogs=ctlogs))
    return check_scts(root, leaf, issuer or check_chain(root, leaf, [], AT))


def refusal(*arguments, **named) -> str:
    with pytest.raises(RefusedError) as caught:
        check(*arguments, **named)
    return str(caught.value).removeprefix("certificate's signed certificate timestamp ")


def test_a_leaf_that_a_ct_log_has_seen_is_good(sigstore):
    assert check(sigstore).key_id == sigstore.ctlog.log_id


def test_a_leaf_without_timestamp_is_refused(sigstore):
    assert refusal(sigstore, scts=[]) == "certificate has no signed certificate timestamp (SCT)"


def test_a_root_without_ctlogs_accepts_nothing(sigstore):
    assert refusal(sigstore, ctlogs=[]) == "trusted root has no ctlogs, and without one no certificate counts"


def test_a_log_that_the_root_does_not_hold_is_refused(sigstore):
    assert refusal(sigstore, scts=[CTLog.create(YEARS).at(NOW)]) == FOREIGN


def test_a_log_that_poses_as_ours_is_refused(sigstore):
    pose = replace(CTLog.create(YEARS), claimed=sigstore.ctlog.log_id)
    assert refusal(sigstore, scts=[pose.at(NOW)]) == UNSIGNED


def test_a_timestamp_of_another_certificate_is_refused(sigstore):
    def spliced(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        return sigstore.ctlog.sct(tbs[:-1] + b"?", issuer_key_hash, NOW)

    assert refusal(sigstore, scts=[spliced]) == UNSIGNED


def test_a_timestamp_for_another_issuer_is_refused(sigstore):
    """RFC 6962 section 3.2: the issuer's key is part of what is signed."""
    assert refusal(sigstore, issuer=Authority.create(YEARS).issuing) == UNSIGNED


@pytest.mark.parametrize("part", [slice(33, 41), slice(40, 41)], ids=["all of the time", "its last byte"])
def test_a_timestamp_whose_time_was_changed_is_refused(sigstore, part):
    """RFC 6962 section 3.2: after version and log ID come 8 bytes of time."""

    def changed(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        sct = bytearray(sigstore.ctlog.sct(tbs, issuer_key_hash, NOW))
        sct[part] = sigstore.ctlog.sct(tbs, issuer_key_hash, NOW + 0.001)[part]
        return bytes(sct)

    assert refusal(sigstore, scts=[changed]) == UNSIGNED


def test_milliseconds_are_part_of_the_time(sigstore):
    assert check(sigstore, scts=[sigstore.ctlog.at(NOW + 0.789)])


def test_extensions_of_a_timestamp_are_signed_too(sigstore):
    def extended(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        return sigstore.ctlog.sct(tbs, issuer_key_hash, NOW, b"extension")

    def altered(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        return extended(tbs, issuer_key_hash).replace(b"extension", b"extensiom")

    assert check(sigstore, scts=[extended])
    assert refusal(sigstore, scts=[altered]) == UNSIGNED


def test_one_good_timestamp_is_enough_wherever_it_stands(sigstore):
    foreign = CTLog.create(YEARS)
    pose = replace(CTLog.create(YEARS), claimed=sigstore.ctlog.log_id)
    good, bad, unsigned = sigstore.ctlog.at(NOW), foreign.at(NOW), pose.at(NOW)
    for scts in ([good, bad, unsigned], [bad, unsigned, good]):
        assert check(sigstore, scts=scts).key_id == sigstore.ctlog.log_id


def test_the_reason_is_about_a_log_that_we_know(sigstore):
    pose = replace(CTLog.create(YEARS), claimed=sigstore.ctlog.log_id)
    foreign = CTLog.create(YEARS)
    assert refusal(sigstore, scts=[pose.at(NOW), foreign.at(NOW)]) == UNSIGNED


def test_the_log_that_signed_comes_out(sigstore):
    other = CTLog.create(YEARS, url="https://other.example")
    found = check(sigstore, scts=[other.at(NOW)], ctlogs=[sigstore.ctlog, other])
    assert found.base_url == "https://other.example"


@pytest.mark.parametrize("window", [Window(NOW - 1000, NOW - 1), Window(NOW + 1)], ids=["retired", "not there yet"])
def test_a_log_outside_its_window_is_refused(sigstore, window):
    """signatures.md, "Certificates": a key's window counts."""
    assert refusal(sigstore, ctlogs=[replace(sigstore.ctlog, window=window)]) == UNTRUSTED


@pytest.mark.parametrize("window", [Window(NOW), Window(NOW - 1000, NOW)])
def test_both_ends_of_a_logs_window_belong_to_it(sigstore, window):
    assert check(sigstore, ctlogs=[replace(sigstore.ctlog, window=window)])


def test_it_is_the_time_of_the_timestamp_that_must_be_in_the_window(sigstore):
    """Not the time of the signature: a log may retire in between."""
    assert check(sigstore, ctlogs=[replace(sigstore.ctlog, window=Window(NOW - 1000, NOW + 1))])


def test_a_log_with_two_windows_is_trusted_in_each(sigstore):
    logs = [replace(sigstore.ctlog, window=Window(0, 10)), replace(sigstore.ctlog, window=Window(NOW, NOW + 1))]
    assert check(sigstore, ctlogs=logs)


@pytest.mark.parametrize("moment", [NOW - 86400, NOW, NOW + 86400])
def test_clocks_may_differ(sigstore, moment):
    assert check(sigstore, scts=[sigstore.ctlog.at(moment)])


def test_a_log_that_is_no_longer_trusted_cannot_go_back_to_when_it_was(sigstore):
    """The certificate, whose authority is trusted, tells when it was made."""
    retired = replace(sigstore.ctlog, window=Window(0, NOW - 1))
    assert refusal(sigstore, scts=[retired.at(NOW - 86400)], ctlogs=[retired]) == UNTRUSTED
    assert check(sigstore, scts=[retired.at(NOW - 86400)], ctlogs=[replace(retired, window=Window(0, NOW))])


@pytest.mark.parametrize("moment", [NOW - 1.001, NOW + 1.001])
def test_a_timestamp_from_outside_the_logs_window_is_refused_though_the_certificate_is_from_inside(sigstore, moment):
    log = replace(sigstore.ctlog, window=Window(NOW - 1, NOW + 1))
    assert refusal(sigstore, scts=[log.at(moment)], ctlogs=[log]) == UNTRUSTED
    for last in (NOW - 1, NOW + 1):
        assert check(sigstore, scts=[log.at(last)], ctlogs=[log])


def test_a_time_beyond_all_calendars_is_refused(sigstore):
    def endless(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        return sigstore.ctlog.sct(tbs, issuer_key_hash, (2**64 - 2**20) / 1000)

    assert refusal(sigstore, scts=[endless]) == "has no time that can be"


def test_a_log_may_have_an_rsa_key(sigstore):
    """RFC 6962 section 2.1.4."""
    log = CTLog.create(YEARS, "rsa2048")
    assert check(sigstore, scts=[log.at(NOW)], ctlogs=[log])


@pytest.mark.parametrize(("kind", "name"), [("p384", "ECDSA secp384r1"), ("ed25519", "Ed25519")])
def test_a_log_with_another_kind_of_key_does_not_count(sigstore, kind, name):
    """RFC 6962 section 2.1.4; Go's verifiers refuse them too."""
    log = CTLog.create(YEARS, kind)

    def readable(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        sct = log.sct(tbs, issuer_key_hash, NOW)
        return sct[:43] + b"\4\3" + sct[45:]  # as if by ECDSA with SHA-256

    reason = f"is from a log with a key of {name}; logs have ECDSA on P-256 or RSA"
    assert refusal(sigstore, scts=[readable], ctlogs=[log]) == reason


def test_sixteen_timestamps_are_looked_at_and_no_more(sigstore):
    foreign = CTLog(Signer(ec.generate_private_key(ec.SECP256R1())), YEARS)
    many = [foreign.at(NOW)] * 15
    assert check(sigstore, scts=[*many, sigstore.ctlog.at(NOW)])
    reason = "certificate has more than 16 signed certificate timestamps"
    assert refusal(sigstore, scts=[*many, foreign.at(NOW), sigstore.ctlog.at(NOW)]) == reason


@pytest.mark.parametrize(
    "change", [lambda sct: sct[:-1], lambda sct: sct + b"\0", lambda sct: b"\1" + sct[1:], lambda sct: b""]
)
def test_timestamps_that_cannot_be_read_are_refused_with_their_certificate(sigstore, change):
    def broken(tbs: bytes, issuer_key_hash: bytes) -> bytes:
        return change(sigstore.ctlog.sct(tbs, issuer_key_hash, NOW))

    with pytest.raises(RefusedError, match=r"^certificate is not an X\.509 certificate that can be read$"):
        read_leaf(to_der(sigstore.identity(scts=[broken]).certificate))
