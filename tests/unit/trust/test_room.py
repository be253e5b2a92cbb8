"""Which policy an object gets (flux-compat H3 to H7)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from devkit.offline import OfflineSigstore
from devkit.signer import to_json
from ocisource.domain.errors import TrustError
from ocisource.domain.evidence import BundleSignature, Material, Subject
from ocisource.domain.source import OIDCIdentity, Verify
from ocisource.trust.room import TrustRoom

DIGEST = "sha256:" + "a" * 64
SUBJECT = Subject("registry.example/app", DIGEST)
ANYBODY = (OIDCIdentity(".*", ".*"),)


@pytest.fixture(scope="module")
def sigstore() -> OfflineSigstore:
    return OfflineSigstore.create()


def never() -> bytes:
    raise AssertionError("the public root is not needed here")


def room(public_root=never, **settings) -> TrustRoom:
    return TrustRoom(public_root, lambda: 0.0, **settings)


def accepts(policy, sigstore) -> bool:
    evidence = BundleSignature("bundle", sigstore.identity().bundle(DIGEST))
    return policy.judge(SUBJECT, evidence).accepted


def test_a_secret_with_keys_is_trust_in_keys(bench):
    signer = bench.signer()
    material = Material("apps", {"cosign.pub": signer.public_pem()})
    policy = room().policy(Verify("cosign", "pub"), material, SUBJECT)
    evidence = BundleSignature("bundle", signer.bundle(DIGEST))
    assert policy.judge(SUBJECT, evidence).signer.startswith("key 'cosign.pub'")
    assert (policy.form, policy.flaw, policy.waived, policy.open) == ("cosign", "", "", "")


def test_an_empty_secret_is_no_keyless_policy(sigstore):
    """Rule 9: keys that are missing never lead to another way of verifying."""
    policy = room().policy(Verify("cosign", "pub"), Material("apps", {}), SUBJECT)
    assert policy.flaw == "secret 'pub' has no entry that ends in '.pub'"
    assert not accepts(policy, sigstore)


def test_without_a_secret_identities_of_the_public_root_are_trusted(sigstore):
    keyless = Verify("cosign", identities=ANYBODY)
    policy = room(sigstore.trusted_root).policy(keyless, Material("apps"), SUBJECT)
    assert accepts(policy, sigstore)
    assert (policy.form, policy.flaw, policy.waived, policy.open) == ("cosign", "", "", "")
    foreign = OfflineSigstore.create()
    assert not accepts(room(foreign.trusted_root).policy(keyless, Material("apps"), SUBJECT), sigstore)


def test_a_root_of_ones_own_replaces_the_public_one_wholly(sigstore):
    """H6: the public root is not even looked at."""
    own = Verify("cosign", trusted_root_secret="root", identities=ANYBODY)
    material = Material("apps", root={"trusted_root.json": sigstore.trusted_root()})
    assert accepts(room().policy(own, material, SUBJECT), sigstore)
    foreign = Material("apps", root={"trusted_root.json": OfflineSigstore.create().trusted_root()})
    assert not accepts(room(sigstore.trusted_root).policy(own, foreign, SUBJECT), sigstore)


@pytest.mark.parametrize("data", [None, {}], ids=["keyless", "keyed"])
def test_a_secret_without_the_root_is_named(data):
    """H6: read with a key, too."""
    verify = Verify("cosign", "pub" if data is not None else "", "root", ANYBODY)
    for root in ({"root.json": b"{}"}, {}):
        with pytest.raises(TrustError) as caught:
            room().policy(verify, Material("apps", data, root), SUBJECT)
        assert str(caught.value) == (
            "failed to read trusted root from secret 'apps/root': 'trusted_root.json' not found in secret 'apps/root'"
        )


def test_a_root_that_cannot_be_used_is_named_with_its_field(sigstore):
    own = Verify("cosign", trusted_root_secret="root", identities=ANYBODY)
    broken = sigstore.trusted_root().replace(b'"ctlogs":[', b'"ctlogs":[5,')
    for content, words in ((b"", "not JSON"), (b"[]", "not a JSON object"), (broken, "ctlogs[0]")):
        with pytest.raises(TrustError) as caught:
            room().policy(own, Material("apps", root={"trusted_root.json": content}), SUBJECT)
        assert str(caught.value).startswith("unable to parse trusted root: ")
        assert str(caught.value).endswith(" (secret 'apps/root' entry 'trusted_root.json')")
        assert words in str(caught.value)


def test_identities_can_be_required(sigstore):
    """--require-oidc-identity."""
    strict = room(sigstore.trusted_root, require_identity=True)
    with pytest.raises(TrustError, match="matchOIDCIdentity is required by --require-oidc-identity"):
        strict.policy(Verify("cosign"), Material("apps"), SUBJECT)
    assert accepts(strict.policy(Verify("cosign", identities=ANYBODY), Material("apps"), SUBJECT), sigstore)
    strict.policy(Verify("cosign", "pub"), Material("apps", {}), SUBJECT)
    assert accepts(room(sigstore.trusted_root).policy(Verify("cosign"), Material("apps"), SUBJECT), sigstore)


def test_a_root_is_read_once_however_many_objects_share_it(sigstore):
    """Reading one takes longer than judging a signature."""
    shared = room(sigstore.trusted_root)
    one, two = (shared.policy(Verify("cosign"), Material(namespace), SUBJECT) for namespace in ("apps", "team"))
    assert one.root is two.root


def test_notation_needs_a_secret():
    """H7."""
    with pytest.raises(TrustError) as caught:
        room().policy(Verify("notation"), Material("apps"), SUBJECT)
    assert str(caught.value) == f"verification secret cannot be empty: 'registry.example/app@{DIGEST}'"


def test_notation_is_judged_by_the_trust_policy_of_the_secret():
    """H7: what is missing there is named with the Secret."""
    with pytest.raises(TrustError, match=r"'trustpolicy\.json' not found in secret 'apps/notation'"):
        room().policy(Verify("notation", "notation"), Material("apps", {}), SUBJECT)
    statement = {
        "name": "all",
        "registryScopes": ["*"],
        "signatureVerification": {"level": "strict"},
        "trustStores": ["ca:any"],
        "trustedIdentities": ["*"],
    }
    document = to_json({"version": "1.0", "trustPolicies": [statement]})
    root = OfflineSigstore.create().authority.chain[-1].public_bytes(Encoding.PEM)
    data = {"trustpolicy.json": document, "ca.crt": root}
    policy = room().policy(Verify("notation", "notation"), Material("apps", data), SUBJECT)
    assert (policy.form, policy.flaw, policy.waived) == ("notation", "", "")
