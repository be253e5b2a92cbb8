"""Objects that verify, and what they make of an image: accepted and served, or refused without a trace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from real.images import files_in
from real.objects import condition, has_failed, is_ready, outcomes
from real.operation import fetch

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.cluster import Cluster
    from real.images import Image
    from real.operation import Operator


@dataclass(frozen=True)
class Declared:
    """An object in the cluster with `spec.verify`."""

    cluster: Cluster
    operator: Operator
    source: dict[str, Any]

    def accepted(self, image: Image) -> str:
        """The message of SourceVerified, once the image is served."""
        ready = self.cluster.wait(self.source, is_ready)
        assert ready["status"]["artifact"]["revision"] == image.revision
        assert files_in(fetch(ready["status"]["artifact"]["url"])) == files_in(image.layer)
        assert traces(self.operator.storage, image)  # so that `refused` would find some
        verified = condition(ready, "SourceVerified")
        assert (verified["status"], verified["reason"]) == ("True", "Succeeded")
        return str(verified["message"])

    def refused(self, image: Image) -> str:
        """The message of SourceVerified, once the image is refused."""
        failed = self.cluster.wait(self.source, has_failed)
        assert outcomes(failed) == {
            "Ready": ("False", "VerificationError"),
            "SourceVerified": ("False", "VerificationError"),
            "Reconciling": ("True", "ProgressingWithRetry"),
        }
        assert "artifact" not in failed["status"]
        assert traces(self.operator.storage, image) == []
        message = str(condition(failed, "SourceVerified")["message"])
        assert condition(failed, "Ready")["message"] == message
        return message


def traces(storage: Path, image: Image) -> list[str]:
    """Files that hold content of the image, as it was pushed or unpacked, or that are named after it."""
    packed = image.layer[len(image.layer) // 2 :][:64]
    (content,) = files_in(image.layer).values()
    found = []
    for path in storage.rglob("*"):
        stored = path.read_bytes() if path.is_file() else b""
        unpacked = b"".join(files_in(stored).values()) if path.name.startswith("sha256:") else b""
        if image.digest in path.name or packed in stored or content[:64] in stored + unpacked:
            found.append(str(path))
    return found
