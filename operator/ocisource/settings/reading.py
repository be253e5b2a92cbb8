"""Flags and environment → one frozen dataclass (flux-compat G8).

Flags are written as Go programs take them: `--flag=value`, `--flag value`, `--switch`, `--switch=false`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ocisource.domain.errors import InvalidDuration
from ocisource.domain.leadership import Terms
from ocisource.settings.flags import BY_NAME, FLAGS, GROUPS, IGNORED_PREFIXES, Flag
from ocisource.settings.values import OWN_IDENTITIES, Address, BadValueError


class SettingsError(Exception):
    """A flag or a variable that cannot be used; the text names it and the fix. The process ends with 2."""


@dataclass(frozen=True)
class Settings:
    """Every setting of `ocisource run`, named as its flag. Times are in seconds, sizes in bytes; an address is None
    where its server is switched off ("0"). `unused` says of each flag that was given and has no effect why."""

    storage_path: str
    storage_addr: Address
    storage_adv_addr: str
    metrics_addr: Address | None
    health_addr: Address | None
    events_addr: str
    debug_addr: Address | None
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
    artifact_digest_algo: str
    kube_api_qps: float
    kube_api_burst: int
    kubeconfig: str
    platform: str
    max_blob_size: int
    max_unpacked_size: int
    max_entries: int
    max_ratio: int
    on_verification_failure: str
    verify_interval: float
    require_oidc_identity: bool
    offline_trust: bool
    tuf_mirror: str
    tuf_root: str
    enable_leader_election: bool
    leader_election_release_on_cancel: bool
    leader_election_lease_duration: float
    leader_election_renew_deadline: float
    leader_election_retry_period: float
    feature_gates: frozenset[str]
    default_service_account: str
    token_cache_max_size: int
    token_cache_max_duration: float
    runtime_namespace: str
    unused: tuple[str, ...]

    @property
    def election_terms(self) -> Terms:
        return Terms(
            self.leader_election_lease_duration, self.leader_election_renew_deadline, self.leader_election_retry_period
        )

    @property
    def own_identities(self) -> bool:
        """Whether objects may ask clouds as ServiceAccounts (flux-compat E6)."""
        return OWN_IDENTITIES in self.feature_gates

    @property
    def watch_namespace(self) -> str:
        """The only namespace that is watched, "" for all."""
        return "" if self.watch_all_namespaces else self.runtime_namespace


def advertised_address(storage_addr: Address, hostname: str) -> str:
    """The host[:port] in artifact URLs where --storage-adv-addr is not set (flux-compat G3)."""
    host = {"": "localhost", "0.0.0.0": hostname}.get(storage_addr.host, storage_addr.host)  # noqa: S104 - compared
    return str(Address(host, storage_addr.port))


def parse_settings(arguments: Sequence[str], environment: Mapping[str, str], hostname: str) -> Settings:
    """The settings of a process started with `arguments` on the machine `hostname`. Raises SettingsError."""
    given = _collected(_given(arguments))
    values = {flag.field: _value(flag, given.get(flag.name), environment) for flag in FLAGS}
    values["unused"] = tuple(_unused(given))
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
    if settings.default_service_account and not settings.own_identities:
        raise SettingsError(
            f"cannot set default service accounts when the feature gate {OWN_IDENTITIES} is not enabled: add "
            f"--feature-gates={OWN_IDENTITIES}=true, or leave --default-service-account out"
        )
    terms = settings.election_terms
    if not terms.duration > terms.renew_deadline > terms.retry_period:
        raise SettingsError(
            "--leader-election-lease-duration must be longer than --leader-election-renew-deadline, and that longer "
            "than --leader-election-retry-period"
        )


def _unused(given: Iterable[str]) -> Iterator[str]:
    """What to tell about the flags that were given and have no effect, once each."""
    for name in given:
        flag = BY_NAME.get(name)
        if flag is None:
            yield f"--{name} has no effect: it is about other kinds of sources"
        elif flag.unused:
            yield f"--{name} has no effect: {flag.unused}"


def _value(flag: Flag, given: str | None, environment: Mapping[str, str]) -> Any:
    text, source = flag.default, f"--{flag.name}"
    if given is not None:
        text = given
    elif flag.env and environment.get(flag.env):
        text, source = environment[flag.env], flag.env
    try:
        return flag.parse(text)
    except (BadValueError, InvalidDuration) as error:
        raise SettingsError(f"{source}={text}: {error}") from error


def _given(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and values as they were written."""
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--") or argument == "--":
            raise SettingsError(f"{argument!r} is not a flag: write --flag=value (see --help)")
        name, equals, value = argument[2:].partition("=")
        flag = BY_NAME.get(name)
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


def _collected(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What counts of each flag: its last value, or all of them in one where they add up."""
    given: dict[str, str] = {}
    for name, value in pairs:
        adds_up = name in given and name in BY_NAME and BY_NAME[name].listed
        given[name] = f"{given[name]},{value}" if adds_up else value
    return given


WIDTH = 79
COLUMN = 38


def usage() -> str:
    """The flags by groups, with defaults, variables and meanings."""
    lines = [
        "usage: ocisource run [--flag=value ...]",
        "",
        "Runs the operator until a signal ends it. A variable in [BRACKETS] gives the",
        "default where it is set.",
    ]
    for group, flags in GROUPS.items():
        lines += ["", f"{group}:"]
        for flag in flags:
            lines += _described(flag)
    families = " and ".join(f"--{prefix}..." for prefix in IGNORED_PREFIXES)
    return "\n".join([*lines, f"  {families} are taken, too: other sources have them"])


def _described(flag: Flag) -> list[str]:
    head = f"  --{flag.name}"
    if flag.default:
        head += f"={flag.default}"
    if flag.env:
        head += f" [{flag.env}]"
    meaning = flag.meaning or f"no effect: {flag.unused}"
    first, *rest = textwrap.wrap(meaning, WIDTH - COLUMN)
    indented = [" " * COLUMN + line for line in rest]
    if len(head) + 2 > COLUMN:
        return [head, " " * COLUMN + first, *indented]
    return [head.ljust(COLUMN) + first, *indented]
