"""Pushing and signing without cosign: the same bytes for the same folder, and signatures that count."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devkit import publisher
from devkit.ocihttp import EmbeddedRegistry, Proceed, RegistryServer
from devkit.publisher import pack, publish
from devkit.repository import PushError, Repository
from devkit.seals import OwnSeal, Seal, make_key, open_key
from devkit.signer import Signer
from ocisource.cli import verify


@pytest.fixture(autouse=True)
def no_cosign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def registry() -> Iterator[EmbeddedRegistry]:
    with EmbeddedRegistry() as registry:
        yield registry


@pytest.fixture
def repository(registry: EmbeddedRegistry) -> Repository:
    return Repository(registry.address, "team/app")


@pytest.fixture
def app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    (folder / "deep").mkdir(parents=True)
    (folder / "settings.yaml").write_text("version: ${version}\n")
    (folder / "deep" / "logo.bin").write_bytes(bytes(range(256)))
    return folder


@pytest.fixture
def seal(tmp_path: Path) -> Seal:
    return make_key(tmp_path)


def verified(repository: Repository, tag: str, key: Path) -> bool:
    return verify.main([f"oci://{repository}:{tag}", "--insecure", "--key", str(key)]) == 0


def test_a_folder_is_packed_into_the_same_bytes_whatever_its_dates(app: Path) -> None:
    before = pack(app, "1.0.0")
    for file in app.rglob("*"):
        os.utime(file, (1, 1))
    assert pack(app, "1.0.0") == before
    with tarfile.open(fileobj=io.BytesIO(before), mode="r:gz") as archive:
        assert archive.getnames() == ["deep/logo.bin", "settings.yaml"]
        content = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
    assert content == {"deep/logo.bin": bytes(range(256)), "settings.yaml": b"version: 1.0.0\n"}


def test_an_empty_folder_is_not_pushed(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PushError, match="there is nothing to push in "):
        pack(tmp_path / "empty", "1.0.0")


@pytest.mark.parametrize("bundle", [False, True], ids=["legacy", "bundle"])
def test_what_is_signed_counts_for_its_key_and_for_no_other(
    repository: Repository, app: Path, seal: Seal, bundle: bool, tmp_path: Path
) -> None:
    pushed = publish(repository, "1.0.0", app, seal, bundle=bundle)
    assert str(pushed).startswith(f"{repository}@sha256:")
    assert verified(repository, "1.0.0", seal.keys.public)
    (tmp_path / "other.pub").write_bytes(Signer.generate().public_pem())
    assert not verified(repository, "1.0.0", tmp_path / "other.pub")


def test_what_is_not_signed_does_not_count(repository: Repository, app: Path, seal: Seal) -> None:
    publish(repository, "1.0.0", app, seal)
    publish(repository, "1.1.0", app, None)
    assert not verified(repository, "1.1.0", seal.keys.public)


def test_another_process_signs_with_the_same_key(repository: Repository, app: Path, seal: Seal) -> None:
    """The script in the folder of `make run` does."""
    command = [sys.executable, "-m", "devkit.publisher", "1.0.0", "--to", str(repository), "--folder", str(app)]
    tools = str(Path(publisher.__file__).parents[1])
    done = subprocess.run(
        [*command, "--key", str(seal.keys.private)],
        env={**os.environ, "PYTHONPATH": tools},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"pushed {repository}:1.0.0@sha256:")
    assert done.stdout.endswith(", signed by devkit.signer in cosign's format\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert verified(repository, "1.0.0", seal.keys.public)


def test_who_signs_has_to_be_said(repository: Repository, app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["publisher", "1.0.0", "--to", str(repository), "--folder", str(app)])
    with pytest.raises(SystemExit) as refusal:
        publisher.main()
    assert refusal.value.code == 2


def test_a_private_key_is_for_its_owner_only(seal: Seal) -> None:
    assert isinstance(seal, OwnSeal)
    assert seal.keys.private.stat().st_mode & 0o077 == 0


def test_a_key_that_cannot_sign_is_refused_by_name(tmp_path: Path) -> None:
    for name, content, why in (
        ("not.key", b"hello\n", "not a private key"),
        ("public.key", Signer.generate().public_pem(), "not a private key"),
        ("edwards.key", pem(Signer.generate("ed25519")), "an ECDSA key is expected"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name}: {why}"):
            open_key(tmp_path / name)


def pem(signer: Signer) -> bytes:
    return signer.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_registry_that_refuses_is_quoted(registry: EmbeddedRegistry, repository: Repository) -> None:
    async def full(_: web.Request, __: Proceed) -> web.StreamResponse:
        return web.Response(status=507, text="the disk is full")

    registry.content.fault = full
    with pytest.raises(PushError, match="507 the disk is full"):
        repository.push("1.0.0", b"")


def test_a_registry_that_is_not_there_is_named(repository: Repository) -> None:
    with EmbeddedRegistry(RegistryServer()) as gone:
        address = gone.address
    with pytest.raises(PushError, match=f"no registry answers at {address}"):
        Repository(address, repository.name).push("1.0.0", b"")


@pytest.mark.parametrize("text", ["", "host:5000", "host:5000/", "/name"])
def test_a_repository_is_an_address_and_a_name(text: str) -> None:
    with pytest.raises(PushError, match="write host:port/name"):
        Repository.parse(text)
