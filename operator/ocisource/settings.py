"""How the operator is set up: flags and environment → one frozen dataclass (flux-compat G8).

Flags are written as Go programs take them: `--flag=value`, `--flag value`, `--switch`, `--switch=false`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ocisource.domain import durations
from ocisource.domain.errors import InvalidDuration


class SettingsError(Exception):
    """A flag or a variable that cannot be used; the text names it and the fix. The process ends with 2."""


@dataclass(frozen=True)
class Address:
    """Where to listen. `host` is "" for all interfaces."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True)
class Settings:
    """Every setting of `ocisource run`, named as its flag. Times are in seconds, sizes in bytes; an address is None
    where its server is switched off ("0")."""

    storage_path: str
    storage_addr: Address
    storage_adv_addr: str
    metrics_addr: Address | None
    health_addr: Address | None
    events_addr: str
    concurrent: int
    log_level: str
    log_encoding: str
    watch_all_namespaces: bool
    watch_label_selector: str
    interval_jitter_percentage: int
    min_retry_delay: float
    max_retry_delay: float
    artifact_retention_ttl: float
    artifact_retention_records: int
    kube_api_qps: float
    kube_api_burst: int
    kubeconfig: str
    platform: str
    max_blob_size: int
    max_unpacked_size: int
    max_entries: int
    max_ratio: int
    runtime_namespace: str

    @property
    def watch_namespace(self) -> str:
        """The only namespace that is watched, "" for all."""
        return "" if self.watch_all_namespaces else self.runtime_namespace


class _BadValueError(ValueError):
    """What is wrong with a value, as a clause: "must be …"."""


Parse = Callable[[str], Any]


@dataclass(frozen=True)
class Flag:
    """`env` is the variable that gives the default where it is set; `switch` flags may stand without a value. A flag
    without `meaning` is one of the original's that has nothing to set here: it is read, checked and left at that."""

    name: str
    default: str
    parse: Parse
    meaning: str = ""
    env: str = ""
    switch: bool = False

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")


def advertised_address(storage_addr: Address, hostname: str) -> str:
    """The host[:port] in artifact URLs where --storage-adv-addr is not set (flux-compat G3)."""
    host = {"": "localhost", "0.0.0.0": hostname}.get(storage_addr.host, storage_addr.host)  # noqa: S104 - compared
    return str(Address(host, storage_addr.port))


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str], hostname: str) -> Settings:
    """The settings of a process started with `arguments` on the machine `hostname`. Raises SettingsError."""
    given = dict(_given(arguments))
    values = {flag.field: _value(flag, given.get(flag.name), environment) for flag in FLAGS}
    values["runtime_namespace"] = environment.get("RUNTIME_NAMESPACE", "")
    if not values["storage_adv_addr"]:
        values["storage_adv_addr"] = advertised_address(values["storage_addr"], environment.get("HOSTNAME") or hostname)
    settings = Settings(**{field.name: values[field.name] for field in fields(Settings)})
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if not settings.watch_all_namespaces and not settings.runtime_namespace:
        raise SettingsError(
            "--watch-all-namespaces=false watches the namespace in RUNTIME_NAMESPACE, which is not set: set it to the "
            "namespace of the pod"
        )
    if settings.min_retry_delay > settings.max_retry_delay:
        raise SettingsError("--min-retry-delay must not be longer than --max-retry-delay")


def _value(flag: Flag, given: str | None, environment: Mapping[str, str]) -> Any:
    text, source = flag.default, f"--{flag.name}"
    if given is not None:
        text = given
    elif flag.env and environment.get(flag.env):
        text, source = environment[flag.env], flag.env
    try:
        return flag.parse(text)
    except (_BadValueError, InvalidDuration) as error:
        raise SettingsError(f"{source}={text}: {error}") from error


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and values as they were written; the last one of a name counts."""
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--") or argument == "--":
            raise SettingsError(f"{argument!r} is not a flag: write --flag=value (see --help)")
        name, equals, value = argument[2:].partition("=")
        flag = _BY_NAME.get(name)
        if flag is None and not name.startswith(IGNORED_PREFIXES):
            raise SettingsError(f"unknown flag --{name} (see --help)")
        if equals:
            yield name, value
        elif flag is not None and flag.switch:
            yield name, "true"
        else:
            following = next(rest, None)
            if following is None:
                raise SettingsError(f"--{name} needs a value: write --{name}=<value>")
            yield name, following


def usage() -> str:
    """The flags with their defaults and meanings, a line each."""
    lines = ["usage: ocisource run [--flag=value ...]", ""]
    for flag in FLAGS:
        if flag.meaning:
            default = f" (default {flag.default})" if flag.default else ""
            variable = f" [{flag.env}]" if flag.env else ""
            lines.append(f"  --{flag.name:28} {flag.meaning}{default}{variable}")
    return "\n".join(lines)


# How a value is read


def _text(text: str) -> str:
    return text


def _switch(text: str) -> bool:
    words = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
    if text.lower() not in words:
        raise _BadValueError("must be true or false")
    return words[text.lower()]


def _off(what: str) -> Parse:
    """A switch of the original that cannot be switched on here."""

    def parse(text: str) -> bool:
        if _switch(text):
            raise _BadValueError(f"{what} is not supported; leave the flag out or set it to false")
        return False

    return parse


def _only(word: str, what: str) -> Parse:
    """A flag of the original with one value that works here."""

    def parse(text: str) -> str:
        if text != word:
            raise _BadValueError(f"{what}; " + (f"use {word}" if word else "leave it empty"))
        return text

    return parse


def _one_of(*words: str) -> Parse:
    def parse(text: str) -> str:
        if text not in words:
            raise _BadValueError(f"must be one of {', '.join(words)}")
        return text

    return parse


def _whole(least: int, most: int | None = None) -> Parse:
    bounds = f"of at least {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", text) or int(text) < least or (most is not None and int(text) > most):
            raise _BadValueError(f"must be a whole number {bounds}")
        return int(text)

    return parse


def _rate(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text) or float(text) <= 0:
        raise _BadValueError("must be a number above 0")
    return float(text)


def _duration(text: str) -> float:
    seconds = durations.parse(text)
    if seconds <= 0:
        raise _BadValueError("must be longer than 0s")
    return seconds


def _size(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,15})(Ki|Mi|Gi|Ti)?", text)
    if not found or not int(found[1]):
        raise _BadValueError("must be a number of bytes above 0, such as 1073741824, 512Mi or 1Gi")
    return int(found[1]) << {None: 0, "Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}[found[2]]


def _address(text: str) -> Address:
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise _BadValueError("has more than one colon: write an IPv6 address as [address]:port")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise _BadValueError("must be host:port or :port, such as :9090")
    return Address(host, int(port))


def _address_or_off(text: str) -> Address | None:
    return None if text == "0" else _address(text)


def _url_or_empty(text: str) -> str:
    if text and not text.startswith(("http://", "https://")):
        raise _BadValueError("must be an http:// or https:// URL, or empty")
    return text


def _advertised(text: str) -> str:
    if "/" in text:
        raise _BadValueError("must be host or host:port, without a scheme or a path")
    return text


def _platform(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?", text):
        raise _BadValueError("must be os/architecture or os/architecture/variant, such as linux/amd64")
    return text


def _feature_gates(text: str) -> dict[str, bool]:
    gates: dict[str, bool] = {}
    for pair in filter(None, text.split(",")):
        name, _, value = pair.strip().partition("=")
        if name not in GATES:
            raise _BadValueError(f"unknown feature gate {name!r}; known are {', '.join(GATES)}")
        gates[name] = _switch(value)
        if gates[name]:
            raise _BadValueError(f"the feature gate {name} is not supported; leave it out or set it to false")
    return gates


GATES = ("CacheSecretsAndConfigMaps", "ObjectLevelWorkloadIdentity")

IGNORED_PREFIXES = ("helm-", "ssh-")
"""Flags of the original that are about other sources: taken, with their value, and not looked at."""

FLAGS = (
    Flag("storage-path", "/data", _text, "folder of the artifacts; must exist", "STORAGE_PATH"),
    Flag("storage-addr", ":9090", _address, "address of the artifact server", "STORAGE_ADDRESS"),
    Flag(
        "storage-adv-addr",
        "",
        _advertised,
        "host[:port] in artifact URLs; made from --storage-addr if empty",
        "STORAGE_ADV_ADDR",
    ),
    Flag("metrics-addr", ":8080", _address_or_off, "address of /metrics; 0 switches it off", "METRICS_ADDR"),
    Flag("health-addr", ":9440", _address_or_off, "address of /healthz and /readyz; 0 switches it off"),
    Flag("events-addr", "", _url_or_empty, "URL of the notification controller", "EVENTS_ADDR"),
    Flag("concurrent", "2", _whole(1), "passes at a time over the objects of a registry, in sixteens"),
    Flag("log-level", "info", _one_of("trace", "debug", "info", "error"), "trace, debug, info or error"),
    Flag("log-encoding", "json", _one_of("json", "console"), "json or console"),
    Flag(
        "watch-all-namespaces",
        "true",
        _switch,
        "watch every namespace; false: the one in RUNTIME_NAMESPACE",
        switch=True,
    ),
    Flag("watch-label-selector", "", _text, "labels of the objects to watch"),
    Flag("interval-jitter-percentage", "5", _whole(0, 99), "how far intervals are spread, in percent"),
    Flag("min-retry-delay", "750ms", _duration, "wait after the first failure; doubles with each further one"),
    Flag("max-retry-delay", "15m", _duration, "longest wait after failures"),
    Flag("artifact-retention-ttl", "1m", _duration, "how long a replaced artifact is kept"),
    Flag("artifact-retention-records", "2", _whole(1), "how many artifacts of an object are kept"),
    Flag("kube-api-qps", "50", _rate, "requests a second to the API server, for objects, statuses and Secrets each"),
    Flag("kube-api-burst", "300", _whole(1), "requests at once to the API server, for each of them"),
    Flag("kubeconfig", "", _text, "file that says how to reach the cluster; else KUBECONFIG, the pod's account"),
    Flag("platform", "linux/amd64", _platform, "the child of an image index that is taken"),
    Flag("max-blob-size", "1Gi", _size, "largest layer that is fetched"),
    Flag("max-unpacked-size", "2Gi", _size, "largest content of a layer"),
    Flag("max-entries", "200000", _whole(1), "most files and folders in a layer"),
    Flag("max-ratio", "200", _whole(1), "largest ratio of content to layer"),
    Flag("feature-gates", "", _feature_gates),
    Flag("enable-leader-election", "false", _off("leader election"), switch=True),
    Flag("leader-election-release-on-cancel", "true", _switch, switch=True),
    Flag("leader-election-lease-duration", "35s", _duration),
    Flag("leader-election-renew-deadline", "30s", _duration),
    Flag("leader-election-retry-period", "5s", _duration),
    Flag("artifact-digest-algo", "sha256", _only("sha256", "artifacts have SHA-256 digests only")),
    Flag("default-service-account", "", _only("", "workload identity is not supported")),
    Flag("requeue-dependency", "30s", _duration),
    Flag("watch-configs-label-selector", "", _text),
    Flag("token-cache-max-size", "100", _whole(0)),
    Flag("token-cache-max-duration", "1h", _duration),
)

_BY_NAME = {flag.name: flag for flag in FLAGS}
