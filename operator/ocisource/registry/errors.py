"""What a registry's failure is called: the texts that clients of this API know (flux-compat C10, C11, C13)."""

from __future__ import annotations

import errno
import os
import re
import socket
import ssl
from urllib.parse import parse_qsl, urlencode

import aiohttp
from yarl import URL

from ocisource.domain.errors import RegistryError
from ocisource.registry.diagnostics import told
from ocisource.registry.retries import STATUSES

# Query keys that the protocol itself uses. Any other value may be a signed address, so it is not shown.
_SHOWN_KEYS = frozenset({"scope", "service", "mount", "from", "digest", "n", "last"})
# A TLS alert, as the ssl module tells it.
_ALERT = re.compile(r"\[SSL: \w+\] (?:\w+ alert )?(?P<what>.*?)(?: \(\S+\))?")

# The address of a connection that failed, and the line of an answer that is none, as the libraries below tell them.
_ADDRESS = re.compile(r"\('(?P<host>[^']+)', (?P<port>\d+)")
_LINE = re.compile(r"b'(.*)'")
_LINE_SHOWN = 200


class Unanswered(RegistryError):
    """The registry gave no (whole) answer. `temporary` tells whether another try may help."""

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class NoWay(OSError):
    """There is no way to the server: one that our rules forbid, or a proxy that does not let us through."""

    def __init__(self, message: str, *, temporary: bool) -> None:
        super().__init__(message)
        self.temporary = temporary


class Unauthorized(RegistryError):
    """The way to an authorization failed: asking the registry again in another way cannot help."""


def is_unanswered(error: RegistryError) -> bool:
    """Whether the error leaves open what the registry holds: it was not reached, is in trouble or too busy, or did not
    let us look."""
    status = error.status or 0
    return isinstance(error, Unanswered | Unauthorized) or status in (401, 403, 408, 429) or status >= 500


def shown(url: URL) -> str:
    """The address as it may stand in a message: no password, no value that may be a secret."""
    url = url.with_user(None)
    if not url.raw_query_string:
        return str(url)
    pairs = parse_qsl(url.raw_query_string, keep_blank_values=True)
    query = urlencode(sorted((key, value if key in _SHOWN_KEYS else "REDACTED") for key, value in pairs))
    return f"{str(url).partition('?')[0]}?{query}"


def refusal(method: str, url: URL, status: int, body: bytes) -> RegistryError:
    """The error of an answer: the registry's own codes where it sent some, else its status and body."""
    return RegistryError(f"{method} {shown(url)}: {told(method, status, body)}", status)


def unanswered(method: str, url: URL, error: BaseException) -> Unanswered:
    """The error of a request that got no whole answer."""
    reason, temporary = _reason(error)
    return Unanswered(f'{method.title()} "{shown(url)}": {reason}', temporary=temporary)


def broken_off(error: BaseException) -> Unanswered:
    """The error of an answer that is not whole: its beginning was there, so the address is no news."""
    reason, temporary = _reason(error)
    return Unanswered(reason, temporary=temporary)


def _reason(error: BaseException) -> tuple[str, bool]:
    """A sentence about a transport error, and whether another try may help."""
    temporary = True
    match error:
        case aiohttp.ClientHttpProxyError():
            text, temporary = f"proxyconnect tcp: {error.status} {error.message}", error.status in STATUSES
        case aiohttp.ClientConnectorError() | aiohttp.ClientConnectorCertificateError():
            text, temporary = _unconnected(error)
        case aiohttp.ConnectionTimeoutError():
            text = "dial tcp: i/o timeout"
        case aiohttp.ServerDisconnectedError():
            text = "EOF"
        case aiohttp.ClientPayloadError():
            text = "unexpected EOF"
        case OSError() if alert := _ALERT.fullmatch(error.strerror or ""):  # the server hung up on us, and says why
            text, temporary = f"remote error: tls: {alert['what']}", False
        case OSError():
            text = system(error)
        case aiohttp.ClientResponseError():
            text = f"net/http: HTTP/1.x transport connection broken: {_malformed(error.message)}"
            temporary = False
        case _:
            text, temporary = str(error) or type(error).__name__, False
    return text, temporary


def _unconnected(
    error: aiohttp.ClientConnectorError | aiohttp.ClientConnectorCertificateError,
) -> tuple[str, bool]:
    """Why there is no connection, and whether another try may help."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return f"tls: failed to verify certificate: {_certificate(error.certificate_error)}", False
        case aiohttp.ClientConnectorSSLError():
            return _tls(error.os_error), False
        case aiohttp.ClientConnectorError(os_error=NoWay() as why):
            return str(why), why.temporary
        case aiohttp.ClientConnectorDNSError():
            return lookup(error.host, error.os_error)
        case _:
            dialled = f"dial tcp {_dialled(error)}: connect: {system(error.os_error)}"
            is_proxy = isinstance(error, aiohttp.ClientProxyConnectionError)
            return f"proxyconnect tcp: {dialled}" if is_proxy else dialled, True


def _tls(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: failed to verify certificate: {_certificate(error)}"
    reason = getattr(error, "reason", None) or str(error)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "http: server gave HTTP response to HTTPS client"
    return f"tls: {reason}"


def _certificate(error: Exception) -> str:
    """In the words of Go where the ssl module knows as much."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"x509: {_VERDICTS.get(error.verify_code) or error.verify_message.rpartition(', ')[2].rstrip('.')}"
    return str(error)


# By the codes of X509_STORE_CTX_get_error(3).
_VERDICTS = dict.fromkeys((18, 19, 20, 21), "certificate signed by unknown authority") | dict.fromkeys(
    (9, 10), "certificate has expired or is not yet valid"
)


def _dialled(error: aiohttp.ClientConnectorError) -> str:
    """The address that was connected to, as the system tells it, or else the name."""
    address = _ADDRESS.search(str(error.os_error))
    host, port = (address["host"], address["port"]) if address else (error.host, error.port)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _malformed(message: str) -> str:
    """One line about an answer that is no HTTP: what came instead, where that is told."""
    what = message.partition("\n")[0].rstrip(":")
    line = _LINE.search(message)
    if what == "Bad status line" and line is not None and not line[1].startswith("HTTP/"):
        return f'malformed HTTP response "{line[1][:_LINE_SHOWN]}"'
    return what[:_LINE_SHOWN]


def lookup(host: str, error: OSError) -> tuple[str, bool]:
    """Why a name leads nowhere, and whether another try may help."""
    temporary = error.errno == socket.EAI_AGAIN
    return f"dial tcp: lookup {host}: {'temporary failure' if temporary else 'no such host'}", temporary


def system(error: OSError) -> str:
    """In the words of the system."""
    if error.errno is None:
        return str(error) or type(error).__name__
    if error.errno == errno.ETIMEDOUT:
        return "i/o timeout"
    return os.strerror(error.errno).lower()
