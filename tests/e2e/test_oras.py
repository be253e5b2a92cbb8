"""Images of an independent client, the Python library of ORAS: what it pushes we pull, and the other way round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from real.images import Repository, files_in
from real.objects import holds, is_ready, oci_repository, secret, verified_by
from real.operation import Operator, fetch

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.controlplane import ControlPlane
    from devkit.services import Cosign

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("kind", ["registry", "distribution"])
def test_a_folder_that_oras_pushed_is_pulled_and_verified(
    control_plane: ControlPlane,
    operator: Operator,
    cosign: Cosign,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    oras_client = pytest.importorskip("oras.client", reason="oras is in the extra cli: make test installs it")
    cluster, key = control_plane.cluster, cosign.key_pair(f"oras-{kind}")
    repository = Repository(request.getfixturevalue(kind).address, f"oras/{namespace}")
    content = tmp_path / "deploy"
    (content / "base").mkdir(parents=True)
    (content / "kustomization.yaml").write_text("resources: [base/app.yaml]\n")
    (content / "base" / "app.yaml").write_text("kind: ConfigMap\n" * 5000)
    (content / "script.sh").write_text("#!/bin/sh\n")
    (content / "script.sh").chmod(0o755)
    monkeypatch.chdir(tmp_path)

    target = f"{repository.address}/{repository.name}:2.0.0"
    response = oras_client.OrasClient(insecure=True).push(target, files=["deploy"])
    digest = response.headers["Docker-Content-Digest"]
    cosign.sign(f"{repository.address}/{repository.name}@{digest}", key, bundle=True)
    cluster.create(secret(namespace, "keys", {"cosign.pub": key.public.read_bytes()}))
    app = oci_repository(namespace, "app", repository.url, ref={"semver": "2.x"}, verify=verified_by("keys"))
    cluster.create(app)

    ready = cluster.wait(app, is_ready)
    assert holds(ready, f"2.0.0@{digest}")
    files = files_in(fetch(ready["status"]["artifact"]["url"]))
    expected = {str(path.relative_to(tmp_path)): path.read_bytes() for path in content.rglob("*") if path.is_file()}
    assert files == expected
