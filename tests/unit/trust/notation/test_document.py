"""The trust policy document (`trust-store-trust-policy.md`, "OCI Trust Policy"). Texts are those that clients know."""

from __future__ import annotations

import json

import pytest

from devkit.offline.notary import trust_policy
from devkit.signer import to_json
from ocisource.domain.errors import TrustError
from ocisource.trust.notation.document import applicable, read_document

ENFORCED = {"authenticity": "enforce", "authenticTimestamp": "enforce", "expiry": "enforce", "revocation": "enforce"}
LOGGED = dict.fromkeys(ENFORCED, "log")


def _statement(**change) -> dict:
    statement = json.loads(trust_policy())["trustPolicies"][0] | change
    return {key: value for key, value in statement.items() if value is not ...}


def _read(*statements: dict):
    return read_document(trust_policy(*statements))


def _refused(content: bytes, message: str) -> None:
    with pytest.raises(TrustError) as caught:
        read_document(content)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("level", "actions"),
    [
        ("strict", ENFORCED),
        ("permissive", LOGGED | {"authenticity": "enforce"}),
        ("audit", LOGGED),
        ("skip", {}),
    ],
)
def test_each_level_enforces_what_the_specification_says(level, actions):
    (statement,) = read_document(trust_policy(level=level))
    assert statement.level == level
    assert statement.actions == actions
    assert statement.skips is (level == "skip")


def test_overrides_change_single_validations():
    override = {"expiry": "log", "revocation": "skip", "authenticity": "log", "authenticTimestamp": "log"}
    (statement,) = read_document(trust_policy(override=override))
    assert statement.actions == override
    (statement,) = read_document(trust_policy(level="audit", override={"authenticity": "enforce"}))
    assert statement.actions == LOGGED | {"authenticity": "enforce"}


def test_a_statement_that_skips_needs_no_stores_and_ignores_those_it_has():
    """flux-compat H7."""
    for change in ({"trustStores": ..., "trustedIdentities": ...}, {"trustStores": ["odd"]}, {"trustStores": None}):
        (statement,) = _read(_statement(signatureVerification={"level": "skip"}, **change))
        assert statement.skips
        assert not statement.stores
        assert not statement.identities.anyone


def test_only_the_types_of_stores_matter():
    (statement,) = _read(_statement(trustStores=["ca:one", "ca:two", "tsa:x.y-z_0", "signingAuthority:1"]))
    assert statement.stores == {"ca", "tsa", "signingAuthority"}


@pytest.mark.parametrize(("option", "read"), [(None, "always"), ("always", "always"), ("afterCertExpiry",) * 2])
def test_when_timestamps_are_asked_for(option, read):
    (statement,) = read_document(trust_policy(verifyTimestamp=option))
    assert statement.verify_timestamp == read


def test_the_most_specific_scope_wins():
    statements = _read(
        _statement(name="all", registryScopes=["*"]),
        _statement(name="one", registryScopes=["reg.example/a", "reg.example:5000/a/b__c"]),
    )
    found = {scope: applicable(statements, scope) for scope in ("reg.example/a", "reg.example:5000/a/b__c", "x/y")}
    assert [statement.name for statement in found.values()] == ["one", "one", "all"]
    assert applicable(statements[1:], "reg.example/a/b") is None


@pytest.mark.parametrize(
    "scope", ["localhost/a", "127.0.0.1:5000/a", "a.b-c.example/a/b-c/d.e_f", "X/a--b", "MX5.ex-5A.org/a5z/5/5z-az5"]
)
def test_scopes_are_repositories(scope):
    (statement,) = _read(_statement(registryScopes=[scope]))
    assert statement.scopes == (scope,)


INVALID = 'trust policy: trust policy statement "statement" has invalid signatureVerification: '
PARSING = "error occurred while parsing trustpolicy.json: "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", PARSING + "the document is not JSON"),
        (b"[]", PARSING + "the document is not a JSON object"),
        (b"\xff", PARSING + "the document is not UTF-8"),
        (b'{"version":"1.0","version":"1.0"}', PARSING + "the document has the key 'version' twice"),
        (b'{"version":1}', PARSING + "version must be a string"),
        (b'{"version":"1.0","trustPolicies":{}}', PARSING + "trustPolicies must be a list"),
        (b'{"version":"1.0","trustPolicies":[1]}', PARSING + "trustPolicies[0] must be an object"),
        (b'{"Version":"1.0"}', PARSING + "Version must be written version"),
        (b"{}", "trust policy document has empty version, version must be specified"),
        (b'{"version":null}', "trust policy document has empty version"),
        (b'{"version":"1.1"}', 'trust policy document uses unsupported version "1.1"'),
        (b'{"version":"1.0"}', "trust policy document can not have zero trust policy statements"),
        (b'{"version":"1.0","trustPolicies":[]}', "trust policy document can not have zero trust policy statements"),
    ],
)
def test_a_document_that_cannot_be_used_says_why(content, message):
    _refused(content, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ...}, "trust policy: a trust policy statement is missing a name"),
        ({"name": ""}, "trust policy: a trust policy statement is missing a name"),
        ({"name": 1}, PARSING + "trustPolicies[0].name must be a string"),
        ({"registryScopes": "*"}, PARSING + "trustPolicies[0].registryScopes must be a list"),
        ({"registryScopes": [1]}, PARSING + "trustPolicies[0].registryScopes must be a list of strings"),
        ({"signatureVerification": "strict"}, PARSING + "trustPolicies[0].signatureVerification must be an object"),
        ({"TrustStores": []}, PARSING + "trustPolicies[0].TrustStores must be written trustStores"),
        (
            {"signatureVerification": {"level": "permissive", "Override": {"expiry": "enforce"}}},
            PARSING + "trustPolicies[0].signatureVerification.Override must be written override",
        ),
        ({"signatureVerification": ...}, INVALID + "signature verification level is empty or missing"),
        ({"signatureVerification": {"level": "none"}}, INVALID + 'invalid signature verification level "none"'),
        (
            {"signatureVerification": {"level": "skip", "override": {"expiry": "log"}}},
            INVALID + 'signature verification level "skip" can\'t be used to customize',
        ),
        (
            {"signatureVerification": {"level": "strict", "override": {"integrity": "log"}}},
            INVALID + '"integrity" verification can not be overridden',
        ),
        (
            {"signatureVerification": {"level": "strict", "override": {"everything": "log"}}},
            INVALID + 'verification type "everything" in custom signature verification is not supported',
        ),
        (
            {"signatureVerification": {"level": "strict", "override": {"expiry": "ignore"}}},
            INVALID + 'verification action "ignore" in custom signature verification is not supported',
        ),
        *(
            (
                {"signatureVerification": {"level": "strict", "override": {validation: "skip"}}},
                INVALID + f'"{validation}" verification can not be skipped in custom signature verification',
            )
            for validation in ("authenticity", "authenticTimestamp", "expiry")
        ),
        (
            {"signatureVerification": {"level": "strict", "override": ["expiry"]}},
            PARSING + "trustPolicies[0].signatureVerification.override must be an object",
        ),
        (
            {"signatureVerification": {"level": "strict", "override": {"expiry": 1}}},
            PARSING + "trustPolicies[0].signatureVerification.override must hold strings only",
        ),
        (
            {"signatureVerification": {"level": "strict", "verifyTimestamp": "never"}},
            INVALID + 'verifyTimestamp must be "always" or "afterCertExpiry", but got "never"',
        ),
        (
            {"trustStores": []},
            'trust policy: trust policy statement "statement" is either missing trust stores or trusted identities',
        ),
        (
            {"trustedIdentities": ...},
            'trust policy: trust policy statement "statement" is either missing trust stores or trusted',
        ),
        (
            {"trustStores": ["store"]},
            (
                "trust policy: "
                'trust policy statement "statement" has malformed trust store value "store". The required format is '
                "<TrustStoreType>:<TrustStoreName>"
            ),
        ),
        (
            {"trustStores": ["pgp:store"]},
            (
                "trust policy: "
                'trust policy statement "statement" uses an unsupported trust store type "pgp" in trust store value '
                '"pgp:store"'
            ),
        ),
        *(
            (
                {"trustStores": [f"ca:{odd}"]},
                (
                    "trust policy: "
                    f'trust policy statement "statement" uses an unsupported trust store name "{odd}" in trust store '
                    f'value "ca:{odd}". Named store name needs to follow [a-zA-Z0-9_.-]+ format'
                ),
            )
            for odd in ("", "a/b", "a:b")
        ),
        (
            {"trustedIdentities": ["*", "*"]},
            (
                "trust policy: "
                "trust policy statement \"statement\" uses a wildcard trusted identity '*', a wildcard identity cannot "
                "be used in conjunction with other values"
            ),
        ),
        ({"registryScopes": []}, 'trust policy statement "statement" has zero registry scopes'),
        (
            {"registryScopes": ["*", "a/b"]},
            "trust policy statement \"statement\" uses wildcard registry scope '*', a wildcard scope cannot be used",
        ),
        (
            {"registryScopes": ["reg.example/*"]},
            'registry scope "reg.example/*" with wild card(s) is not valid, make sure it is a fully qualified',
        ),
        *(
            ({"registryScopes": [scope]}, f'registry scope "{scope}" is not valid, make sure it is a fully qualified')
            for scope in ("app", "/app", "reg/", "reg/App", "reg/a:1", "oci://reg/a", "-a/b", "reg/a//b", "reg/a\\n")
        ),
        (
            {"registryScopes": ["reg/a", "reg/a"]},
            'registry scope "reg/a" is present in multiple trust policy statements',
        ),
    ],
)
def test_a_statement_that_breaks_a_rule_says_which(change, message):
    _refused(trust_policy(_statement(**change)), message.replace("\\n", "\\\\n"))


def test_names_and_scopes_are_unique_across_statements():
    one = _statement(registryScopes=["reg/a"])
    _refused(
        trust_policy(one, one | {"registryScopes": ["reg/b"]}), "multiple trust policy statements use the same name"
    )
    _refused(trust_policy(one, one | {"name": "other"}), 'registry scope "reg/a" is present in multiple')


def test_a_long_name_is_cut_in_messages():
    for length, shown in ((200, "x" * 200), (201, "x" * 197 + "...")):
        content = trust_policy(_statement(name="x" * length, trustStores=[]))
        _refused(content, f'trust policy: trust policy statement "{shown}" is either missing trust stores')


def test_a_broken_statement_spoils_the_document_also_where_another_one_applies():
    _refused(trust_policy(_statement(), _statement(name="b", registryScopes=["x"])), 'registry scope "x" is not valid')


NAMES = {
    "": ("version", "trustPolicies"),
    "trustPolicies[0].": ("name", "registryScopes", "signatureVerification", "trustStores", "trustedIdentities"),
    "trustPolicies[0].signatureVerification.": ("level", "override", "verifyTimestamp"),
}


@pytest.mark.parametrize(("where", "name"), [(where, name) for where, names in NAMES.items() for name in names])
def test_a_name_in_another_case_is_not_overlooked(where, name):
    """Other tools read names without regard to case: what they would obey must not be nothing here."""
    document = json.loads(trust_policy())
    statement = document["trustPolicies"][0]
    place = {"": document, "trustPolicies[0].": statement}.get(where, statement["signatureVerification"])
    place[name.upper()] = None
    _refused(to_json(document), f"{PARSING}{where}{name.upper()} must be written {name}")


def test_what_nobody_knows_is_passed_over():
    assert _read(_statement(comment="ours"))
