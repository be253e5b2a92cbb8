"""Flags and environment (flux-compat G8)."""

from __future__ import annotations

import dataclasses
import re

import pytest

from ocisource.domain.leadership import Terms
from ocisource.settings import FLAGS, Address, Settings, SettingsError, advertised_address, parse_settings, usage


def settings(*arguments: str, **environment: str) -> Settings:
    return parse_settings(arguments, environment, "machine")


def refusal(*arguments: str, **environment: str) -> str:
    with pytest.raises(SettingsError) as caught:
        settings(*arguments, **environment)
    return str(caught.value)


def test_the_defaults_are_those_of_the_original() -> None:
    """G8"""
    found = settings()
    assert found.storage_path == "/data"
    assert found.storage_addr == Address("", 9090)
    assert found.metrics_addr == Address("", 8080)
    assert found.health_addr == Address("", 9440)
    assert found.events_addr == ""
    assert found.concurrent == 2
    assert (found.log_level, found.log_encoding) == ("info", "json")
    assert found.watch_all_namespaces
    assert found.watch_label_selector == ""
    assert found.interval_jitter_percentage == 5
    assert (found.min_retry_delay, found.max_retry_delay) == (0.75, 900)
    assert (found.artifact_retention_ttl, found.artifact_retention_records) == (60, 2)
    assert (found.kube_api_qps, found.kube_api_burst) == (50, 300)
    assert found.platform == "linux/amd64"


def test_the_stock_manifest_of_the_original_is_understood() -> None:
    """The arguments of source-controller in a plain Flux installation."""
    found = settings(
        "--events-addr=http://notification-controller.flux-system.svc.cluster.local./",
        "--watch-all-namespaces",
        "--log-level=info",
        "--log-encoding=json",
        "--enable-leader-election=false",
        "--storage-path=/data",
        "--storage-adv-addr=source-controller.flux-system.svc.cluster.local.",
        "--helm-cache-max-size=10",
        "--helm-cache-ttl",
        "60m",
        "--ssh-kex-algos=a,b",
        "--requeue-dependency=5s",
        "--feature-gates=CacheSecretsAndConfigMaps=false",
        RUNTIME_NAMESPACE="flux-system",
    )
    assert found.storage_adv_addr == "source-controller.flux-system.svc.cluster.local."
    assert found.runtime_namespace == "flux-system"


def test_trust_is_set_up_by_flags_of_our_own() -> None:
    found = settings()
    assert found.on_verification_failure == "keep"  # as the original does
    assert found.verify_interval == 0
    assert (found.require_oidc_identity, found.offline_trust) == (False, False)
    assert (found.tuf_mirror, found.tuf_root) == ("", "")

    found = settings(
        "--on-verification-failure=withdraw",
        "--verify-interval=24h",
        "--require-oidc-identity",
        "--offline-trust",
        "--tuf-mirror=https://mirror.example/tuf",
        "--tuf-root=/etc/tuf/root.json",
    )
    assert found.on_verification_failure == "withdraw"
    assert found.verify_interval == 24 * 3600
    assert (found.require_oidc_identity, found.offline_trust) == (True, True)
    assert (found.tuf_mirror, found.tuf_root) == ("https://mirror.example/tuf", "/etc/tuf/root.json")


def test_flags_are_written_as_in_go() -> None:
    assert settings("--concurrent=5").concurrent == 5
    assert settings("--concurrent", "5").concurrent == 5
    assert settings("--watch-all-namespaces").watch_all_namespaces
    assert not settings("--watch-all-namespaces=F", RUNTIME_NAMESPACE="a").watch_all_namespaces
    assert settings("--concurrent=5", "--concurrent=6").concurrent == 6
    assert settings("--artifact-retention-ttl=0").artifact_retention_ttl == 0


def test_gates_add_up_and_the_last_word_about_one_counts() -> None:
    """G8: patches of a Deployment append a flag each, and the original takes all of them."""
    own, cache = "ObjectLevelWorkloadIdentity", "CacheSecretsAndConfigMaps"
    assert settings(f"--feature-gates={own}=true", f"--feature-gates={cache}=true").feature_gates == {own, cache}
    assert (
        settings(f"--feature-gates={own}=1, {cache} = f", f"--feature-gates={own}=false").feature_gates == frozenset()
    )


def test_a_flag_beats_its_variable_and_the_variable_beats_the_default() -> None:
    assert settings(STORAGE_PATH="/env").storage_path == "/env"
    assert settings("--storage-path=/flag", STORAGE_PATH="/env").storage_path == "/flag"
    assert settings(STORAGE_PATH="").storage_path == "/data"
    assert settings(STORAGE_ADDRESS=":1").storage_addr == Address("", 1)
    assert settings(METRICS_ADDR="0").metrics_addr is None


@pytest.mark.parametrize(
    ("argument", "fix"),
    [
        ("--concurrent=0", "at least 1"),
        ("--concurrent=two", "whole number"),
        ("--min-retry-delay=5", "units"),
        ("--min-retry-delay=0s", "longer than 0s"),
        ("--min-retry-delay=1h", "--max-retry-delay"),
        ("--interval-jitter-percentage=100", "from 0 to 99"),
        ("--log-level=loud", "trace, debug, info, error"),
        ("--storage-addr=9090", "such as :9090"),
        ("--storage-addr=::1:9090", "[address]:port"),
        ("--storage-addr=:99999", "host:port"),
        ("--storage-adv-addr=a/b", "without a path"),
        ("--storage-adv-addr=ftp://a", "https://"),
        ("--artifact-retention-ttl=-1s", "negative"),
        ("--events-addr=notification-controller", "http://"),
        ("--watch-all-namespaces=no", "true or false"),
        ("--kube-api-qps=-1", "above 0"),
        ("--max-blob-size=1GB", "1Gi"),
        ("--platform=amd64", "linux/amd64"),
        ("--on-verification-failure=drop", "keep, withdraw"),
        ("--verify-interval=-1h", "negative"),
        ("--verify-interval=daily", "duration"),
        ("--require-oidc-identity=perhaps", "true or false"),
        ("--offline-trust=no", "true or false"),
        ("--tuf-mirror=http://mirror.example", "https://"),
        ("--tuf-mirror=https://", "https://"),
        ("--tuf-mirror=http://127.0.0.1.mirror.example/tuf", "https://"),
        ("--tuf-mirror=http://localhost:80@mirror.example/tuf", "https://"),
        ("--feature-gates=Nonsense=true", "unknown feature gate 'Nonsense'"),
        ("--enable-leader-election=maybe", "true or false"),
        ("--leader-election-lease-duration=30s", "longer than --leader-election-renew-deadline"),
        ("--watch-label-selector=shard in a", "'key in (a, b)'"),
        ("--debug-addr=6060", "such as :9090"),
        ("--artifact-digest-algo=md5", "must be one of sha256, sha384, sha512, blake3, sha1"),
        ("--default-service-account=a", "--feature-gates=ObjectLevelWorkloadIdentity=true"),
    ],
)
def test_a_bad_value_names_the_flag_and_the_fix(argument: str, fix: str) -> None:
    text = refusal(argument)
    assert argument.partition("=")[0] in text
    assert fix in text


def test_a_bad_variable_is_named_as_such() -> None:
    assert refusal(METRICS_ADDR="8080").startswith("METRICS_ADDR=8080: ")


def test_what_is_no_flag_is_refused() -> None:
    assert "unknown flag --storage" in refusal("--storage=/data")
    assert "'extra' is not a flag" in refusal("extra")
    assert "'-v' is not a flag" in refusal("-v")
    assert "needs a value" in refusal("--concurrent")


def test_one_namespace_is_watched_where_that_is_asked_for() -> None:
    assert settings().watch_namespace == ""
    found = settings("--watch-all-namespaces=false", RUNTIME_NAMESPACE="flux-system")
    assert found.watch_namespace == "flux-system"
    assert "RUNTIME_NAMESPACE" in refusal("--watch-all-namespaces=false")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (Address("", 9090), "localhost:9090"),
        (Address("0.0.0.0", 9090), "machine:9090"),
        (Address("10.1.2.3", 80), "10.1.2.3:80"),
        (Address("::1", 80), "[::1]:80"),
    ],
)
def test_the_advertised_address_comes_from_where_it_listens(address: Address, expected: str) -> None:
    """G3"""
    assert advertised_address(address, "machine") == expected


def test_the_advertised_address_prefers_the_flag_then_hostname() -> None:
    assert settings("--storage-addr=0.0.0.0:9090", HOSTNAME="pod-1").storage_adv_addr == "pod-1:9090"
    assert settings("--storage-addr=0.0.0.0:9090").storage_adv_addr == "machine:9090"
    for advertised in ("svc.local.", "https://flux.example.com", "http://10.1.2.3:80"):
        assert settings(f"--storage-adv-addr={advertised}").storage_adv_addr == advertised


def test_sizes_have_binary_units() -> None:
    assert settings("--max-blob-size=512Mi").max_blob_size == 512 * 1024 * 1024
    assert settings("--max-blob-size=1000").max_blob_size == 1000


def test_settings_are_frozen_and_each_is_a_flag_with_a_meaning() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings().concurrent = 3  # type: ignore[misc]  # that is the point
    described = re.findall(r"^  --([a-z-]+)(?:=\S+)?(?: \[[A-Z_]+\])?\s+(\S.+)$", usage(), re.MULTILINE)
    fields = {field.name.replace("_", "-") for field in dataclasses.fields(Settings)} - {"runtime-namespace", "unused"}
    assert fields <= {name for name, meaning in described if not meaning.startswith("no effect")}
    assert {name for name, _ in described} == {flag.name for flag in FLAGS}


def test_the_page_of_flags_is_in_groups_and_fits_a_terminal() -> None:
    lines = usage().splitlines()
    groups = [line for line in lines if re.fullmatch(r"[A-Z].*:", line)]
    assert {
        "Storage:",
        "Watching:",
        "Trust:",
        "Limits:",
        "API server:",
        "Leader election:",
        "Addresses:",
        "Logs:",
    } <= set(groups)
    assert max(map(len, lines)) < 80
    assert "  --artifact-retention-ttl=1m         how long a replaced artifact is kept" in lines


def test_flags_without_effect_are_told_once_each() -> None:
    """G8"""
    found = settings("--helm-cache-ttl=1h", "--helm-cache-ttl=2h", "--requeue-dependency=5s", "--concurrent=4")
    assert [each.partition(" ")[0] for each in found.unused] == ["--helm-cache-ttl", "--requeue-dependency"]
    assert all("has no effect: " in each for each in found.unused)
    assert settings().unused == ()


def test_the_terms_of_an_election_are_those_of_the_original() -> None:
    """G8"""
    found = settings()
    assert not found.enable_leader_election
    assert found.leader_election_release_on_cancel
    assert found.election_terms == Terms(35, 30, 5)


@pytest.mark.parametrize("selector", ["", "a", "!a", "a=", "a==b,c!=d", "sharding.fluxcd.io/shard in (a, b),!c", "a>5"])
def test_label_selectors_are_left_as_they_are(selector: str) -> None:
    assert settings(f"--watch-label-selector={selector}").watch_label_selector == selector


def test_debugging_is_off_and_on_this_machine_only() -> None:
    assert settings().debug_addr is None
    assert settings("--debug-addr=:6060").debug_addr == Address("127.0.0.1", 6060)
    assert settings("--debug-addr=0.0.0.0:6060").debug_addr == Address("0.0.0.0", 6060)
