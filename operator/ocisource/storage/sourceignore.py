"""The .sourceignore files of a layer (flux-compat F3, C19)."""

from __future__ import annotations

from ocisource.domain.errors import IgnoreError, quoted
from ocisource.domain.ignore import IGNORE_FILE, IgnoreRules
from ocisource.storage.tree import File, Folder, Tree
from ocisource.storage.unpacking import Unpacked

# Rules are held against every path of the layer, so a layer must not bring any number of them. People write a few.
MOST_FILES = 1000
MOST_BYTES = 256 << 10
MOST_RULES = 10_000

_VCS = b".git"


def rules(tree: Tree, stream: Unpacked, spec_ignore: str | None) -> IgnoreRules:
    """The rules for the tree: its own, each for the folder that its file is in, and those of `spec.ignore`. Files in
    `.git` folders do not count; those that are excluded themselves do. Raises IgnoreError."""
    if not tree.ignoring:
        return IgnoreRules.of(spec_ignore)
    files = _files(tree)
    if len(files) > MOST_FILES:
        raise IgnoreError(
            f"the layer has {len(files)} {IGNORE_FILE} files, more than the {MOST_FILES} that are read; "
            "put their rules into fewer files"
        )
    size = 0
    texts = []
    for folder, file in files:
        size += file.size
        if size > MOST_BYTES:
            raise IgnoreError(
                f"with {quoted(_shown(folder))} the {IGNORE_FILE} files of the layer are larger than the "
                f"{MOST_BYTES >> 10} KiB that are read; shorten them"
            )
        texts.append((folder, stream.read(file.offset, file.size).decode("utf-8", "surrogateescape")))
    count = len(IgnoreRules.read(texts).rules)
    if count > MOST_RULES:
        raise IgnoreError(
            f"the {IGNORE_FILE} files of the layer have {count} rules, more than the {MOST_RULES} that are kept to; "
            "write rules for folders or patterns in place of single files"
        )
    return IgnoreRules.of(spec_ignore, texts)


def _files(tree: Tree) -> list[tuple[str, File]]:
    """The files by their folders, in the order of a walk: the rules of a folder outweigh those of its parents, and of
    its sisters that come before it."""
    found = []
    for parts in sorted(tree.ignoring):
        node: File | Folder | None = tree.root
        for part in (*parts, IGNORE_FILE.encode()):
            node = node.get(part) if isinstance(node, dict) else None
        if isinstance(node, File) and _VCS not in parts:
            found.append((b"/".join(parts).decode("utf-8", "surrogateescape"), node))
    return found


def _shown(folder: str) -> str:
    path = f"{folder}/{IGNORE_FILE}" if folder else IGNORE_FILE
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
