"""The real parts themselves: they are what they say, and they leave nothing behind."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from devkit.cluster import ApiError, Cluster
from devkit.controlplane import ControlPlane
from devkit.services import ALICE, BOB, Account, Cosign, DistributionServer, KeyPair, RegistryServer
from unit.devkit.leftovers import processes_that_name

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


@pytest.fixture
def session(control_plane: ControlPlane, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`python -m devkit.controlplane`, with a folder of its own for temporary files."""
    process = subprocess.Popen(
        [sys.executable, "-m", "devkit.controlplane"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tools"), "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        process.kill()


def read_exports(session: subprocess.Popen[str]) -> dict[str, str]:
    assert session.stdout
    lines = [session.stdout.readline() for _ in range(3)]
    return dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_the_script_starts_both_and_leaves_no_process_and_no_folder(
    session: subprocess.Popen[str], tmp_path: Path, way: str
) -> None:
    exports = read_exports(session)
    config = json.loads(Path(exports["KUBECONFIG"]).read_text())
    cluster = config["clusters"][0]["cluster"]
    client = Cluster(cluster["server"], Path(cluster["certificate-authority"]), config["users"][0]["user"]["token"])
    assert client.get("/version")["major"] == "1"
    assert ask(exports["REGISTRY"], "GET", "/v2/").status == 200
    assert len(processes_that_name(tmp_path)) >= 3
    session.send_signal(signal.Signals[way])
    assert session.wait(timeout=20) == (-signal.SIGKILL if way == "SIGKILL" else 0)
    deadline = time.monotonic() + 10  # after SIGKILL the keepers notice and clean up on their own
    while (processes_that_name(tmp_path) or list(tmp_path.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_that_name(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_a_service_accounts_kubeconfig_makes_a_client_that_account(control_plane: ControlPlane) -> None:
    config = json.loads(control_plane.service_account_kubeconfig("flux-system", "source-controller").read_text())
    client = Cluster(control_plane.url, control_plane.ca, config["users"][0]["user"]["token"])
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    seen = client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review).body
    assert seen["status"]["userInfo"]["username"] == "system:serviceaccount:flux-system:source-controller"
    with pytest.raises(ApiError) as refusal:
        client.get("/api/v1/nodes")
    assert refusal.value.status == 403


def ask(
    address: str,
    method: str,
    path: str,
    body: bytes | None = None,
    media_type: str = "application/octet-stream",
    account: Account | None = None,
) -> http.client.HTTPResponse:
    headers = {"Content-Type": media_type, "Accept": MANIFEST}
    if account:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{account.user}:{account.password}".encode()).decode()
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


def push(address: str, repository: str, account: Account | None = None) -> str:
    """The smallest image there can be; `host:port/repository@digest`."""

    def digest_of(content: bytes) -> str:
        return f"sha256:{sha256(content).hexdigest()}"

    empty = b"{}"
    upload = ask(address, "POST", f"/v2/{repository}/blobs/uploads/", b"", account=account).headers["Location"]
    upload = re.sub(r"^https?://[^/]*", "", upload)
    query = ("&" if "?" in upload else "?") + f"digest={digest_of(empty)}"
    assert ask(address, "PUT", upload + query, empty, account=account).status == 201
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest_of(empty), "size": 2}
    manifest = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor, "layers": [descriptor]}
    ).encode()
    assert ask(address, "PUT", f"/v2/{repository}/manifests/1.0.0", manifest, MANIFEST, account).status == 201
    return f"{address}/{repository}@{digest_of(manifest)}"


@pytest.fixture(scope="module")
def key(cosign: Cosign) -> KeyPair:
    return cosign.key_pair("devkit")


@pytest.fixture(params=["registry", "distribution"])
def address(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param).address)


@pytest.mark.parametrize("bundle", [False, True], ids=["legacy", "bundle"])
def test_cosign_signs_in_the_format_asked_for(cosign: Cosign, key: KeyPair, address: str, bundle: bool) -> None:
    repository = f"signed/{'bundle' if bundle else 'legacy'}"
    reference = push(address, repository)
    cosign.sign(reference, key, bundle=bundle)
    tag = reference.partition("@")[2].replace(":", "-")
    legacy = ask(address, "GET", f"/v2/{repository}/manifests/{tag}.sig").status
    assert legacy == (404 if bundle else 200)
    assert cosign.verify(reference, key, bundle=bundle)
    assert not cosign.verify(reference, cosign.key_pair(f"other-{os.urandom(3).hex()}"), bundle=bundle)


def test_one_registry_knows_referrers_and_the_other_does_not(
    registry: RegistryServer, distribution: DistributionServer
) -> None:
    statuses = []
    for address in (registry.address, distribution.address):
        digest = push(address, "some/app").partition("@")[2]
        statuses.append(ask(address, "GET", f"/v2/some/app/referrers/{digest}").status)
    assert statuses == [200, 404]


def test_the_private_registry_knows_its_accounts_and_nobody_else(private_distribution: DistributionServer) -> None:
    address = private_distribution.address
    assert ask(address, "GET", "/v2/").status == 401
    assert [ask(address, "GET", "/v2/", account=each).status for each in (ALICE, BOB)] == [200, 200]
    assert ask(address, "GET", "/v2/", account=Account("alice", BOB.password, "")).status == 401


def test_cosign_signs_with_credentials_too(
    cosign: Cosign, key: KeyPair, private_distribution: DistributionServer
) -> None:
    reference = push(private_distribution.address, "private/app", ALICE)
    cosign.sign(reference, key, bundle=True, account=ALICE)
    assert cosign.verify(reference, key, bundle=True, account=BOB)
