"""Who an object is to its registry: pull Secrets of its own and of its ServiceAccount, or an identity of a cloud
(flux-compat C4, C6, C7, E2, E6, J4, J5). Over HTTP, since only there somebody asks for a password."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from devkit.ocihttp import RegistryServer
from fakes.world import World, http_world
from ocisource.domain.access import Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.keychain import DOCKER_CONFIG_JSON
from ocisource.domain.proxies import Proxy

FAILED = ("True", "AuthenticationFailed")
REFUSED = ("True", "OCIArtifactPullFailed")
READY = ("True", "Succeeded")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A registry that lets `user` in, by the password `right`."""
    async with http_world(tmp_path) as made:
        assert isinstance(made.content, RegistryServer)
        made.content.auth, made.content.users = "basic", {"user": "right"}
        made.push("1.0.0")
        yield made


def host(world: World) -> str:
    return world.url.removeprefix("oci://").partition("/")[0]


def put_pull_secret(world: World, name: str, password: str = "right", registry: str = "") -> None:
    auth = base64.b64encode(f"user:{password}".encode()).decode()
    document = json.dumps({"auths": {registry or host(world): {"auth": auth}}}).encode()
    world.secrets.put(name, {".dockerconfigjson": document}, DOCKER_CONFIG_JSON)


def declare(world: World, **spec: object) -> None:
    world.declare(**{"ref": {"tag": "1.0.0"}, "serviceAccountName": "puller", **spec})


async def test_the_pull_secrets_of_the_service_account_are_shown(world: World) -> None:
    put_pull_secret(world, "pull")
    world.accounts.put("puller", "pull")
    declare(world)
    await world.passes()

    assert world.conditions()["Ready"] == READY


async def test_each_of_its_pull_secrets_is_looked_at(world: World) -> None:
    put_pull_secret(world, "elsewhere", "wrong", registry="registry.example.com")
    put_pull_secret(world, "here")
    world.accounts.put("puller", "elsewhere", "here")
    declare(world)
    await world.passes()

    assert world.conditions()["Ready"] == READY


@pytest.mark.parametrize(("own", "accounts", "ready"), [("right", "wrong", True), ("wrong", "right", False)])
async def test_the_objects_own_secret_comes_first(world: World, own: str, accounts: str, ready: bool) -> None:
    """E2, E4: within one key the first Secret wins."""
    put_pull_secret(world, "own", own)
    put_pull_secret(world, "accounts", accounts)
    world.accounts.put("puller", "accounts")
    declare(world, secretRef={"name": "own"})
    await world.passes()

    assert (world.conditions()["Ready"] == READY) is ready


async def test_they_combine(world: World) -> None:
    """E2: what the object's own Secret does not know, the ServiceAccount's may."""
    put_pull_secret(world, "own", "wrong", registry="registry.example.com")
    put_pull_secret(world, "accounts")
    world.accounts.put("puller", "accounts")
    declare(world, secretRef={"name": "own"})
    await world.passes()

    assert world.conditions()["Ready"] == READY


async def test_without_a_service_account_nothing_is_fetched(world: World) -> None:
    """C4"""
    declare(world)
    await world.passes()

    assert world.conditions()["FetchFailed"] == FAILED
    assert world.message() == "failed to get credential: serviceaccount 'team/puller' not found"
    assert world.recorder.told("app") == [("Warning", "AuthenticationFailed")]


async def test_a_public_registry_does_not_spare_it_either(world: World) -> None:
    """C4: who is named must exist."""
    assert isinstance(world.content, RegistryServer)
    world.content.auth = "none"
    declare(world)
    await world.passes()

    assert world.conditions()["FetchFailed"] == FAILED


async def test_a_pull_secret_that_is_missing_is_named_with_its_account(world: World) -> None:
    """C4"""
    world.accounts.put("puller", "nope")
    declare(world)
    await world.passes()

    assert world.conditions()["FetchFailed"] == FAILED
    assert world.message() == (
        "failed to get credential: failed to get image pull secret for serviceaccount 'team/puller': "
        "secret 'team/nope' not found"
    )
    assert world.recorder.told("app") == [("Warning", "AuthenticationFailed")]


async def test_a_pull_secret_that_cannot_be_read_is_named_with_its_account(world: World) -> None:
    world.secrets.put("broken", {".dockerconfigjson": b"{"}, DOCKER_CONFIG_JSON)
    world.accounts.put("puller", "broken")
    declare(world)
    await world.passes()

    assert world.message().startswith(
        "failed to get credential: failed to get image pull secret for serviceaccount 'team/puller': "
        "failed to get secret 'team/broken': key '.dockerconfigjson' does not hold valid JSON"
    )


async def test_a_service_account_that_comes_later_brings_the_object_back(world: World) -> None:
    """J4: also one whose retry is far away."""
    async with world.at_work():
        declare(world)
        await world.until(lambda: "FetchFailed" in world.conditions())
        put_pull_secret(world, "pull")
        world.accounts.put("puller", "pull")
        await world.until(lambda: world.conditions()["Ready"] == READY)


async def test_a_secret_that_only_the_service_account_names_reaches_the_object(world: World) -> None:
    """J4"""
    put_pull_secret(world, "pull", "wrong")
    world.accounts.put("puller", "pull")
    async with world.at_work():
        declare(world)
        await world.until(lambda: world.conditions().get("FetchFailed") == REFUSED)
        put_pull_secret(world, "pull")
        await world.until(lambda: world.conditions()["Ready"] == READY)


async def test_a_missing_secret_that_only_the_service_account_names_reaches_the_object(world: World) -> None:
    world.accounts.put("puller", "pull")
    async with world.at_work():
        declare(world)
        await world.until(lambda: world.conditions().get("FetchFailed") == FAILED)
        put_pull_secret(world, "pull")
        await world.until(lambda: world.conditions()["Ready"] == READY)


async def test_a_service_account_without_pull_secrets_is_anonymous(world: World) -> None:
    world.accounts.put("puller")
    declare(world)
    await world.passes()

    assert world.conditions()["FetchFailed"] == REFUSED
    assert world.clouds.asked == []


async def test_the_generic_provider_never_asks_a_cloud(world: World) -> None:
    """J5"""
    world.start(own_identities=True, default_account="tenant")
    world.accounts.put("tenant")
    world.clouds.gives = Credentials("user", "right")
    world.declare(ref={"tag": "1.0.0"}, provider="generic")
    await world.passes()

    assert world.conditions()["FetchFailed"] == REFUSED
    assert world.clouds.asked == []


async def test_a_cloud_is_asked_as_the_operator(world: World) -> None:
    """E6"""
    world.clouds.gives = Credentials("user", "right")
    world.declare(ref={"tag": "1.0.0"}, provider="aws")
    await world.passes()

    assert world.conditions()["Ready"] == READY
    assert world.clouds.asked == [CloudAccess("aws", host(world))]


@pytest.mark.parametrize("content", ["entry", "no entry", "no pull secret"])
async def test_no_cloud_is_asked_where_there_is_a_pull_secret(world: World, content: str) -> None:
    """E6: what it holds does not matter."""
    if content == "no pull secret":
        world.secrets.put("pull", {"x": b"y"})
    else:
        put_pull_secret(world, "pull", registry="" if content == "entry" else "registry.example.com")
    world.clouds.gives = Credentials("user", "right")
    world.accounts.put("puller", "pull")
    declare(world, provider="gcp")
    await world.passes()

    assert world.clouds.asked == []
    assert (world.conditions()["Ready"] == READY) is (content == "entry")


async def test_a_service_account_asks_a_cloud_only_behind_the_feature_gate(world: World) -> None:
    """C6: it stalls, without FetchFailed."""
    world.accounts.put("puller")
    declare(world, provider="aws")
    result = await world.passes()

    assert result.stalled
    assert world.conditions() == {
        "Stalled": ("True", "FeatureGateDisabled"),
        "Ready": ("False", "FeatureGateDisabled"),
    }
    assert world.message() == (
        "to use spec.serviceAccountName for provider authentication please enable the ObjectLevelWorkloadIdentity "
        "feature gate in the controller"
    )
    assert world.recorder.told("app") == [("Warning", "FeatureGateDisabled")]
    assert world.clouds.asked == []


async def test_a_stall_behind_the_gate_ends_when_the_service_account_gets_a_pull_secret(world: World) -> None:
    async with world.at_work():
        world.accounts.put("puller")
        declare(world, provider="aws")
        await world.until(lambda: "Stalled" in world.conditions())
        put_pull_secret(world, "pull")
        world.accounts.put("puller", "pull")
        await world.until(lambda: world.conditions()["Ready"] == READY)

    assert "Stalled" not in world.conditions()


async def test_with_the_gate_a_cloud_is_asked_as_the_service_account(world: World) -> None:
    world.start(own_identities=True)
    world.accounts.put("puller", **{"eks.amazonaws.com/role-arn": "arn"})
    world.clouds.gives = Credentials("user", "right")
    declare(world, provider="aws")
    await world.passes()

    assert world.conditions()["Ready"] == READY
    account = ServiceAccount("team", "puller", (), {"eks.amazonaws.com/role-arn": "arn"})
    assert world.clouds.asked == [CloudAccess("aws", host(world), account)]


async def test_the_default_service_account_asks_for_objects_that_name_none(world: World) -> None:
    """G8. Its pull Secrets are not used: it stands in for the operator's identity only."""
    put_pull_secret(world, "pull")
    world.accounts.put("tenant", "pull")
    world.start(own_identities=True, default_account="tenant")
    world.clouds.gives = Credentials("user", "right")
    world.declare(ref={"tag": "1.0.0"}, provider="azure")
    await world.passes()

    assert [asked.account and asked.account.name for asked in world.clouds.asked] == ["tenant"]


async def test_a_default_service_account_that_is_missing_is_never_the_operator(world: World) -> None:
    """The original's lockdown, in its words."""
    world.start(own_identities=True, default_account="tenant")
    async with world.at_work():
        world.declare(ref={"tag": "1.0.0"}, provider="azure")
        await world.until(lambda: "FetchFailed" in world.conditions())

        assert world.message() == (
            "failed to get credential from azure: failed to get service account 'team/tenant': the specified default "
            "service account does not exist in the object namespace. your cluster is subject to multi-tenant workload "
            "identity lockdown, reach out to your cluster administrator for help"
        )
        assert world.clouds.asked == []

        world.clouds.gives = Credentials("user", "right")
        world.accounts.put("tenant")
        await world.until(lambda: world.conditions()["Ready"] == READY)


async def test_what_the_cloud_says_no_with_is_told(world: World) -> None:
    """C7"""
    world.clouds.refuses = "the role may not be assumed"
    world.declare(ref={"tag": "1.0.0"}, provider="aws")
    await world.passes()

    assert world.conditions()["FetchFailed"] == FAILED
    assert world.message() == "failed to get credential from aws: the role may not be assumed"


async def test_the_objects_proxy_is_on_the_way_to_the_cloud_too(world: World) -> None:
    """E9"""
    world.secrets.put("proxy", {"address": b"http://127.0.0.1:1", "username": b"user", "password": b"right"})
    world.declare(ref={"tag": "1.0.0"}, provider="aws", proxySecretRef={"name": "proxy"})
    await world.passes()

    proxy = Proxy("http", "127.0.0.1", 1, "user", "right")
    assert world.clouds.asked == [CloudAccess("aws", host(world), None, proxy)]


async def test_no_cloud_is_asked_for_a_url_that_names_nothing(world: World) -> None:
    """C9 stalls, whatever a cloud would say."""
    world.declare(url="oci://registry.example.com/Team/App", provider="aws")
    result = await world.passes()

    assert result.stalled
    assert world.clouds.asked == []
