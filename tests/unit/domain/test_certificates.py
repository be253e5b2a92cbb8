"""Certificate Secrets (flux-compat E7, C8)."""

from __future__ import annotations

import time

import pytest

from ocisource.domain.certificates import parse_certificates
from ocisource.domain.errors import SecretError

AUTHORITY = b"-----BEGIN CERTIFICATE-----\nYXV0aG9yaXR5\n-----END CERTIFICATE-----\n"
CERTIFICATE = b"-----BEGIN CERTIFICATE-----\nY2xpZW50\n-----END CERTIFICATE-----\n"
KEY = b"-----BEGIN PRIVATE KEY-----\naHVzaA==\n-----END PRIVATE KEY-----\n"


def test_authorities_and_a_pair_are_read_together_or_alone():
    both = parse_certificates("team/tls", {"ca.crt": AUTHORITY, "tls.crt": CERTIFICATE, "tls.key": KEY})
    assert (both.authorities, both.certificate, both.key) == ((AUTHORITY.strip(),), CERTIFICATE, KEY)
    authority = parse_certificates("team/tls", {"ca.crt": AUTHORITY})
    assert (authority.authorities, authority.certificate, authority.key) == ((AUTHORITY.strip(),), b"", b"")
    pair = parse_certificates("team/tls", {"tls.crt": CERTIFICATE, "tls.key": KEY})
    assert (pair.authorities, pair.certificate, pair.key) == ((), CERTIFICATE, KEY)


def test_older_names_stand_in_for_the_names_of_today():
    older = parse_certificates("team/tls", {"caFile": AUTHORITY, "certFile": CERTIFICATE, "keyFile": KEY})
    assert older == parse_certificates("team/tls", {"ca.crt": AUTHORITY, "tls.crt": CERTIFICATE, "tls.key": KEY})
    # also one by one, and never where the name of today is there
    mixed = parse_certificates("team/tls", {"tls.crt": CERTIFICATE, "certFile": b"other", "keyFile": KEY})
    assert mixed == parse_certificates("team/tls", {"tls.crt": CERTIFICATE, "tls.key": KEY})
    with pytest.raises(SecretError, match=r"contains 'tls\.key' but missing 'tls\.crt'"):
        parse_certificates("team/tls", {"tls.crt": b"", "certFile": CERTIFICATE, "keyFile": KEY})


def test_several_authorities_are_several():
    found = parse_certificates("team/tls", {"ca.crt": b"# ours\n" + AUTHORITY + b"# theirs\n" + CERTIFICATE})
    assert found.authorities == (AUTHORITY.strip(), CERTIFICATE.strip())


def test_a_block_that_only_begins_hides_none_behind_it():
    """As in the original. A Secret full of them is read in a moment: the loop is everybody's."""
    begin = b"-----BEGIN CERTIFICATE-----\n"
    assert parse_certificates("team/tls", {"ca.crt": begin + AUTHORITY}).authorities == (AUTHORITY.strip(),)
    started = time.process_time()
    with pytest.raises(SecretError, match="failed to parse CA certificate"):
        parse_certificates("team/tls", {"ca.crt": begin * 10_000})
    assert time.process_time() - started < 1


PAIR = "failed to parse TLS certificate and key: tls: "
PAIR_FAILS = f"{PAIR}failed to find any PEM data in"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"tls.crt": CERTIFICATE}, "secret 'team/tls' contains 'tls.crt' but missing 'tls.key'"),
        ({"certFile": CERTIFICATE, "ca.crt": AUTHORITY}, "secret 'team/tls' contains 'tls.crt' but missing 'tls.key'"),
        ({"keyFile": KEY}, "secret 'team/tls' contains 'tls.key' but missing 'tls.crt'"),
        ({}, "secret 'team/tls' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"),
        ({"ca.crt": b""}, "secret 'team/tls' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"),
        ({"ca.crt": b"hush"}, "failed to parse CA certificate"),
        ({"tls.crt": b"hush", "tls.key": KEY}, f"{PAIR_FAILS} certificate input"),
        ({"tls.crt": CERTIFICATE, "tls.key": b"hush"}, f"{PAIR_FAILS} key input"),
        # The original says so, seen by running it; the others are of the same library.
        (
            {"tls.crt": KEY, "tls.key": CERTIFICATE},
            (
                f"{PAIR}failed to find certificate PEM data in certificate input, but did find a private key; "
                "PEM inputs may have been switched"
            ),
        ),
        (
            {"tls.crt": KEY + KEY, "tls.key": KEY},
            (
                f'{PAIR}failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the '
                "following types: [PRIVATE KEY PRIVATE KEY]"
            ),
        ),
        (
            {"tls.crt": CERTIFICATE, "tls.key": CERTIFICATE},
            f"{PAIR}found a certificate rather than a key in the PEM for the private key",
        ),
        (
            {"tls.crt": CERTIFICATE, "tls.key": b"-----BEGIN PUBLIC KEY-----\naHVzaA==\n-----END PUBLIC KEY-----\n"},
            (
                f'{PAIR}failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM '
                "blocks of the following types: [PUBLIC KEY]"
            ),
        ),
    ],
)
def test_what_cannot_be_used_has_the_text_that_clients_know(data, said):
    with pytest.raises(SecretError) as caught:
        parse_certificates("team/tls", data)
    assert str(caught.value) == said


def test_material_is_equal_by_all_of_its_content():
    secrets = [
        {"ca.crt": AUTHORITY},
        {"ca.crt": CERTIFICATE},
        {"ca.crt": AUTHORITY + CERTIFICATE},
        {"tls.crt": CERTIFICATE, "tls.key": KEY},
        {"tls.crt": AUTHORITY, "tls.key": KEY},
        {"tls.crt": CERTIFICATE, "tls.key": KEY + b"\n"},
        {"tls.crt": CERTIFICATE, "tls.key": KEY, "ca.crt": AUTHORITY},
    ]
    assert len({parse_certificates("team/tls", one) for one in secrets}) == len(secrets)
    assert len({parse_certificates(name, secrets[0]) for name in ("team/a", "team/b")}) == 1


def test_keys_are_not_shown():
    found = parse_certificates("team/tls", {"tls.crt": CERTIFICATE, "tls.key": KEY})
    assert "PRIVATE" not in repr(found)
    assert "aHVzaA" not in repr(found)
