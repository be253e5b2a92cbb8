"""What people read when something is wrong (flux-compat section C), and what is kept meanwhile."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from fakes.world import APP, World


@pytest.mark.parametrize(
    ("spec", "reason", "message", "stalls"),
    [
        pytest.param(
            {"ref": {"tag": "nope"}},
            "OCIArtifactPullFailed",
            "failed to determine artifact digest: GET http",
            False,
            id="C11",
        ),
        pytest.param(
            {"ref": {"semver": ">9"}},
            "ReadOperationFailed",
            "failed to determine the artifact tag for '{url}': no match found for semver: >9",
            False,
            id="C10",
        ),
        pytest.param(
            {"ref": {"semver": "not a range"}},
            "ReadOperationFailed",
            "failed to determine the artifact tag for '{url}': semver 'not a range' parse error: improper constraint: "
            '"not a range"',
            True,
            id="J11 range",
        ),
        pytest.param(
            {"ref": {"semver": "*", "semverFilter": "("}},
            "ReadOperationFailed",
            "failed to determine the artifact tag for '{url}': error parsing regexp: ",
            True,
            id="J11 pattern",
        ),
        pytest.param(
            {"ref": {"digest": "sha512:abc"}},
            "OCIArtifactPullFailed",
            'failed to determine artifact digest: unsupported hash: "sha512"',
            True,
            id="J11 digest",
        ),
        pytest.param(
            {"url": "oci://registry.example.com/app:1.0"},
            "URLInvalid",
            "URL validation failed for 'oci://registry.example.com/app:1.0': repository can only contain ",
            True,
            id="C9",
        ),
        pytest.param(
            {"secretRef": {"name": "nope"}},
            "AuthenticationFailed",
            "failed to get credential: failed to get secret 'team/nope': secrets \"nope\" not found",
            False,
            id="C4",
        ),
        pytest.param(
            {"layerSelector": {"mediaType": "x"}},
            "OCIArtifactLayerOperationFailed",
            "failed to find layer with media type 'x' in artifact",
            False,
            id="C14",
        ),
    ],
)
async def test_a_failure_says_what_is_wrong_and_whether_waiting_helps(
    world: World, spec: dict[str, Any], reason: str, message: str, stalls: bool
) -> None:
    world.push("1.0.0")
    world.declare(**spec)

    result = await world.passes()

    told = world.conditions()
    assert told["Ready"] == ("False", reason)
    assert told["FetchFailed"] == ("True", reason)
    assert world.message().startswith(message.format(url=world.url))
    assert ("Stalled" in told, "Reconciling" in told, result.failed) == (stalls, not stalls, not stalls)
    assert world.recorder.told("app")[-1] == ("Warning", reason)
    assert world.tarballs() == []


async def test_a_bad_layer_is_refused_and_nothing_of_it_is_kept(world: World) -> None:
    """C15."""
    world.content.push(APP, "1.0.0", b"plain text, no gzip")
    world.declare()

    await world.passes()

    assert world.conditions()["Ready"] == ("False", "OCIArtifactLayerOperationFailed")
    assert world.message() == (
        "failed to extract layer contents from artifact: requires gzip-compressed body: gzip: invalid header"
    )
    assert world.on_disk() == b""


async def test_an_artifact_without_layers_is_refused(world: World) -> None:
    """C14."""
    config = world.content.descriptor(APP, b"{}", "application/vnd.oci.empty.v1+json")
    media_type = "application/vnd.oci.image.manifest.v1+json"
    world.content.manifest(APP, "1.0.0", {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": []})
    world.declare()

    await world.passes()

    assert world.message() == "no layers found in artifact"
    assert world.conditions()["FetchFailed"] == ("True", "OCIArtifactLayerOperationFailed")


async def test_a_failure_keeps_the_last_artifact_and_recovers(world: World) -> None:
    world.push("1.0.0")
    world.declare(ref={"tag": "1.0.0"})
    await world.passes()
    artifact = world.status()["artifact"]

    world.cluster.edit("app", ref={"tag": "gone"})
    failed = await world.passes()
    assert failed.failed
    assert world.status()["artifact"] == artifact
    assert world.message("Reconciling") == "processing object: new generation 1 -> 2"
    assert world.status()["observedGeneration"] == 1

    world.cluster.edit("app", ref={"tag": "1.0.0"})
    await world.passes()
    assert world.conditions() == {"Ready": ("True", "Succeeded"), "ArtifactInStorage": ("True", "Succeeded")}
    assert world.recorder.told("app")[-1] == ("Normal", "Succeeded")


async def test_the_same_failure_again_writes_nothing(world: World) -> None:
    world.declare(ref={"tag": "nope"})
    await world.passes()
    writes = list(world.cluster.writes)

    await world.passes()

    assert world.cluster.writes == writes


async def test_an_unreadable_pull_secret_is_an_error_and_not_anonymous(world: World) -> None:
    world.push("1.0.0")
    world.secrets.put("pull", {".dockerconfigjson": b"{not json"}, "kubernetes.io/dockerconfigjson")
    world.declare(secretRef={"name": "pull"})

    await world.passes()

    assert world.conditions()["FetchFailed"] == ("True", "AuthenticationFailed")


async def test_a_pull_secret_for_another_registry_means_anonymous(world: World) -> None:
    """J5."""
    world.push("1.0.0")
    auths = {"auths": {"elsewhere.example.com": {"auth": base64.b64encode(b"u:p").decode()}}}
    world.secrets.put("pull", {".dockerconfigjson": json.dumps(auths).encode()}, "kubernetes.io/dockerconfigjson")
    world.declare(secretRef={"name": "pull"})

    await world.passes()

    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_an_object_without_spec_stalls_with_a_word_on_what_is_missing(world: World) -> None:
    """A4: the schema lets it pass."""
    world.declare()
    obj = world.cluster.objects["team", "app"]
    del obj["spec"]
    world.cluster.annotate("app", touched="yes")
    world.controller._objects["team", "app"] = world.cluster.get("team", "app")

    result = await world.passes()

    assert not result.failed
    assert world.conditions()["Stalled"] == ("True", "URLInvalid")
    assert "spec: is required" in world.message()
    assert world.cluster.get("team", "app")["metadata"]["finalizers"] == ["finalizers.fluxcd.io"]


async def test_a_registry_that_never_answers_fails_within_the_timeout_and_shows_progress(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """J6."""
    monkeypatch.setattr("ocisource.controller.PROGRESS_AFTER", 0.01)
    world.hang()
    world.declare(timeout="300ms", ref={"tag": "1"})
    seen: list[Any] = []
    world.cluster.watch(lambda _event, obj: seen.append(obj["status"].get("conditions")))

    result = await world.passes()

    assert result.failed
    assert world.message() == "failed to determine artifact digest: no answer within spec.timeout (300ms)"
    in_progress = [{one["type"]: one["reason"] for one in conditions} for conditions in seen if conditions]
    assert in_progress[0] == {"Reconciling": "Progressing", "Ready": "Progressing"}


def errors(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """The error lines of the controller: headline and text."""
    lines = [
        record for record in caplog.records if record.name == "ocisource.controller" and record.levelname == "ERROR"
    ]
    return [(record.getMessage(), record.__dict__["fields"]["error"]) for record in lines]


async def test_the_log_of_a_failed_pass_says_what_controllers_in_go_say(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """G11: what alerts and `flux logs` look for."""
    world.push("1.0.0")
    world.declare(ref={"tag": "nope"})
    await world.passes()
    world.declare(ref={"digest": "sha512:abc"})
    await world.passes()
    (headline, text), stalled = errors(caplog)
    assert headline == "Reconciler error"
    assert text.startswith("failed to determine artifact digest: GET http")
    assert stalled == ("reconciliation stalled", 'failed to determine artifact digest: unsupported hash: "sha512"')


async def test_an_api_server_that_refuses_a_write_costs_a_retry_and_one_line(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.push("1.0.0")
    world.declare()
    world.cluster.refuses = "ocirepositories/status is forbidden"

    result = await world.passes()

    assert result.failed
    assert [text.partition(": ")[0] for _, text in errors(caplog)] == [
        "the API server did not take the outcome of the pass"
    ]
    assert all(record.exc_info is None for record in caplog.records)
    world.cluster.refuses = ""
    await world.passes()
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_retry_of_what_is_known_to_fail_does_not_hide_the_failure(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready stays False while the pass is made again, however long it takes."""
    monkeypatch.setattr("ocisource.controller.PROGRESS_AFTER", 0.01)
    world.hang()
    world.declare(timeout="100ms", ref={"tag": "1"})
    await world.passes()
    writes = list(world.cluster.writes)

    await world.passes()

    assert world.cluster.writes == writes


async def test_a_manifest_that_cannot_be_read_is_the_layers_failure(world: World) -> None:
    """C14."""
    world.content.manifest(APP, "1.0.0", b'{"schemaVersion": 2, "layers": {}}')
    world.declare()

    await world.passes()

    assert world.conditions()["FetchFailed"] == ("True", "OCIArtifactLayerOperationFailed")
    assert world.message().startswith("failed to parse artifact manifest: ")


async def test_retention_that_fails_costs_nobody_the_new_version(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """C3."""
    world.push("1.0.0")
    world.declare()
    await world.passes()
    digest = world.push("1.1.0")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("ocisource.storage.retention.garbage", refuse)
    await world.passes()

    assert world.revision() == f"1.1.0@{digest}"
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_a_deletion_that_the_disk_refuses_is_told_once_and_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C3."""
    world.push("1.0.0")
    world.declare()
    await world.passes()

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr("shutil.rmtree", refuse)
        world.cluster.delete("app")
        result = await world.passes()
    _, event = world.recorder.events[-1]
    assert result.failed
    assert (event.type, event.reason) == ("Warning", "GarbageCollectionFailed")
    assert event.message.startswith("garbage collection for deleted resource failed: ")
    assert event.message.count("garbage collection") == 1

    await world.passes()
    assert ("team", "app") not in world.cluster.objects


async def test_a_spec_that_cannot_be_read_keeps_the_artifact_served(world: World) -> None:
    world.push("1.0.0")
    world.declare()
    await world.passes()
    artifact = world.status()["artifact"]

    world.cluster.edit("app", interval="99999999999999h")
    result = await world.passes()

    assert result.stalled
    assert "spec.interval" in world.message()
    assert world.status()["artifact"] == artifact


async def test_a_spec_that_cannot_be_read_may_be_suspended(world: World) -> None:
    world.declare(interval="99999999999999h", suspend=True)

    await world.passes()

    assert "conditions" not in world.status()
