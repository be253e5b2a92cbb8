"""Targets: what a registry says about content, before anybody judges it."""

from __future__ import annotations

import json
from functools import partial

from target import Target, expect, outcome
from world import DIGEST, MEDIA_TYPE, SIGNING, SIGSTORE

from devkit.ocicontent import BUNDLE, INDEX, Content
from devkit.signer import to_json
from ocisource.registry.challenges import parse_challenges, usable
from ocisource.registry.manifests import MAX_CONTAINERS, parse_document, parse_tags

APP = "team/app"


def _document(data: bytes) -> bool:
    """A manifest or an index, whatever the header says of it."""
    found = [outcome(partial(parse_document, data, kind)) for kind in ("", MEDIA_TYPE, INDEX)]
    for one in found:
        if one is not None:
            # What follows the first value does not count, nor does what is no UTF-8: as clients in Go read it.
            said, _ = json.JSONDecoder().raw_decode(data.decode("utf-8", "replace").lstrip(" \t\r\n"))
            expect(isinstance(said, dict), "a document that is no object", data)
            expect(len(one.layers) + len(one.children) <= MAX_CONTAINERS, "more than a document may hold", data)
            sizes = [each.size for each in (*one.layers, *(child.descriptor for child in one.children))]
            expect(all(type(size) is int and size >= 0 for size in sizes), "a size that is none", data)
    return any(found)


def _tags(data: bytes) -> bool:
    found = outcome(lambda: parse_tags(data))
    expect(found is None or all(isinstance(tag, str) for tag in found), "a tag that is no text", data)
    return found is not None


def _challenge(data: bytes) -> bool:
    """The header WWW-Authenticate. No challenge is no error: the registry's own answer stands."""
    text = data.decode("latin-1")
    return usable(parse_challenges([text])) is not None or bool(parse_challenges([text, text]))


def _documents() -> tuple[bytes, ...]:
    content = Content()
    digest = content.push(APP, "1", b"layer", annotations={"org.opencontainers.image.revision": "1"})
    content.sign_legacy(APP, digest, [(one.payload, one.annotations) for one in [SIGNING.legacy(DIGEST)] * 2])
    content.attach(APP, digest, SIGNING.bundle(DIGEST), annotations={"a": "b"})
    content.attach(APP, digest, SIGSTORE.trusted_root(), media_type=BUNDLE, artifact_type=None)
    platform = {"os": "linux", "architecture": "arm64", "variant": "v8", "os.version": "1"}
    content.index(APP, "2", [*content.referrers(APP, digest), {"digest": digest, "size": 1, "platform": platform}])
    return tuple(body for _, body in content.found(APP).manifests.values())


TARGETS = (
    Target("manifest", _documents(), _document),
    Target("tag list", (to_json({"name": APP, "tags": ["1.0.0", "latest"]}),), _tags),
    Target(
        "challenge",
        (
            b'Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull"',
            b'Basic realm="x"',
        ),
        _challenge,
    ),
)
