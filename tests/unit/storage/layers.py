"""Layers for tests, made by Python's own tarfile and gzip, or block by block where those refuse."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from ocisource.storage.store import FileStore

EVERYTHING = "!.none-is-excluded"  # one pattern of one's own replaces the defaults (flux-compat F3)
DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64

# The tree of flux-compat F7.
F7 = [
    ("a/x.sh", 0o755, b"#!/bin/sh\n"),
    ("a-b/f", 0o644, b"1\n"),
    ("b.yaml", 0o644, b"kind: A\n"),
    ("empty", 0o755, None),
]


def member(name: str, *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "", **pax: str):
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.linkname = kind, mode, link
    info.pax_headers = pax
    return info


def tar(*members, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of (TarInfo or name, content) or (name, mode, content) tuples; content None is a folder, or no content
    where the TarInfo says what it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as out:
        for first, *mode, content in members:
            info = first
            if isinstance(first, str):
                info = member(first, kind=tarfile.DIRTYPE if content is None else tarfile.REGTYPE)
            info.mode = mode[0] if mode else info.mode
            info.size = len(content or b"")
            out.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def layer(*members, form: int = tarfile.PAX_FORMAT) -> bytes:
    return gzip.compress(tar(*members, form=form), 1)


def block(name: bytes, size: bytes = b"00000000000\0", kind: bytes = b"0", magic: bytes = b"ustar\x0000", **at: bytes):
    """One raw header with a right checksum; `at` sets bytes at offsets (`o257=b"..."`)."""
    raw = bytearray(512)
    raw[: len(name)] = name
    raw[100:108] = b"0000644\0"
    raw[124 : 124 + len(size)] = size
    raw[156:157] = kind
    raw[257 : 257 + len(magic)] = magic
    for key, value in at.items():
        raw[int(key[1:]) : int(key[1:]) + len(value)] = value
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw)
    return bytes(raw)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


async def publish(
    store: FileStore, blob: bytes, ignore: str | None = EVERYTHING, name: str = "app", digest: str = DIGEST
):
    spool = store.spool(len(blob))
    try:
        spool.write(blob)
        return await store.publish("default", name, digest, spool, ignore)
    finally:
        spool.close()


async def copy(store: FileStore, blob: bytes, name: str = "app", digest: str = DIGEST):
    spool = store.spool(len(blob))
    try:
        spool.write(blob)
        return await store.copy("default", name, digest, spool)
    finally:
        spool.close()


class Archive:
    """A stored tarball as Python's tarfile reads it."""

    def __init__(self, path: Path) -> None:
        self.raw = path.read_bytes()
        self.tar = gzip.decompress(self.raw)
        with tarfile.open(fileobj=io.BytesIO(self.tar)) as archive:
            self.members = archive.getmembers()
            self.files = {
                info.name: (info.mode, archive.extractfile(info).read() if info.isfile() else None)
                for info in self.members
            }

    @property
    def names(self) -> list[str]:
        return [info.name for info in self.members]

    def content(self, name: str) -> bytes | None:
        return self.files[name][1]


async def archived(store: FileStore, root: Path, blob: bytes, ignore: str | None = EVERYTHING) -> Archive:
    stored = await publish(store, blob, ignore)
    return Archive(root / stored.path)
