"""The flags of `ocisource run`, in the groups in which `--help` shows them (flux-compat G8)."""

from __future__ import annotations

from dataclasses import dataclass

from ocisource.settings import values
from ocisource.settings.values import Parse


@dataclass(frozen=True)
class Flag:
    """`env` is the variable that gives the default where it is set; `switch` flags may stand without a value, and the
    values of `listed` ones add up where others take the last. A flag with `unused` is one of the original's that has
    nothing to set here: it is read, checked, and told to be so, for the reason that `unused` gives."""

    name: str
    default: str
    parse: Parse
    meaning: str = ""
    env: str = ""
    switch: bool = False
    listed: bool = False
    unused: str = ""

    @property
    def field(self) -> str:
        return self.name.replace("-", "_")


IGNORED_PREFIXES = ("helm-", "ssh-")
"""Flags of the original that are about other sources: taken, with their value, and not looked at."""

GROUPS: dict[str, tuple[Flag, ...]] = {
    "Storage": (
        Flag("storage-path", "/data", values.text, "folder of the artifacts; must exist", "STORAGE_PATH"),
        Flag("artifact-retention-ttl", "1m", values.duration_or_none, "how long a replaced artifact is kept"),
        Flag("artifact-retention-records", "2", values.whole(1), "how many artifacts of an object are kept"),
        Flag(
            "artifact-digest-algo",
            "sha256",
            values.one_of("sha256", "sha384", "sha512", "blake3", "sha1"),
            "algorithm of the digests in status.artifact",
        ),
    ),
    "Addresses": (
        Flag("storage-addr", ":9090", values.address, "where artifacts are served", "STORAGE_ADDRESS"),
        Flag(
            "storage-adv-addr",
            "",
            values.advertised,
            "host[:port] in artifact URLs, or the URL before it; made from --storage-addr if empty",
            "STORAGE_ADV_ADDR",
        ),
        Flag("metrics-addr", ":8080", values.address_or_off, "where /metrics is; 0 switches it off", "METRICS_ADDR"),
        Flag("health-addr", ":9440", values.address_or_off, "where /healthz and /readyz are; 0 switches it off"),
        Flag("events-addr", "", values.url_or_empty, "URL of the notification controller", "EVENTS_ADDR"),
        Flag(
            "debug-addr",
            "0",
            values.local_address_or_off,
            "where /debug/queue and /debug/tasks are, such as :6060; on loopback without a host; 0: nowhere",
        ),
    ),
    "Watching": (
        Flag(
            "watch-all-namespaces",
            "true",
            values.switch,
            "watch every namespace; false: the one in RUNTIME_NAMESPACE",
            switch=True,
        ),
        Flag("watch-label-selector", "", values.selector, "labels of the objects to watch"),
        Flag("concurrent", "2", values.whole(1), "how many times 16 objects of a registry are worked on at a time"),
        Flag("interval-jitter-percentage", "5", values.whole(0, 99), "how far intervals are spread, in percent"),
        Flag(
            "min-retry-delay", "750ms", values.duration, "wait after the first failure; doubles with each further one"
        ),
        Flag("max-retry-delay", "15m", values.duration, "longest wait after failures"),
    ),
    "Registries": (
        Flag("platform", "linux/amd64", values.platform, "the child of an image index that is taken"),
        Flag(
            "feature-gates",
            "",
            values.feature_gates,
            f"Name=true or Name=false, separated by commas, of {' and '.join(values.GATES)}",
            listed=True,
        ),
        Flag(
            "default-service-account",
            "",
            values.text,
            "account of the object's namespace that asks a cloud where the object names none; needs the feature gate "
            "ObjectLevelWorkloadIdentity",
        ),
        Flag("token-cache-max-size", "100", values.whole(0), "most credentials of clouds that are kept; 0: none"),
        Flag(
            "token-cache-max-duration",
            "1h",
            values.duration_or_none,
            "how long credentials of a cloud are kept, if they last; never longer than 1h",
        ),
    ),
    "Trust": (
        Flag(
            "on-verification-failure",
            "keep",
            values.one_of("keep", "withdraw"),
            "keep serving the last verified artifact, or withdraw it",
        ),
        Flag(
            "verify-interval",
            "0s",
            values.duration_or_none,
            "how often signatures are verified anew; 0s: when something has changed",
        ),
        Flag(
            "require-oidc-identity",
            "false",
            values.switch,
            "refuse keyless verification without matchOIDCIdentity",
            switch=True,
        ),
        Flag("offline-trust", "false", values.switch, "never refresh the public trusted root", switch=True),
        Flag("tuf-mirror", "", values.https_url_or_empty, "where the public trusted root is refreshed from"),
        Flag("tuf-root", "", values.text, "file with the root.json that the mirror is trusted by"),
    ),
    "Limits": (
        Flag("max-blob-size", "1Gi", values.size, "largest layer that is fetched"),
        Flag("max-unpacked-size", "2Gi", values.size, "largest content of a layer"),
        Flag("max-entries", "200000", values.whole(1), "most files and folders in a layer"),
        Flag("max-ratio", "200", values.whole(1), "largest ratio of content to layer"),
    ),
    "API server": (
        Flag(
            "kubeconfig", "", values.text, "file that says how to reach the cluster; else KUBECONFIG, the pod's account"
        ),
        Flag(
            "kube-api-qps",
            "50",
            values.rate,
            "requests a second to the API server, for objects, statuses and Secrets each",
        ),
        Flag("kube-api-burst", "300", values.whole(1), "requests at once to the API server, for each of them"),
    ),
    "Leader election": (
        Flag(
            "enable-leader-election",
            "false",
            values.switch,
            "of several replicas one works, and the others stand by",
            switch=True,
        ),
        Flag(
            "leader-election-release-on-cancel",
            "true",
            values.switch,
            "let the next one take over at once when this one stops",
            switch=True,
        ),
        Flag(
            "leader-election-lease-duration",
            "35s",
            values.duration,
            "how long others wait for one that does not renew its lease",
        ),
        Flag(
            "leader-election-renew-deadline", "30s", values.duration, "how long one goes on that cannot renew its lease"
        ),
        Flag("leader-election-retry-period", "5s", values.duration, "how often the lease is renewed and looked at"),
    ),
    "Logs": (
        Flag("log-level", "info", values.one_of("trace", "debug", "info", "error"), "trace, debug, info or error"),
        Flag("log-encoding", "json", values.one_of("json", "console"), "json or console"),
    ),
    "Taken from manifests of the original, without effect": (
        Flag(
            "requeue-dependency", "30s", values.duration_or_none, unused="an OCIRepository depends on no other object"
        ),
        Flag(
            "watch-configs-label-selector",
            "reconcile.fluxcd.io/watch=Enabled",
            values.text,
            unused="a Secret is watched if an object names it",
        ),
    ),
}

FLAGS = tuple(flag for group in GROUPS.values() for flag in group)

BY_NAME = {flag.name: flag for flag in FLAGS}
