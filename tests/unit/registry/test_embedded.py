"""The embedded registry itself, as `make run` uses it without a Go toolchain: in a thread, pushed to over HTTP."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from devkit.ocicontent import INDEX, MANIFEST, sha256
from devkit.ocihttp import EmbeddedRegistry, RegistryServer
from ocisource.registry.client import OCIRegistry


def _ask(method: str, url: str, body: bytes | None = None, content_type: str = "") -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=5) as response:
        return response.status, dict(response.headers), response.read()


def test_what_is_pushed_over_http_can_be_pulled():
    with EmbeddedRegistry() as registry:
        base = f"http://{registry.address}"
        _, headers, _ = _ask("POST", f"{base}/v2/team/app/blobs/uploads/")
        place = base + headers["Location"]
        assert _ask("PATCH", place, b"lay")[0] == 202
        assert _ask("PUT", f"{place}?digest={sha256(b'layer')}", b"er")[0] == 201
        document = json.dumps({"schemaVersion": 2, "subject": {"digest": "sha256:x"}}).encode()
        status, headers, _ = _ask("PUT", f"{base}/v2/team/app/manifests/1.0.0", document, MANIFEST)
        assert (status, headers["Docker-Content-Digest"]) == (201, sha256(document))
        assert headers["OCI-Subject"] == "sha256:x"
        assert _ask("GET", f"{base}/v2/team/app/blobs/{sha256(b'layer')}")[2] == b"layer"
        assert _ask("GET", f"{base}/v2/team/app/manifests/1.0.0")[2] == document
        assert _ask("HEAD", f"{base}/v2/team/app/manifests/{sha256(document)}")[1]["Content-Type"] == MANIFEST
        _, headers, body = _ask("GET", f"{base}/v2/team/app/referrers/sha256:x")
        assert headers["Content-Type"] == INDEX
        assert [one["digest"] for one in json.loads(body)["manifests"]] == [sha256(document)]


def test_a_blob_that_is_not_of_its_digest_is_not_taken():
    with EmbeddedRegistry() as registry:
        base = f"http://{registry.address}"
        _, headers, _ = _ask("POST", f"{base}/v2/team/app/blobs/uploads/")
        with pytest.raises(urllib.error.HTTPError, match="400") as caught:
            _ask("PUT", f"{base}{headers['Location']}?digest={sha256(b'x')}", b"y")
        caught.value.close()
        assert registry.content.repositories == {}


async def test_the_thread_serves_a_loop_elsewhere(to):
    with EmbeddedRegistry(RegistryServer(auth="bearer", anonymous=True)) as registry:
        digest = registry.content.push("team/app", "1.0.0", b"layer")
        client = OCIRegistry()
        assert await client.resolve(to(registry.address), "1.0.0") == digest
        await client.close()


def test_a_port_that_is_taken_is_an_error_where_it_was_asked_for():
    with EmbeddedRegistry() as first:
        port = int(first.address.rpartition(":")[2])
        with pytest.raises(OSError, match="address already in use"), EmbeddedRegistry(RegistryServer(port=port)):
            pass
