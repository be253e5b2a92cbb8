"""Strict readings of what a registry handed over: base64, JSON, and text that is fit to be quoted in a message.

Everything here is untrusted. A reading either yields exactly one meaning or raises RefusedError with a short reason;
two programs must never read the same bytes differently.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

MAX_DOCUMENT = 1 << 20
"""Bytes of a payload or bundle that are read at all (signatures.md rule 6)."""

MAX_CONTAINERS = 10_000
"""Objects and arrays in one document. Real ones have below a hundred; more is only there to cost time."""

MAX_DEPTH = 64
"""Objects and arrays within each other. Real ones have below ten; whatever walks a document must come to its end."""

QUOTE_LIMIT = 80
MAX_REASONS = 8


class RefusedError(Exception):
    """This signature does not count. `str(refused)` is the reason, in a few words for the user."""


def quoted(value: object, limit: int = QUOTE_LIMIT) -> str:
    """`value` in single quotes for a message: printable ASCII only, at most `limit` characters of it."""
    if not isinstance(value, str):
        return "(none)" if value is None else "(not text)"
    return f"'{clean(value, limit)}'"


def clean(text: str, limit: int) -> str:
    """The text without control, bidirectional and other surprising characters, cut at `limit`."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(char if " " <= char <= "~" else "?" for char in cut)


def decode_base64(value: object, name: str) -> bytes:
    """RFC 4648 section 4, canonical: the standard alphabet, padded, no white space, no stray bits at the end."""
    if not isinstance(value, str):
        raise RefusedError(f"{name} is missing" if value is None else f"{name} is not text")
    try:
        decoded = base64.b64decode(value)
    except ValueError:  # binascii.Error is one
        raise RefusedError(f"{name} is not base64") from None
    # The decoder is lenient; only what encodes to itself was canonical.
    if base64.b64encode(decoded).decode("ascii") != value:
        raise RefusedError(f"{name} is not base64")
    if not decoded:
        raise RefusedError(f"{name} is empty")
    return decoded


def decode_object(document: bytes, name: str) -> dict[str, Any]:
    """The JSON object in `document`: UTF-8, no key twice at any depth, no NaN or Infinity (RFC 8259, RFC 7493)."""
    if len(document) > MAX_DOCUMENT:
        raise RefusedError(f"{name} is larger than 1 MiB")
    if document.count(b"{") + document.count(b"[") > MAX_CONTAINERS:
        raise RefusedError(f"{name} has more than {MAX_CONTAINERS} objects and arrays")
    try:
        # Decoded first: json.loads would guess UTF-16 and UTF-32 from bytes.
        value = json.loads(document.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise RefusedError(f"{name} is not UTF-8") from None
    except _RepeatedKeyError as repeated:
        raise RefusedError(f"{name} has the key {quoted(str(repeated))} twice") from None
    except (ValueError, RecursionError):
        raise RefusedError(f"{name} is not JSON") from None
    if not isinstance(value, dict):
        raise RefusedError(f"{name} is not a JSON object")
    _check_depth(value, name)
    return value


def member(parent: dict[str, Any], key: str, name: str) -> dict[str, Any]:
    """The object at `key`; `name` is how messages call it."""
    value = parent.get(key)
    if not isinstance(value, dict):
        raise RefusedError(f"{name} is missing" if value is None else f"{name} is not a JSON object")
    return value


def reasons(refused: Sequence[tuple[str, str]]) -> str:
    """Name and reason of each signature that was refused, of MAX_REASONS at most (signatures.md rule 7)."""
    told = "; ".join(f"{name}: {reason}" for name, reason in refused[:MAX_REASONS])
    return told if len(refused) <= MAX_REASONS else f"{told}; and {len(refused) - MAX_REASONS} more"


def _check_depth(document: dict[str, Any], name: str) -> None:
    level: list[Any] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise RefusedError(f"{name} has more than {MAX_DEPTH} objects and arrays within each other")
        inner = (one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer))
        level = [one for one in inner if isinstance(one, dict | list)]


class _RepeatedKeyError(Exception):
    pass


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise _RepeatedKeyError(key)
    return result


def _no_constant(name: str) -> None:
    raise ValueError(name)
