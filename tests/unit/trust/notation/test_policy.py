"""What a trust policy makes of a signature: levels, trust, expiry, timestamps, revocation (flux-compat H7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from devkit.offline.authority import TIME_STAMPING, Authority, certificate, key_usage, to_pem
from devkit.offline.keys import key_pair
from devkit.offline.notary import COSE, JWS, trust_policy
from devkit.offline.tsa import TimestampAuthority, signed_data, tst_info
from devkit.offline.windows import NOW, Window
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import Subject
from ocisource.trust.notation.policy import read_notation

SIGNING_AUTHORITY = "notary.x509.signingAuthority"
STRANGER = "x509.subject: C=DE, ST=BE, O=somebody-else"
DAY = 86400


def _failed(judgement) -> list[str]:
    return [check.name for check in judgement.checks if not check.passed]


def _ocsp():
    place = x509.UniformResourceIdentifier("http://ocsp.example")
    return x509.AuthorityInformationAccess([x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)]), False


# What the Secret must hold.


def test_a_secret_without_a_policy_says_so(desk):
    with pytest.raises(TrustError) as caught:
        read_notation("team/trust", {"root.crt": desk.notary.root_pem()}, "r/a", lambda: desk.now)
    assert str(caught.value) == "'trustpolicy.json' not found in secret 'team/trust'"


def test_a_secret_is_looked_at_in_the_order_that_clients_know(desk):
    """Neither a policy that parses nor certificates: the policy is told first."""
    with pytest.raises(TrustError, match=r"^error occurred while parsing trustpolicy\.json: "):
        read_notation("team/trust", {"trustpolicy.json": b"{"}, "r/a", lambda: desk.now)
    with pytest.raises(TrustError, match=r"^no certificates found in secret 'team/trust'$"):
        read_notation("team/trust", {"trustpolicy.json": trust_policy()}, "r/a", lambda: desk.now)


# Which statement.


def test_a_repository_without_a_statement_is_not_trusted(desk):
    policy = desk.policy(scopes=["registry.example/other"])
    assert policy.flaw
    assert policy.waived == ""
    judgement = desk.judge(policy=policy)
    assert not judgement.accepted
    assert judgement.reason == policy.flaw
    assert policy.refusal(desk.subject, [("signature", policy.flaw)]).startswith(
        f'artifact "{desk.subject}" has no applicable trust policy statement. Trust policy applicability for a given '
        "artifact is determined by registryScopes. To create a trust policy, see: https://notaryproject.dev/"
    )


def test_level_skip_waives_the_verification_and_verifies_nothing(desk):
    policy = desk.policy(level="skip")
    assert policy.waived == "statement 'statement' of trustpolicy.json skips verification"
    assert policy.flaw == ""
    judgement = desk.judge(policy=policy)
    assert not judgement.accepted
    assert not judgement.ignored
    assert judgement.reason == policy.waived


def test_what_a_policy_is(desk):
    policy = desk.policy()
    assert (policy.form, policy.open, policy.flaw, policy.waived) == ("notation", "", "", "")


# What the user is told.


def test_an_unsigned_artifact_is_told_in_the_words_that_clients_know(desk):
    assert desk.policy().refusal(desk.subject, []) == (
        f'no signature is associated with "{desk.subject}", make sure the artifact was signed successfully'
    )


def test_a_refusal_tells_the_reason_of_each_signature(desk):
    """signatures.md rule 7."""
    refused = [("signature sha256:1", "signature has expired"), ("signature sha256:2", "signature does not hold")]
    assert desk.policy().refusal(desk.subject, refused) == (
        f"signature verification failed for '{desk.subject}': signature sha256:1: signature has expired; "
        "signature sha256:2: signature does not hold"
    )


# The fingerprint (flux-compat J4).


def test_every_trust_input_changes_the_fingerprint(desk):
    root = desk.notary.root_pem()
    base = {"trustpolicy.json": trust_policy(), "root.crt": root}
    more = {**base, "more.pem": desk.notary_of(authorities=0).root_pem()}
    stricter = {**base, "trustpolicy.json": trust_policy(identities=[STRANGER])}
    found = [
        read_notation("team/trust", data, repository, lambda: desk.now).fingerprint
        for data, repository in ((base, "r/a"), (more, "r/a"), (stricter, "r/a"), (base, "r/b"))
    ]
    assert len(set(found)) == 4
    assert all(len(each) == 64 and set(each) <= set("0123456789abcdef") for each in found)


def test_what_is_no_trust_input_does_not_change_the_fingerprint(desk):
    root = desk.notary.root_pem()
    base = {"trustpolicy.json": trust_policy(), "root.crt": root}
    again = {"z.pem": b"# a comment\n" + root + root, "cosign.pub": b"", **base}
    one, other = (read_notation("team/trust", data, "r/a", lambda: desk.now).fingerprint for data in (base, again))
    assert one == other


# Authenticity.


@pytest.mark.parametrize("authorities", [0, 1, 2])
@pytest.mark.parametrize("place", [0, -1])
def test_any_certificate_of_the_chain_may_be_the_trusted_one(desk, authorities, place):
    notary = desk.notary_of(authorities=authorities)
    data = {"trustpolicy.json": trust_policy(), "a.crt": to_pem(notary.chain[place]).encode()}
    policy = read_notation("team/trust", data, desk.subject.repository, lambda: desk.now)
    assert desk.judge(notary=notary, policy=policy).accepted


def test_a_chain_that_nobody_trusts_does_not_count(desk):
    judgement = desk.judge(notary=desk.notary_of(authorities=1), policy=desk.policy())
    assert _failed(judgement) == ["authenticity"]
    assert judgement.reason == (
        "certificate 'CN=secure builder,O=wabbit-networks.io,ST=WA,C=US' does not lead to a trusted certificate"
    )


@pytest.mark.parametrize(
    ("scheme", "stores", "missing"),
    [
        ("notary.x509", ["signingAuthority:x"], "ca"),
        ("notary.x509", ["tsa:x"], "ca"),
        (SIGNING_AUTHORITY, ["ca:x", "tsa:x"], "signingAuthority"),
    ],
)
def test_each_scheme_has_its_type_of_trust_store(desk, scheme, stores, missing):
    judgement = desk.judge(replace(desk.order, scheme=scheme), stores=stores)
    assert _failed(judgement) == ["authenticity"]
    assert judgement.reason == f"statement 'statement' names no trust store of type {missing}"


@pytest.mark.parametrize("form", [JWS, COSE])
def test_a_signing_authority_is_trusted_by_its_own_store(desk, form):
    assert desk.judge(replace(desk.order, scheme=SIGNING_AUTHORITY), form, stores=["signingAuthority:x"]).accepted


@pytest.mark.parametrize("level", ["strict", "permissive"])
def test_a_stranger_with_a_trusted_certificate_does_not_count(desk, level):
    judgement = desk.judge(level=level, identities=[STRANGER])
    assert _failed(judgement) == ["authenticity"]
    assert 'is not among the trusted identities of "statement"' in judgement.reason
    assert not judgement.ignored


# Level audit, and overrides of authenticity.


@pytest.mark.parametrize("knobs", [{"level": "audit"}, {"level": "strict", "override": {"authenticity": "log"}}])
def test_tolerated_authenticity_is_no_verdict(desk, knobs):
    """The artifact is accepted, and nobody is said to have signed it (flux-compat H7)."""
    judgement = desk.judge(identities=[STRANGER], **knobs)
    assert not judgement.accepted
    assert "is not among the trusted identities" in judgement.ignored
    assert judgement.reason == ""
    assert _failed(judgement) == ["authenticity"]
    assert judgement.checks[-1].name == "revocation"


def test_audit_accepts_who_is_trusted(desk):
    judgement = desk.judge(level="audit")
    assert judgement.accepted
    assert not judgement.ignored


@pytest.mark.parametrize("order", [{"digest": "sha256:" + "b" * 64}, {"mark": ("com.example.x",)}])
def test_audit_still_wants_integrity(desk, order):
    judgement = desk.judge(replace(desk.order, **order), level="audit", identities=[STRANGER])
    assert not judgement.accepted
    assert not judgement.ignored
    assert judgement.reason


def test_audit_can_be_made_to_enforce(desk):
    judgement = desk.judge(level="audit", override={"authenticity": "enforce"}, identities=[STRANGER])
    assert not judgement.ignored
    assert judgement.reason


def test_what_is_tolerated_does_not_hide_what_is_enforced(desk):
    order = replace(desk.order, expiry=desk.now - 1)
    judgement = desk.judge(order, level="audit", override={"expiry": "enforce"}, identities=[STRANGER])
    assert _failed(judgement) == ["authenticity", "expiry"]
    assert (judgement.accepted, judgement.ignored) == (False, "")
    assert judgement.reason == "signature has expired"


def test_permissive_never_takes_an_older_artifact_for_this_one(desk):
    """A signature of another digest does not count at any level, though that one was signed in good order."""
    older = Subject(desk.subject.repository, "sha256:" + "c" * 64, desk.subject.media_type, desk.subject.size)
    order = replace(desk.order, digest=older.digest)
    assert desk.judge(order, level="permissive", subject=older).accepted
    judgement = desk.judge(order, level="permissive")
    assert not judgement.accepted
    assert not judgement.ignored


# Expiry.


@pytest.mark.parametrize(("expiry", "good"), [(NOW + 1, True), (NOW, False), (NOW - 1, False)])
@pytest.mark.parametrize("form", [JWS, COSE])
def test_a_signature_expires_when_its_time_comes(desk, expiry, good, form):
    judgement = desk.judge(replace(desk.order, expiry=expiry), form)
    assert judgement.accepted is good
    assert _failed(judgement) == ([] if good else ["expiry"])


def test_time_goes_by_while_a_policy_stands(desk):
    clock = [desk.now]
    policy = desk.policy(now=lambda: clock[0])
    order = replace(desk.order, expiry=desk.now + 10)
    assert desk.judge(order, policy=policy).accepted
    clock[0] += 10
    assert desk.judge(order, policy=policy).reason == "signature has expired"


@pytest.mark.parametrize("knobs", [{"level": "permissive"}, {"level": "strict", "override": {"expiry": "log"}}])
def test_a_tolerated_expiry_is_told_and_accepted(desk, knobs):
    judgement = desk.judge(replace(desk.order, expiry=desk.now - 1), **knobs)
    assert judgement.accepted
    assert _failed(judgement) == ["expiry"]


# Validity of the certificates, without a timestamp.


@pytest.mark.parametrize(
    ("window", "word"),
    [(Window(NOW - DAY, NOW - 1), "now is after certificate"), (Window(NOW + 1, NOW + DAY), "now is before")],
)
@pytest.mark.parametrize("stores", [["ca:x"], ["ca:x", "tsa:y"]])
def test_certificates_are_valid_now_where_nobody_vouches_for_another_time(desk, window, word, stores):
    """With a tsa store only an expired chain asks for a timestamp under afterCertExpiry."""
    notary = desk.notary_of(leaf_window=window)
    judgement = desk.judge(notary=notary, stores=stores, verifyTimestamp="afterCertExpiry")
    assert _failed(judgement) == ["timestamp"]
    if stores == ["ca:x"]:
        assert word in judgement.reason
    assert desk.judge(notary=notary, level="permissive").accepted


def test_a_signing_authority_vouches_for_the_time(desk):
    window = Window(NOW - 10 * DAY, NOW - 5 * DAY)
    notary, order = desk.notary_of(leaf_window=window), replace(desk.order, scheme=SIGNING_AUTHORITY)
    for at, good in (
        (window.start, True),
        (window.final, True),
        (window.start - 1, False),
        (window.final + 1, False),
    ):
        judgement = desk.judge(replace(order, at=at), notary=notary, stores=["signingAuthority:x"])
        assert judgement.accepted is good
        assert _failed(judgement) == ([] if good else ["timestamp"])
    assert "the authentic signing time is after certificate" in judgement.reason


# Timestamps.


@pytest.fixture(scope="module")
def authority(desk):
    return TimestampAuthority.create(desk.window)


def _stamped(authority, at: float, message: bytes | None = None, **knobs):
    def stamp(signature: bytes) -> bytes:
        info = tst_info(signature if message is None else message, at, **knobs)
        return signed_data(info, authority.chain[0], authority.key, authority.chain)

    return stamp


EXPIRED = Window(NOW - 10 * DAY, NOW - 5 * DAY)


def _with_timestamps(desk, notary, authority, **knobs):
    extra = {"tsa.pem": to_pem(authority.chain[-1]).encode()}
    return desk.policy(notary=notary, extra=extra, **{"stores": ["ca:x", "tsa:y"], **knobs})


@pytest.mark.parametrize("form", [JWS, COSE])
def test_a_timestamp_from_when_the_certificates_were_valid_is_enough(desk, authority, form):
    notary = desk.notary_of(leaf_window=EXPIRED)
    for at, good in (
        (EXPIRED.start, True),
        (EXPIRED.final, True),
        (EXPIRED.start - 1, False),
        (EXPIRED.final + 1, False),
    ):
        order = replace(desk.order, at=EXPIRED.start, timestamp=_stamped(authority, at))
        for option in ("always", "afterCertExpiry"):
            policy = _with_timestamps(desk, notary, authority, verifyTimestamp=option)
            judgement = desk.judge(order, form, notary=notary, policy=policy)
            assert judgement.accepted is good
            assert _failed(judgement) == ([] if good else ["timestamp"])
    assert "the timestamp is after certificate" in judgement.reason


def test_a_timestamp_is_looked_at_only_where_a_tsa_store_is_named(desk, authority):
    notary = desk.notary_of(leaf_window=EXPIRED)
    order = replace(desk.order, at=EXPIRED.start, timestamp=_stamped(authority, EXPIRED.start))
    policy = _with_timestamps(desk, notary, authority, stores=["ca:x"])
    assert "now is after certificate" in desk.judge(order, notary=notary, policy=policy).reason


def test_a_timestamp_must_be_there_where_it_is_asked_for(desk, authority):
    judgement = desk.judge(policy=_with_timestamps(desk, desk.notary, authority))
    assert _failed(judgement) == ["timestamp"]
    assert judgement.reason == "signature has no timestamp countersignature"


def test_after_cert_expiry_asks_for_no_timestamp_while_the_chain_is_valid(desk, authority):
    policy = _with_timestamps(desk, desk.notary, authority, verifyTimestamp="afterCertExpiry")
    assert desk.judge(policy=policy).accepted


@pytest.mark.parametrize("timestamp", [b"no", b"\x30\x00"])
def test_a_timestamp_that_cannot_be_read_does_not_count(desk, authority, timestamp):
    policy = _with_timestamps(desk, desk.notary, authority)
    judgement = desk.judge(replace(desk.order, timestamp=lambda _: timestamp), policy=policy)
    assert _failed(judgement) == ["timestamp"]
    assert "timestamp" in judgement.reason


def test_a_timestamp_over_another_signature_does_not_count(desk, authority):
    order = replace(desk.order, timestamp=_stamped(authority, NOW - 5, b"another signature"))
    judgement = desk.judge(order, policy=_with_timestamps(desk, desk.notary, authority))
    assert _failed(judgement) == ["timestamp"]


def test_a_timestamp_of_an_authority_that_nobody_trusts_does_not_count(desk, authority):
    order = replace(desk.order, timestamp=_stamped(TimestampAuthority.create(desk.window), NOW - 5))
    judgement = desk.judge(order, policy=_with_timestamps(desk, desk.notary, authority))
    assert _failed(judgement) == ["timestamp"]


def test_the_accuracy_of_a_timestamp_counts(desk, authority):
    """Under the baseline policy (RFC 3628 section 5.2) a timestamp is good to a second."""
    baseline = {"policy": "0.4.0.2023.1.1"}
    notary = desk.notary_of(leaf_window=EXPIRED)
    policy = _with_timestamps(desk, notary, authority)
    for at, good in (
        (EXPIRED.start + 1, True),
        (EXPIRED.final - 1, True),
        (EXPIRED.start, False),
        (EXPIRED.final, False),
    ):
        order = replace(desk.order, at=EXPIRED.start, timestamp=_stamped(authority, at, **baseline))
        assert desk.judge(order, notary=notary, policy=policy).accepted is good


def test_a_timestamp_does_not_move_the_expiry_of_the_signature(desk, authority):
    order = replace(desk.order, expiry=desk.now - 1, timestamp=_stamped(authority, desk.now - 100))
    judgement = desk.judge(order, policy=_with_timestamps(desk, desk.notary, authority))
    assert _failed(judgement) == ["expiry"]


def test_a_signing_authority_needs_no_timestamp(desk, authority):
    order = replace(desk.order, scheme=SIGNING_AUTHORITY)
    policy = _with_timestamps(desk, desk.notary, authority, stores=["signingAuthority:x", "tsa:y"])
    assert desk.judge(order, policy=policy).accepted


# Revocation.


def test_strict_refuses_what_would_have_to_be_asked_about(desk):
    judgement = desk.judge(notary=desk.notary_of(more=[_ocsp()]))
    assert _failed(judgement) == ["revocation"]
    assert "checking revocation is not supported" in judgement.reason


@pytest.mark.parametrize("level", ["permissive", "audit"])
def test_other_levels_tell_it_and_accept(desk, level):
    judgement = desk.judge(notary=desk.notary_of(more=[_ocsp()]), level=level)
    assert judgement.accepted
    assert _failed(judgement) == ["revocation"]


def test_revocation_can_be_skipped(desk):
    judgement = desk.judge(notary=desk.notary_of(more=[_ocsp()]), override={"revocation": "skip"})
    assert judgement.accepted
    assert [check.name for check in judgement.checks][-1] == "timestamp"


def test_the_certificates_of_a_timestamp_are_held_to_the_same(desk):
    above = Authority.create(desk.window, kinds=("p256",), usages=(TIME_STAMPING,))
    key, extensions = key_pair(), [key_usage("digital_signature"), (x509.ExtendedKeyUsage([TIME_STAMPING]), True)]
    leaf = certificate("TSA", key, above.issuing.subject, above.key, desk.window, [*extensions, _ocsp()])
    asked = TimestampAuthority((leaf, *above.chain), key, desk.window)
    order = replace(desk.order, timestamp=_stamped(asked, NOW - 5))
    judgement = desk.judge(order, policy=_with_timestamps(desk, desk.notary, asked))
    assert _failed(judgement) == ["revocation"]
    skipping = _with_timestamps(desk, desk.notary, asked, override={"revocation": "skip"})
    assert desk.judge(order, policy=skipping).accepted


# Whatever happens.


def test_an_accident_is_a_refusal(desk):
    """signatures.md rule 2."""
    policy = desk.policy(now=lambda: 1 // 0)
    judgement = desk.judge(policy=policy)
    assert not judgement.accepted
    assert judgement.reason == "cannot be judged (ZeroDivisionError)"


def test_an_accident_is_never_tolerated(desk):
    policy = desk.policy(level="audit", now=lambda: 1 // 0)
    judgement = desk.judge(policy=policy)
    assert not judgement.ignored
    assert not judgement.accepted


def test_only_sha256_digests_are_judged(desk):
    subject = replace(desk.subject, digest="sha512:" + "a" * 128)
    assert desk.judge(subject=subject).reason == "only a sha256 digest can be verified"
