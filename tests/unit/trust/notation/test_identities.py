"""Who may sign (`trust-store-trust-policy.md`, "Trusted Identities Constraints"; RFC 4514)."""

from __future__ import annotations

import pytest

from devkit.offline.notary import name
from ocisource.trust.notation.identities import (
    MAX_IDENTITIES,
    MAX_LENGTH,
    Identities,
    InvalidIdentity,
    parse_name,
    read_identities,
)
from ocisource.trust.wire import RefusedError

BASE = "C=US, ST=WA, O=example.com"


def _admitted(identities: list[str], subject) -> bool:
    try:
        read_identities(identities).admit(name(subject), "statement")
    except RefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "attributes"),
    [
        ("C=US,ST=WA,O=example.com", {}),
        (" C=US, ST=WA, O=example.com", {}),
        ("C = US , ST = WA , O = example.com ", {}),
        ("C=US, S=WA, O=example.com", {}),
        ("O=example.com, ST=WA, C=US", {}),
        (BASE + ", CN=a b", {"CN": "a b"}),
        (BASE + r", CN=a\, b", {"CN": "a, b"}),
        (BASE + r", CN=\ a\ ", {"CN": " a "}),
        (BASE + r", CN=a\\", {"CN": "a\\"}),
        (BASE + r", CN=a\; \+ \" \= <b>", {"CN": 'a; + " = <b>'}),
        (BASE + r", CN=\41\c3\A9\2c", {"CN": "Aé,"}),
        (BASE + ", CN=é=x", {"CN": "é=x"}),
        (BASE + ", CN=", {"CN": ""}),
        (
            BASE + ", L=1, OU=2, CN=3, STREET=4, POSTALCODE=5, SERIALNUMBER=6",
            {"L": "1", "OU": "2", "CN": "3", "STREET": "4", "POSTALCODE": "5", "SERIALNUMBER": "6"},
        ),
    ],
)
def test_a_distinguished_name_is_read(text, attributes):
    assert parse_name(text) == {"C": "US", "ST": "WA", "O": "example.com"} | attributes


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "no distinguished name"),
        ("example.com", "no distinguished name"),
        (BASE + ",", "no distinguished name"),
        ("," + BASE, "no distinguished name"),
        (BASE + ", CN", "no distinguished name"),
        (BASE + ', CN="a"', "no distinguished name"),
        (BASE + "; CN=a", "no distinguished name"),
        (BASE + ", CN=a\\", "no distinguished name"),
        (BASE + r", CN=\4", "no distinguished name"),
        (BASE + r", CN=\c3", "utf-8"),
        (BASE + ", CN=\ud800", "utf-8"),
        (BASE + ", CN=a+OU=b", "multi-valued"),
        (BASE + ", CN=#0401", "=#"),
        (BASE + ", C=DE", "it has C twice"),
        (BASE + ", S=WA", "it has ST twice"),
        (BASE + ", E=a@b", '"E" is not supported, use C, ST'),
        ("c=US, ST=WA, O=example.com", '"c" is not supported'),
        ("ST=WA, O=example.com", "it has no C,"),
        ("C=US, O=example.com", "it has no ST,"),
        ("C=US, ST=WA", "it has no O,"),
        ("C=US, ST=WA, O=", "it has no O,"),
    ],
)
def test_a_name_that_could_be_read_in_two_ways_is_none(text, word):
    with pytest.raises(ValueError, match=word):
        parse_name(text)


def test_a_name_has_at_most_a_thousand_characters():
    assert parse_name(BASE + ", CN=" + "a" * (MAX_LENGTH - len(BASE) - 5))
    with pytest.raises(ValueError, match="more than 1000 characters"):
        parse_name(BASE + ", CN=" + "a" * (MAX_LENGTH - len(BASE) - 4))


def test_a_name_is_read_in_reasonable_time():
    """A pattern that tries every way to split the spaces would not come back."""
    with pytest.raises(ValueError, match="no distinguished name"):
        parse_name(BASE + ", CN=" + "a " * 400 + '"')


SUBJECT = {"C": "US", "ST": "WA", "O": "example.com", "OU": "security", "CN": "builder"}


@pytest.mark.parametrize(
    ("identities", "admitted"),
    [
        (["*"], True),
        (["x509.subject: " + BASE], True),
        (["x509.subject:" + BASE + ",OU=security,CN=builder"], True),
        (["x509.subject: C=US, ST=WA, O=other", "x509.subject: " + BASE], True),
        (["x509.subject: C=US, ST=WA, O=other"], False),
        (["x509.subject: " + BASE + ", CN=Builder"], False),
        (["x509.subject: " + BASE + ", CN=builde"], False),
        (["x509.subject: " + BASE + ", L=Seattle"], False),
        (["x509.subject: " + BASE + ", CN="], False),
        (["plugin.identity: whoever"], False),
    ],
)
def test_a_subject_holds_all_attributes_of_one_identity(identities, admitted):
    assert _admitted(identities, SUBJECT) is admitted


def test_attributes_that_no_identity_can_name_do_not_matter():
    odd = [("emailAddress", "a@example.com"), ("emailAddress", "b@example.com")]
    assert _admitted(["x509.subject: " + BASE], [*SUBJECT.items(), *odd])
    assert _admitted(["x509.subject: " + BASE], [*odd, *SUBJECT.items()])


def test_a_subject_with_an_attribute_twice_has_no_single_meaning():
    twice = [*SUBJECT.items(), ("OU", "marketing")]
    with pytest.raises(RefusedError, match="has OU twice"):
        read_identities(["x509.subject: " + BASE]).admit(name(twice), "s")
    assert _admitted(["*"], twice)


def test_a_stranger_is_told_who_is_meant():
    with pytest.raises(RefusedError, match=r"'CN=builder,.*' is not among the trusted .* \"images\""):
        read_identities(["x509.subject: C=DE, ST=BE, O=x"]).admit(name(SUBJECT), "images")


def test_a_long_name_is_cut_in_messages():
    """Whose it is, or who wrote it, need not be our friend."""
    for more, shown in ((54, f"O={'y' * 60},OU={'x' * 54}"), (55, f"O={'y' * 60},OU={'x' * 51}...")):
        with pytest.raises(RefusedError, match=f"^signing certificate '{shown}' is not among"):
            read_identities(["x509.subject: " + BASE]).admit(name([("OU", "x" * more), ("O", "y" * 60)]), "s")
    for length, shown in ((200, "x" * 200), (201, "x" * 197 + "...")):
        with pytest.raises(InvalidIdentity, match=f'^has trusted identity "{shown}" missing separator$'):
            read_identities(["x" * length])


def test_identities_for_plugins_admit_nobody():
    assert read_identities(["plugin.identity: whoever"]) == Identities()
    with pytest.raises(RefusedError, match="no x509 trusted identities are configured"):
        Identities().admit(name(SUBJECT), "images")


@pytest.mark.parametrize(
    ("identities", "word"),
    [
        (["*", "x509.subject: " + BASE], "uses a wildcard"),
        ([""], "empty trusted identity"),
        (["C=US"], 'trusted identity "C=US" missing separator'),
        (["x509.subject:"], "without an identity value"),
        (["x509.subject: nobody"], "with invalid identity value: it is no distinguished name"),
        (["x509.subject: " + BASE, "x509.subject: " + BASE + ", CN=a"], "overlapping.*overlaps with"),
        (["x509.subject: " + BASE + ", CN=a", "x509.subject: " + BASE], "overlapping"),
        (["x509.subject: " + BASE, "x509.subject: O=example.com, S=WA, C=US"], "overlapping"),
    ],
)
def test_identities_that_break_a_rule_are_refused(identities, word):
    with pytest.raises(InvalidIdentity, match=word):
        read_identities(identities)


def test_there_are_at_most_200_identities():
    many = [f"x509.subject: {BASE}, CN={number}" for number in range(MAX_IDENTITIES + 1)]
    assert len(read_identities(many[:-1]).names) == MAX_IDENTITIES
    with pytest.raises(InvalidIdentity, match="more than 200"):
        read_identities(many)
