"""Pushes a folder to a registry as an OCI artifact, and signs it: for `make run` and for play.

    python -m devkit.publisher 1.3.0 --folder app --to 127.0.0.1:5000/demo/app --key cosign.key
    python -m devkit.publisher 1.4.0 --folder app --to 127.0.0.1:5000/demo/app --unsigned

Every `${version}` in a file becomes the version, so that two versions differ.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
import tarfile
from pathlib import Path

from devkit.binaries import MissingToolError
from devkit.repository import Pushed, PushError, Repository
from devkit.seals import Seal, open_key
from devkit.services import CosignError


def pack(folder: Path, version: str) -> bytes:
    """The folder as .tar.gz: the same bytes for the same content, whatever the dates. Raises PushError."""
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    if not files:
        raise PushError(f"there is nothing to push in {folder}")
    content = io.BytesIO()
    with gzip.GzipFile(fileobj=content, mode="wb", mtime=0) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for file in files:
            rendered = file.read_bytes().replace(b"${version}", version.encode())
            member = tarfile.TarInfo(file.relative_to(folder).as_posix())
            member.size, member.mode = len(rendered), 0o644
            tar.addfile(member, io.BytesIO(rendered))
    return content.getvalue()


def publish(repository: Repository, version: str, folder: Path, seal: Seal | None, *, bundle: bool = True) -> Pushed:
    """Pushes the folder under the version and signs it, unless there is no `seal`: as a Sigstore bundle, or else as
    a legacy `.sig` tag. Raises PushError, CosignError."""
    pushed = repository.push(version, pack(folder, version))
    if seal is not None:
        seal.sign(pushed, bundle=bundle)
    return pushed


def main() -> int:
    parser = argparse.ArgumentParser(prog="devkit.publisher", description="Pushes a folder as a version, and signs it.")
    parser.add_argument("version", help="the tag, like 1.3.0")
    parser.add_argument("--to", required=True, metavar="HOST:PORT/NAME", help="the repository")
    parser.add_argument("--folder", required=True, type=Path, help="what is pushed")
    parser.add_argument("--key", type=Path, help="private key that signs")
    parser.add_argument("--unsigned", action="store_true", help="push it without a signature")
    parser.add_argument("--legacy", action="store_true", help="sign as a .sig tag instead of as a Sigstore bundle")
    options = parser.parse_args()
    if options.key is None and not options.unsigned:
        parser.error("say who signs with --key, or that nobody does with --unsigned")
    try:
        seal = None if options.unsigned else open_key(options.key)
        repository = Repository.parse(options.to)
        pushed = publish(repository, options.version, options.folder, seal, bundle=not options.legacy)
    except (PushError, CosignError, MissingToolError, OSError, ValueError) as error:
        print(f"not pushed: {error}", file=sys.stderr)
        return 1
    print(f"pushed {repository}:{options.version}@{pushed.digest}, {f'signed by {seal.name}' if seal else 'unsigned'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
