"""The TLS of connections: the system's roots and, for those who brought some, authorities and a certificate of their
own (flux-compat E7, E8). Making a context costs 20 ms of CPU, so each is made once, beside the loop."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections import OrderedDict
from functools import partial

from ocisource.domain.access import Access
from ocisource.domain.certificates import TLS
from ocisource.domain.errors import SecretError
from ocisource.flight import Flight

# Each holds the system's roots, about 1 MiB. Beyond these, the one not used for longest is made anew.
REMEMBERED = 128


class Certificates:
    """The TLS context of each access; equal material has one."""

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._contexts: OrderedDict[TLS | None, ssl.SSLContext] = OrderedDict()
        self._flight: Flight[TLS | None, ssl.SSLContext] = Flight()

    async def of(self, access: Access) -> ssl.SSLContext | bool:
        """What the connections of this access are made with; False where any certificate will do: with `insecure`,
        unless there is material to judge certificates by (flux-compat E8). Raises SecretError as `load` does."""
        if access.insecure and access.tls is None:
            return False
        return await self.load(access.tls)

    async def load(self, tls: TLS | None) -> ssl.SSLContext:
        """The context of the material, None for the system's roots alone. Raises SecretError where the material cannot
        be used (flux-compat C8)."""
        context = self._contexts.get(tls)
        if context is None:
            context = await self._flight.join(tls, partial(asyncio.to_thread, made, tls))
            self._contexts[tls] = context
            if len(self._contexts) > self._remembered:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(tls)
        return context


def made(tls: TLS | None) -> ssl.SSLContext:
    """A context for clients. Raises SecretError, which never holds any of the material."""
    context = ssl.create_default_context()
    # What is trusted is what was given, as clients of this API know it: also an authority that is not self-signed, or
    # whose extensions newer versions of Python find wanting. Names count only where they belong.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    if tls is not None:
        _trust(context, tls)
        _show(context, tls)
    return context


def _trust(context: ssl.SSLContext, tls: TLS) -> None:
    """Adds the authorities. What is no certificate among them is passed over, unless it is all of them."""
    usable = not tls.authorities
    for authority in tls.authorities:
        try:
            context.load_verify_locations(cadata=authority.decode("ascii"))
            usable = True
        except (ssl.SSLError, ValueError):
            continue
    if not usable:
        raise SecretError("failed to parse CA certificate")


def _show(context: ssl.SSLContext, tls: TLS) -> None:
    """The ssl module takes certificates from files only: one in memory, which nobody else can open and no disk sees."""
    if not tls.certificate:
        return
    file = os.memfd_create("certificate")
    try:
        with os.fdopen(os.dup(file), "wb") as writer:
            writer.write(tls.certificate.rstrip() + b"\n" + tls.key)
        # Whoever asks for a password on the terminal would wait for ever.
        context.load_cert_chain(f"/proc/self/fd/{file}", password="")
    except (ssl.SSLError, ValueError) as error:
        raise SecretError(f"failed to parse TLS certificate and key: {_mistake(tls, error)}") from None
    finally:
        os.close(file)


def _mistake(tls: TLS, error: Exception) -> str:
    """What is wrong, in the words that clients of this API know."""
    reason = getattr(error, "reason", None) or ""
    if reason in _MISTAKES:
        return _MISTAKES[reason]
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=tls.certificate.decode("ascii"))
    except (ssl.SSLError, ValueError):
        return "x509: malformed certificate"
    return "tls: failed to parse private key (one with a password is of no use)"


_MISTAKES = {
    "KEY_VALUES_MISMATCH": "tls: private key does not match public key",
    "KEY_TYPE_MISMATCH": "tls: private key type does not match public key type",
}
