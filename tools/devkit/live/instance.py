"""A whole Sigstore on loopback: `SigstoreServer` starts the services and writes what signs and verifies with them."""

from __future__ import annotations

import json
import signal
import socket
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from devkit.binaries import locate
from devkit.live.ctlog import CTLogServer
from devkit.live.issuer import AUDIENCE, Issuer
from devkit.live.rekorv1 import RekorV1Server
from devkit.offline.authority import Authority, to_pem
from devkit.offline.ctlog import CTLog
from devkit.offline.keys import key_pair
from devkit.offline.rekor import RekorLog
from devkit.offline.tsa import TimestampAuthority
from devkit.offline.windows import Window, rfc3339
from devkit.services import Service
from devkit.startup import StartError, answers, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from cryptography import x509

    from devkit.services import Cosign
    from devkit.signer import Signer

REKOR = "rekor.devkit.example"
"""The name of the log: origin of its checkpoints, host of its `baseUrl` in the trusted root."""

_SERVICES = ("fulcio", "rekor-tiles", "timestamp-authority")
_PASSWORD = "devkit"
_WEEK = 7 * 86400
_METRICS_OF_TIMESTAMPS = 2112
_PATIENCE = 180  # seconds that another session may keep that port


@dataclass(frozen=True)
class _Keys:
    """Who is trusted here: made anew for each instance."""

    authority: Authority
    ctlog: CTLog
    rekor: Signer = field(repr=False)
    rekor_v1: RekorLog
    timestamps: TimestampAuthority

    @classmethod
    def generate(cls) -> _Keys:
        now = int(time.time())
        window = Window(now - 300, now + _WEEK)
        return cls(
            Authority.create(window, name="devkit Fulcio"),
            CTLog.create(window),
            key_pair(),
            RekorLog.create("v1", window, host="rekor-v1.devkit.example"),
            TimestampAuthority.create(window, authorities=("p256", "p256"), name="devkit TSA"),
        )


class SigstoreServer(Service):
    """Fulcio below a private root, a CT log for its certificates, Rekor v2 and a timestamp authority, all on loopback.

    Fulcio believes two issuers: `people`, whose tokens carry an email address, and `workflows`, whose subject is the
    URI of a workflow as that of a CI system is. `trusted_root` and `signing_config` are files for cosign, written by
    cosign itself. `fulcio`, `timestamps` and `rekor_v1` are the URLs of services for who signs without that config; the
    last is a stand-in.
    """

    trusted_root: Path
    signing_config: Path
    fulcio: str
    timestamps: str
    rekor_v1: str

    def __init__(self, cosign: Cosign) -> None:
        super().__init__()
        self._cosign = cosign
        self._keys = _Keys.generate()
        self.people = Issuer()
        self.workflows = Issuer()

    def start(self) -> None:
        for name in _SERVICES:
            locate(name)  # each may take minutes to build; nothing runs meanwhile
        self._ctlog = self.also(CTLogServer(self._keys.ctlog))
        self.rekor_v1 = self.also(RekorV1Server(self._keys.rekor_v1)).url
        for issuer in (self.people, self.workflows):
            self.also(issuer)
        self.fulcio = self._start_fulcio()
        self._rekor = self._start_rekor()
        self.timestamps = f"{self._start_timestamps()}/api/v1/timestamp"
        self.trusted_root = self._write_trusted_root()
        self.signing_config = self._write_signing_config()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While the context lasts, the services are stopped: whoever asks one of them waits in vain."""
        for name in _SERVICES:
            self.keeper.kill(name, signal.SIGSTOP)
        try:
            yield
        finally:
            for name in _SERVICES:
                self.keeper.kill(name, signal.SIGCONT)

    def _start_fulcio(self) -> str:
        authority = self._keys.authority
        config = self._write("fulcio.json", json.dumps(self._fulcio_config()))
        chain = self._write_chain("fulcio.pem", authority.chain)
        key = self._write_private("fulcio.key", authority.key)
        ctlog = self._write("ctlog.pub", self._keys.ctlog.key.public_pem().decode())

        def command(ports: list[int]) -> list[str]:
            http, grpc, metrics = ports
            return [
                *(str(locate("fulcio")), "serve", "--ca=fileca", "--fileca-watch=false"),
                *(f"--fileca-cert={chain}", f"--fileca-key={key}", f"--fileca-key-passwd={_PASSWORD}"),
                *(f"--config-path={config}", f"--ct-log-url={self._ctlog.url}", f"--ct-log-public-key-path={ctlog}"),
                *("--host=127.0.0.1", f"--port={http}", "--grpc-host=127.0.0.1", f"--grpc-port={grpc}"),
                *(f"--legacy-unix-domain-socket={self.keeper.folder / 'fulcio.sock'}", f"--metrics-port={metrics}"),
            ]

        return self._start_one("fulcio", command, "/healthz", ports=3)

    def _fulcio_config(self) -> dict[str, object]:
        return {
            "OIDCIssuers": {
                self.people.url: {"IssuerURL": self.people.url, "ClientID": AUDIENCE, "Type": "email"},
                self.workflows.url: {
                    "IssuerURL": self.workflows.url,
                    "ClientID": AUDIENCE,
                    "Type": "ci-provider",
                    "CIProvider": "devkit",
                },
            },
            "CIIssuerMetadata": {"devkit": {"SubjectAlternativeNameTemplate": "{{ .sub }}"}},
        }

    def _start_rekor(self) -> str:
        key = self._write_private("rekor.key", self._keys.rekor)
        self._write("rekor.pub", self._keys.rekor.public_pem().decode())
        self._write("rekor-v1.pub", self._keys.rekor_v1.key.public_pem().decode())

        def command(ports: list[int]) -> list[str]:
            http, grpc, metrics = ports
            return [
                *(str(locate("rekor-tiles")), "serve", f"--hostname={REKOR}", "--log-level=warn"),
                *(f"--signer-filepath={key}", f"--signer-password={_PASSWORD}"),
                *(
                    f"--storage-dir={self.keeper.folder / 'tiles'}",
                    "--checkpoint-interval=200ms",
                    "--batch-max-age=20ms",
                ),
                *(f"--http-port={http}", f"--grpc-port={grpc}", f"--http-metrics-port={metrics}"),
            ]

        return self._start_one("rekor-tiles", command, "/healthz", ports=3)

    def _start_timestamps(self) -> str:
        authority = self._keys.timestamps
        chain = self._write_chain("tsa.pem", authority.chain)
        key = self._write_private("tsa.key", authority.key)

        def command(ports: list[int]) -> list[str]:
            _await_free(_METRICS_OF_TIMESTAMPS)  # the program offers no other
            return [
                *(str(locate("timestamp-authority")), "serve", "--scheme=http", "--host=127.0.0.1"),
                *(f"--port={ports[0]}", "--disable-ntp-monitoring", "--timestamp-signer=file"),
                *(f"--certificate-chain-path={chain}", f"--file-signer-key-path={key}"),
                f"--file-signer-passwd={_PASSWORD}",
            ]

        return self._start_one("timestamp-authority", command, "/ping", ports=1)

    def _start_one(self, name: str, command: Callable[[list[int]], list[str]], probe: str, *, ports: int) -> str:
        """The URL of the service, on the first of its ports."""
        chosen = start(
            self.keeper,
            name,
            command,
            ports=ports,
            ready=lambda ports: answers(f"http://127.0.0.1:{ports[0]}{probe}"),
            timeout=30,
            environment={"HOME": str(self.keeper.folder)},
        )
        return f"http://127.0.0.1:{chosen[0]}"

    def _write_trusted_root(self) -> Path:
        folder = self.keeper.folder
        start_time = f"start-time={rfc3339(self._keys.ctlog.window.start)}"
        out = folder / "trusted_root.json"
        self._cosign.run(
            "trusted-root",
            "create",
            f"--fulcio=url={self.fulcio},certificate-chain={folder / 'fulcio.pem'}",
            f"--ctfe=url={self._ctlog.url},public-key={folder / 'ctlog.pub'},{start_time}",
            f"--rekor=url=https://{REKOR},public-key={folder / 'rekor.pub'},{start_time},origin={REKOR}",
            f"--rekor=url=https://{self._keys.rekor_v1.host},public-key={folder / 'rekor-v1.pub'},{start_time}",
            f"--tsa=url={self.timestamps},certificate-chain={folder / 'tsa.pem'}",
            f"--out={out}",
        )
        return out

    def _write_signing_config(self) -> Path:
        out = self.keeper.folder / "signing_config.json"
        about = f"start-time={rfc3339(self._keys.ctlog.window.start)},operator=devkit"
        self._cosign.run(
            "signing-config",
            "create",
            f"--fulcio=url={self.fulcio},api-version=1,{about}",
            f"--oidc-provider=url={self.people.url},api-version=1,{about}",
            *(f"--rekor=url={self._rekor},api-version=2,{about}", "--rekor-config=ANY"),
            *(f"--tsa=url={self.timestamps},api-version=1,{about}", "--tsa-config=ANY"),
            f"--out={out}",
        )
        return out

    def _write_chain(self, name: str, chain: Sequence[x509.Certificate]) -> Path:
        return self._write(name, "".join(to_pem(each) for each in chain))

    def _write_private(self, name: str, key: Signer) -> Path:
        encryption = BestAvailableEncryption(_PASSWORD.encode())
        return self._write(name, key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())

    def _write(self, name: str, content: str) -> Path:
        path = self.keeper.folder / name
        path.write_text(content)
        return path


def _await_free(port: int) -> None:
    """Returns when nobody listens there. Raises StartError if that takes too long."""
    deadline, told = time.monotonic() + _PATIENCE, False
    while True:
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))
            except OSError as error:
                if time.monotonic() > deadline:
                    raise StartError(
                        f"timestamp-server always listens on port {port} as well, and another program does: {error}"
                    ) from error
            else:
                return
        if not told:
            print(f"waiting for another program to leave port {port}…", file=sys.stderr, flush=True)
            told = True
        time.sleep(0.2)
