"""How the value of a flag is read. Each reader takes the text and raises BadValueError, which says what is wrong with
it as a clause: "must be …"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ocisource.domain import durations

Parse = Callable[[str], Any]

OWN_IDENTITIES = "ObjectLevelWorkloadIdentity"
GATES = ("CacheSecretsAndConfigMaps", OWN_IDENTITIES)


class BadValueError(ValueError):
    """What is wrong with a value, as a clause: "must be …"."""


@dataclass(frozen=True)
class Address:
    """Where to listen. `host` is "" for all interfaces."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def text(value: str) -> str:
    """As it is."""
    return value


def switch(text: str) -> bool:
    words = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if text.lower() not in words:
        raise BadValueError("must be true or false")
    return words[text.lower()]


def one_of(*words: str) -> Parse:
    def parse(text: str) -> str:
        if text not in words:
            raise BadValueError(f"must be one of {', '.join(words)}")
        return text

    return parse


def whole(least: int, most: int | None = None) -> Parse:
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least or (most is not None and int(text) > most):
            raise BadValueError(f"must be a whole number {bounds}")
        return int(text)

    return parse


def rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) <= 0:
        raise BadValueError("must be a number above 0")
    return float(text)


def duration(text: str) -> float:
    seconds = durations.parse(text)
    if seconds <= 0:
        raise BadValueError("must be longer than 0s")
    return seconds


def duration_or_none(text: str) -> float:
    seconds = durations.parse(text)
    if seconds < 0:
        raise BadValueError("must not be negative")
    return seconds


def size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})(Ki|Mi|Gi|Ti)?", text)
    if not found or not int(found[1]):
        raise BadValueError("must be a number of bytes above 0, such as 1073741824, 512Mi or 1Gi")
    return int(found[1]) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}[found[2]]


def address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise BadValueError("has more than one colon: write an IPv6 address as [address]:port")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadValueError("must be host:port or :port, such as :9090")
    return Address(host, int(port))


def address_or_off(text: str) -> Address | None:
    return None if text == "0" else address(text)


def local_address_or_off(text: str) -> Address | None:
    """Without a host it is this machine only: what is told there is nobody else's business."""
    found = address_or_off(text)
    return Address("127.0.0.1", found.port) if found and not found.host else found


_REQUIREMENT = re.compile(
    r"""\s*(
        !?\s*KEY                                            # it is there, or not
      | KEY\s*(=|==|!=)\s*VALUE
      | KEY\s*[<>]\s*[0-9]+
      | KEY\s+(in|notin)\s*\(\s*VALUE(\s*,\s*VALUE)*\s*\)
    )\s*""".replace("KEY", r"([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9_.-]*").replace(
        "VALUE", r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?"
    ),
    re.VERBOSE,
)


def selector(text: str) -> str:
    """A label selector, as it is. What the API server would refuse only once the operator runs is refused here."""
    for requirement in re.split(r",(?![^(]*\))", text) if text else ():
        if not _REQUIREMENT.fullmatch(requirement):
            raise BadValueError(
                f"{requirement.strip()!r} is no label selector: write key=value, key!=value, key, !key or "
                "'key in (a, b)', separated by commas"
            )
    return text


def url_or_empty(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise BadValueError("must be an http:// or https:// URL, or empty")
    return text


def https_url_or_empty(text: str) -> str:
    loopback = r"http://(127(\.[0-9]{1,3}){3}|\[::1\]|localhost)(:[0-9]{1,5})?(/\S*)?"
    if text and not re.fullmatch(rf"https://[^/\s]+(/\S*)?|{loopback}", text):
        raise BadValueError("must be an https:// URL (or an http:// one on loopback), or empty")
    return text


def advertised(text: str) -> str:
    if text and not re.fullmatch(r"(https?://)?[^/\s]+", text):
        raise BadValueError("must be host or host:port, or http:// or https:// and that, without a path")
    return text


def platform(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?", text):
        raise BadValueError("must be os/architecture or os/architecture/variant, such as linux/amd64")
    return text


def feature_gates(text: str) -> frozenset[str]:
    """The gates that are open. The last word about one counts."""
    gates: dict[str, bool] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = (part.strip() for part in pair.partition("="))
        if name not in GATES:
            raise BadValueError(f"unknown feature gate {name!r}; known are {', '.join(GATES)}")
        gates[name] = switch(value)
    return frozenset(name for name, opened in gates.items() if opened)
