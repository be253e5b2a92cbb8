"""The way to the API server."""

from __future__ import annotations

import base64
import os
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ocisource.cluster.config import FileToken, load_config
from ocisource.cluster.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def pair() -> tuple[bytes, bytes]:
    """A self-signed certificate and its key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), private


CERTIFICATE, KEY = pair()


def kubeconfig(folder: Path, user: dict[str, Any] | None = None, name: str = "config", **cluster: Any) -> Path:
    path = folder / name
    content = {
        "current-context": "there",
        "contexts": [{"name": "there", "context": {"cluster": "c", "user": "u", "namespace": "apps"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443/", **cluster}}],
        "users": [{"name": "u", "user": user or {}}],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_kubeconfig_gives_server_namespace_and_token(tmp_path: Path) -> None:
    config = load_config(str(kubeconfig(tmp_path, {"token": "t"})), {})
    assert config.server == "https://api.example:6443"
    assert config.namespace == "apps"
    assert config.token() == "t"
    assert config.ssl is not None
    assert config.ssl.verify_mode == ssl.CERT_REQUIRED


def test_the_flag_beats_the_variable_and_the_variable_beats_the_pod(tmp_path: Path) -> None:
    flag = kubeconfig(tmp_path, {"token": "flag"}, "flag")
    variable = kubeconfig(tmp_path, {"token": "variable"}, "variable")
    environment = {"KUBECONFIG": str(variable), "KUBERNETES_SERVICE_HOST": "10.0.0.1"}
    assert load_config(str(flag), environment).token() == "flag"
    assert load_config("", environment).token() == "variable"


def test_files_of_the_variable_are_merged_and_the_first_counts(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.write_text(yaml.safe_dump({"users": [{"name": "u", "user": {"token": "first"}}]}))
    second = kubeconfig(tmp_path, {"token": "second"})
    paths = os.pathsep.join([str(first), str(tmp_path / "missing"), str(second)])
    config = load_config("", {"KUBECONFIG": paths})
    assert (config.token(), config.server) == ("first", "https://api.example:6443")


def test_certificates_come_from_data_or_from_files_beside_the_kubeconfig(tmp_path: Path) -> None:
    user = {"client-certificate-data": encoded(CERTIFICATE), "client-key-data": encoded(KEY)}
    authority = {"certificate-authority-data": encoded(CERTIFICATE)}
    config = load_config(str(kubeconfig(tmp_path, user, **authority)), {})
    assert config.ssl is not None
    assert config.ssl.cert_store_stats()["x509"] == 1
    (tmp_path / "ca.crt").write_bytes(CERTIFICATE)
    (tmp_path / "tls.crt").write_bytes(CERTIFICATE)
    (tmp_path / "tls.key").write_bytes(KEY)
    files = {"client-certificate": "tls.crt", "client-key": "tls.key"}
    config = load_config(str(kubeconfig(tmp_path, files, **{"certificate-authority": "ca.crt"})), {})
    assert config.ssl is not None
    assert config.ssl.cert_store_stats()["x509"] == 1


def test_an_insecure_cluster_is_not_verified(tmp_path: Path) -> None:
    config = load_config(str(kubeconfig(tmp_path, **{"insecure-skip-tls-verify": True})), {})
    assert config.ssl is not None
    assert config.ssl.verify_mode == ssl.CERT_NONE


def test_secrets_are_not_in_the_text_of_a_config(tmp_path: Path) -> None:
    assert "s3cret" not in repr(load_config(str(kubeconfig(tmp_path, {"token": "s3cret"})), {}))


@pytest.mark.parametrize(
    ("user", "fix"),
    [
        ({"exec": {"command": "login"}}, "credential plugin"),
        ({"auth-provider": {"name": "oidc"}}, "credential plugin"),
        ({"username": "a", "password": "b"}, "use a token"),
        ({"client-certificate-data": encoded(CERTIFICATE)}, "both client-certificate and client-key"),
        ({"client-certificate-data": "%%", "client-key-data": "%%"}, "client-certificate-data is not base64"),
        ({"client-certificate-data": encoded(b"x"), "client-key-data": encoded(b"y")}, "do not fit"),
        ({"tokenFile": "none"}, "is not a file"),
    ],
)
def test_a_user_that_cannot_be_used_is_told_with_the_fix(tmp_path: Path, user: dict[str, Any], fix: str) -> None:
    path = kubeconfig(tmp_path, user)
    with pytest.raises(ConfigError) as caught:
        load_config(str(path), {})
    assert fix in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a: [", "cannot be read"),
        ("- a", "not a mapping"),
        ("{}", "current-context is not set"),
        ("current-context: gone", "no entry 'gone' in contexts"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "config"
    path.write_text(content)
    with pytest.raises(ConfigError, match=problem):
        load_config(str(path), {})


def test_a_server_that_is_no_url_and_a_bad_ca_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="http"):
        load_config(str(kubeconfig(tmp_path, server="api.example")), {})
    with pytest.raises(ConfigError, match="certificate-authority is not a PEM"):
        load_config(str(kubeconfig(tmp_path, **{"certificate-authority-data": encoded(b"junk")})), {})


def test_no_way_to_a_cluster_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--kubeconfig"):
        load_config("", {"HOME": str(tmp_path)})
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(str(tmp_path / "none"), {})


def test_the_home_of_a_user_has_a_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    kubeconfig(tmp_path / ".kube", {"token": "home"})
    assert load_config("", {"HOME": str(tmp_path)}).token() == "home"


def account(folder: Path) -> Path:
    (folder / "token").write_text("first\n")
    (folder / "namespace").write_text("flux-system")
    (folder / "ca.crt").write_bytes(CERTIFICATE)
    return folder


def test_a_pod_uses_its_account(tmp_path: Path) -> None:
    environment = {"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "6443", "HOME": "/none"}
    config = load_config("", environment, account(tmp_path))
    assert config.server == "https://[fd00::1]:6443"
    assert config.namespace == "flux-system"
    assert config.token() == "first"


def test_a_broken_ca_of_the_pod_is_told(tmp_path: Path) -> None:
    (account(tmp_path) / "ca.crt").write_text("junk")
    with pytest.raises(ConfigError, match=r"ca\.crt"):
        load_config("", {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "HOME": "/none"}, tmp_path)


def test_a_renewed_token_is_used_at_once(tmp_path: Path) -> None:
    """The kubelet puts a new file in place of the old one."""
    path = tmp_path / "token"
    path.write_text("first")
    token = FileToken(path)
    assert token() == "first"
    renewed = tmp_path / "renewed"
    renewed.write_text("other")
    renewed.replace(path)
    assert token() == "other"


def test_a_token_outlives_a_moment_without_its_file(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    token = FileToken(path)
    assert token() == "first"
    path.unlink()
    assert token() == "first"
    with pytest.raises(ConfigError, match="cannot be read"):
        FileToken(path)()
