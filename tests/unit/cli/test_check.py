"""`ocisource check`: the verdict without a cluster, and what people read when a file is wrong."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from devkit.ocihttp import EmbeddedRegistry
from devkit.offline import OfflineSigstore
from devkit.proxies import Embedded, ForwardProxy
from devkit.signer import Signer
from fakes.world import APP, layer
from ocisource.cli.check import main
from unit.cli.conftest import a_secret, an_object

VERIFY = {"provider": "cosign", "secretRef": {"name": "pub"}}
Write = Callable[..., str]


def test_a_signed_source_is_ready_and_each_step_is_told(
    registry: EmbeddedRegistry, alice: Signer, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(an_object(registry.address, verify=VERIFY), a_secret("pub", cosign_pub=alice.public_pem()))

    assert main([path]) == 0

    told = capsys.readouterr().out
    assert [line.split()[0] for line in told.splitlines() if line.startswith("  ") and line[2] != " "] == [
        "resolved",
        "signature",
        "verified",
        "layer",
        "stored",
        "files",
        "READY",
    ]
    assert "is signed by key 'cosign.pub'" in told
    assert "app.yaml, docs/a.md" in told


def test_an_unsigned_version_is_not_ready(
    registry: EmbeddedRegistry, alice: Signer, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(an_object(registry.address, ref={"semver": "*"}, verify=VERIFY))
    keys = write(a_secret("pub", cosign_pub=alice.public_pem()), name="keys.yaml")

    assert main([source, "--secret-file", keys]) == 1
    assert "NOT READY     VerificationError: failed to verify the signature" in capsys.readouterr().out


def test_every_signature_is_shown_with_every_check(
    registry: EmbeddedRegistry, alice: Signer, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = registry.content.found(APP).tags["1.0.0"]
    registry.content.attach(APP, signed, Signer.generate().bundle(signed))
    path = write(an_object(registry.address, verify=VERIFY), a_secret("pub", cosign_pub=alice.public_pem()))

    assert main([path, "-o", "json"]) == 0

    (said,) = json.loads(capsys.readouterr().out)
    assert [(one["form"], one["accepted"]) for one in said["signatures"]] == [
        ("cosign-legacy", True),
        ("sigstore-bundle", False),
    ]
    checks = [(check["name"], check["passed"]) for check in said["signatures"][1]["checks"]]
    assert checks == [("format", True), ("signature", False)]
    assert said["advice"] == []


def test_who_is_refused_learns_which_field_to_change(
    registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """The object with the change is ready."""
    sigstore = OfflineSigstore.create()
    digest = registry.content.push(APP, "keyless", layer({"app.yaml": b"version: 3\n"}))
    registry.content.attach(APP, digest, sigstore.identity("https://issuer.example", "ci@example.com").bundle(digest))
    root = a_secret("root", trusted_root=b"") | {"data": {}, "stringData": {"trusted_root.json": _text(sigstore)}}

    def checked(**identity: str) -> int:
        verify = {
            "provider": "cosign",
            "trustedRootSecretRef": {"name": "root"},
            "matchOIDCIdentity": [identity],
        }
        return main([write(an_object(registry.address, ref={"tag": "keyless"}, verify=verify), root)])

    assert checked(issuer="https://issuer.example", subject="^bob") == 1
    told = capsys.readouterr().out
    assert "FAIL identity: none of the expected identities matched what was in the certificate" in told
    seen = re.search(r"advice +if that identity .* with issuer '(.*)' and subject '(.*)'$", told, re.MULTILINE)
    assert seen is not None
    assert seen.groups() == (r"^https://issuer\.example$", r"^ci@example\.com$")
    assert checked(issuer=seen[1], subject=seen[2]) == 0


def _text(sigstore: OfflineSigstore) -> str:
    return sigstore.trusted_root().decode()


def test_without_identities_it_is_told_who_signed(
    registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    sigstore = OfflineSigstore.create()
    digest = registry.content.push(APP, "keyless", layer({"app.yaml": b"version: 3\n"}))
    registry.content.attach(APP, digest, sigstore.identity("https://issuer.example", "ci@example.com").bundle(digest))
    root = a_secret("root", trusted_root=b"") | {"data": {}, "stringData": {"trusted_root.json": _text(sigstore)}}
    verify = {"provider": "cosign", "trustedRootSecretRef": {"name": "root"}}

    assert main([write(an_object(registry.address, ref={"tag": "keyless"}, verify=verify), root)]) == 0
    assert "the one seen is identity 'ci@example.com' of issuer 'https://issuer.example'" in capsys.readouterr().out


@pytest.mark.parametrize("secrets", [[], [a_secret("pub", cosign_pub=b"nonsense")]])
def test_trust_that_cannot_be_used_is_no_reason_to_sign(
    secrets: list[object], registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what is wrong with the Secret; advice about the artifact would lead astray."""
    assert main([write(an_object(registry.address, verify=VERIFY), *secrets), "-o", "json"]) == 1

    (said,) = json.loads(capsys.readouterr().out)
    assert said["advice"] == []
    assert "pub" in said["message"]


def test_the_tarball_is_written_where_asked(
    registry: EmbeddedRegistry, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(an_object(registry.address, ignore="docs/")), "--output", str(tmp_path / "out")]) == 0

    with tarfile.open(tmp_path / "out" / "team" / "app.tar.gz") as tar:
        assert [member.name for member in tar] == [".", "app.yaml"]
    assert "out/team/app.tar.gz" in capsys.readouterr().out


def test_a_copied_layer_is_not_looked_into(
    registry: EmbeddedRegistry, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """F8: it may be anything."""
    registry.content.push(APP, "3.0.0", b"no archive")
    source = write(an_object(registry.address, ref={"tag": "3.0.0"}, layerSelector={"operation": "copy"}))

    assert main([source, "--output", str(tmp_path / "out")]) == 0

    assert (tmp_path / "out" / "team" / "app.tar.gz").read_bytes() == b"no archive"
    assert "  files     not looked at: the layer is copied as it is" in capsys.readouterr().out


def test_nothing_is_written_for_what_is_not_ready(registry: EmbeddedRegistry, write: Write, tmp_path: Path) -> None:
    assert main([write(an_object(registry.address, verify=VERIFY)), "--output", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()


def test_machines_read_json(registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(an_object(registry.address), an_object(registry.address, ref={"tag": "nope"}))

    assert main([path, "-o", "json"]) == 1

    good, bad = json.loads(capsys.readouterr().out)
    assert (good["ready"], good["reason"], good["files"]) == (True, "Succeeded", ["app.yaml", "docs/a.md"])
    assert good["artifact"]["revision"].startswith("1.0.0@sha256:")
    assert (bad["ready"], bad["reason"], bad["artifact"]) == (False, "OCIArtifactPullFailed", None)
    assert bad["message"].startswith("failed to determine artifact digest: GET http://")


def test_a_suspended_source_is_checked_all_the_same(
    registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(an_object(registry.address, suspend=True))]) == 0
    assert "spec.suspend is set" in capsys.readouterr().out


def test_lists_and_other_kinds_are_read_over(registry: EmbeddedRegistry, write: Write) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    several = {"apiVersion": "v1", "kind": "List", "items": [other, an_object(registry.address)]}

    assert main([write(other, several, "# nothing but a comment\n")]) == 0


def test_standard_input_is_a_file_too(registry: EmbeddedRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(an_object(registry.address))
    monkeypatch.setattr("sys.stdin", io.StringIO(text))

    assert main(["-"]) == 0


@pytest.mark.parametrize(
    ("documents", "told"),
    [
        ([an_object("h.io", intervall="5m")], "source.yaml:1: spec.intervall: there is no such field"),
        ([an_object("h.io", interval=5)], "source.yaml:1: spec.interval: must be a string (put it in quotes)"),
        ([an_object("h.io") | {"spec": None}], "source.yaml:1: spec: is required"),
        (["spec: [\n"], "source.yaml: not valid YAML"),
        (["- a\n- b\n"], "source.yaml:1: a Kubernetes object is expected"),
        (
            [{"kind": "ConfigMap"}, {"kind": "HelmRepository"}, {"kind": "ConfigMap"}],
            "there is no OCIRepository in there but ConfigMap, HelmRepository: nothing was checked",
        ),
        (["# nothing\n"], "there is no OCIRepository in there: nothing was checked"),
        (
            [an_object("h.io"), an_object("h.io") | {"kind": "OciRepository"}],
            "kind: is 'OciRepository', must be 'OCIRepository'",
        ),
        (
            [an_object("h.io"), {"apiVersion": "source.toolkit.fluxcd.io/v1", "metadata": {"name": "b"}}],
            "kind: is None, must be 'OCIRepository'",
        ),
        (
            ["kind: List\nitems:\n- a: &a {b: 1}\n  c: [*a, *a, {<<: *a, d: 1,\n  d: 2}]\n"],
            "yaml:5: d stands there twice",
        ),
        (["a: " + "[" * 5000], "source.yaml: no Kubernetes object: it is nested too deeply"),
        ([a_secret("x") | {"data": {"a": "***"}}], "data['a'] is not base64: put plain text under stringData"),
        ([a_secret("x") | {"metadata": {}}], "metadata.name of the Secret is required"),
    ],
)
def test_bad_input_is_told_with_file_line_and_field(
    documents: list[object], told: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(*documents)]) == 2
    assert told in capsys.readouterr().err


def test_the_line_of_a_later_document_is_its_own(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    path = write("kind: ConfigMap\n", "# a comment\nkind: OCIRepository\napiVersion: nonsense/v1\n")

    assert main([path]) == 2
    assert "source.yaml:4: apiVersion: is 'nonsense/v1'" in capsys.readouterr().err


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.yaml"]) == 2
    assert "nowhere.yaml: No such file or directory" in capsys.readouterr().err


def test_a_secret_file_holds_secrets_only(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(an_object("h.io"))

    assert main([source, "--secret-file", source]) == 2
    assert "--secret-file takes Secrets only" in capsys.readouterr().err


def test_a_service_account_is_read_from_the_files_too(
    registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    """E2"""
    account = {"kind": "ServiceAccount", "metadata": {"namespace": "team", "name": "puller"}}
    source = an_object(registry.address, serviceAccountName="puller")

    assert main([write(source)]) == 1
    assert "serviceaccount 'team/puller' not found (no file holds it: add its YAML)" in capsys.readouterr().out
    assert main([write(source, account)]) == 0
    assert main([write(source, {**account, "imagePullSecrets": [{"name": "nope"}]})]) == 1
    assert "failed to get image pull secret for serviceaccount 'team/puller'" in capsys.readouterr().out


def test_without_a_cluster_no_service_account_asks_a_cloud(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """E6"""
    account = {
        "kind": "ServiceAccount",
        "metadata": {
            "namespace": "team",
            "name": "puller",
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/reader"},
        },
    }
    registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    path = write(an_object(registry, provider="aws", serviceAccountName="puller"), account)

    assert main([path]) == 1
    assert (
        "failed to get credential from aws: without a cluster there is no token for service account 'team/puller'"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("wrong", [{"metadata": {}}, {"metadata": {"name": "a"}, "imagePullSecrets": ["pull"]}])
def test_a_service_account_that_is_none_is_bad_input(
    wrong: dict[str, object], registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(an_object(registry.address), {"kind": "ServiceAccount", **wrong})]) == 2
    assert "this is no ServiceAccount: metadata.name is required" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        ([], 'secrets "pub" not found (no file holds the Secret team/pub: add one with --secret-file)'),
        ([a_secret("pub", "elsewhere")], "there is one in namespace elsewhere, but it must be in the object's own"),
        (
            [a_secret("pub") | {"data": {"cosign.pub": "ENC[AES256_GCM,data:aa==]"}, "sops": {"mac": "ENC[bb]"}}],
            "source.yaml:16 holds it encrypted: give what `sops decrypt` makes of it",
        ),
    ],
)
def test_a_missing_secret_says_where_to_put_it(
    secrets: list[object], told: str, registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([write(an_object(registry.address, verify=VERIFY), *secrets)]) == 1
    assert told in capsys.readouterr().out


def test_no_tarball_overwrites_another(
    registry: EmbeddedRegistry, write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files for several clusters may have the same object each."""
    first, second = (write(an_object(registry.address), name=name) for name in ("a.yaml", "b.yaml"))

    assert main([first, second]) == 0
    assert main([first, second, "--output", str(tmp_path / "out")]) == 2
    assert f"{second}:1: team/app stands at {first}:1 already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "advice"),
    [
        (":1.0.0", ["take :1.0.0 out of spec.url, and put 1.0.0 into spec.ref.tag"]),
        ("@sha256:12", ["take @sha256:12 out of spec.url, and put sha256:12 into spec.ref.digest"]),
        (
            ":1@sha256:12",
            [
                "take :1 out of spec.url, and put 1 into spec.ref.tag",
                "take @sha256:12 out of spec.url, and put sha256:12 into spec.ref.digest",
            ],
        ),
        ("/UPPER", []),
    ],
)
def test_what_belongs_into_the_reference_is_told_to_whoever_put_it_into_the_url(
    more: str, advice: list[str], write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"oci://registry.example.com:5000/app{more}"

    assert main([write(an_object("h.io", url=url)), "-o", "json"]) == 1

    (said,) = json.loads(capsys.readouterr().out)
    assert said["reason"] == "URLInvalid"
    assert said["advice"] == advice


def test_who_meets_plain_http_learns_which_field_allows_it(
    registry: EmbeddedRegistry, write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """C11 has no room for it. Behind a proxy, since a registry on this machine is found by either scheme."""
    with Embedded(ForwardProxy(hosts={"registry.test:443": registry.address})) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")

        assert main([write(an_object("registry.test")), "-o", "json"]) == 1

    (said,) = json.loads(capsys.readouterr().out)
    assert said["message"].endswith("http: server gave HTTP response to HTTPS client")
    assert said["advice"] == ["the registry speaks plain HTTP, which needs spec.insecure: true"]


def test_a_platform_that_is_none_is_bad_input(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([write(an_object("h.io")), "--platform", "linux"])

    assert ended.value.code == 2
    assert "argument --platform: must be os/architecture" in capsys.readouterr().err
