"""The COSE envelope of Notation (`signature-envelope-cose.md`): COSE_Sign1_Tagged, RFC 9052 section 4.2.

CBOR is read strictly (RFC 8949 section 4.2 as far as it concerns meaning): definite lengths, no key twice in a map,
bounded depth, nothing after the end. No tag but 1 (a time) and 18 (the envelope) gets a meaning.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cbor2

from ocisource.trust.notation.envelope import TIMES, TIMESTAMP, Envelope
from ocisource.trust.wire import RefusedError

MAX_ENVELOPE = 128 * 1024
"""Bytes. Real ones have some ten thousand; CBOR can cost far more time a byte than JSON."""
MAX_DEPTH = 16

_EPOCH = 1
_ALG, _CRIT, _CONTENT_TYPE, _X5CHAIN = 1, 2, 3, 33
# RFC 9053 section 2.1, RFC 8230 section 2.
_ALGORITHMS = {-7: "ES256", -35: "ES384", -36: "ES512", -37: "PS256", -38: "PS384", -39: "PS512"}


def read_cose(content: bytes) -> Envelope:
    """The parts of the envelope, not yet held against each other. Raises RefusedError."""
    if len(content) > MAX_ENVELOPE:
        raise RefusedError(f"envelope is larger than {MAX_ENVELOPE} bytes")
    match _decode(content, "envelope"):
        case _Tagged(
            number=18, value=[bytes() as raw, dict() as unprotected, bytes() as payload, bytes() as signature]
        ):
            pass
        case _:
            raise RefusedError("envelope is no COSE_Sign1 with a payload")
    protected = _decode(raw, "protected header")
    if not isinstance(protected, dict) or not all(type(label) in (int, str) for label in protected):
        raise RefusedError("protected header is no map of labels")
    algorithm = protected.pop(_ALG, None)
    if type(algorithm) is not int or algorithm not in _ALGORITHMS:
        raise RefusedError("protected header's algorithm (1) is missing or not supported")
    content_type, critical = protected.pop(_CONTENT_TYPE, None), protected.pop(_CRIT, None)
    for name in TIMES:
        if name in protected:
            protected[name] = _seconds(protected[name], name)
    # RFC 9052 section 4.4: Sig_structure.
    message = cbor2.dumps(["Signature1", raw, b"", payload])
    timestamp = unprotected.get(TIMESTAMP, b"")
    if not isinstance(timestamp, bytes):
        raise RefusedError(f"header's {TIMESTAMP} is no byte string")
    return Envelope(
        _ALGORITHMS[algorithm],
        content_type,
        critical,
        protected,
        payload,
        message,
        signature,
        _chain(unprotected.get(_X5CHAIN)),
        timestamp,
    )


@dataclass(frozen=True)
class _Tagged:
    number: int
    value: Any


class _Tags(dict[int, Callable[[Any, bool], Any]]):
    """For every tag: its number and what it is on, in place of the decoder's own ideas (patterns, references …)."""

    def __missing__(self, number: int) -> Callable[[Any, bool], Any]:
        return partial(self._tagged, number)

    @staticmethod
    def _tagged(number: int, value: Any, _immutable: bool, /) -> _Tagged:  # noqa: FBT001 - the decoder's signature
        return _Tagged(number, value)


def _decode(content: bytes, name: str) -> Any:
    source = io.BytesIO(content)
    decoder = cbor2.CBORDecoder(
        source, semantic_decoders=_Tags(), max_depth=MAX_DEPTH, allow_indefinite=False, allow_duplicate_keys=False
    )
    try:
        value = decoder.decode()
    except cbor2.CBORDecodeError as error:
        raise RefusedError(f"{name} is no strict CBOR: {error}") from None
    if source.tell() != len(content):
        raise RefusedError(f"{name} has bytes after its end")
    return value


def _seconds(value: object, name: str) -> float:
    if not isinstance(value, _Tagged) or value.number != _EPOCH or type(value.value) is not int:
        raise RefusedError(f"attribute {name} is no time (tag 1 on whole seconds)")
    return value.value


def _chain(value: object) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not all(isinstance(each, bytes) for each in value):
        raise RefusedError("header's x5chain (the certificate chain) is missing or no list of byte strings")
    return tuple(value)
