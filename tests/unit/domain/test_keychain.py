"""Pull Secrets: what they hold and which repository it is for (flux-compat E2, E3, E4, J5)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from ocisource.domain.access import Credentials, Repository
from ocisource.domain.errors import SecretError
from ocisource.domain.keychain import DOCKER_CONFIG, DOCKER_CONFIG_JSON, Keychain, parse_secret


def _keychain(auths: dict[str, Any]) -> Keychain:
    found = parse_secret(DOCKER_CONFIG_JSON, {".dockerconfigjson": json.dumps({"auths": auths}).encode()})
    assert found is not None
    return found


def _auth(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("key", "registry", "path", "matches"),
    [
        # E4, the cases that were seen on the original
        ("https://index.docker.io/v1/", "index.docker.io", "library/x", True),
        ("index.docker.io", "index.docker.io", "library/x", True),
        ("*.docker.io", "index.docker.io", "library/x", True),
        ("docker.io", "index.docker.io", "library/x", False),
        ("registry-1.docker.io", "index.docker.io", "library/x", False),
        ("ghcr.io/org", "ghcr.io", "organisation/app", True),
        ("https://ghcr.io/v2/", "ghcr.io", "org/app", True),
        ("https://ghcr.io/v2/org", "ghcr.io", "org/app", True),
        ("https://ghcr.io/v2", "ghcr.io", "org/app", False),
        ("GHCR.io", "ghcr.io", "org/app", False),
        ("ghcr.io/Org", "ghcr.io", "org/app", False),
        # and what the rules say
        ("ghcr.io/org/other", "ghcr.io", "org/app", False),
        ("http://ghcr.io", "ghcr.io", "org/app", True),
        ("ghcr.io/", "ghcr.io", "org/app", True),
        ("registry.example:5000", "registry.example:5000", "app", True),
        ("registry.example", "registry.example:5000", "app", False),
        ("registry.example:5001", "registry.example:5000", "app", False),
        ("*.example.com", "a.b.example.com", "app", False),
        ("*.*.example.com", "a.b.example.com", "app", True),
        ("reg-?.example.com", "reg-1.example.com", "app", False),  # a key is a URL: "?" begins its query
        ("reg-*.example.com", "reg-1.example.com", "app", True),
        ("", "ghcr.io", "app", False),
        ("https:///app", "ghcr.io", "app", False),
        ("ghcr.io:", "ghcr.io", "app", True),
        ("ghcr.io/%61pp", "ghcr.io", "app", True),
        ("[::1]:5000", "[::1]:5000", "app", True),
        ("https://user@ghcr.io/org?x=1", "ghcr.io", "org/app", True),
    ],
)
def test_a_key_is_for_a_repository_by_host_labels_port_and_path_prefix(
    key: str, registry: str, path: str, matches: bool
) -> None:
    found = _keychain({key: {"username": "u", "password": "p"}}).credentials(Repository(registry, path))
    assert (found == Credentials("u", "p")) is matches


def test_the_longer_path_wins_whatever_the_order() -> None:
    for keys in (["ghcr.io", "ghcr.io/org", "ghcr.io/org/app"], ["ghcr.io/org/app", "ghcr.io/org", "ghcr.io"]):
        keychain = _keychain({key: {"username": key, "password": "p"} for key in keys})
        found = keychain.credentials(Repository("ghcr.io", "org/app"))
        assert found is not None
        assert found.username == "ghcr.io/org/app"


def test_an_exact_host_wins_over_a_glob_by_reverse_lexical_order() -> None:
    keychain = _keychain(
        {"*.io": {"username": "glob", "password": "p"}, "ghcr.io": {"username": "exact", "password": "p"}}
    )
    found = keychain.credentials(Repository("ghcr.io", "a/b"))
    assert found is not None
    assert found.username == "exact"


def test_within_one_key_the_first_secret_wins() -> None:
    first = _keychain({"https://ghcr.io/v1/": {"username": "first", "password": "p"}})
    second = _keychain(
        {"ghcr.io": {"username": "second", "password": "p"}, "quay.io": {"username": "q", "password": "p"}}
    )
    combined = Keychain.combined([first, second])
    assert combined.credentials(Repository("ghcr.io", "a/b")) == Credentials("first", "p")
    assert combined.credentials(Repository("quay.io", "a/b")) == Credentials("q", "p")
    assert combined.credentials(Repository("example.org", "a/b")) is None


@pytest.mark.parametrize("text", [_auth("user", "a:b"), _auth("user", "a:b").rstrip("="), _auth("user", "a:b") + "\n"])
def test_auth_overrides_user_and_password_padded_or_not(text: str) -> None:
    """E3; only the first colon divides."""
    keychain = _keychain({"ghcr.io": {"username": "other", "password": "other", "auth": text}})
    assert keychain.credentials(Repository("ghcr.io", "a/b")) == Credentials("user", "a:b")


def test_a_password_that_is_not_utf8_keeps_its_bytes() -> None:
    keychain = _keychain({"ghcr.io": {"auth": base64.b64encode(b"user:\xff\xfe").decode()}})
    found = keychain.credentials(Repository("ghcr.io", "a/b"))
    assert found is not None
    assert found.password.encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_identity_and_registry_tokens_are_honoured_in_any_case_of_the_field() -> None:
    keychain = _keychain(
        {"a.io": {"identitytoken": "id"}, "b.io": {"registrytoken": "reg"}, "c.io": {"IdentityToken": "x"}}
    )
    assert keychain.credentials(Repository("a.io", "a/b")) == Credentials(identity_token="id")
    assert keychain.credentials(Repository("b.io", "a/b")) == Credentials(registry_token="reg")
    assert keychain.credentials(Repository("c.io", "a/b")) == Credentials(identity_token="x")


def test_an_entry_without_credentials_means_anonymous() -> None:
    keychain = _keychain({"ghcr.io": {}, "quay.io": None, "docker.example": {"email": "x@example.org"}})
    for registry in ("ghcr.io", "quay.io", "docker.example"):
        assert keychain.credentials(Repository(registry, "a/b")) is None


def test_the_older_secret_type_has_the_entries_at_the_top() -> None:
    data = {".dockercfg": json.dumps({"ghcr.io": {"auth": _auth("u", "p")}}).encode()}
    keychain = parse_secret(DOCKER_CONFIG, data)
    assert keychain is not None
    assert keychain.credentials(Repository("ghcr.io", "a/b")) == Credentials("u", "p")


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/basic-auth", "", "kubernetes.io/dockerconfigjson "])
def test_other_secret_types_are_no_pull_secrets(kind: str) -> None:
    assert parse_secret(kind, {".dockerconfigjson": b'{"auths": {}}'}) is None


@pytest.mark.parametrize(
    "data", [{}, *({".dockerconfigjson": one} for one in (b"", b"{}", b"null")), {".dockercfg": b"x"}]
)
def test_a_pull_secret_without_entries_is_an_empty_keychain(data: dict[str, bytes]) -> None:
    assert parse_secret(DOCKER_CONFIG_JSON, data) == Keychain()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "key '.dockerconfigjson' does not hold valid JSON at line 1"),
        (b"\xff\xfe\x00", "key '.dockerconfigjson' does not hold valid JSON"),
        (b"[" * 100_000, "key '.dockerconfigjson' does not hold valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"auths": []}', "field 'auths' must be a JSON object"),
        (b'{"auths": {"ghcr.io": "x"}}', "entry 'ghcr.io' must be a JSON object"),
        (b'{"auths": {"ghcr.io": {"auth": 5}}}', "entry 'ghcr.io': field 'auth' must be a string"),
        (b'{"auths": {"ghcr.io": {"auth": "%%%"}}}', "entry 'ghcr.io': unable to decode auth field: it is not valid"),
        (b'{"auths": {"ghcr.io": {"auth": "YWJj"}}}', "must be formatted as base64(username:password)"),
        (b'{"auths": {"ghcr.io": {"auth": "YW Jj"}}}', "entry 'ghcr.io': unable to decode auth field: it is not valid"),
        *(
            (json.dumps({"auths": {key: {}}}).encode(), f"entry '{key}' does not name a registry host")
            # As recorded beside the original, for whom each makes the Secret unusable.
            for key in ("ht tp", "host:port", "127.0.0.1:*", "1[0-9]7.example.com", "[12.example.com", "ghcr.io/%zz")
        ),
    ],
)
def test_content_that_cannot_be_read_is_an_error_that_names_the_place(content: bytes, said: str) -> None:
    with pytest.raises(SecretError) as caught:
        parse_secret(DOCKER_CONFIG_JSON, {".dockerconfigjson": content})
    assert said in str(caught.value)


def test_no_error_and_no_repr_shows_a_credential() -> None:
    with pytest.raises(SecretError) as caught:
        parse_secret(DOCKER_CONFIG_JSON, {".dockerconfigjson": b'{"auths": {"x": {"password": "hunter2",}}}'})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    keychain = _keychain({"x.io": {"username": "u", "password": "hunter2"}})
    assert "hunter2" not in repr(keychain)
