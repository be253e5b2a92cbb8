"""Proxy Secrets and the proxies of the environment (flux-compat E9, C5)."""

from __future__ import annotations

import pytest

from ocisource.domain.errors import SecretError
from ocisource.domain.proxies import DIRECT, InvalidProxy, Proxy, parse_proxy, read_environment


@pytest.mark.parametrize(
    ("address", "proxy"),
    [
        (b"http://proxy.example.com", Proxy("http", "proxy.example.com", 80)),
        (b"HTTPS://Proxy.example.com", Proxy("https", "proxy.example.com", 443)),
        (b"socks5://10.0.0.1", Proxy("socks5", "10.0.0.1", 1080)),
        (b"http://[fd00::1]:3128/ignored", Proxy("http", "fd00::1", 3128)),
        (b"http://user@proxy.example.com:8080", Proxy("http", "proxy.example.com", 8080, "user")),
        (b"http://us%40er:p%3Aw@proxy.example.com:8080", Proxy("http", "proxy.example.com", 8080, "us@er", "p:w")),
    ],
)
def test_an_address_names_a_proxy(address, proxy):
    assert parse_proxy("team/proxy", {"address": address}) == proxy


def test_user_and_password_of_the_secret_come_before_those_of_the_address():
    address = b"http://nobody:nothing@proxy.example.com"
    found = parse_proxy("team/proxy", {"address": address, "username": b"user", "password": "pä".encode()})
    assert (found.username, found.password) == ("user", "pä")
    found = parse_proxy("team/proxy", {"address": address, "username": b"user"})
    assert (found.username, found.password) == ("user", "")
    found = parse_proxy("team/proxy", {"address": address, "password": b"alone"})
    assert (found.username, found.password) == ("nobody", "nothing")


def test_a_password_is_bytes():
    found = parse_proxy("team/proxy", {"address": b"http://proxy.example.com", "username": b"u", "password": b"\xff"})
    assert found.password.encode("utf-8", "surrogateescape") == b"\xff"


SCHEMES = "proxy URL must use one of the supported schemes (http, https, socks5), got"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "key 'address' not found"),
        ({"address": b""}, "proxy address is empty"),
        ({"address": b"ftp://proxy.example.com"}, f"{SCHEMES} 'ftp'"),
        ({"address": b"proxy.example.com"}, f"{SCHEMES} ''"),
        ({"address": b"proxy:3128"}, f"{SCHEMES} 'proxy'"),
        ({"address": b"http://" + b"x" * 2042}, "proxy URL exceeds maximum length of 2048 characters"),
        ({"address": b"http://hush@"}, "failed to parse proxy address: it names no host"),
        ({"address": b"http://u:hush@host:99999"}, "failed to parse proxy address: it is not a URL, like"),
        ({"address": b"http://u:hush@host\n"}, "failed to parse proxy address: there is white space or a line break"),
        ({"address": b"http://hush\xff"}, "failed to parse proxy address: it is not UTF-8"),
    ],
)
def test_what_cannot_be_used_has_the_text_that_clients_know(data, said):
    with pytest.raises(SecretError) as caught:
        parse_proxy("team/proxy", data)
    assert str(caught.value).startswith(f"secret 'team/proxy': {said}")
    assert "hush" not in str(caught.value)


def test_an_address_of_just_2048_characters_is_taken():
    assert parse_proxy("team/proxy", {"address": b"http://" + b"x" * 2041}).host == "x" * 2041


def test_the_password_is_shown_nowhere():
    proxy = Proxy("http", "proxy.example.com", 3128, "user", "hush")
    assert "hush" not in repr(proxy)
    assert proxy.address == "http://proxy.example.com:3128"
    assert Proxy("http", "::1", 3128).address == "http://[::1]:3128"


# -- the environment -----------------------------------------------------------------------------------------------

PROXY = {"HTTP_PROXY": "http://plain.example:1", "HTTPS_PROXY": "http://secure.example:2"}


def test_without_variables_everything_goes_straight():
    assert read_environment({"PATH": "/bin"}) == DIRECT
    assert DIRECT.proxy("https", "example.com", 443) is None


def test_each_scheme_has_its_proxy():
    found = read_environment(PROXY)
    assert found.proxy("http", "example.com", 80) == Proxy("http", "plain.example", 1)
    assert found.proxy("https", "example.com", 443) == Proxy("http", "secure.example", 2)
    assert read_environment({"HTTP_PROXY": "http://a:1"}).proxy("https", "example.com", 443) is None


def test_upper_case_comes_first_and_an_empty_variable_is_none():
    assert read_environment({"HTTPS_PROXY": "http://up:1", "https_proxy": "http://low:2"}).https == Proxy(
        "http", "up", 1
    )
    assert read_environment({"HTTPS_PROXY": "", "https_proxy": "http://low:2"}).https == Proxy("http", "low", 2)
    low = read_environment({"https_proxy": "http://low:2", "no_proxy": "example.com"})
    assert low.proxy("https", "example.com", 443) is None


def test_a_proxy_without_a_scheme_speaks_http():
    assert read_environment({"HTTPS_PROXY": "10.0.0.1:3128"}).https == Proxy("http", "10.0.0.1", 3128)
    assert read_environment({"HTTPS_PROXY": "u:p@proxy"}).https == Proxy("http", "proxy", 80, "u", "p")
    assert read_environment({"HTTPS_PROXY": "socks5://proxy"}).https == Proxy("socks5", "proxy", 1080)


def test_a_variable_that_names_no_proxy_is_an_error_for_who_would_need_it_and_not_shown():
    found = read_environment({"https_proxy": "http://user:hush@host:x", "NO_PROXY": "example.org"})
    with pytest.raises(InvalidProxy) as caught:
        found.proxy("https", "example.com", 443)
    assert str(caught.value).startswith("environment variable HTTPS_PROXY: failed to parse proxy address")
    assert "hush" not in str(caught.value)
    assert found.proxy("http", "example.com", 80) is None
    assert found.proxy("https", "example.org", 443) is None
    with pytest.raises(InvalidProxy, match="HTTP_PROXY: proxy URL must use one of the supported schemes"):
        read_environment({"HTTP_PROXY": "ftp://host"}).proxy("http", "example.com", 80)


def test_a_cgi_process_takes_no_http_proxy_from_a_request():
    assert read_environment({**PROXY, "REQUEST_METHOD": "GET"}).http is None


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_never_proxied(host):
    assert read_environment(PROXY).proxy("http", host, 80) is None


@pytest.mark.parametrize(
    ("entry", "straight", "proxied"),
    [
        ("foo.com", ["foo.com", "FOO.com", "bar.foo.com"], ["barfoo.com", "foo.com.au"]),
        (".foo.com", ["bar.foo.com"], ["foo.com"]),
        ("*.foo.com", ["bar.foo.com"], ["foo.com"]),
        (" FOO.com , bar.org", ["foo.com", "bar.org"], ["baz.net"]),
        ("foo.com:443", ["foo.com", "x.foo.com"], []),
        ("foo.com:8443", [], ["foo.com"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4", "x.10.1.2.3"]),
        ("10.1.2.3:443", ["10.1.2.3"], []),
        ("10.1.2.3:80", [], ["10.1.2.3"]),
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "foo.com"]),
        ("10.9.9.9/8", ["10.1.2.3"], ["11.0.0.1"]),
        ("fd00::/8", ["fd00::1"], ["fe00::1", "10.1.2.3"]),
        ("fd00::1", ["fd00::1"], ["fd00::2"]),
        ("[fd00::1]:443", ["fd00::1"], []),
        ("[fd00::1]:80", [], ["fd00::1"]),
        ("[fd00::1]", ["fd00::1"], []),
        ("*", ["foo.com", "10.1.2.3", "fd00::1"], []),
        ("bar.org,*", ["foo.com"], []),
        (",, :80, *foo.com", [], ["foo.com", "10.1.2.3"]),
        ("foo", ["foo", "a.foo"], ["foo.com"]),
    ],
)
def test_exceptions_are_those_of_go(entry, straight, proxied):
    """golang.org/x/net/http/httpproxy, Config.NoProxy."""
    found = read_environment({**PROXY, "NO_PROXY": entry})
    assert [host for host in (*straight, *proxied) if found.proxy("https", host, 443) is None] == straight
