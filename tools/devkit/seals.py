"""Keys that sign what was pushed: of the real cosign where it is at hand, else of our own signer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from devkit.binaries import find
from devkit.services import Cosign, KeyPair
from devkit.signer import LegacyLayer, Signer, legacy_image, referrer, referrers_index

if TYPE_CHECKING:
    from pathlib import Path

    from devkit.repository import Pushed


class Seal(Protocol):
    """One key pair. `name` says what signs with it."""

    @property
    def name(self) -> str: ...

    @property
    def keys(self) -> KeyPair: ...

    def sign(self, pushed: Pushed, *, bundle: bool) -> None:
        """As a Sigstore bundle that refers to the manifest, or as a legacy `.sig` tag."""
        ...


class CosignSeal:
    """The real cosign."""

    name = "cosign"

    def __init__(self, cosign: Cosign, keys: KeyPair) -> None:
        self._cosign = cosign
        self.keys = keys

    def sign(self, pushed: Pushed, *, bundle: bool) -> None:
        self._cosign.sign(str(pushed), self.keys, bundle=bundle)


class OwnSeal:
    """Our signer, which writes what cosign writes."""

    name = "devkit.signer in cosign's format"

    def __init__(self, signer: Signer, keys: KeyPair) -> None:
        self._signer = signer
        self.keys = keys

    def sign(self, pushed: Pushed, *, bundle: bool) -> None:
        if bundle:
            attach(pushed, self._signer.bundle(pushed.digest))
        else:
            attach(pushed, self._signer.legacy(pushed.digest, str(pushed.repository)))


def attach(pushed: Pushed, *signatures: LegacyLayer | bytes) -> None:
    """Puts signatures beside what was pushed. The legacy ones become the image at the `.sig` tag, in place of an
    earlier one. Bundles become referrers; without a referrers API the tag that stands in for it lists them (OCI
    distribution-spec, referrers tag schema), those of this call only."""
    repository = pushed.repository
    layers = [each for each in signatures if isinstance(each, LegacyLayer)]
    uploads = [referrer(pushed.digest, pushed.size, each) for each in signatures if isinstance(each, bytes)]
    listed = not uploads or repository.get(f"referrers/{pushed.digest}").status == 200
    tagged = [legacy_image(pushed.digest, layers)] if layers else []
    for upload in (*uploads, *tagged, *([] if listed else [referrers_index(pushed.digest, uploads)])):
        upload.push(repository.put_blob, repository.put_manifest)


def make_key(folder: Path) -> Seal:
    """A new key pair, `cosign.key` and `cosign.pub` in the folder. cosign is used if it is there, never built: that
    takes minutes."""
    if find("cosign"):
        cosign = Cosign(folder)
        return CosignSeal(cosign, cosign.key_pair())
    signer = Signer.generate()
    keys = KeyPair(folder / "cosign.key", folder / "cosign.pub")
    keys.private.touch(mode=0o600)
    keys.private.write_bytes(signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    keys.public.write_bytes(signer.public_pem())
    return OwnSeal(signer, keys)


def open_key(private: Path) -> Seal:
    """A key that `make_key` made, in this process or another. Raises ValueError if it is something else."""
    keys = KeyPair(private.absolute(), private.absolute().with_suffix(".pub"))
    content = private.read_bytes()
    if b"ENCRYPTED" in content.partition(b"\n")[0]:
        return CosignSeal(Cosign(keys.private.parent), keys)
    try:
        key = load_pem_private_key(content, password=None)
    except ValueError as error:
        raise ValueError(f"{private}: not a private key in PEM without a password") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{private}: an ECDSA key is expected")
    return OwnSeal(Signer(key), keys)
