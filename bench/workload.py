"""What the controllers are given to do: artifacts in the registry, signed or not, and the objects that name them."""

from __future__ import annotations

import base64
import gzip
import io
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devkit.cluster import ApiError
from devkit.repository import Repository
from devkit.signer import Signer, legacy_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devkit.cluster import Cluster

NAMESPACE = "bench"
API = "source.toolkit.fluxcd.io/v1"
COLLECTION = f"/apis/{API}/namespaces/{NAMESPACE}/ocirepositories"
SECRET = "bench-cosign-pub"
VERSIONS = ("0.9.0", "1.0.0")
"""Two tags, so that a range has something to choose."""

_FILE = 64 << 10
_THREADS = 4


@dataclass(frozen=True)
class Workload:
    """`objects` OCIRepositories over `artifacts` digests, each of small files, or of `mib` MiB of them."""

    objects: int
    artifacts: int
    signed: bool = False
    interval: str = "10m"
    mib: int = 0

    def push(self, registry: str, signer: Signer) -> None:
        """Fills the registry at that address."""
        for number in range(self.artifacts):
            repository = Repository(registry, self.repository(number))
            layer = _tarball(_large(self.mib) if self.mib else _small(number))
            _push(repository, layer, VERSIONS[-1:] if self.mib else VERSIONS, signer if self.signed else None)

    def repository(self, number: int) -> str:
        """The repository of object `number`. Workloads that differ in content differ in name."""
        kind = f"large-{self.mib}" if self.mib else "signed" if self.signed else "plain"
        return f"bench/{kind}-{number % self.artifacts:05d}"

    def declare(self, cluster: Cluster, registry: str, signer: Signer) -> None:
        """Creates the objects."""
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        if self.signed:
            cluster.apply(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": SECRET, "namespace": NAMESPACE},
                    "data": {"cosign.pub": base64.b64encode(signer.public_pem()).decode()},
                }
            )
        _all(cluster.create, [self._object(number, registry) for number in range(self.objects)])

    def _object(self, number: int, registry: str) -> dict[str, Any]:
        spec: dict[str, Any] = {
            "interval": self.interval,
            "url": f"oci://{registry}/{self.repository(number)}",
            "ref": {"semver": ">=0.1.0"},
            "insecure": True,
        }
        if self.signed:
            spec["verify"] = {"provider": "cosign", "secretRef": {"name": SECRET}}
        metadata = {"name": f"app-{number:05d}", "namespace": NAMESPACE}
        return {"apiVersion": API, "kind": "OCIRepository", "metadata": metadata, "spec": spec}


def clear(cluster: Cluster) -> None:
    """Removes every object, whatever its controller thinks of that, and waits until they are gone."""

    def remove(name: str) -> None:
        manifest = {"apiVersion": API, "kind": "OCIRepository", "metadata": {"name": name, "namespace": NAMESPACE}}
        try:
            cluster.patch(manifest, {"metadata": {"finalizers": None}})
            cluster.delete(manifest)
        except ApiError as error:
            if error.status != 404:
                raise

    while names := [item["metadata"]["name"] for item in cluster.get(COLLECTION)["items"]]:
        _all(remove, names)


def _all(work: Any, items: list[Any]) -> None:
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(work, items):
            pass


def _push(repository: Repository, layer: bytes, tags: tuple[str, ...], signer: Signer | None) -> None:
    for tag in tags:
        pushed = repository.push(tag, layer)
    if signer:
        signature = signer.legacy(pushed.digest, str(repository))
        legacy_image(pushed.digest, [signature]).push(repository.put_blob, repository.put_manifest)


def _small(seed: int) -> Iterator[tuple[str, bytes]]:
    """Ten files of 2 KiB that compress as manifests do; other ones for each seed."""
    chance = random.Random(seed)
    for number in range(10):
        yield f"deploy/app-{number:02d}.yaml", "".join(chance.choices("abcdefghij klmnop\n", k=2048)).encode()


def _large(mib: int) -> Iterator[tuple[str, bytes]]:
    """`mib` MiB in files of 64 KiB that compress by a quarter."""
    for number in range(mib * (1 << 20) // _FILE):
        noise = random.Random(number).randbytes(_FILE // 4 * 3)
        yield f"part-{number // 100:03d}/file-{number:05d}.yaml", base64.b64encode(noise)


def _tarball(files: Iterator[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=1) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for name, content in files:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
