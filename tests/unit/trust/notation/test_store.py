"""The certificates of a Secret (flux-compat H7; signatures.md rule 9)."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from devkit.documents import DER
from devkit.offline.authority import to_der, to_pem
from ocisource.domain.errors import TrustError
from ocisource.trust.notation.store import read_certificates


@pytest.fixture(scope="module")
def pems(desk):
    return [to_pem(desk.notary_of(authorities=0).root).encode() for _ in range(3)]


def test_every_block_of_every_entry_counts_once(pems):
    data = {"b.pem": pems[0] + b"# more\n" + pems[1], "a.crt": pems[2], "c.crt": pems[0], "key.pub": b"x", "d.cer": b""}
    found = read_certificates("ns/trust", data)
    assert sorted(to_pem(each).encode() for each in found) == sorted(pems)


def test_an_entry_may_be_in_der(desk):
    (found,) = read_certificates("ns/trust", {"a.crt": to_der(desk.notary.root)})
    assert found == desk.notary.root


def test_a_secret_without_certificates_says_so():
    """The text of flux-compat H7."""
    with pytest.raises(TrustError) as caught:
        read_certificates("ns/trust", {"trustpolicy.json": b"{}", "ca.cer": b"x"})
    assert str(caught.value) == "no certificates found in secret 'ns/trust'"


def _private(desk) -> bytes:
    return desk.notary.key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _of_version_41(desk) -> bytes:
    """X.509 has versions 1 to 3, written as 0 to 2."""
    tree = DER.read(to_der(desk.notary.root))
    tree.children[0].children[0].children[0].content = bytes([40])
    return DER.write(tree)


def _without_a_whole_name(desk) -> bytes:
    """A part of the subject's name holds nothing: that comes out only when somebody asks for the name."""
    tree = DER.read(to_der(desk.notary.root))
    tree.children[0].children[5].children[0].children.clear()
    return DER.write(tree)


def test_an_entry_that_cannot_be_used_is_named_and_not_quoted(desk, pems):
    cut = pems[0].replace(b"-----END CERTIFICATE-----\n", b"")
    for content, word in [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"nonsense", "not a PEM certificate"),
        (cut, "not a PEM certificate"),
        (pems[0] + cut, "not a PEM certificate|not whole"),
        (cut + pems[0], "not a PEM certificate|not whole"),
        (pems[0] + b"-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----\n", "'PUBLIC KEY', not only"),
        (_private(desk), "a private key; take it out"),
        (pems[0] + _private(desk), "a private key; take it out"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a PEM certificate"),
        (_of_version_41(desk), "not a PEM certificate .* that can be read"),
        (_without_a_whole_name(desk), "not a PEM certificate .* that can be read"),
    ]:
        with pytest.raises(TrustError, match=f"^secret 'ns/trust' entry 'b.pem': .*({word})") as caught:
            read_certificates("ns/trust", {"a.crt": pems[0], "b.pem": content})
        assert "nonsense" not in str(caught.value)
        assert "MIG" not in str(caught.value)
