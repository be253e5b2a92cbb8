"""Changes one thing in a document: in its structure, or in what it holds, however deep.

What a leaf holds may be a document again: a DER certificate in base64 in JSON in base64 in JSON. So a change reaches
places that changes of raw bytes never do, and leaves everything around it well formed, most of the time.

    Mutation(Random(7)).change(bundle)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from devkit.documents import FORMATS, Format, Node

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    Scramble = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Mutation:
    """A source of changes. `scramble` changes raw bytes, if there is something better than chance."""

    random: Random
    scramble: Scramble | None = None

    def change(self, content: bytes) -> bytes:
        """The content with one thing changed; rarely, nothing."""
        for format_ in FORMATS if self.random.random() < 0.95 else ():
            try:
                return format_.write(self._altered(format_.read(content), format_))
            except (ValueError, RecursionError):  # of another format, or nested beyond reason
                continue
        if content.isdigit() and len(content) < 30 and self.random.random() < 0.8:
            return str(self._another(int(content))).encode()
        return (self.scramble or self._scrambled)(content)

    def _another(self, number: int) -> int:
        """A number that is close by, or of another size."""
        near = (number - 1, number + 1, -number, number // 2, number * 2, number + 3600, number - 3600)
        return self.random.choice((*near, *(sign + (1 << power) for power in (0, 31, 53, 63, 64) for sign in (-1, 0))))

    def _altered(self, tree: Node, format_: Format) -> Node:
        root = Node.of(None, [tree])
        places = list(_places(root))
        siblings, index = self.random.choice(places)
        node = siblings[index]
        if node.leaf and self.random.random() < 0.6:
            node.content = self.change(node.content)
            return root.children[0]
        if format_.odd and self.random.random() < 0.3:
            siblings[index] = self.random.choice(format_.odd).copy()
            return root.children[0]
        other_siblings, other_index = self.random.choice(places)
        other = other_siblings[other_index].copy()
        match self.random.randrange(5):
            case 0 if siblings is not root.children:
                del siblings[index]
            case 1:
                siblings.insert(index, node.copy())
            case 2:
                siblings[index] = other
            case 3:
                node.head = other.head
            case _:
                self.random.shuffle(siblings)
        return root.children[0]

    def _scrambled(self, content: bytes) -> bytes:
        place = self.random.randrange(len(content) + 1)
        match self.random.randrange(4):
            case 0 if place < len(content):
                return content[:place] + bytes([content[place] ^ 1 << self.random.randrange(8)]) + content[place + 1 :]
            case 1:
                return content[:place]
            case 2:
                return content[:place] + self.random.randbytes(self.random.randrange(1, 5)) + content[place:]
            case _:
                return content[:place] + content[place + self.random.randrange(1, 5) :]


def _places(node: Node) -> Iterator[tuple[list[Node], int]]:
    """Every node below, as its list of siblings and its index in it."""
    for index, child in enumerate(node.children):
        yield node.children, index
        yield from _places(child)
