"""The real notation, with keys and trust of a folder's own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devkit.binaries import locate
from devkit.offline.authority import to_pem
from devkit.offline.notary import COSE, JWS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryptography import x509

    from devkit.offline.notary import Notary

_FORMATS = {JWS: "jws", COSE: "cose"}


class NotationError(Exception):
    """notation ended with an error; the message is its own."""


class Notation:
    """`folder` holds its configuration. Plain HTTP is allowed."""

    def __init__(self, folder: Path) -> None:
        self._binary = locate("notation")
        self._folder = folder
        self._home = folder / "notation"
        self._home.mkdir(parents=True, exist_ok=True)

    def sign(
        self,
        reference: str,
        notary: Notary,
        media_type: str = JWS,
        *options: str,
        timestamps: tuple[str, x509.Certificate] | None = None,
    ) -> None:
        """Signs `host:port/repository@sha256:<hex>` with the key and the chain of the notary. `timestamps` are the URL
        of an authority (RFC 3161) and its root. Raises NotationError."""
        key, chain = self._home / "signer.key", self._home / "signer.crt"
        key.touch(mode=0o600)
        key.write_bytes(notary.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        chain.write_text("".join(map(to_pem, notary.chain)))
        keys = [{"name": "signer", "keyPath": str(key), "certPath": str(chain)}]
        (self._home / "signingkeys.json").write_text(json.dumps({"default": "signer", "keys": keys}))
        if timestamps is not None:
            root = self._home / "timestamps.crt"
            root.write_text(to_pem(timestamps[1]))
            options += (f"--timestamp-url={timestamps[0]}", f"--timestamp-root-cert={root}")
        self.run("sign", f"--signature-format={_FORMATS[media_type]}", *options, reference)

    def verify(self, reference: str, policy: bytes, stores: Mapping[str, x509.Certificate]) -> str:
        """notation's own opinion: "" if it accepts, else its reason. `stores` are certificates by `<type>/<name>`."""
        document = self._home / "trustpolicy.json"
        document.touch(mode=0o600)
        document.write_bytes(policy)
        shutil.rmtree(self._home / "truststore", ignore_errors=True)
        for name, certificate in stores.items():
            store = self._home / "truststore" / "x509" / name
            store.mkdir(parents=True)
            (store / "root.crt").write_text(to_pem(certificate))
        try:
            self.run("verify", "--verbose", reference)
        except NotationError as refused:
            return str(refused)
        return ""

    def run(self, command: str, *arguments: str) -> None:
        """A command about what is in a registry. Raises NotationError."""
        done = subprocess.run(
            [str(self._binary), command, "--insecure-registry", *arguments],
            cwd=self._folder,
            env={**os.environ, "HOME": str(self._folder), "XDG_CONFIG_HOME": str(self._folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise NotationError(f"notation {command}: {done.stderr.strip()}")
