"""What stands behind the URL of an artifact."""

from __future__ import annotations

import http.client
import io
import tarfile
from dataclasses import dataclass
from urllib.parse import urlsplit

from devkit.failures import WalkError
from devkit.ocicontent import sha256


@dataclass(frozen=True)
class Download:
    """A tarball as it was served."""

    digest: str
    size: int
    files: tuple[str, ...]


def fetch(url: str) -> Download:
    """GETs the tarball at the http:// URL. Raises WalkError if there is none."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=30)
    try:
        connection.request("GET", address.path)
        response = connection.getresponse()
        content = response.read()
    finally:
        connection.close()
    if response.status != 200:
        raise WalkError(f"GET {url} answers {response.status} {response.reason}")
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        files = tuple(member.name for member in archive if member.isfile())
    return Download(sha256(content), len(content), files)
