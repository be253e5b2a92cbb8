"""Which layer becomes the artifact, and how (flux-compat B8, C14 to C16, D7, F1, F8, I7, J3, J7)."""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar

import pytest

from devkit.ocicontent import MANIFEST
from fakes.world import APP, World, layer
from ocisource.storage.limits import Limits
from ocisource.storage.store import FileStore

CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
CHART_CONFIG = "application/vnd.cncf.helm.config.v1+json"
SECOND = "text/vnd.example"


def stored(world: World, name: str = "app") -> bytes:
    """The file that the status names."""
    return (world.root / world.status(name)["artifact"]["path"]).read_bytes()


def push(world: World, tag: str, first: bytes, *others: tuple[str, bytes]) -> str:
    """An artifact of several layers: the first of Flux's type, then those of (media type, content)."""
    extra = [world.content.descriptor(APP, content, media_type) for media_type, content in others]
    return world.content.push(APP, tag, first, extra_layers=extra)


def push_chart(world: World, tag: str, chart: bytes) -> str:
    """A chart with its provenance, as `helm push` makes it of `name-version.tgz` and `name-version.tgz.prov`."""
    content = world.content
    return content.manifest(
        APP,
        tag,
        {
            "schemaVersion": 2,
            "config": content.descriptor(APP, b'{"name":"app","version":"1.0.0"}', CHART_CONFIG),
            "layers": [
                content.descriptor(APP, b"-----BEGIN PGP SIGNED MESSAGE-----", PROVENANCE),
                content.descriptor(APP, chart, CHART),
            ],
            "annotations": {"org.opencontainers.image.title": "app", "org.opencontainers.image.version": "1.0.0"},
        },
        MANIFEST,
    )


async def test_the_layer_of_the_media_type_becomes_the_artifact(world: World) -> None:
    """F1, and the case `layer_select` of the recorded behaviour."""
    digest = push(world, "1.0.0", layer({"first": b"1"}), (CHART, layer({"second": b"2"})))
    world.declare(layerSelector={"mediaType": CHART})

    await world.passes()

    assert world.served() == {"second": b"2"}
    assert world.revision() == f"1.0.0@{digest}"
    assert world.status()["observedLayerSelector"] == {"mediaType": CHART}
    assert world.recorder.told("app") == [("Normal", "NewArtifact")]


async def test_of_several_layers_of_the_media_type_the_first_is_taken(world: World) -> None:
    push(world, "1.0.0", layer({"a": b""}), (SECOND, layer({"b": b""})), (SECOND, layer({"c": b""})))
    world.declare(layerSelector={"mediaType": SECOND})

    await world.passes()

    assert set(world.served()) == {"b"}


@pytest.mark.parametrize("asked", ["text/vnd", "text/vnd.example; v=1", "TEXT/VND.EXAMPLE", "text/*"])
async def test_a_media_type_that_is_not_exactly_that_of_a_layer_finds_none(world: World, asked: str) -> None:
    """C14."""
    push(world, "1.0.0", layer({"a": b""}), (SECOND, layer({"b": b""})))
    world.declare(layerSelector={"mediaType": asked})

    await world.passes()

    assert world.conditions()["FetchFailed"] == ("True", "OCIArtifactLayerOperationFailed")
    assert world.message() == f"failed to find layer with media type '{asked}' in artifact"
    assert world.tarballs() == []


async def test_a_copied_layer_is_served_byte_for_byte(world: World) -> None:
    """F8, and the case `layer_copy` of the recorded behaviour. Ignore rules have no say in it."""
    content = layer({"app.yaml": b"kind: App\n", "logo.png": b"png"})
    digest = world.content.push(APP, "1.0.0", content, annotations={"org.opencontainers.image.revision": "main"})
    world.declare(layerSelector={"operation": "copy"}, ignore="*.yaml")

    await world.passes()

    artifact = world.status()["artifact"]
    assert stored(world) == content
    assert artifact["path"] == f"ocirepository/team/app/{digest}.tar.gz"
    assert artifact["digest"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert artifact["size"] == len(content)
    assert artifact["metadata"] == {"org.opencontainers.image.revision": "main"}
    assert world.status()["observedLayerSelector"] == {"operation": "copy"}
    assert world.conditions()["Ready"] == ("True", "Succeeded")


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08 and what is no gzip", bytes(700_000)])
async def test_a_layer_of_any_content_can_be_copied(world: World, content: bytes) -> None:
    world.content.push(APP, "1.0.0", content)
    world.declare(layerSelector={"operation": "copy"})

    await world.passes()

    assert stored(world) == content
    assert world.conditions()["Ready"] == ("True", "Succeeded")


async def test_another_selector_makes_the_artifact_of_the_same_revision_anew(world: World) -> None:
    """B8: at the same path, and nothing was outdated; an event tells of the other content."""
    first = layer({"a": b"1"})
    push(world, "1.0.0", first, (SECOND, layer({"b": b"2"})))
    world.declare()
    await world.passes()
    path = world.status()["artifact"]["path"]

    seen: list[Any] = []
    for selector in ({"mediaType": SECOND}, {"operation": "copy"}, {"operation": "extract"}, None):
        world.cluster.edit("app", layerSelector=selector)
        await world.passes()
        assert world.status()["artifact"]["path"] == path
        assert world.status().get("observedLayerSelector") == selector
        seen.append(stored(world) == first or set(world.served()))

    assert seen == [{"b"}, True, {"a"}, {"a"}]
    # What a selector only spells out is no other content.
    assert world.recorder.told("app") == [("Normal", "NewArtifact")] * 4
    assert "ArtifactOutdated" not in world.conditions()


async def test_a_settled_selector_fetches_nothing_again(world: World) -> None:
    """B9."""
    world.push("1.0.0")
    world.declare(layerSelector={"operation": "copy"})
    await world.passes()
    writes = list(world.cluster.writes)
    world.content.repositories[APP].blobs.clear()

    await world.passes()

    assert world.cluster.writes == writes


@pytest.mark.parametrize(
    ("selector", "shared"),
    [
        ({"operation": "extract"}, True),
        ({"operation": "copy"}, False),
        ({"mediaType": SECOND}, False),
        ({}, True),
    ],
)
async def test_objects_share_content_that_is_made_in_the_same_way_only(
    world: World, selector: dict[str, str], *, shared: bool
) -> None:
    """J13. With the blobs gone, what the second object gets is what the first one left."""
    push(world, "1.0.0", layer({"a": b"1"}), (SECOND, layer({"b": b"2"})))
    world.declare("one")
    world.declare("two", layerSelector=selector)
    await world.passes("one")
    for digest in world.content.repositories[APP].blobs:
        world.content.repositories[APP].blobs[digest] = b"gone"

    await world.passes("two")

    assert (world.conditions("two")["Ready"][0] == "True") == shared


async def test_objects_that_copy_share_whatever_their_ignore_rules_are(world: World) -> None:
    world.push("1.0.0")
    world.declare("one", layerSelector={"operation": "copy"})
    world.declare("two", layerSelector={"operation": "copy"}, ignore="*")
    await world.passes("one")
    world.content.repositories[APP].blobs.clear()

    await world.passes("two")

    assert stored(world, "two") == stored(world, "one")


@pytest.mark.parametrize("selector", [None, {"operation": "copy"}])
async def test_bytes_that_are_not_those_of_the_descriptor_are_never_served(
    world: World, selector: dict[str, str] | None
) -> None:
    """J3: the whole blob is hashed before any of it is published."""
    good, bad = layer({"app.yaml": b"good"}), layer({"app.yaml": b"evil"})
    world.content.push(APP, "1.0.0", good)
    blobs = world.content.repositories[APP].blobs
    blobs["sha256:" + hashlib.sha256(good).hexdigest()] = bad[: len(good)].ljust(len(good), b"\0")
    world.declare(layerSelector=selector)

    await world.passes()

    assert world.message().startswith("failed to extract the first layer from artifact: ")
    assert "error verifying sha256 checksum" in world.message()
    assert world.tarballs() == []


@pytest.mark.parametrize(
    ("selector", "prefix"),
    [
        ({"operation": "extract"}, "failed to extract layer contents from artifact: "),
        ({"operation": "copy"}, "failed to copy layer from artifact: "),
    ],
)
async def test_the_limit_of_a_layer_holds_for_both_operations(
    world: World, selector: dict[str, str], prefix: str
) -> None:
    """J7, C15, C16."""
    world.store.close()
    world.store = FileStore(world.root, limits=Limits(blob=1000))
    world.start()
    world.content.push(APP, "1.0.0", bytes(1001))
    world.declare(layerSelector=selector)

    await world.passes()

    assert world.conditions()["FetchFailed"] == ("True", "OCIArtifactLayerOperationFailed")
    assert (
        world.message()
        == f"{prefix}layer is 1001 bytes, more than the limit of 1000 bytes (raise it with --max-blob-size)"
    )
    assert world.tarballs() == []


async def test_a_copied_artifact_survives_a_restart_and_is_found_damaged_like_any(world: World) -> None:
    """C2, J10."""
    content = layer({"a": b"1"})
    world.content.push(APP, "1.0.0", content)
    world.declare(layerSelector={"operation": "copy"})
    await world.passes()
    (world.root / world.status()["artifact"]["path"]).write_bytes(b"something else")

    world.start()
    await world.passes()

    assert stored(world) == content
    assert ("Warning", "ArtifactVerificationFailed") in world.recorder.told("app")


class TestCharts:
    """What helm-controller and `flux create source oci` with a chart rely on (D7, I7)."""

    FILES: ClassVar = {"app/Chart.yaml": b"apiVersion: v2\nname: app\nversion: 1.0.0\n", "app/values.yaml": b"a: 1\n"}

    @pytest.mark.parametrize("operation", ["copy", "extract"])
    async def test_a_chart_with_provenance_becomes_the_artifact(self, world: World, operation: str) -> None:
        chart = layer(self.FILES)
        digest = push_chart(world, "1.0.0", chart)
        world.declare(layerSelector={"mediaType": CHART, "operation": operation})

        await world.passes()

        assert world.revision() == f"1.0.0@{digest}"
        assert world.served() == self.FILES
        assert (stored(world) == chart) == (operation == "copy")
        assert world.status()["artifact"]["metadata"]["org.opencontainers.image.version"] == "1.0.0"

    async def test_build_metadata_of_a_chart_is_read_from_the_spelling_that_tags_have(self, world: World) -> None:
        """D7: `1.1.0+build.5` is the tag `1.1.0_build.5`, and the revision keeps the tag's spelling."""
        push_chart(world, "1.0.0", layer(self.FILES))
        digest = push_chart(world, "1.1.0_build.5", layer(self.FILES))
        world.declare(ref={"semver": "1.x"}, layerSelector={"mediaType": CHART})

        await world.passes()

        assert world.revision() == f"1.1.0_build.5@{digest}"

    async def test_without_the_media_type_of_charts_such_a_tag_is_no_version(self, world: World) -> None:
        """D7, D8."""
        digest = world.push("1.0.0")
        world.push("1.1.0_build.5")
        world.declare(ref={"semver": "1.x"}, layerSelector={"operation": "copy"})

        await world.passes()

        assert world.revision() == f"1.0.0@{digest}"

    async def test_a_filter_sees_the_tag_and_not_the_version(self, world: World) -> None:
        """D7."""
        digest = push_chart(world, "1.0.0_eu.1", layer(self.FILES))
        push_chart(world, "1.1.0_us.1", layer(self.FILES))
        world.declare(ref={"semver": "*", "semverFilter": "_eu"}, layerSelector={"mediaType": CHART})

        await world.passes()

        assert world.revision() == f"1.0.0_eu.1@{digest}"


class TestSourceIgnore:
    """Files that say what stays out, beside `spec.ignore` (F3, C19)."""

    FILES: ClassVar = {
        "docs/a.md": b"a",
        "docs/.sourceignore": b"*.md\n",
        "b.md": b"b",
        "logo.png": b"png",
        ".sourceignore": b"/secret\n",
        "secret": b"s",
    }

    async def test_each_folder_says_what_stays_out_of_it(self, world: World) -> None:
        world.push("1.0.0", self.FILES)
        world.declare()

        await world.passes()

        assert set(world.served()) == {".sourceignore", "docs/.sourceignore", "b.md", "logo.png"}
        assert "observedIgnore" not in world.status()

    async def test_the_object_has_the_last_word(self, world: World) -> None:
        world.push("1.0.0", self.FILES)
        world.declare(ignore="*.png\n!secret\n")

        await world.passes()

        assert set(world.served()) == {".sourceignore", "docs/.sourceignore", "b.md", "secret"}

    async def test_more_rules_than_anybody_writes_are_refused_by_name(self, world: World) -> None:
        """The failure has no condition of its own; it is retried, and nothing is stored."""
        world.push("1.0.0", {".sourceignore": b"".join(b"%d\n" % n for n in range(10_001))})
        world.declare()

        result = await world.passes()

        assert result.failed
        assert set(world.conditions()) == {"Ready", "Reconciling"}
        assert world.conditions()["Ready"] == ("False", "ProgressingWithRetry")
        assert world.recorder.told("app") == [("Warning", "SourceIgnoreError")]
        ((_, event),) = world.recorder.events
        assert event.message.startswith(
            "failed to load source ignore patterns from repository: the .sourceignore files "
        )
        assert world.tarballs() == []
