"""Manifests and indexes (flux-compat D5, D6, F1, J14; OCI image-spec)."""

from __future__ import annotations

import base64
import json
import re

import pytest

from devkit.ocicontent import INDEX, LAYER, MANIFEST, sha256
from devkit.ocifaults import chain, endless, flipped, headers, replaced, when
from devkit.ocihttp import RegistryServer
from ocisource.domain.errors import RegistryError
from ocisource.registry.client import OCIRegistry
from ocisource.registry.limits import Limits
from ocisource.registry.manifests import parse_document

DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


async def test_layers_and_annotations_are_the_manifests_own(registry, client, to):
    layer = {
        "mediaType": "text/plain",
        "digest": sha256(b"x"),
        "size": 1,
        "annotations": {"a": "b"},
        "urls": ["https://x/y"],
    }
    digest = registry.push(
        "team/app", "1", b"layer", annotations={"org.opencontainers.image.source": "s"}, extra_layers=[layer]
    )
    found = await client.manifest(to(registry), digest)
    assert found.digest == digest
    assert found.media_type == MANIFEST
    assert dict(found.annotations) == {"org.opencontainers.image.source": "s"}
    assert [(one.media_type, one.digest, one.size) for one in found.layers] == [
        (LAYER, sha256(b"layer"), 5),
        ("text/plain", sha256(b"x"), 1),
    ]
    assert dict(found.layers[1].annotations) == {"a": "b"}
    assert found.layers[1].urls == ("https://x/y",)


async def test_bytes_that_are_not_of_the_digest_are_refused(registry, client, to):
    """D5, with the original's words."""
    digest = registry.push("team/app", "1", b"layer")
    registry.fault = when("/manifests/", replaced(b"{}"))
    with pytest.raises(RegistryError) as caught:
        await client.manifest(to(registry), digest)
    assert str(caught.value) == (
        f'manifest digest: "{sha256(b"{}")}" does not match requested digest: "{digest}" '
        f'for "{registry.address}/team/app@{digest}"'
    )
    registry.fault = when("/manifests/", flipped())
    with pytest.raises(RegistryError, match="does not match requested digest"):
        await client.manifest(to(registry), digest)


@pytest.mark.parametrize("digest", ["sha512:" + "0" * 128, "sha256:xyz", "latest", "", "sha256:" + "A" * 64])
async def test_a_digest_that_cannot_be_checked_is_not_asked_for(registry, client, to, digest):
    with pytest.raises(RegistryError, match="hash"):
        await client.manifest(to(registry), digest)
    with pytest.raises(RegistryError, match="hash"):
        client.signatures(to(registry), digest, "cosign")
    assert registry.asked == []


def _children(registry: RegistryServer, *platforms: dict[str, str] | None) -> tuple[list[dict], list[str]]:
    entries, layers = [], []
    for number, platform in enumerate(platforms):
        layer = f"layer {number}".encode()
        digest = registry.push("team/app", "", layer, annotations={"child": str(number)})
        size = len(registry.repositories["team/app"].manifests[digest][1])
        entry = {"mediaType": MANIFEST, "digest": digest, "size": size}
        entries.append(entry if platform is None else {**entry, "platform": platform})
        layers.append(sha256(layer))
    return entries, layers


@pytest.mark.parametrize(
    ("wanted", "platforms", "chosen"),
    [
        ("linux/amd64", [{"os": "linux", "architecture": "arm64"}, {"os": "linux", "architecture": "amd64"}], 1),
        ("linux/amd64", [{"os": "linux", "architecture": "arm64"}, None], 1),  # D6: none counts as amd64
        ("linux/amd64", [{"os": "linux", "architecture": "amd64", "variant": "v2"}], 0),
        ("linux/arm64", [None, {"os": "linux", "architecture": "arm64"}], 1),  # J14
        (
            "linux/arm/v7",
            [
                {"os": "linux", "architecture": "arm", "variant": "v6"},
                {"os": "linux", "architecture": "arm", "variant": "v7"},
            ],
            1,
        ),
    ],
)
async def test_of_an_index_the_first_child_for_the_platform_is_taken(registry, to, wanted, platforms, chosen):
    entries, layers = _children(registry, *platforms)
    digest = registry.index("team/app", "1", entries)
    client = OCIRegistry(Limits(platform=wanted))
    found = await client.manifest(to(registry), digest)
    await client.close()
    assert found.digest == digest  # the revision keeps the index's digest
    assert found.layers[0].digest == layers[chosen]
    assert dict(found.annotations) == {"child": str(chosen)}


async def test_an_index_without_a_child_for_the_platform_says_so(registry, client, to):
    entries, _ = _children(registry, {"os": "linux", "architecture": "arm64"})
    digest = registry.index("team/app", "1", entries)
    with pytest.raises(RegistryError) as caught:
        await client.manifest(to(registry), digest)
    expected = f"no child with platform linux/amd64 in index {registry.address}/team/app@{digest}"
    assert str(caught.value) == expected  # C13


def _nested(registry: RegistryServer, depth: int) -> str:
    entries, _ = _children(registry, None)
    digest = registry.index("team/app", "", entries)
    for _ in range(depth - 1):
        size = len(registry.repositories["team/app"].manifests[digest][1])
        digest = registry.index("team/app", "", [{"mediaType": INDEX, "digest": digest, "size": size}])
    return digest


async def test_nested_indexes_resolve_to_a_bound(registry, client, to):
    found = await client.manifest(to(registry), _nested(registry, 4))
    assert found.layers[0].digest == sha256(b"layer 0")
    with pytest.raises(RegistryError, match="nests more than 4 indexes"):
        await client.manifest(to(registry), _nested(registry, 5))


ARM = {"os": "linux", "architecture": "arm64"}


@pytest.mark.parametrize(
    ("inner", "beside", "wanted", "chosen"),
    [
        ([None, ARM], [], "linux/arm64", 1),
        ([None, ARM], [ARM], "linux/arm64", 2),  # what names the platform comes first
        ([None, ARM], [None], "linux/amd64", 0),  # D6: no platform counts as amd64, so this one is the first of them
    ],
)
async def test_an_index_that_names_no_platform_may_hold_the_child(registry, to, inner, beside, wanted, chosen):
    """J14: most tools name platforms of manifests only, not of the indexes around them."""
    entries, layers = _children(registry, *inner, *beside)
    nested = registry.index("team/app", "", entries[: len(inner)])
    size = len(registry.repositories["team/app"].manifests[nested][1])
    around = {"mediaType": INDEX, "digest": nested, "size": size}
    digest = registry.index("team/app", "1", [around, *entries[len(inner) :]])
    client = OCIRegistry(Limits(platform=wanted))
    found = await client.manifest(to(registry), digest)
    await client.close()
    assert found.layers[0].digest == layers[chosen]


async def test_a_child_inside_of_its_descriptor_is_read_there_and_checked(registry, client, to):
    body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "annotations": {"in": "line"}}).encode()
    entry = {"mediaType": MANIFEST, "digest": sha256(body), "size": len(body), "data": base64.b64encode(body).decode()}
    found = await client.manifest(to(registry), registry.index("team/app", "1", [entry]))
    assert dict(found.annotations) == {"in": "line"}
    digest = registry.index("team/app", "2", [{**entry, "digest": sha256(b"other")}])
    with pytest.raises(RegistryError, match=r"^error verifying Digest; got"):
        await client.manifest(to(registry), digest)


async def test_a_docker_list_is_an_index_too(registry, client, to):
    entries, layers = _children(registry, {"os": "linux", "architecture": "amd64"})
    document = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": entries}
    digest = registry.manifest("team/app", "1", document, DOCKER_LIST)
    assert (await client.manifest(to(registry), digest)).layers[0].digest == layers[0]


async def test_a_manifest_without_an_end_is_given_up(registry, client, to):
    registry.fault = when("/manifests/", endless(b"{", b" " * 65536, MANIFEST))
    with pytest.raises(RegistryError, match="the answer is larger than 4194304 bytes"):
        await client.manifest(to(registry), sha256(b"x"))


async def test_what_the_bytes_are_is_not_for_the_server_to_choose(registry, client, to):
    entries, _ = _children(registry, None)
    index = registry.index("team/app", "1", entries)
    registry.fault = when("/manifests/", headers({"Content-Type": MANIFEST}))
    with pytest.raises(RegistryError, match="could be read as a manifest and as an index"):
        await client.manifest(to(registry), index)
    registry.fault = None
    both = registry.manifest("team/app", "2", {"schemaVersion": 2, "manifests": entries, "layers": []})
    with pytest.raises(RegistryError, match="could be read as a manifest and as an index"):
        await client.manifest(to(registry), both)


async def test_a_type_that_nobody_knows_is_read_by_its_shape(registry, client, to):
    """Static registries do not send the right Content-Type; the document need not name its type."""
    entries, layers = _children(registry, None)
    digest = registry.manifest("team/app", "1", {"schemaVersion": 2, "manifests": entries}, "text/plain")
    registry.fault = chain(when("/manifests/", headers({"Content-Type": "application/octet-stream"})))
    assert (await client.manifest(to(registry), digest)).layers[0].digest == layers[0]


GOOD = {"mediaType": LAYER, "digest": "sha256:" + "a" * 64, "size": 1}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"<html>login</html>", "invalid character '<' looking for beginning of value"),
        (b"", "EOF"),
        (b"{", "unexpected EOF"),
        (b"\xff\xfe{\x00}\x00", "invalid character '\u00ff' looking for beginning of value"),
        (b'{"layers": NaN}', "invalid character 'N' looking for beginning of value"),
        (b"[" * 40_000, "invalid JSON: nested too deeply"),
        (b"[]", "the document must be a JSON object"),
        ({"mediaType": 5}, "field mediaType must be a string"),
        ({"layers": {}}, "field layers must be a list"),
        ({"layers": ["x"]}, r"field layers\[0\] must be a JSON object"),
        ({"layers": [{**GOOD, "size": -1}]}, r"field layers\[0\].size must be a number of bytes"),
        ({"layers": [{**GOOD, "size": 1.5}]}, r"field layers\[0\].size must be a number of bytes"),
        ({"layers": [{**GOOD, "size": "1"}]}, r"field layers\[0\].size must be a number of bytes"),
        ({"layers": [{**GOOD, "size": True}]}, r"field layers\[0\].size must be a number of bytes"),
        ({"layers": [{"digest": GOOD["digest"]}]}, r"field layers\[0\].size must be a number of bytes"),
        ({"layers": [{"size": 1}]}, r"field layers\[0\].digest must be a string"),
        ({"layers": [{**GOOD, "digest": "sha512:" + "0" * 128}]}, 'unsupported hash: "sha512"'),
        ({"layers": [{**GOOD, "digest": "sha256:../../x"}]}, "found non-hex character in hash"),
        ({"layers": [{**GOOD, "digest": "x"}]}, 'cannot parse hash: "x"'),
        ({"layers": [{**GOOD, "urls": [1]}]}, r"field layers\[0\].urls must be a list of strings"),
        ({"layers": [{**GOOD, "data": "%"}]}, r"field layers\[0\].data must be base64"),
        ({"layers": [{**GOOD, "annotations": {"a": 1}}]}, r"field layers\[0\].annotations must hold strings only"),
        ({"annotations": []}, "field annotations must be a JSON object"),
        ({"config": {}}, r"field config.size"),
        (
            {"mediaType": INDEX, "manifests": [{**GOOD, "platform": "linux"}]},
            r"field manifests\[0\].platform must be a JSON",
        ),
        (
            {"mediaType": INDEX, "manifests": [{**GOOD, "platform": {"os": 1}}]},
            r"field manifests\[0\].platform.os must",
        ),
    ],
)
async def test_a_manifest_that_is_not_as_specified_is_refused_by_name(registry, client, to, document, said):
    kind = INDEX if isinstance(document, dict) and "manifests" in document else MANIFEST
    digest = registry.manifest("team/app", "1", document, kind)
    told = "" if kind == INDEX else "failed to parse artifact manifest: "  # C13, C14
    with pytest.raises(RegistryError, match=f"^{told}{said}"):
        await client.manifest(to(registry), digest)


@pytest.mark.parametrize("kind", ["v1+json", "v1+prettyjws"])
async def test_schema_1_is_refused_as_what_it_is_told_to_be(registry, client, to, kind):
    """D6, in the words of the original: without the prefix of a manifest that does not parse."""
    media_type = f"application/vnd.docker.distribution.manifest.{kind}"
    digest = registry.manifest("team/app", "1", {"schemaVersion": 1, "fsLayers": []}, media_type)
    said = f'unsupported MediaType: "{media_type}", see https://github.com/google/go-containerregistry/issues/377'
    with pytest.raises(RegistryError, match=f"^{re.escape(said)}$"):
        await client.manifest(to(registry), digest)


async def test_what_follows_a_manifest_does_not_count(registry, client, to):
    """As in the original: the first JSON value is the manifest, the digest is that of all bytes."""
    digest = registry.manifest("team/app", "1", b'{"layers": [], "annotations": {"a": "\xff"}} and more', MANIFEST)
    assert (await client.manifest(to(registry), digest)).annotations == {"a": "\N{REPLACEMENT CHARACTER}"}


def test_inline_content_may_come_in_lines_and_annotations_may_be_null():
    """As in the original."""
    lines = base64.encodebytes(bytes(100)).decode().replace("\n", "\r\n")
    document = {"layers": [{**GOOD, "size": 100, "data": lines}], "annotations": {"a": None, "b": "c"}}
    read = parse_document(json.dumps(document).encode(), MANIFEST)
    assert read.layers[0].data == bytes(100)
    assert dict(read.annotations) == {"a": "", "b": "c"}


async def test_inline_content_of_another_size_is_refused(registry, client, to):
    content = b'{"layers": []}'
    child = {"mediaType": MANIFEST, "digest": sha256(content), "size": 3, "data": base64.b64encode(content).decode()}
    digest = registry.manifest("team/app", "1", {"mediaType": INDEX, "manifests": [child]}, INDEX)
    with pytest.raises(RegistryError, match=r"^error verifying Size; got 14, want 3$"):
        await client.manifest(to(registry), digest)


def test_a_manifest_without_layers_has_none():
    """C14 `no layers found in artifact` is the corridor's to say."""
    for document in ({}, {"layers": None}, {"layers": [], "config": None, "annotations": None}):
        assert parse_document(json.dumps(document).encode(), DOCKER_MANIFEST).layers == ()


def test_the_artifact_type_falls_back_to_the_configs():
    config = {**GOOD, "mediaType": "application/x.config"}
    assert parse_document(json.dumps({"config": config}).encode()).artifact_type == "application/x.config"
    both = {"config": config, "artifactType": "application/x"}
    assert parse_document(json.dumps(both).encode()).artifact_type == "application/x"
