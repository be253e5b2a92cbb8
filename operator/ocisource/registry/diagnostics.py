"""The body of a registry's refusal, in the words of clients of this API (flux-compat C10, C11, C13; distribution-spec,
error codes). They are Go programs: a body is read, and a value printed, as their JSON package and `%v` do it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from http import HTTPStatus
from operator import itemgetter
from typing import Any

from ocisource.registry.jsontext import lenient, whole

# Where newer or older lists than ours have another phrase.
_PHRASES = {
    413: "Request Entity Too Large",
    414: "Request URI Too Long",
    416: "Requested Range Not Satisfiable",
    418: "I'm a teapot",
    422: "Unprocessable Entity",
}


def told(method: str, status: int, body: bytes) -> str:
    """The registry's own codes where it sent some, else status and body."""
    errors = _errors(body)
    if len(errors) == 1:
        return errors[0]
    if errors:
        return "multiple errors returned: " + "; ".join(errors)
    text = f"unexpected status code {status} {_phrase(status)}"
    if body:
        return f"{text}: {lenient(body)}"
    return f"{text} (HEAD responses have no body, use GET for details)" if method == "HEAD" else text


def _phrase(status: int) -> str:
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return ""


def _errors(body: bytes) -> list[str]:
    """The `errors` of the body, each as `CODE: message[; detail]`. What is of another type counts as empty."""
    try:
        document = json.loads(lenient(body), parse_int=_number, parse_float=_number, parse_constant=_refuse)
        errors = _field(document, "errors")
        return [_error(error) for error in errors] if isinstance(errors, list) else []
    except (ValueError, RecursionError):  # no JSON, or nested too deeply to be read or printed
        return []


def _error(error: Any) -> str:
    text = ": ".join(whole(value) if isinstance(value := _field(error, name), str) else "" for name in _TEXTS)
    detail = _field(error, "detail")
    return text if detail is None else f"{text}; {_printed(detail)}"


_TEXTS = ("code", "message")


def _field(value: Any, name: str) -> Any:
    """The field of an object, in whatever case its name is written; the last one where there are several."""
    found = None
    if isinstance(value, Mapping):
        for key in value:
            found = value[key] if key.casefold() == name else found
    return found


def _number(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _printed(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = sorted(((whole(key), item) for key, item in value.items()), key=itemgetter(0))
        return "map[" + " ".join(f"{key}:{_printed(item)}" for key, item in pairs) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_printed(item) for item in value) + "]"
    return _printed_number(value) if isinstance(value, float) else whole(value)


def _printed_number(value: float) -> str:
    """The fewest digits that mean the number: with an exponent if that is below -4, or 6 and more."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return repr(value).removesuffix(".0")
    return next(text for digits in range(17) if float(text := f"{value:.{digits}e}") == value)
