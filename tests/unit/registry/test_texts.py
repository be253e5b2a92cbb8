"""What a request without a whole answer is called (flux-compat C11): as in the original where we know as much."""

from __future__ import annotations

import ssl

import aiohttp
import pytest
from aiohttp import web
from yarl import URL

from devkit.ocihttp import RegistryServer
from ocisource.domain.errors import RegistryError
from ocisource.registry.errors import unanswered

ADDRESS = URL("https://registry.example/v2/")


class Key:
    """What aiohttp tells of a connection."""

    ssl = True
    is_ssl = True

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port


@pytest.mark.parametrize(
    ("host", "told", "shown"),
    [
        ("localhost", "Connect call failed ('127.0.0.1', 443)", "127.0.0.1:443"),
        ("::1", "Connect call failed ('::1', 443, 0, 0)", "[::1]:443"),
        (
            "registry.example",
            "Multiple exceptions: Connect call failed ('2001:db8::1', 443, 0, 0)",
            "[2001:db8::1]:443",
        ),
        ("registry.example", "no address is told", "registry.example:443"),
    ],
)
def test_the_address_that_refused_is_told(host: str, told: str, shown: str) -> None:
    error = aiohttp.ClientConnectorError(Key(host, 443), OSError(111, told))  # type: ignore[arg-type]
    said = str(unanswered("GET", ADDRESS, error))
    assert said == f'Get "https://registry.example/v2/": dial tcp {shown}: connect: connection refused'


@pytest.mark.parametrize(
    ("code", "message", "shown"),
    [
        (18, "self-signed certificate", "certificate signed by unknown authority"),
        (19, "self-signed certificate in certificate chain", "certificate signed by unknown authority"),
        (20, "unable to get local issuer certificate", "certificate signed by unknown authority"),
        (10, "certificate has expired", "certificate has expired or is not yet valid"),
        (
            62,
            "Hostname mismatch, certificate is not valid for 'a.example'.",
            "certificate is not valid for 'a.example'",
        ),
        (26, "unsuitable certificate purpose", "unsuitable certificate purpose"),
    ],
)
def test_certificates_are_judged_in_the_words_of_go(code: int, message: str, shown: str) -> None:
    verdict = ssl.SSLCertVerificationError(1, "certificate verify failed")
    verdict.verify_code, verdict.verify_message = code, message
    error = aiohttp.ClientConnectorCertificateError(Key("a.example", 443), verdict)  # type: ignore[arg-type]
    said = str(unanswered("GET", ADDRESS, error))
    assert said == f'Get "https://registry.example/v2/": tls: failed to verify certificate: x509: {shown}'


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Bad status line:\n  Expected HTTP/:\n\n  b'garbage'\n    ^", 'malformed HTTP response "garbage"'),
        ("Bad status line:\n  Invalid status code:\n\n  b'HTTP/1.1 99 X'\n    ^", "Bad status line"),
        ("Invalid header token:\n\n  b'foo bar'\n       ^", "Invalid header token"),
        (
            "Got more than 8190 bytes when reading: b'" + "x" * 9000 + "'",
            "Got more than 8190 bytes when reading: b'" + "x" * 159,
        ),
    ],
)
def test_an_answer_that_is_no_http_is_told_in_one_line(message: str, shown: str) -> None:
    error = aiohttp.ClientResponseError(None, (), status=400, message=message)  # type: ignore[arg-type]
    said = str(unanswered("GET", ADDRESS, error))
    broken = "net/http: HTTP/1.x transport connection broken"
    assert said == f'Get "https://registry.example/v2/": {broken}: {shown}'


async def test_a_body_that_breaks_off_is_told_without_its_address(registry: RegistryServer, client, to) -> None:
    """As in the original: the answer had begun."""

    async def cut(request: web.Request, _proceed: object) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"tags":')
        assert request.transport is not None
        request.transport.abort()
        return response

    registry.push("team/app", "1", b"layer")
    registry.fault = lambda request, proceed: cut(request, proceed) if "tags" in request.path else proceed()
    with pytest.raises(
        RegistryError, match=r"^unexpected EOF$|^read: connection reset by peer$|^connection reset by peer$"
    ):
        await client.tags(to(registry))
