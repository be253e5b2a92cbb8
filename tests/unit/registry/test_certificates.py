"""TLS with authorities and certificates of one's own, against real TLS servers (flux-compat E7, E8, C8)."""

from __future__ import annotations

import tempfile

import pytest

from devkit.certificates import Authority
from devkit.ocihttp import RegistryServer
from ocisource.domain.access import Credentials
from ocisource.domain.certificates import TLS, parse_certificates
from ocisource.domain.errors import RegistryError, SecretError
from ocisource.registry.certificates import Certificates, made

OURS, OTHERS, CLIENTS = Authority("ours"), Authority("others"), Authority("clients")
PAIR = CLIENTS.client("operator")
USER = Credentials("u", "p")


def material(authority: bytes = b"", certificate: bytes = b"", key: bytes = b"") -> TLS:
    pairs = {"ca.crt": authority, "tls.crt": certificate, "tls.key": key}
    return parse_certificates("team/tls", {name: content for name, content in pairs.items() if content})


async def test_a_registry_of_a_private_authority_is_reached_with_it_and_only_with_it(client, to):
    async with RegistryServer(tls=OURS.server_context()) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, tls=material(OURS.pem)), "1") == digest
        for tls in (None, material(OTHERS.pem)):
            with pytest.raises(RegistryError, match="tls: failed to verify certificate"):
                await client.resolve(to(registry, tls=tls), "1")


async def test_the_authority_comes_beside_those_of_the_system(client, to, tmp_path, monkeypatch):
    system = tmp_path / "roots.pem"
    system.write_bytes(OTHERS.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(system))
    async with RegistryServer(tls=OTHERS.server_context()) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, tls=material(OURS.pem)), "1") == digest
        assert await client.resolve(to(registry, tls=material(b"", PAIR.certificate, PAIR.key)), "1") == digest
        assert await client.resolve(to(registry), "1") == digest


async def test_one_of_several_authorities_is_enough_and_what_is_none_among_them_is_passed_over(client, to):
    broken = b"-----BEGIN CERTIFICATE-----\naHVzaA==\n-----END CERTIFICATE-----\n"
    async with RegistryServer(tls=OURS.server_context()) as registry:
        digest = registry.push("team/app", "1", b"layer")
        tls = material(OTHERS.pem + broken + OURS.pem)
        assert await client.resolve(to(registry, tls=tls), "1") == digest


async def test_a_certificate_that_is_trusted_itself_needs_no_authority(client, to, tmp_path):
    pair = OURS.server()
    async with RegistryServer(tls=Authority.context(pair)) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, tls=material(pair.certificate)), "1") == digest


async def test_a_certificate_for_another_name_is_refused(client, to):
    async with RegistryServer(tls=Authority.context(OURS.client("127.0.0.1"))) as registry:
        with pytest.raises(RegistryError, match="tls: failed to verify certificate"):
            await client.resolve(to(registry, tls=material(OURS.pem)), "1")


async def test_a_registry_that_wants_certificates_is_shown_ours_everywhere(client, to, spool):
    """Token server, manifest, blob."""
    context = OURS.server_context(clients=CLIENTS)
    async with RegistryServer(auth="bearer", users={"u": "p"}, tls=context) as registry:
        digest = registry.push("team/app", "1", b"layer")
        access = to(registry, credentials=USER, tls=material(OURS.pem, PAIR.certificate, PAIR.key))
        assert await client.resolve(access, "1") == digest
        await client.blob(access, (await client.manifest(access, digest)).layers[0], spool)
        assert bytes(spool.content) == b"layer"
        assert registry.count("/token") == 1


async def test_who_has_no_certificate_or_a_wrong_one_does_not_get_in(client, to):
    stranger = OTHERS.client("operator")
    async with RegistryServer(tls=OURS.server_context(clients=CLIENTS)) as registry:
        registry.push("team/app", "1", b"layer")
        for tls in (material(OURS.pem), material(OURS.pem, stranger.certificate, stranger.key)):
            with pytest.raises(RegistryError) as caught:
                await client.resolve(to(registry, tls=tls), "1")
            assert f"https://{registry.address}/v2/" in str(caught.value)
        assert registry.asked == []


async def test_nobody_travels_on_a_connection_that_was_opened_with_anothers_certificate(client, to):
    """J13: the registry knows its visitors by their connections."""
    async with RegistryServer(tls=OURS.server_context(clients=CLIENTS)) as registry:
        digest = registry.push("team/app", "1", b"layer")
        known = to(registry, tls=material(OURS.pem, PAIR.certificate, PAIR.key))
        assert await client.resolve(known, "1") == digest
        with pytest.raises(RegistryError):
            await client.resolve(to(registry, tls=material(OURS.pem)), "1")
        assert await client.resolve(known, "1") == digest


async def test_insecure_with_an_authority_still_judges_certificates(client, to):
    """E8."""
    async with RegistryServer(tls=OURS.server_context()) as registry:
        digest = registry.push("team/app", "1", b"layer")
        assert await client.resolve(to(registry, insecure=True, tls=material(OURS.pem)), "1") == digest
        with pytest.raises(RegistryError, match="tls: failed to verify certificate"):
            await client.resolve(to(registry, insecure=True, tls=material(OTHERS.pem)), "1")
        assert await client.resolve(to(registry, insecure=True), "1") == digest


@pytest.mark.parametrize(
    ("tls", "said"),
    [
        (material(PAIR.certificate.replace(b"M", b"N", 1)), "failed to parse CA certificate"),
        (
            material(OURS.pem, PAIR.certificate, CLIENTS.client("another").key),
            "failed to parse TLS certificate and key: tls: private key does not match public key",
        ),
        (
            material(b"", PAIR.certificate, PAIR.key.replace(b"M", b"N", 1)),
            "failed to parse TLS certificate and key: tls: failed to parse private key",
        ),
        (
            material(b"", PAIR.certificate.replace(b"M", b"N", 1), PAIR.key),
            "failed to parse TLS certificate and key: x509: malformed certificate",
        ),
    ],
)
async def test_material_that_cannot_be_used_is_told_before_anybody_is_asked(client, tls, said):
    """C8."""
    with pytest.raises(SecretError) as caught:
        await client.prepare(tls)
    assert str(caught.value).startswith(said)
    assert PAIR.key.splitlines()[1].decode() not in str(caught.value)


async def test_a_key_with_a_password_is_told_and_nobody_waits_for_the_password(client):
    key = Authority.encrypted(PAIR.key, b"hush")
    with pytest.raises(SecretError, match="failed to parse TLS certificate and key: tls: failed to parse private key"):
        await client.prepare(material(b"", PAIR.certificate, key))


def test_keys_are_loaded_without_a_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert made(material(b"", PAIR.certificate, PAIR.key)) is not None


async def test_equal_material_is_read_once_and_the_last_used_is_kept():
    certificates = Certificates(remembered=2)
    first = await certificates.load(material(OURS.pem))
    assert await certificates.load(material(OTHERS.pem)) is not first
    assert await certificates.load(material(OURS.pem)) is first
    for number in range(3):
        await certificates.load(TLS(str(number)))
        assert await certificates.load(material(OURS.pem)) is first
