"""A private authority, the certificates that it issues for servers and clients, and a key that signs service-account
tokens."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


def write_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A new P-256 key in PEM, readable by its owner only."""
    key = ec.generate_private_key(ec.SECP256R1())
    path.touch(mode=0o600)
    path.write_bytes(_pem(key))
    return key


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """An authority of its own; what it issues is good for a week. `pem` is its certificate."""

    def __init__(self, name: str = "devkit authority") -> None:
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(
            name,
            self._key.public_key(),
            name,
            self._key,
            (x509.BasicConstraints(ca=True, path_length=0), True),
            (_usage(authority=True), True),
        )
        self.pem = certificate.public_bytes(serialization.Encoding.PEM)

    def server(self, *names: str) -> Pair:
        """For a server on 127.0.0.1 and localhost, and of these names."""
        loopback = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        alternatives = x509.SubjectAlternativeName([*loopback, *(x509.DNSName(name) for name in names)])
        return self._issue("localhost", ExtendedKeyUsageOID.SERVER_AUTH, (alternatives, False))

    def client(self, name: str) -> Pair:
        """For a client that servers know by this name."""
        return self._issue(name, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server_context(self, *names: str, clients: Authority | None = None) -> ssl.SSLContext:
        """What a server of these names listens with; `clients` is who vouches for those that it lets in."""
        context = self.context(self.server(*names))
        if clients is not None:
            context.load_verify_locations(cadata=clients.pem.decode())
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @staticmethod
    def context(pair: Pair) -> ssl.SSLContext:
        """What a server listens with that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile() as file:
            file.write(pair.certificate + pair.key)
            file.flush()
            context.load_cert_chain(file.name)
        return context

    @staticmethod
    def encrypted(key: bytes, password: bytes) -> bytes:
        """The key, locked with a password."""
        return serialization.load_pem_private_key(key, None).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password),
        )

    def _issue(self, name: str, purpose: x509.ObjectIdentifier, *extensions: tuple[x509.ExtensionType, bool]) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(
            name,
            key.public_key(),
            self._name,
            self._key,
            *extensions,
            (_usage(authority=False), True),
            (x509.ExtendedKeyUsage([purpose]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False),
        )
        return Pair(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def write_server_certificate(folder: Path) -> None:
    """Writes `ca.crt`, `server.crt` and `server.key` for 127.0.0.1 and localhost, good for a week."""
    authority = Authority()
    pair = authority.server()
    key = folder / "server.key"
    key.touch(mode=0o600)
    key.write_bytes(pair.key)
    (folder / "server.crt").write_bytes(pair.certificate)
    (folder / "ca.crt").write_bytes(authority.pem)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def _sign(
    subject: str,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    *extensions: tuple[x509.ExtensionType, bool],
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=7))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
