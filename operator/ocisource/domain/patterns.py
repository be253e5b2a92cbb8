"""Regular expressions of the API: RE2, its syntax, in linear time. `re` differs from it, and can be made to hang."""

from __future__ import annotations

from collections.abc import Callable

from ocisource.domain.errors import InvalidPattern, quoted

# The same faults in the words of Go's regexp, which clients know, by those of the library used here.
_PATTERN_FAULTS = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "trailing \\": "trailing backslash at end of expression",
    "no argument for repetition operator": "missing argument to repetition operator",
    "invalid repetition size": "invalid repeat count",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid named capture group": "invalid named capture",
}


def search(pattern: str) -> Callable[[str], object]:
    """Tells whether the RE2 expression is found anywhere in a text. Raises InvalidPattern with the text that clients
    know (flux-compat C10)."""
    import re2  # noqa: PLC0415 - few objects have a pattern

    options = re2.Options()
    options.log_errors = False
    try:
        found: Callable[[str], object] = re2.compile(pattern, options).search
    except re2.error as error:
        fault, _, where = error.args[0].decode(errors="replace").partition(": ")
        raise InvalidPattern(f"error parsing regexp: {_PATTERN_FAULTS.get(fault, fault)}: `{where}`") from error
    except UnicodeEncodeError as error:
        raise InvalidPattern(f"error parsing regexp: invalid UTF-8: {quoted(pattern)}") from error
    return found
