"""Certificates and proxies as objects bring them: registries with TLS and with client certificates, forward proxies
with a password, SOCKS5 (flux-compat E7, E9, C5, C8, J4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from devkit.certificates import Authority
from devkit.proxies import Embedded, ForwardProxy, SocksProxy
from devkit.services import DistributionServer
from real.images import Repository, files_in
from real.objects import condition, events, has_failed, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign

pytestmark = pytest.mark.e2e

FILES = {"app.yaml": b"kind: Guarded\n"}
OURS, CLIENTS = Authority("ours"), Authority("clients")
PAIR = CLIENTS.client("operator")
BOB = ("bob", "builder")


@pytest.fixture
def repository(distribution: DistributionServer, namespace: str) -> Repository:
    """A repository of the test's own, with version 1.0.0, in a registry in clear."""
    repository = Repository(distribution.address, f"guarded/{namespace}")
    repository.publish("1.0.0", FILES)
    return repository


@pytest.fixture(scope="module")
def guarded(distribution: DistributionServer) -> Iterator[DistributionServer]:
    """The same content behind TLS, for those only who have a certificate of CLIENTS."""
    with DistributionServer(authority=OURS, clients=CLIENTS, content=distribution.content) as server:
        yield server


def source(namespace: str, address: str, repository: Repository, **spec: Any) -> dict[str, Any]:
    return oci_repository(namespace, "app", f"oci://{address}/{repository.name}", ref={"semver": "*"}, **spec)


def test_a_registry_that_wants_certificates_is_read_and_its_artifacts_are_verified(
    control_plane: ControlPlane,
    operator: Operator,
    cosign: Cosign,
    repository: Repository,
    guarded: DistributionServer,
    namespace: str,
) -> None:
    """E7: also where the signatures are. Without our certificate the registry says why not; with it all is well."""
    cluster, key = control_plane.cluster, cosign.key_pair("guarded")
    image = repository.publish("1.1.0", FILES)
    cosign.sign(image.reference, key, bundle=False)
    cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    tls = secret(namespace, "tls", {"ca.crt": OURS.pem})
    cluster.create(tls)
    app = source(namespace, guarded.address, repository, certSecretRef={"name": "tls"}, verify=verified_by("keys"))
    cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert outcomes(failed)["FetchFailed"] == ("True", "ReadOperationFailed")
    assert "remote error: tls: certificate required" in condition(failed, "Ready")["message"]

    whole = secret(namespace, "tls", {"ca.crt": OURS.pem, "tls.crt": PAIR.certificate, "tls.key": PAIR.key})
    cluster.patch(tls, {"data": whole["data"]})
    ready = cluster.wait(app, is_ready)
    assert condition(ready, "SourceVerified")["status"] == "True"
    assert files_in(fetch(ready["status"]["artifact"]["url"])) == FILES
    assert PAIR.key.splitlines()[1].decode() not in operator.log()


@pytest.mark.parametrize(("server", "scheme"), [(ForwardProxy, "http"), (SocksProxy, "socks5")])
def test_a_proxy_with_a_password_leads_to_a_registry_that_only_it_knows(
    control_plane: ControlPlane,
    operator: Operator,
    repository: Repository,
    guarded: DistributionServer,
    namespace: str,
    server: type[ForwardProxy | SocksProxy],
    scheme: str,
) -> None:
    """E9: the name is the proxy's to resolve. A wrong password is told and shown nowhere, the right one heals."""
    cluster = control_plane.cluster
    port = guarded.address.rpartition(":")[2]
    with Embedded(server(user=BOB, hosts={f"localhost:{port}": guarded.address})) as proxy:
        address = f"{scheme}://127.0.0.1:{proxy.port}".encode()
        wrong = secret(namespace, "proxy", {"address": address, "username": b"bob", "password": b"plumber"})
        right = secret(namespace, "proxy", {"address": address, "username": b"bob", "password": b"builder"})
        cluster.create(wrong)
        cluster.create(
            secret(namespace, "tls", {"caFile": OURS.pem, "certFile": PAIR.certificate, "keyFile": PAIR.key})
        )
        app = source(
            namespace,
            f"localhost:{port}",
            repository,
            certSecretRef={"name": "tls"},
            proxySecretRef={"name": "proxy"},
        )
        cluster.create(app)
        failed = cluster.wait(app, has_failed)
        assert outcomes(failed)["FetchFailed"] == ("True", "ReadOperationFailed")
        assert proxy.let == []

        cluster.patch(wrong, {"data": right["data"]})
        ready = cluster.wait(app, is_ready)
        assert files_in(fetch(ready["status"]["artifact"]["url"])) == FILES
        assert {one.partition(" ")[2] for one in proxy.let} == {f"localhost:{port}"}
    assert "plumber" not in operator.log()
    assert "plumber" not in str(failed)


def test_secrets_that_are_missing_are_told_as_clients_know_it(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """As recorded from the original: the golden cases tls_cert_secret_missing and proxy_secret_missing."""
    cluster = control_plane.cluster
    for name, field, prefix in (
        ("tls", "certSecretRef", f"failed to generate transport for '{repository.url}'"),
        ("proxy", "proxySecretRef", "failed to get proxy address"),
    ):
        app = oci_repository(
            namespace, name, repository.url, ref={"tag": "1.0.0"}, insecure=True, **{field: {"name": "nope"}}
        )
        created = cluster.create(app)
        failed = cluster.wait(app, has_failed)
        told = f"{prefix}: secret '{namespace}/nope' not found"
        assert outcomes(failed) == {
            "FetchFailed": ("True", "AuthenticationFailed"),
            "Ready": ("False", "AuthenticationFailed"),
            "Reconciling": ("True", "ProgressingWithRetry"),
        }
        assert condition(failed, "FetchFailed")["message"] == condition(failed, "Ready")["message"] == told
        assert condition(failed, "Reconciling")["message"] == "building artifact"
        assert failed["status"]["observedGeneration"] == -1
        await_true(lambda: events(cluster, created), 10, "the event")
        found = [
            (one["type"], reason, one["message"]) for reason, some in events(cluster, created).items() for one in some
        ]
        assert found == [("Warning", "AuthenticationFailed", told)]
