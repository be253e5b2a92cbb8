"""The folder of `make run`: the app, its key, the YAML, and a script that pushes further versions."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devkit.narration import columns, heading, short, tell
from devkit.publisher import publish
from devkit.repository import Pushed, Repository
from devkit.seals import CosignSeal, Seal, make_key

if TYPE_CHECKING:
    from collections.abc import Callable

_HERE = Path(__file__).resolve().parent
_PUSH = """\
#!/bin/sh
# push 1.3.0              pushes the app beside this file as version 1.3.0 and signs it
# push 1.4.0 --unsigned   the same without a signature
PYTHONPATH={tools} exec {python} -m devkit.publisher --folder {app} --to {repository} --key {key} "$@"
"""


@dataclass(frozen=True)
class Workshop:
    """What stands in the folder once `furnish` has made it."""

    folder: Path
    repository: Repository
    seal: Seal

    @property
    def app(self) -> Path:
        return self.folder / "app"

    @property
    def source(self) -> Path:
        """The OCIRepository."""
        return self.folder / "ocirepository.yaml"

    @property
    def secret(self) -> Path:
        """The Secret with the public key."""
        return self.folder / "secret.yaml"

    @property
    def push(self) -> Path:
        """The script."""
        return self.folder / "push"

    def publish_signed(self) -> None:
        """The two good versions, one in each format of signatures, and what the reader should know of them."""
        heading(f"Pushing a small app in two versions, signed by {self.seal.name}")
        if not isinstance(self.seal, CosignSeal):
            tell("cosign itself is not on this machine yet: `make test` builds it with Go, then it signs here too")
        old = publish(self.repository, "1.0.0", self.app, self.seal, bundle=False)
        new = publish(self.repository, "1.1.0", self.app, self.seal, bundle=True)
        self._tell((old, "1.0.0", "signed, by a .sig tag"), (new, "1.1.0", "signed, by a Sigstore bundle"))

    def publish_unsigned(self) -> Pushed:
        """A newer version that nobody signed."""
        heading("Pushing 1.2.0 without a signature: it must not get in")
        pushed = publish(self.repository, "1.2.0", self.app, None)
        self._tell((pushed, "1.2.0", "NOT signed"))
        return pushed

    def facts(self) -> list[tuple[str, str]]:
        """Where things are, for the reader who plays with them."""
        return [
            ("registry", f"http://{self.repository.address}, open to all"),
            ("the app", f"{self.app}: edit it, push it as another version"),
            ("its key", f"{self.seal.keys.private}, without a password"),
        ]

    def stay(self, look: Callable[[], object]) -> None:
        """Until Ctrl-C; `look` is called every second."""
        with suppress(KeyboardInterrupt):
            while True:
                time.sleep(1)
                look()

    def _tell(self, *versions: tuple[Pushed, str, str]) -> None:
        tell(columns([f"{each.repository}:{tag}", short(each.digest), how] for each, tag, how in versions))


def furnish(folder: Path, registry: str) -> Workshop:
    """Puts everything into the folder, for the registry at `registry` (host:port)."""
    workshop = Workshop(folder, Repository(registry, "demo/app"), make_key(folder))
    shutil.copytree(_HERE / "app", workshop.app)
    source = (_HERE / "ocirepository.yaml").read_text()
    workshop.source.write_text(source.replace("${repository}", str(workshop.repository)))
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "cosign-public-keys", "namespace": "default"},
        "stringData": {"cosign.pub": workshop.seal.keys.public.read_text()},
    }
    workshop.secret.write_text(json.dumps(secret, indent=2))  # JSON is YAML too
    words = {
        "tools": _HERE.parent,
        "python": sys.executable,
        "app": workshop.app,
        "repository": workshop.repository,
        "key": workshop.seal.keys.private,
    }
    workshop.push.write_text(_PUSH.format_map({key: shlex.quote(str(value)) for key, value in words.items()}))
    workshop.push.chmod(0o755)
    return workshop
