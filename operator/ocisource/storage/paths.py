"""Where things lie below the storage root (flux-compat G1). Paths are made here and nowhere else.

    <root>/ocirepository/<namespace>/<name>/sha256:<hex>.tar.gz     a tarball
    <root>/ocirepository/<namespace>/<name>/latest.tar.gz           symbolic link to the newest one
    <root>/ocirepository/<namespace>/<name>/.tmp-<random>           being written; stray once its writer is gone

All parts are validated, so no value can lead out of the object's folder.
"""

from __future__ import annotations

import re

from ocisource.domain.errors import StoreError

ROOT = "ocirepository"
SUFFIX = ".tar.gz"
LATEST = f"latest{SUFFIX}"
TEMPORARY = ".tmp-"

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_NAMESPACE = re.compile(_LABEL)
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FILE = re.compile(_DIGEST.pattern + re.escape(SUFFIX))


def folder(namespace: str, name: str) -> str:
    """`ocirepository/<namespace>/<name>`, the object's folder. Raises StoreError for what is no Kubernetes name."""
    if not _NAMESPACE.fullmatch(namespace):
        raise StoreError("InvalidPath", f"namespace {namespace!r} is not a DNS label, so it cannot name a folder")
    if not _NAME.fullmatch(name):
        raise StoreError("InvalidPath", f"name {name!r} is not a DNS subdomain, so it cannot name a folder")
    return f"{ROOT}/{namespace}/{name}"


def tarball(namespace: str, name: str, digest: str) -> str:
    """`ocirepository/<namespace>/<name>/sha256:<hex>.tar.gz`. `digest` is the revision's: `sha256:<hex>`."""
    if not _DIGEST.fullmatch(digest):
        raise StoreError("InvalidPath", f"digest {digest!r} is not sha256:<64 hex digits>, so it cannot name a file")
    return f"{folder(namespace, name)}/{digest}{SUFFIX}"


def latest(namespace: str, name: str) -> str:
    """`ocirepository/<namespace>/<name>/latest.tar.gz`, the link to the newest tarball."""
    return f"{folder(namespace, name)}/{LATEST}"


def is_tarball(filename: str) -> bool:
    """Whether the file name is one that `tarball` makes."""
    return _FILE.fullmatch(filename) is not None


def published(path: str) -> str | None:
    """The path itself if it names what the artifact server may show (a tarball or `latest.tar.gz`), else None."""
    parts = path.split("/")
    if len(parts) != 4 or parts[0] != ROOT:
        return None
    _, namespace, name, filename = parts
    if not (_NAMESPACE.fullmatch(namespace) and _NAME.fullmatch(name)):
        return None
    return path if filename == LATEST or is_tarball(filename) else None
