"""A Kubernetes control plane: etcd and kube-apiserver on loopback, with RBAC, for development and tests.

There is no kubelet, scheduler or controller manager: objects are kept, validated, watched and guarded, and nothing
acts on them. So a deleted Namespace stays `Terminating`, and Deployments make no Pods.

    python -m devkit.controlplane        starts it with a registry, says how to reach both, stops on Ctrl-C
"""

from __future__ import annotations

import json
import re
import secrets
import signal
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

from devkit.binaries import MissingToolError, locate
from devkit.certificates import write_key, write_server_certificate
from devkit.cluster import ApiError, Cluster
from devkit.keeper import Keeper
from devkit.startup import StartError, answers, start

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_ISSUER = "https://kubernetes.default.svc"
_CREDENTIAL = "authentication.kubernetes.io/credential-id"

_AUDIT = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "omitManagedFields": True,
    "rules": [
        {
            "level": "RequestResponse",
            "verbs": ["create", "update", "patch", "delete"],
            "namespaces": ["flux-system"],
            "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}],
        },
        {
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete"],
            "resources": [{"group": "source.toolkit.fluxcd.io"}],
        },
        {"level": "None"},
    ],
}
"""What the API server notes down, so that a test can tell who wrote what, and when."""


class ControlPlane:
    """etcd and kube-apiserver while the context lasts.

    `url`, `ca` and `token` reach it as an administrator, `kubeconfig` is a file that says the same, and `cluster` a
    client. Entering raises MissingToolError or StartError. Nothing stays behind, whichever way we end (see keeper.py).
    """

    url: str
    ca: Path
    token: str
    kubeconfig: Path
    cluster: Cluster

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        etcd, apiserver = locate("etcd"), locate("kube-apiserver")
        with ExitStack() as stack:
            self.keeper = stack.enter_context(Keeper())
            self.folder = self.keeper.folder
            self.ca = self.folder / "ca.crt"
            self._write_credentials()
            (self.folder / "audit.yaml").write_text(json.dumps(_AUDIT))
            self._start_apiserver(apiserver, self._start_etcd(etcd))
            self.kubeconfig = self._write_kubeconfig("admin", self.token)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def _audit(self) -> Path:
        return self.folder / "audit.log"

    def writes(self) -> list[dict[str, Any]]:
        """Every write to an OCIRepository or a Lease so far, in the order in which they ended: audit.k8s.io/v1 Events.
        `credential` tells who it was by the token, so two processes of one ServiceAccount are told apart."""
        events = [json.loads(line) for line in self._audit.read_text().splitlines() if line.endswith("}")]
        for event in events:
            event["credential"] = (event["user"].get("extra") or {}).get(_CREDENTIAL, ["admin"])[0]
        return events

    def service_account_token(self, namespace: str, name: str) -> str:
        """A token of the ServiceAccount, good for a day: the API server's own answer to a TokenRequest."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [_ISSUER], "expirationSeconds": 86_400},
        }
        return str(self.cluster.request("POST", path, request).body["status"]["token"])

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """A kubeconfig with which a client is the ServiceAccount, and may do what RBAC allows it. The ServiceAccount
        must exist; ApiError 404 if it does not."""
        return self._write_kubeconfig(f"{namespace}-{name}", self.service_account_token(namespace, name))

    def service_account_cluster(self, namespace: str, name: str) -> Cluster:
        """The API server as the ServiceAccount sees it."""
        return Cluster(self.url, self.ca, self.service_account_token(namespace, name))

    def _write_credentials(self) -> None:
        write_server_certificate(self.folder)
        write_key(self.folder / "service-accounts.key")
        self.token = secrets.token_urlsafe(32)
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self.token},admin,admin,"system:masters"\n')

    def _start_etcd(self, binary: Path) -> str:
        def command(ports: list[int]) -> list[str]:
            client, peer = (f"http://127.0.0.1:{port}" for port in ports)
            return [
                str(binary),
                f"--data-dir={self.folder / 'etcd'}",
                f"--listen-client-urls={client}",
                f"--advertise-client-urls={client}",
                f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
                "--unsafe-no-fsync",  # it is thrown away in the end
                "--log-level=warn",
            ]

        ports = start(self.keeper, "etcd", command, ports=2, ready=_etcd_is_healthy, timeout=60)
        return f"http://127.0.0.1:{ports[0]}"

    def _start_apiserver(self, binary: Path, etcd: str) -> None:
        def command(ports: list[int]) -> list[str]:
            return [
                str(binary),
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",  # it refuses to publish a loopback address
                f"--secure-port={ports[0]}",
                f"--etcd-servers={etcd}",
                f"--audit-policy-file={self.folder / 'audit.yaml'}",
                f"--audit-log-path={self._audit}",
                f"--tls-cert-file={self.folder / 'server.crt'}",
                f"--tls-private-key-file={self.folder / 'server.key'}",
                f"--token-auth-file={self.folder / 'tokens.csv'}",
                f"--service-account-issuer={_ISSUER}",
                f"--service-account-key-file={self.folder / 'service-accounts.key'}",
                f"--service-account-signing-key-file={self.folder / 'service-accounts.key'}",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--authorization-mode=RBAC",
                "--disable-admission-plugins=ServiceAccount",  # nobody here makes the default ServiceAccounts
                "--allow-privileged=true",
                "--profiling=false",
            ]

        def ready(ports: list[int]) -> bool:
            client = Cluster(f"https://127.0.0.1:{ports[0]}", self.ca, self.token)
            try:
                client.get("/readyz")
                client.get("/api/v1/namespaces/default")  # made shortly after the server calls itself ready
            except (OSError, ApiError):
                return False
            return True

        ports = start(self.keeper, "kube-apiserver", command, ports=1, ready=ready, timeout=120)
        self.url = f"https://127.0.0.1:{ports[0]}"
        self.cluster = Cluster(self.url, self.ca, self.token)

    def _write_kubeconfig(self, user: str, token: str) -> Path:
        """JSON, which is YAML too."""
        path = self.folder / f"{re.sub(r'[^a-z0-9-]', '-', user)}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(_kubeconfig(self.url, self.ca, user, token), indent=2))
        return path


def _kubeconfig(url: str, ca: Path, user: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "devkit", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": "devkit", "context": {"cluster": "devkit", "user": user}}],
        "current-context": "devkit",
    }


def _etcd_is_healthy(ports: list[int]) -> bool:
    return answers(f"http://127.0.0.1:{ports[0]}/health")


def main() -> int:
    from devkit.services import RegistryServer  # noqa: PLC0415 - services need not be there for a control plane

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with ControlPlane() as plane, RegistryServer() as registry:
            print(f"export KUBECONFIG={plane.kubeconfig}")
            print(f"export REGISTRY={registry.address}")
            print(f"# API server {plane.url}, registry http://{registry.address}; Ctrl-C stops both", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        pass
    except (MissingToolError, StartError) as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
