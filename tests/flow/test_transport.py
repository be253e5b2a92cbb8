"""Certificates and proxies of an object: what is wrong with them, in words, and in which order (flux-compat C5, C8)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from devkit.certificates import Authority
from devkit.ocihttp import RegistryServer
from devkit.proxies import ForwardProxy
from devkit.signer import Signer
from fakes.world import World, http_world

ALICE = Signer.generate()
OURS = Authority()
PAIR = OURS.client("operator")
SECRETS = {
    "empty": {},
    "only-certificate": {"tls.crt": PAIR.certificate},
    "only-key": {"tls.key": PAIR.key},
    "no-authority": {"ca.crt": b"hush"},
    "broken-authority": {"ca.crt": b"-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----\n"},
    "no-pair": {"tls.crt": b"hush", "tls.key": PAIR.key},
    "stranger": {"tls.crt": PAIR.certificate, "tls.key": OURS.client("another").key},
    "no-address": {"username": b"bob"},
    "empty-address": {"address": b""},
    "ftp": {"address": b"ftp://bob:hush@proxy.example.com"},
    "long": {"address": b"http://" + b"x" * 3000},
    "certificates": {"ca.crt": OURS.pem, "tls.crt": PAIR.certificate, "tls.key": PAIR.key},
    "proxy": {"address": b"http://proxy.example.com:3128"},
}
PARSE_FAILS = "failed to parse TLS certificate and key: tls:"


def certificates(name: str) -> dict[str, Any]:
    return {"certSecretRef": {"name": name}}


def proxy(name: str) -> dict[str, Any]:
    return {"proxySecretRef": {"name": name}}


@pytest.fixture
def told(world: World) -> World:
    """A world with an artifact, and with Secrets that are wrong in each way."""
    world.push("1.0.0")
    for name, data in SECRETS.items():
        world.secrets.put(name, data)
    return world


async def failure(world: World, **spec: Any) -> str:
    """The message of an object that fails before the registry is asked."""
    world.declare(**spec)
    result = await world.passes()
    message = world.message()
    assert result.failed
    assert world.conditions() == {
        "FetchFailed": ("True", "AuthenticationFailed"),
        "Ready": ("False", "AuthenticationFailed"),
        "Reconciling": ("True", "ProgressingWithRetry"),
    }
    assert world.message("FetchFailed") == message
    assert world.message("Reconciling") == "building artifact"
    assert [(one.type, one.reason, one.message) for _, one in world.recorder.events] == [
        ("Warning", "AuthenticationFailed", message)
    ]
    assert "hush" not in message
    return message


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "secret 'team/nope' not found"),
        ("only-certificate", "secret 'team/only-certificate' contains 'tls.crt' but missing 'tls.key'"),
        ("only-key", "secret 'team/only-key' contains 'tls.key' but missing 'tls.crt'"),
        ("empty", "secret 'team/empty' must contain either 'ca.crt' or both 'tls.crt' and 'tls.key'"),
        ("no-authority", "failed to parse CA certificate"),
        ("broken-authority", "failed to parse CA certificate"),
        ("no-pair", f"{PARSE_FAILS} failed to find any PEM data in certificate input"),
        ("stranger", f"{PARSE_FAILS} private key does not match public key"),
    ],
)
async def test_certificates_that_cannot_be_used_are_told(told: World, name: str, said: str) -> None:
    """C8, and the golden case tls_cert_secret_missing, whose every condition and event is that of `failure`."""
    assert await failure(told, **certificates(name)) == f"failed to generate transport for '{told.url}': {said}"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nope", "secret 'team/nope' not found"),
        ("no-address", "secret 'team/no-address': key 'address' not found"),
        ("empty-address", "secret 'team/empty-address': proxy address is empty"),
        (
            "ftp",
            "secret 'team/ftp': proxy URL must use one of the supported schemes (http, https, socks5), got 'ftp'",
        ),
        ("long", "secret 'team/long': proxy URL exceeds maximum length of 2048 characters"),
    ],
)
async def test_proxies_that_cannot_be_used_are_told(told: World, name: str, said: str) -> None:
    """C5, and the golden case proxy_secret_missing."""
    assert await failure(told, **proxy(name)) == f"failed to get proxy address: {said}"


@pytest.mark.parametrize("way", ["proxy", "certificates"])
async def test_a_secret_that_cannot_be_read_is_named(told: World, way: str) -> None:
    """C5, C8: in the words of the original."""
    told.secrets.refuses = "no answer"
    asked = {"proxy": proxy, "certificates": certificates}[way]("keys")
    assert (await failure(told, **asked)).endswith(": failed to get secret 'team/keys': no answer")


async def test_the_first_that_is_wrong_is_told_in_the_order_of_the_original(told: World) -> None:
    """C4 before C5 before C8 before C9."""
    url = "oci://registry.example.com/app:1.0"
    assert "failed to get proxy address" in await failure(told, url=url, **certificates("nope"), **proxy("nope"))

    told.cluster.edit("app", proxySecretRef={"name": "proxy"})
    await told.passes()
    assert told.message().startswith(f"failed to generate transport for '{url}'")

    told.cluster.edit("app", certSecretRef={"name": "certificates"})
    await told.passes()
    assert told.conditions()["Stalled"] == ("True", "URLInvalid")

    told.cluster.edit("app", secretRef={"name": "nope"}, proxySecretRef={"name": "nope"})
    await told.passes()
    assert told.message().startswith("failed to get credential")


async def test_a_secret_that_is_mended_mends_its_object_at_once(told: World) -> None:
    """J4: nobody edits the object, and its interval is long."""
    told.declare(**certificates("only-key"))
    async with told.at_work():
        await told.until(lambda: told.conditions().get("Ready") == ("False", "AuthenticationFailed"))
        told.secrets.put("only-key", SECRETS["certificates"])
        await told.until(lambda: told.conditions()["Ready"] == ("True", "Succeeded"))
    assert told.served() == {"app.yaml": b"version: 1.0.0\n"}


@pytest.fixture
async def online(tmp_path: Path) -> AsyncIterator[World]:
    """The world whose registry speaks HTTP: fakes know no proxies."""
    async with http_world(tmp_path) as made:
        yield made


async def test_everything_of_a_pass_goes_through_the_proxy(online: World) -> None:
    """E9: tags, manifests, blobs, and signatures of both forms."""
    assert isinstance(online.content, RegistryServer)
    online.sign(online.push("1.0.0"), ALICE)
    async with ForwardProxy(user=("bob", "builder")) as forward:
        address = f"http://127.0.0.1:{forward.port}".encode()
        online.secrets.put("proxy", {"address": address, "username": b"bob", "password": b"builder"})
        online.declare(**proxy("proxy"), verify=online.trust(ALICE))
        await online.passes()
        through = sorted(one.line.split()[1].partition(online.content.address)[2] for one in forward.passed if one.let)
    assert online.conditions()["SourceVerified"] == ("True", "Succeeded")
    assert online.conditions()["Ready"] == ("True", "Succeeded")
    asked = [f"{one.path}?{one.query}".removesuffix("?") for one in online.content.asked]
    tunnels = [one for one in through if not one]  # the question whether it speaks TLS
    assert sorted(asked) == through[len(tunnels) :]
    assert any("tags" in one for one in asked)
    assert any("blobs" in one for one in asked)
    assert any(".sig" in one for one in asked)


async def test_a_proxy_that_wants_another_password_is_told(online: World) -> None:
    online.push("1.0.0")
    async with ForwardProxy(user=("bob", "builder")) as forward:
        address = f"http://127.0.0.1:{forward.port}".encode()
        online.secrets.put("proxy", {"address": address, "username": b"bob", "password": b"hush"})
        online.declare(**proxy("proxy"))
        await online.passes()
    assert online.conditions()["FetchFailed"] == ("True", "ReadOperationFailed")
    assert "407 Proxy Authentication Required" in online.message()
    assert "hush" not in online.message()
