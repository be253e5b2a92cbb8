"""Private registries: the credentials of `secretRef`, by Basic and by Bearer."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.ocihttp import RegistryServer as InMemoryRegistry
from devkit.services import ALICE, BOB
from real.images import Repository, files_in, tarball
from real.objects import condition, events, has_failed, holds, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign, DistributionServer

pytestmark = pytest.mark.e2e

FILES = {"app.yaml": b"kind: Private\n"}


def pull_secret(namespace: str, host: str, user: str, password: str, name: str = "login") -> dict[str, Any]:
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    config = json.dumps({"auths": {host: {"auth": auth}}}).encode()
    return secret(namespace, name, {".dockerconfigjson": config}, "kubernetes.io/dockerconfigjson")


@pytest.fixture
def repository(private_distribution: DistributionServer, namespace: str) -> Repository:
    """A private repository of the test's own, with version 1.0.0."""
    repository = Repository(private_distribution.address, f"private/{namespace}", ALICE)
    repository.publish("1.0.0", FILES)
    return repository


def source(namespace: str, repository: Repository, **spec: Any) -> dict[str, Any]:
    return oci_repository(
        namespace, "app", repository.url, ref={"semver": ">=1.0.0"}, secretRef={"name": "login"}, **spec
    )


def test_a_private_artifact_is_pulled_and_verified_with_the_login_of_the_secret(
    control_plane: ControlPlane, operator: Operator, cosign: Cosign, repository: Repository, namespace: str
) -> None:
    """Tags, manifests, blobs and signatures alike: all of them are private."""
    cluster, key = control_plane.cluster, cosign.key_pair("private")
    image = repository.publish("1.1.0", FILES)
    cosign.sign(image.reference, key, bundle=True, account=ALICE)
    cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    cluster.create(pull_secret(namespace, repository.address, BOB.user, BOB.password))
    app = source(namespace, repository, verify=verified_by("keys"))
    cluster.create(app)
    ready = cluster.wait(app, lambda obj: holds(obj, image.revision))
    assert condition(ready, "SourceVerified")["status"] == "True"
    assert files_in(fetch(ready["status"]["artifact"]["url"])) == FILES
    assert ALICE.password not in operator.log()
    assert BOB.password not in operator.log()


def test_a_wrong_password_is_told_and_a_right_one_heals(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """C10: the tags are asked for first."""
    cluster = control_plane.cluster
    login = pull_secret(namespace, repository.address, ALICE.user, "wonderwall")
    cluster.create(login)
    app = source(namespace, repository)
    cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert outcomes(failed)["FetchFailed"] == ("True", "ReadOperationFailed")
    message = condition(failed, "Ready")["message"]
    assert message.startswith(f"failed to determine the artifact tag for '{repository.url}': GET ")
    assert "UNAUTHORIZED" in message
    assert "wonderwall" not in json.dumps(failed)
    assert "wonderwall" not in operator.log()

    right = pull_secret(namespace, repository.address, ALICE.user, ALICE.password)
    cluster.patch(login, {"data": right["data"]})
    cluster.wait(app, is_ready)


def test_a_tag_behind_a_wrong_password_cannot_be_resolved(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """C11"""
    cluster = control_plane.cluster
    cluster.create(pull_secret(namespace, repository.address, "mallory", ALICE.password))
    app = oci_repository(namespace, "app", repository.url, ref={"tag": "1.0.0"}, secretRef={"name": "login"})
    cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert outcomes(failed)["FetchFailed"] == ("True", "OCIArtifactPullFailed")
    message = condition(failed, "FetchFailed")["message"]
    where = f"http://{repository.address}/v2/{repository.name}/manifests/1.0.0"
    assert message.startswith(f"failed to determine artifact digest: GET {where}: UNAUTHORIZED")


def test_a_login_for_another_registry_is_not_used(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """E4, J5"""
    cluster = control_plane.cluster
    cluster.create(pull_secret(namespace, "registry.example.com", ALICE.user, ALICE.password))
    app = source(namespace, repository)
    cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert "UNAUTHORIZED" in condition(failed, "FetchFailed")["message"]


def test_a_missing_secret_is_named_and_heals_when_it_comes(
    control_plane: ControlPlane, operator: Operator, repository: Repository, namespace: str
) -> None:
    """C4"""
    cluster = control_plane.cluster
    app = source(namespace, repository)
    created = cluster.create(app)
    failed = cluster.wait(app, has_failed)
    assert outcomes(failed)["FetchFailed"] == ("True", "AuthenticationFailed")
    assert condition(failed, "FetchFailed")["message"] == (
        f"failed to get credential: failed to get secret '{namespace}/login': secrets \"login\" not found"
    )
    await_true(lambda: len(events(cluster, created).get("AuthenticationFailed", [])) == 2, 10, "both events")
    told = {each["type"]: each["message"] for each in events(cluster, created)["AuthenticationFailed"]}
    assert told["Normal"] == "auth secret 'login' not found"

    cluster.create(pull_secret(namespace, repository.address, ALICE.user, ALICE.password))
    cluster.wait(app, is_ready)


@pytest.fixture
def token_registry() -> Iterator[EmbeddedRegistry]:
    """A registry that wants Bearer tokens, with its own token endpoint."""
    with EmbeddedRegistry(InMemoryRegistry(auth="bearer", users={"user": "pass"})) as registry:
        registry.content.push("team/app", "1.0.0", tarball(FILES))
        yield registry


def test_a_token_is_fetched_with_the_login_and_used(
    control_plane: ControlPlane, operator: Operator, token_registry: EmbeddedRegistry, namespace: str
) -> None:
    """E10"""
    cluster = control_plane.cluster
    cluster.create(pull_secret(namespace, token_registry.address, "user", "pass"))
    app = oci_repository(
        namespace, "app", f"oci://{token_registry.address}/team/app", ref={"tag": "1.0.0"}, secretRef={"name": "login"}
    )
    cluster.create(app)
    ready = cluster.wait(app, is_ready)
    assert files_in(fetch(ready["status"]["artifact"]["url"])) == FILES
    asked = token_registry.content.asked
    assert [each.path for each in asked if each.authorization.startswith("Basic ")] == ["/token"]
