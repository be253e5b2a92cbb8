"""`ocisource verify --key`: the verdict on one reference, and what is told with it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from devkit.ocifaults import when
from devkit.ocihttp import EmbeddedRegistry, Proceed, RegistryServer
from devkit.signer import Signer
from fakes.world import APP, layer
from ocisource.cli.commands import dispatch
from ocisource.cli.verify import main
from unit.cli.conftest import Answer

Verify = Callable[..., Answer]
Put = Callable[[str, bytes], Path]


@pytest.fixture
def key(alice: Signer, put: Put) -> str:
    return str(put("alice.pem", alice.public_pem()))


@pytest.fixture(scope="module")
def bob() -> Signer:
    return Signer.generate()


def test_a_signed_reference_is_verified(registry: EmbeddedRegistry, verify: Verify, key: str) -> None:
    said = verify("1.0.0", "--key", key)

    assert said.status == 0
    assert said.lines[-1].startswith("VERIFIED  verified signature of revision 1.0.0@sha256:")
    assert f"signed by key '{key}' (SHA256:" in said.lines[-1], "the file by the name that the user gave it"
    layer = json.loads(registry.content.found(APP).manifests[registry.content.found(APP).tags["1.0.0"]][1])["layers"][0]
    assert not [one for one in registry.content.asked if layer["digest"] in one.path], "a verdict needs no content"


def test_every_signature_is_shown_with_every_check(
    registry: EmbeddedRegistry, alice: Signer, bob: Signer, verify: Verify, key: str
) -> None:
    """The search does not end with the first good one: who looks wants to see what else is there."""
    signed = registry.content.found(APP).tags["1.0.0"]
    registry.content.attach(APP, signed, bob.bundle(signed))
    registry.content.attach(APP, signed, alice.bundle(signed))

    said = verify("1.0.0", "--key", key)

    assert said.status == 0
    first, second, third = said.told("signature")
    assert first.startswith("legacy signature 1 (cosign-legacy) accepted: key ")
    outcomes = sorted([second.partition(") ")[2][:8], third.partition(") ")[2][:8]])
    assert outcomes == ["accepted", "refused"]
    failed = [line.strip() for line in said.lines if "FAIL" in line]
    assert failed == [f"FAIL signature: signed by another key (SHA256:{bob.hint})"]
    assert [line.split()[1] for line in said.lines if line.strip().startswith("ok ")].count("digest") == 2


def test_machines_read_the_same(
    registry: EmbeddedRegistry, alice: Signer, bob: Signer, verify: Verify, key: str
) -> None:
    """The members that README.md documents."""
    signed = registry.content.found(APP).tags["1.0.0"]
    registry.content.attach(APP, signed, bob.bundle(signed))

    said = verify("1.0.0", "--key", key, "-o", "json")

    signer = f"key '{key}' (SHA256:{alice.hint})"
    assert said.status == 0
    assert said.json == {
        "reference": f"{registry.address}/{APP}:1.0.0",
        "digest": signed,
        "verified": True,
        "signer": signer,
        "message": said.json["message"],
        "signatures": [
            {
                "name": "legacy signature 1",
                "form": "cosign-legacy",
                "accepted": True,
                "signer": signer,
                "reason": "",
                "checks": [
                    {"name": "format", "passed": True, "detail": ""},
                    {"name": "signature", "passed": True, "detail": signer},
                    {"name": "digest", "passed": True, "detail": ""},
                ],
            },
            {
                "name": said.json["signatures"][1]["name"],
                "form": "sigstore-bundle",
                "accepted": False,
                "signer": "",
                "reason": f"signed by another key (SHA256:{bob.hint})",
                "checks": [
                    {"name": "format", "passed": True, "detail": ""},
                    {"name": "signature", "passed": False, "detail": f"signed by another key (SHA256:{bob.hint})"},
                ],
            },
        ],
        "advice": [],
    }
    assert said.json["message"].startswith(f"verified signature of revision 1.0.0@{signed}, signed by {signer}")


def test_any_of_several_keys_may_have_signed(alice: Signer, bob: Signer, verify: Verify, put: Put) -> None:
    keys = put("b.pub", bob.public_pem()), put("a.pub", alice.public_pem())

    said = verify("1.0.0", "--key", keys[0], "--key", keys[1])

    assert said.status == 0
    assert said.told("trusts") == [f"any of the keys {keys[0]}, {keys[1]}"]
    assert f"signed by key '{keys[1]}'" in said.lines[-1]


def test_a_digest_counts_before_the_tag(registry: EmbeddedRegistry, verify: Verify, key: str) -> None:
    signed = registry.content.found(APP).tags["1.0.0"]

    said = verify(f"2.0.0@{signed}", "--key", key)

    assert said.status == 0
    assert f"verified signature of revision {signed}" in said.out


def test_who_signed_nothing_learns_how_to(registry: EmbeddedRegistry, verify: Verify, key: str) -> None:
    digest = registry.content.found(APP).tags["2.0.0"]

    said = verify("2.0.0", "--key", key)

    assert said.status == 1
    assert said.told("advice") == [f"sign this digest: cosign sign --key cosign.key {registry.address}/{APP}@{digest}"]
    assert said.lines[-1].startswith("NOT VERIFIED  failed to verify the signature using provider 'cosign': ")


def test_who_trusts_another_key_learns_which_one_signed(bob: Signer, verify: Verify, put: Put) -> None:
    said = verify("1.0.0", "--key", put("bob.pub", bob.public_pem()))

    assert said.status == 1
    (advice,) = said.told("advice")
    assert advice.startswith("if whoever signed it is to be trusted, give its public key with --key; else sign this")


def test_a_signature_of_something_else_is_told_by_its_digest(
    registry: EmbeddedRegistry, alice: Signer, verify: Verify, key: str
) -> None:
    unsigned = registry.content.found(APP).tags["2.0.0"]
    other = "sha256:" + 64 * "a"
    one = alice.legacy(other)
    registry.content.sign_legacy(APP, unsigned, [(one.payload, one.annotations)])

    said = verify("2.0.0", "--key", key)

    assert said.status == 1
    assert f"FAIL digest: signature is for another digest '{other}'" in said.out
    (advice,) = said.told("advice")
    assert advice.startswith("sign this digest: ")


def test_an_attestation_is_no_signature(registry: EmbeddedRegistry, alice: Signer, verify: Verify, key: str) -> None:
    """signatures.md rule 4; that it was seen is told."""
    unsigned = registry.content.found(APP).tags["2.0.0"]
    annotations = {"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}
    registry.content.attach(APP, unsigned, alice.bundle(unsigned), annotations=annotations)

    said = verify("2.0.0", "--key", key)

    assert said.status == 1
    assert said.told("signature") == ["attestations (unreadable) refused: 1 found, which are not signatures"]
    assert said.told("advice")[0].startswith("sign this digest: ")


async def _forbidden(_request: web.Request, _proceed: Proceed) -> web.StreamResponse:
    return web.Response(status=403, text="not today")


def test_what_the_registry_does_not_show_is_not_judged(registry: EmbeddedRegistry, verify: Verify, key: str) -> None:
    """It is no "no", and it is never a "yes"."""
    registry.content.fault = when("/referrers/", _forbidden)
    registry.content.found(APP).tags.pop(registry.content.found(APP).tags["1.0.0"].replace(":", "-") + ".sig")

    said = verify("1.0.0", "--key", key)

    assert said.status == 3
    assert said.told("advice") == ["the registry did not show all signatures: try again, or ask who runs it"]
    assert said.lines[-1].startswith("NOT JUDGED  ")


def test_what_is_not_there_is_not_judged(verify: Verify, key: str) -> None:
    said = verify("3.0.0", "--key", key)

    assert said.status == 3
    assert "MANIFEST_UNKNOWN" in said.lines[-1]


def test_a_registry_that_is_not_there_says_neither_yes_nor_no(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oci://127.0.0.1:9/team/app:1", "--key", key, "--timeout", "500ms", "-o", "json"]) == 3

    said = json.loads(capsys.readouterr().out)
    assert (said["verified"], said["signer"], said["digest"], said["signatures"]) == (False, "", "", [])
    assert said["message"].startswith("failed to determine artifact digest: ")


def test_a_registry_that_does_not_answer_in_time_says_neither(
    registry: EmbeddedRegistry, verify: Verify, key: str
) -> None:
    registry.content.fault = when(".sig", _never)

    said = verify("1.0.0", "--key", key, "--timeout", "300ms")

    assert said.status == 3
    assert said.told("advice") == ["the registry is slow or gone: try again, or with a longer --timeout"]
    assert said.lines[-1].endswith("no answer within --timeout (300ms)")


async def _never(request: web.Request, _proceed: Proceed) -> web.StreamResponse:
    """Waits until whoever asked has gone."""
    while request.transport is not None and not request.transport.is_closing():
        await asyncio.sleep(0.01)
    return web.Response(status=503)


def test_a_registry_that_asks_who_one_is_gets_an_answer_by_flag(
    alice: Signer, key: str, put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    content = RegistryServer(auth="basic", users={"user": "pass"})
    with EmbeddedRegistry(content) as registry:
        digest = content.push(APP, "1", layer({"a": b"1"}))
        content.attach(APP, digest, alice.bundle(digest))
        login = base64.b64encode(b"user:pass").decode()
        config = put("config.json", json.dumps({"auths": {registry.address: {"auth": login}}}).encode())
        reference = f"oci://{registry.address}/{APP}:1"

        assert main([reference, "--key", key]) == 3
        assert "the registry asks who you are: give credentials with --registry-config" in capsys.readouterr().out
        assert main([reference, "--key", key, "--registry-config", str(config)]) == 0
        helped = put("helped.json", json.dumps({"auths": {registry.address: {}}, "credsStore": "desktop"}).encode())
        assert main([reference, "--key", key, "--registry-config", str(helped)]) == 3
        assert "refuses the credentials in --registry-config, or there are none for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["registry.example.com/app:1.0"], "a reference begins with oci://"),
        (["oci://r.example/app:1.0", "--timeout", "soon"], "--timeout: must be a duration"),
        (["oci://r.example/app:1.0", "--key", "nowhere.pub"], "--key nowhere.pub: No such file or directory"),
        (["oci://r.example/APP:1.0"], "repository can only contain the characters"),
    ],
)
def test_bad_input_is_told(arguments: list[str], told: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--key", key]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_file_that_is_no_key_is_named_before_anybody_is_asked(
    content: bytes, registry: EmbeddedRegistry, verify: Verify, put: Put
) -> None:
    path = put("broken.pem", content)

    said = verify("1.0.0", "--key", path)

    assert said.status == 2
    assert f"--key {path}: " in said.err
    assert registry.content.asked == []


def test_credentials_that_cannot_be_read_are_bad_input(verify: Verify, key: str, put: Put) -> None:
    path = put("config.json", b"{")

    said = verify("1.0.0", "--key", key, "--registry-config", path)

    assert said.status == 2
    assert f"--registry-config {path}: " in said.err


def test_a_digest_that_is_none_is_bad_input(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["oci://registry.example.com/app@sha256:123", "--key", key]) == 2
    assert "wrong number of hex digits for sha256: 123" in capsys.readouterr().out


def test_garbage_in_the_registry_is_a_no(
    monkeypatch: pytest.MonkeyPatch, registry: EmbeddedRegistry, verify: Verify, key: str
) -> None:
    found = registry.content.found(APP)
    garbage = {name: (media, b"\xff" * len(body)) for name, (media, body) in found.manifests.items()}
    monkeypatch.setattr(found, "manifests", garbage)

    assert verify("1.0.0", "--key", key).status == 1


def test_without_a_command_there_is_a_list_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert dispatch([]) == 2
    assert dispatch(["--help"]) == 0
    assert dispatch(["chekc"]) == 2

    told = capsys.readouterr()
    assert "check    resolve, verify and fetch" in told.out
    assert "there is no command 'chekc'" in told.err
