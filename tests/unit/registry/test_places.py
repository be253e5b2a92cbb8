"""Where a request may go (flux-compat E10, J5): the rules that need no network."""

from __future__ import annotations

import re

import pytest
from yarl import URL

from ocisource.domain.access import Access, Repository
from ocisource.domain.errors import RegistryError
from ocisource.registry import places


def _access(registry: str, *, insecure: bool = False) -> Access:
    return Access(Repository(registry, "team/app"), insecure)


@pytest.mark.parametrize(
    ("registry", "allowed"),
    [
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("[::ffff:127.0.0.1]:5000", True),
        ("localhost:5000", True),
        ("registry.localhost:5000", True),
        ("10.0.0.1:5000", False),
        ("ghcr.io", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
    ],
)
def test_plain_http_is_for_insecure_and_for_this_machine(registry, allowed):
    assert places.may_be_plain(_access(registry)) is allowed
    assert places.may_be_plain(_access(registry, insecure=True))


def test_a_redirect_steps_down_to_http_only_with_insecure():
    url = URL("https://registry.example/v2/x")
    with pytest.raises(RegistryError, match="redirect from https to plain http refused"):
        places.hop("GET", url, "http://storage.example/x", _access("registry.example"))
    found = places.hop("GET", url, "http://storage.example/x", _access("registry.example", insecure=True))
    assert str(found) == "http://storage.example/x"


def test_a_redirect_keeps_the_bytes_of_a_signed_address():
    signed = "https://storage.example/a%2Fb?sig=a%2Bb%3D&x=%41"
    assert str(places.hop("GET", URL("https://registry.example/"), signed, _access("registry.example"))) == signed


def test_a_registry_on_a_private_address_may_redirect_to_its_own_host():
    access = _access("10.0.0.1:5000")
    assert places.hop("GET", URL("https://10.0.0.1:5000/"), "https://10.0.0.1:9000/x", access).port == 9000
    with pytest.raises(RegistryError, match="private/link-local host"):
        places.hop("GET", URL("https://10.0.0.1:5000/"), "https://10.0.0.2/x", access)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://auth.example/token", ""),
        ("http://auth.example/token", 'realm scheme "http" not allowed for a secure registry; use https'),
        ("https://10.0.0.2/token", 'realm host "10.0.0.2" is a private or link-local address'),
        ("https://169.254.169.254/token", "private or link-local"),
        ("https://10.0.0.1:5001/token", "private or link-local"),  # the same host, but not the registry itself
        ("https://10.0.0.1:5000/token", ""),
        ("ftp://auth.example/token", 'realm scheme "ftp" not allowed; must be https (or http for insecure registries)'),
        ("/token", 'realm scheme "" not allowed; must be https'),
        ("https://host:99999/token", "is not a URL"),
        ("", 'realm scheme "" not allowed; must be https'),
    ],
)
def test_a_token_server_is_public_and_speaks_tls_or_is_the_registry(address, said):
    access = _access("10.0.0.1:5000")
    if said:
        with pytest.raises(RegistryError, match=f"^invalid realm in www-authenticate: .*{re.escape(said)}"):
            places.realm(address, access, plain=False)
    else:
        assert str(places.realm(address, access, plain=False)) == address


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "registry.localhost"])
def test_this_machine_by_its_name_is_open_to_registries_that_are_on_it(host):
    """E10; the original does so, seen by running it."""
    target = f"https://{host}:5001/token"
    for registry in ("127.0.0.1:5000", "localhost:5000", "[::1]:5000"):
        access = _access(registry)
        assert str(places.realm(target, access, plain=False)) == target
        assert str(places.hop("GET", URL(f"https://{registry}/"), target, access)) == target
    for registry in ("10.0.0.1:5000", "registry.example"):
        with pytest.raises(RegistryError, match="private or link-local"):
            places.realm(target, _access(registry), plain=False)
        with pytest.raises(RegistryError, match="private/link-local host"):
            places.hop("GET", URL(f"https://{registry}/"), target, _access(registry))


def test_a_token_server_may_be_plain_where_the_registry_is():
    assert places.realm("http://auth.example/token", _access("registry.example:5000"), plain=True)


@pytest.mark.parametrize("host", ["example.org", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "1.2.3.4.example.org"])
def test_names_and_public_addresses_are_public(host):
    assert places.is_public(host)


def test_the_origin_is_scheme_host_and_port():
    assert places.same_origin(URL("https://a.example/x"), URL("https://a.example:443/y"))
    for other in ("http://a.example/x", "https://a.example:444/x", "https://b.example/x"):
        assert not places.same_origin(URL("https://a.example/x"), URL(other))


def test_what_is_no_address_leads_nowhere():
    """Whatever a server writes there, it is judged and not stumbled over."""
    url = URL("http://registry.example/v2/")
    for location in ("https://[", "https://x:99999/"):
        assert not places.leads_to_tls(url, location)
        assert not places.stays(307, url, location)
        with pytest.raises(RegistryError, match="the redirect leads to no HTTP address"):
            places.hop("GET", url, location, _access("registry.example"))
    assert places.leads_to_tls(url, "HTTPS://registry.example/v2/")
