"""Trust stays true: verdicts follow the Secrets that they were made with, within seconds and with an unchanged
revision (flux-compat J4, J15)."""

from __future__ import annotations

import base64
import os
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from devkit.ocifaults import answer, delay, when
from devkit.ocihttp import EmbeddedRegistry, RegistryServer
from devkit.signer import Signer
from real.images import Image, Repository, files_in
from real.objects import condition, events, has_failed, is_ready, oci_repository, outcomes, secret, verified_by
from real.operation import Operator, await_true, fetch

if TYPE_CHECKING:
    from devkit.cluster import Cluster
    from devkit.controlplane import ControlPlane

pytestmark = pytest.mark.e2e

ALICE, MALLORY = Signer.generate(), Signer.generate()
WITHIN = 5.0
"""Seconds in which a verdict follows its Secret."""

PATIENT = ("--min-retry-delay=10m", "--max-retry-delay=10m")
"""Nothing that fails comes back by itself within a test."""


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    """It remembers what it was asked."""
    with EmbeddedRegistry() as server:
        yield server


def keys(*signers: Signer) -> dict[str, bytes]:
    return {f"key-{number}.pub": signer.public_pem() for number, signer in enumerate(signers)}


@dataclass
class Team:
    """A namespace with one image, signed by ALICE, and objects that trust the keys of the Secret `keys`. Their interval
    is ten minutes: what happens sooner has another reason."""

    cluster: Cluster
    operator: Operator
    namespace: str
    image: Image
    url: str
    registry: EmbeddedRegistry

    def hold(self, *signers: Signer, name: str = "keys") -> None:
        self.cluster.create(secret(self.namespace, name, keys(*signers)))

    def change(self, *signers: Signer, name: str = "keys") -> None:
        """The Secret holds the keys of these and no others."""
        data = {entry: base64.b64encode(pem).decode() for entry, pem in keys(*signers).items()}
        there = self.cluster.read(secret(self.namespace, name, {}))["data"]
        self.cluster.patch(secret(self.namespace, name, {}), {"data": dict.fromkeys(there) | data})

    def declare(self, name: str = "app", **spec: Any) -> dict[str, Any]:
        usual: dict[str, Any] = {"ref": {"tag": "1.0.0"}, "verify": verified_by("keys")}
        created: dict[str, Any] = self.cluster.create(oci_repository(self.namespace, name, self.url, **usual | spec))
        return created

    def ready(self, app: dict[str, Any], within: float = 20) -> dict[str, Any]:
        seen: dict[str, Any] = self.cluster.wait(app, is_ready, within)
        assert seen["status"]["artifact"]["revision"] == self.image.revision
        assert files_in(fetch(seen["status"]["artifact"]["url"])) == files_in(self.image.layer)
        return seen

    def refused(self, app: dict[str, Any], within: float = WITHIN) -> dict[str, Any]:
        seen: dict[str, Any] = self.cluster.wait(app, has_failed, within)
        assert outcomes(seen)["SourceVerified"] == ("False", "VerificationError")
        assert outcomes(seen)["Ready"] == ("False", "VerificationError")
        return seen

    def signature_requests(self) -> int:
        asked = list(self.registry.content.asked)
        return sum("/referrers/" in each.path or each.path.endswith(".sig") for each in asked)


@pytest.fixture
def team(
    control_plane: ControlPlane, new_operator: Callable[..., Operator], namespace: str, registry: EmbeddedRegistry
) -> Iterator[Callable[..., Team]]:
    """Starts an operator with these flags; the operator must end well."""
    started: list[Operator] = []

    def begin(*flags: str, where: str = namespace) -> Team:
        repository = Repository(registry.address, "team/app")
        image = repository.publish("1.0.0", {"app.yaml": os.urandom(200).hex().encode()})
        repository.sign(image, ALICE, bundle=True)
        operator = new_operator(*flags)
        operator.start()
        started.append(operator)
        return Team(control_plane.cluster, operator, where, image, repository.url, registry)

    yield begin
    for operator in started:
        operator.stop()


def status_of(url: str) -> int:
    try:
        fetch(url)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    return 200


def test_a_key_that_is_taken_away_ends_the_verdict_within_seconds(team: Callable[..., Team]) -> None:
    """The revision is the same, nobody asks, and the artifact stays served, as in the original (B18)."""
    house = team(*PATIENT)
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)

    house.change(MALLORY)
    after = house.refused(app)

    assert after["status"]["artifact"] == before["status"]["artifact"]
    assert "signed by another key" in condition(after, "SourceVerified")["message"]
    assert status_of(after["status"]["artifact"]["url"]) == 200

    house.change(MALLORY, ALICE)
    again = house.ready(app, WITHIN)
    assert again["status"]["artifact"] == before["status"]["artifact"]
    assert "signed by key 'key-1.pub'" in condition(again, "SourceVerified")["message"]


def test_a_secret_that_is_deleted_ends_the_verdict_and_one_that_comes_back_restores_it(
    team: Callable[..., Team],
) -> None:
    house = team(*PATIENT)
    house.hold(ALICE)
    app = house.declare()
    house.ready(app)

    house.cluster.delete(secret(house.namespace, "keys", {}))
    after = house.refused(app)
    assert condition(after, "SourceVerified")["message"].endswith('secrets "keys" not found')

    house.hold(ALICE)
    house.ready(app, WITHIN)


def test_a_secret_that_appears_later_ends_the_wait_of_its_objects(team: Callable[..., Team]) -> None:
    """Without it they would wait for ten minutes."""
    house = team(*PATIENT)
    apps = [house.declare(f"app-{number}") for number in range(3)]
    for app in apps:
        house.refused(app, 20)

    house.hold(ALICE)
    for app in apps:
        house.ready(app, WITHIN)


def test_a_pull_secret_that_is_mended_ends_the_wait(
    control_plane: ControlPlane, new_operator: Callable[..., Operator], namespace: str
) -> None:
    server = RegistryServer(auth="basic", users={"alice": "right"})
    with EmbeddedRegistry(server) as registry:
        server.push("team/app", "1.0.0", b"")
        app = oci_repository(namespace, "app", f"oci://{registry.address}/team/app", secretRef={"name": "pull"})
        control_plane.cluster.create(pull_secret(namespace, registry.address, "wrong"))
        control_plane.cluster.create(app)
        operator = new_operator(*PATIENT)
        operator.start()
        failed = control_plane.cluster.wait(app, has_failed)
        asked = len(server.asked)
        assert outcomes(failed)["FetchFailed"] == ("True", "OCIArtifactPullFailed")

        control_plane.cluster.apply(pull_secret(namespace, registry.address, "right"))

        await_true(lambda: len(server.asked) > asked, WITHIN, "a pass with the other password")
        operator.stop()


def pull_secret(namespace: str, address: str, password: str) -> dict[str, Any]:
    auth = base64.b64encode(f"alice:{password}".encode()).decode()
    config = f'{{"auths": {{"{address}": {{"auth": "{auth}"}}}}}}'.encode()
    return secret(namespace, "pull", {".dockerconfigjson": config}, "kubernetes.io/dockerconfigjson")


def test_secrets_that_nobody_names_cause_no_pass(control_plane: ControlPlane, team: Callable[..., Team]) -> None:
    """Nor do namesakes in other namespaces, nor what is in the cluster when the operator starts."""
    house = team(*PATIENT)
    house.hold(ALICE)
    app = house.declare()
    house.ready(app)
    house.hold(ALICE, name="unrelated")
    house.cluster.patch(secret(house.namespace, "unrelated", {}), {"metadata": {"labels": {"a": "b"}}})
    house.cluster.delete(secret(house.namespace, "unrelated", {}))
    elsewhere = secret("default", "keys", keys(MALLORY))
    house.cluster.apply(elsewhere)
    house.cluster.delete(elsewhere)
    # What is told comes in order: once this one is seen, those before were seen.
    last = house.declare("last", verify=verified_by("later"))
    house.refused(last, 20)
    house.hold(ALICE, name="later")
    house.ready(last, WITHIN)

    assert house.operator.passes(house.namespace)["app"] == 1


def test_a_change_that_is_no_other_trust_asks_for_no_signature(team: Callable[..., Team]) -> None:
    house = team(*PATIENT)
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)
    asked = house.signature_requests()

    house.cluster.patch(secret(house.namespace, "keys", {}), {"metadata": {"labels": {"a": "b"}}})
    await_true(lambda: house.operator.passes(house.namespace)["app"] == 2, WITHIN, "another pass")

    assert house.signature_requests() == asked
    assert house.cluster.read(app) == before


def test_with_withdraw_the_artifact_leaves_status_storage_and_server(team: Callable[..., Team]) -> None:
    """J15: and comes back with the key."""
    house = team(*PATIENT, "--on-verification-failure=withdraw")
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)
    artifact = before["status"]["artifact"]
    folder = (house.operator.storage / artifact["path"]).parent

    house.change(MALLORY)
    after = house.refused(app)

    assert "artifact" not in after["status"]
    assert "url" not in after["status"]
    assert outcomes(after).keys() == {"Ready", "SourceVerified", "Reconciling"}
    assert not folder.exists()
    assert status_of(artifact["url"]) == 404
    assert status_of(before["status"]["url"]) == 404

    house.change(ALICE)
    again = house.ready(app, WITHIN)
    assert again["status"]["artifact"]["digest"] == artifact["digest"]
    told: dict[str, Any] = {}
    await_true(lambda: told.update(events(house.cluster, app)) or "ArtifactWithdrawn" in told, 10, "the event")
    (withdrawn,) = told["ArtifactWithdrawn"]
    assert (withdrawn["type"], withdrawn["count"]) == ("Warning", 1)
    assert withdrawn["message"] == (
        f"artifact with revision '{artifact['revision']}' withdrawn, since verification failed"
    )


def test_with_withdraw_a_registry_in_trouble_takes_nothing_away(team: Callable[..., Team]) -> None:
    """J15: the key is another one, and nobody can say now whether it signed."""
    house = team("--on-verification-failure=withdraw")
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)
    house.registry.content.fault = when("/referrers/", answer(503))

    house.change(MALLORY)
    after = house.refused(app, 15)  # it is asked three times
    assert "503" in condition(after, "SourceVerified")["message"]
    assert after["status"]["artifact"] == before["status"]["artifact"]
    assert status_of(after["status"]["artifact"]["url"]) == 200

    house.registry.content.fault = None
    gone = house.cluster.wait(app, lambda obj: "artifact" not in obj["status"])
    assert outcomes(gone)["SourceVerified"] == ("False", "VerificationError")


@contextmanager
def narrowed(cluster: Cluster, verbs: list[str]) -> Iterator[None]:
    """While the context lasts, the operator's account may do only this with Secrets."""
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "oci-source-operator"},
    }
    rules = cluster.read(role)["rules"]
    cluster.patch(
        role, {"rules": [each | {"verbs": verbs} if each["resources"] == ["secrets"] else each for each in rules]}
    )
    try:
        yield
    finally:
        cluster.patch(role, {"rules": rules})


@pytest.mark.parametrize("verbs", [["get"], ["get", "list"]], ids=["no list", "no watch"])
def test_without_a_watch_changes_are_seen_at_the_next_interval(
    control_plane: ControlPlane, team: Callable[..., Team], verbs: list[str]
) -> None:
    """One line of the log names the rule."""
    with narrowed(control_plane.cluster, verbs):
        await_true(lambda: not may_watch(control_plane), 10, "the narrower role being in force")
        house = team()
        house.hold(ALICE)
        app = house.declare(interval="2s")
        house.ready(app)

        house.change(MALLORY)
        house.refused(app, 10)

        told = [line for line in house.operator.lines() if "Secrets cannot be watched" in line["msg"]]
        assert len(told) == 1
        assert "seen at the next interval only" in told[0]["msg"]
        assert "resources: ['secrets'], verbs: ['list', 'watch']" in told[0]["msg"]


def may_watch(plane: ControlPlane) -> bool:
    cluster = plane.service_account_cluster("flux-system", "source-controller")
    attributes = {"resource": "secrets", "verb": "watch"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "metadata": {},
        "spec": {"resourceAttributes": attributes},
    }
    return bool(cluster.create(review)["status"]["allowed"])


def test_one_namespace_is_followed_where_only_one_is_watched(team: Callable[..., Team]) -> None:
    house = team(*PATIENT, "--watch-all-namespaces=false", where="flux-system")
    try:
        house.hold(ALICE)
        app = house.declare()
        house.ready(app)
        house.change(MALLORY)
        house.refused(app)
    finally:
        house.cluster.delete(secret("flux-system", "keys", {}))


def test_verify_interval_judges_again_though_nothing_has_changed(team: Callable[..., Team]) -> None:
    """J15: a signature that was deleted from the registry does not count for ever."""
    house = team("--verify-interval=1s")
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)
    asked = house.signature_requests()
    await_true(lambda: house.signature_requests() > asked + 1, 10, "another look at the signatures")
    assert house.cluster.read(app) == before

    content = house.registry.content.repositories["team/app"]
    for attached in list(house.registry.content.referrers("team/app", house.image.digest)):
        del content.manifests[attached["digest"]]
    house.refused(app, 10)


def test_a_restart_keeps_verdicts_and_a_key_taken_away_meanwhile_ends_them(team: Callable[..., Team]) -> None:
    """The verdict remembers its trust, so no signature is asked for, and no change goes unseen."""
    house = team(*PATIENT)
    house.hold(ALICE)
    app = house.declare()
    before = house.ready(app)
    house.operator.stop()
    asked = house.signature_requests()

    house.operator.start()
    await_true(lambda: house.operator.passes(house.namespace).get("app"), 10, "a pass")
    assert house.signature_requests() == asked
    assert house.cluster.read(app) == before

    house.operator.stop()
    house.change(MALLORY)
    house.operator.start()
    house.refused(app)


def test_a_change_during_a_pass_is_not_lost(team: Callable[..., Team]) -> None:
    """The pass has read the old keys already; the change asks for another one."""
    house = team(*PATIENT)
    house.hold(MALLORY)
    house.registry.content.fault = when("/referrers/", delay(2.0))
    app = house.declare()
    await_true(house.signature_requests, 10, "the pass asking for signatures")

    house.change(ALICE)

    house.ready(app, 10)
