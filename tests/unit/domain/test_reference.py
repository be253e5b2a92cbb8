"""What an object names: repository, and digest, range or tag (flux-compat C9, C11, D1, D2, D4)."""

from __future__ import annotations

import pytest

from ocisource.domain.access import Repository
from ocisource.domain.errors import InvalidDigest, InvalidReference
from ocisource.domain.reference import (
    ByDigest,
    BySemver,
    ByTag,
    Choice,
    Reference,
    check_digest,
    display_name,
    is_digest,
    parse_url,
)

HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "choice"),
    [
        (Reference(digest="sha256:x", semver="*", semver_filter="f", tag="t"), ByDigest("sha256:x")),
        (Reference(semver="*", semver_filter="f", tag="t"), BySemver("*", "f")),
        (Reference(semver="*", tag="t"), BySemver("*", "")),
        (Reference(semver_filter="f", tag="t"), ByTag("t")),
        (Reference(semver_filter="f"), ByTag("latest")),
        (Reference(digest="", semver="", semver_filter="", tag=""), ByTag("latest")),
    ],
)
def test_a_digest_counts_before_a_range_before_a_tag_before_latest(reference: Reference, choice: Choice):
    """D1."""
    assert reference.choice == choice


@pytest.mark.parametrize(
    ("url", "registry", "path"),
    [
        ("oci://ghcr.io/org/app", "ghcr.io", "org/app"),
        ("oci://registry.example.com:5000/app", "registry.example.com:5000", "app"),
        ("oci://localhost:5000/team/app", "localhost:5000", "team/app"),
        ("oci://localhost/app", "index.docker.io", "localhost/app"),
        ("oci://docker.io/org/app", "index.docker.io", "org/app"),
        ("oci://docker.io/app", "index.docker.io", "library/app"),
        ("oci://index.docker.io/app", "index.docker.io", "library/app"),
        ("oci://app", "index.docker.io", "library/app"),
        ("oci://org/app", "index.docker.io", "org/app"),
        ("oci://org/team/app", "index.docker.io", "org/team/app"),
        ("oci://[::1]:5000/app", "[::1]:5000", "app"),
        ("oci://[::ffff:10.0.0.1]/app", "[::ffff:10.0.0.1]", "app"),
        ("oci://10.0.0.1:80/a__b/c-d.e", "10.0.0.1:80", "a__b/c-d.e"),
        ("oci://REGISTRY.example.com/ab", "REGISTRY.example.com", "ab"),
        ("oci://bücher.example/ab", "bücher.example", "ab"),
        ("oci://h.io/" + "a" * 255, "h.io", "a" * 255),
    ],
)
def test_a_url_names_a_repository(url: str, registry: str, path: str):
    """D2."""
    assert parse_url(url) == Repository(registry, path)


CHARACTERS = "repository can only contain the characters `abcdefghijklmnopqrstuvwxyz0123456789_-./`: "
LENGTH = "repository must be between 2 and 255 characters in length: "
AUTHORITY = "registries must be valid RFC 3986 URI authorities: "


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("oci://ghcr.io/org/app:1.0.0", CHARACTERS + "org/app:1.0.0"),
        (f"oci://ghcr.io/org/app@sha256:{HEX}", CHARACTERS + f"org/app@sha256:{HEX}"),
        ("oci://ghcr.io/Org/app", CHARACTERS + "Org/app"),
        ("oci://org/app:1", CHARACTERS + "org/app:1"),
        ("oci://ghcr.io/org/app\n", CHARACTERS + "org/app\n"),
        ("oci://ghcr.io/a", LENGTH + "a"),
        ("oci://ghcr.io/", LENGTH),
        ("oci://a", LENGTH + "a"),
        ("oci://h.io/" + "a" * 256, LENGTH + "a" * 256),
        ("oci://user@h.io/app", AUTHORITY + "user@h.io"),
        ("oci://h.io:http/app", AUTHORITY + "h.io:http"),
        ("oci://h.io%2e/app", AUTHORITY + "h.io%2e"),
        ("oci://h .io/app", AUTHORITY + "h .io"),
        ("oci://h.io?x/app", AUTHORITY + "h.io?x"),
        ("oci://h.io#x/app", AUTHORITY + "h.io#x"),
        ("oci://h.io\\x/app", AUTHORITY + "h.io\\x"),
        ("oci://[::1/app", AUTHORITY + "[::1"),
        ("oci://[::1]x:/app", AUTHORITY + "[::1]x:"),
        ("oci://[1.2.3.4]/app", AUTHORITY + "[1.2.3.4]"),
        ("oci://x[::1]/app", AUTHORITY + "x[::1]"),
        ("oci://[fe80::1%25eth0]/app", AUTHORITY + "[fe80::1%25eth0]"),
        ("oci://", "a repository name must be specified"),
        ("https://ghcr.io/org/app", "URL must be in format 'oci://<domain>/<org>/<repo>'"),
        ("OCI://ghcr.io/org/app", "URL must be in format 'oci://<domain>/<org>/<repo>'"),
    ],
)
def test_a_url_that_names_none_is_refused_in_the_words_of_the_original(url: str, problem: str):
    """C9."""
    with pytest.raises(InvalidReference) as raised:
        parse_url(url)
    assert str(raised.value) == problem


def test_a_digest_is_taken_as_it_is():
    """D4."""
    assert check_digest(f"sha256:{HEX}") == f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("digest", "problem"),
    [
        ("", 'cannot parse hash: ""'),
        ("latest", 'cannot parse hash: "latest"'),
        ("sha256:", 'cannot parse hash: "sha256:"'),
        (f":{HEX}", f'cannot parse hash: ":{HEX}"'),
        ('a"b', 'cannot parse hash: "a\\"b"'),
        (f"sha512:{HEX}{HEX}", 'unsupported hash: "sha512"'),
        (f"SHA256:{HEX}", 'unsupported hash: "SHA256"'),
        (f"sha256:{HEX[:-1]}", f"wrong number of hex digits for sha256: {HEX[:-1]}"),
        (f"sha256:{HEX}0", f"wrong number of hex digits for sha256: {HEX}0"),
        (f"sha256:{HEX.upper()}", "found non-hex character in hash: A"),
        (f"sha256:{HEX}\n", "found non-hex character in hash: \n"),
        (f"sha256:{HEX}:x", "found non-hex character in hash: :"),
        ("sha512:xyz", "found non-hex character in hash: x"),
        ("sha256:\u00fc", "found non-hex character in hash: \u00c3"),
    ],
)
def test_a_digest_of_another_form_is_refused_in_the_words_of_the_original(digest: str, problem: str):
    """C11."""
    with pytest.raises(InvalidDigest) as raised:
        check_digest(digest)
    assert str(raised.value) == problem
    assert isinstance(raised.value, InvalidReference)  # J11: it stalls


def test_a_resolved_reference_is_printed_with_its_tag_or_else_its_digest():
    repository = parse_url("oci://docker.io/app")
    assert display_name(repository, "1.0.0", f"sha256:{HEX}") == "index.docker.io/library/app:1.0.0"
    assert display_name(repository, "", f"sha256:{HEX}") == f"index.docker.io/library/app@sha256:{HEX}"


@pytest.mark.parametrize(("text", "expected"), [(f"sha256:{HEX}", True), ("sha256:beef", False), ("1.0.0", False)])
def test_a_text_is_a_digest_or_not(text: str, expected: bool) -> None:
    assert is_digest(text) == expected
