"""The trust policy document `trustpolicy.json`, version 1.0 (Notary Project, `trust-store-trust-policy.md`).

Read as a whole before any of it is used: a statement that breaks a rule makes the document unusable, also where
another one applies. Messages are those that clients know (flux-compat H7).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocisource.domain.errors import TrustError
from ocisource.domain.errors import quoted as double_quoted
from ocisource.trust.notation.identities import Identities, InvalidIdentity, read_identities
from ocisource.trust.wire import RefusedError, clean, decode_object

ENTRY = "trustpolicy.json"
TUTORIAL = "https://notaryproject.dev/docs/quickstart/#create-a-trust-policy"

ENFORCE, LOG, SKIP = "enforce", "log", "skip"
AUTHENTICITY, TIMESTAMP, EXPIRY, REVOCATION = "authenticity", "authenticTimestamp", "expiry", "revocation"
_INTEGRITY = "integrity"

_LEVELS: dict[str, dict[str, str]] = {
    "strict": {AUTHENTICITY: ENFORCE, TIMESTAMP: ENFORCE, EXPIRY: ENFORCE, REVOCATION: ENFORCE},
    "permissive": {AUTHENTICITY: ENFORCE, TIMESTAMP: LOG, EXPIRY: LOG, REVOCATION: LOG},
    "audit": {AUTHENTICITY: LOG, TIMESTAMP: LOG, EXPIRY: LOG, REVOCATION: LOG},
    "skip": {},
}
ALWAYS, AFTER_EXPIRY = "always", "afterCertExpiry"

CA, SIGNING_AUTHORITY, TSA = "ca", "signingAuthority", "tsa"
_STORE_NAME = re.compile(r"[a-zA-Z0-9_.-]+")

_WILDCARD = "*"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_SCOPE = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]+)?/{_PART}(?:/{_PART})*")
_FULLY_QUALIFIED = (
    "make sure it is a fully qualified repository without the scheme, protocol or tag. "
    "For example domain.com/my/repository or a local scope like local/myOCILayout"
)


@dataclass(frozen=True)
class Statement:
    """One statement: what is done about each validation (`actions`), for which repositories, and who is trusted.

    `stores` are the types of the trust stores that it names. Their names do not matter: all certificates of the
    Secret serve every store (flux-compat H7).
    """

    name: str
    scopes: tuple[str, ...]
    level: str
    actions: Mapping[str, str]
    verify_timestamp: str
    stores: frozenset[str]
    identities: Identities

    @property
    def skips(self) -> bool:
        return not self.actions


def read_document(content: bytes) -> tuple[Statement, ...]:
    """The statements of the document. Raises TrustError, which names what is wrong."""
    try:
        decoded = decode_object(content, "the document")
    except RefusedError as refused:
        raise _unparsable(str(refused)) from None
    document = _Fields(decoded, "", ("version", "trustPolicies"))
    version = document.text("version")
    if not version:
        raise TrustError("trust policy document has empty version, version must be specified")
    if version != "1.0":
        raise TrustError(f"trust policy document uses unsupported version {_q(version)}")
    statements = tuple(
        _statement(_Fields(each, f"trustPolicies[{number}].", _STATEMENT))
        for number, each in enumerate(document.items("trustPolicies"))
    )
    if not statements:
        raise TrustError("trust policy document can not have zero trust policy statements")
    for name in _repeated(statement.name for statement in statements):
        raise TrustError(
            f"multiple trust policy statements use the same name {_q(name)}, statement names must be unique"
        )
    for scope in _repeated(scope for statement in statements for scope in statement.scopes):
        raise TrustError(
            f"registry scope {_q(scope)} is present in multiple trust policy statements, one registry scope value can "
            "only be associated with one statement"
        )
    return statements


def applicable(statements: tuple[Statement, ...], repository: str) -> Statement | None:
    """The statement for the repository (`host[:port]/path`): the one that names it, else the one for all."""
    for scope in (repository, _WILDCARD):
        for statement in statements:
            if scope in statement.scopes:
                return statement
    return None


def not_applicable(subject: str) -> str:
    """What the user is told where no statement is for the artifact `subject` (`host[:port]/path@digest`)."""
    return (
        f"artifact {double_quoted(subject)} has no applicable trust policy statement. Trust policy applicability for a "
        f"given artifact is determined by registryScopes. To create a trust policy, see: {TUTORIAL}"
    )


_STATEMENT = ("name", "registryScopes", "signatureVerification", "trustStores", "trustedIdentities")


def _statement(fields: _Fields) -> Statement:
    name = fields.text("name")
    if not name:
        raise TrustError("trust policy: a trust policy statement is missing a name, every statement requires a name")
    verification = fields.inside("signatureVerification", ("level", "override", "verifyTimestamp"))
    try:
        level, actions = _level(verification)
        verify_timestamp = _verify_timestamp(verification)
    except _InvalidVerificationError as invalid:
        raise TrustError(f"{_flawed(name)} has invalid signatureVerification: {invalid}") from None
    stores, identities = fields.texts("trustStores"), fields.texts("trustedIdentities")
    if not actions:
        stores = identities = ()  # Stores and identities of a statement that skips are ignored (flux-compat H7).
    elif not stores or not identities:
        raise TrustError(
            f"{_flawed(name)} is either missing trust stores or trusted identities, both must be specified"
        )
    types = frozenset(_store_type(name, store) for store in stores)
    try:
        trusted = read_identities(identities)
    except InvalidIdentity as invalid:
        raise TrustError(f"{_flawed(name)} {invalid}") from None
    scopes = _scopes(name, fields.texts("registryScopes"))
    return Statement(name, scopes, level, actions, verify_timestamp, types, trusted)


class _InvalidVerificationError(Exception):
    """What is wrong with `signatureVerification`."""


def _level(verification: _Fields) -> tuple[str, Mapping[str, str]]:
    """The level's name and what it does about each validation, after the overrides."""
    level = verification.text("level")
    if not level:
        raise _InvalidVerificationError(
            "signature verification level is empty or missing in the trust policy statement"
        )
    if level not in _LEVELS:
        raise _InvalidVerificationError(f"invalid signature verification level {_q(level)}")
    actions, override = dict(_LEVELS[level]), verification.pairs("override")
    if override and not actions:
        raise _InvalidVerificationError(
            f"signature verification level {_q(level)} can't be used to customize signature verification"
        )
    for validation, action in override.items():
        if validation == _INTEGRITY:
            raise _InvalidVerificationError(
                f"{_q(validation)} verification can not be overridden in custom signature verification"
            )
        if validation not in actions:
            raise _InvalidVerificationError(
                f"verification type {_q(validation)} in custom signature verification is not supported, supported "
                f"values are {', '.join(actions)}"
            )
        if action not in (ENFORCE, LOG, SKIP):
            raise _InvalidVerificationError(
                f"verification action {_q(action)} in custom signature verification is not supported, supported "
                f"values are {ENFORCE}, {LOG}, {SKIP}"
            )
        if action == SKIP and validation != REVOCATION:
            raise _InvalidVerificationError(
                f"{_q(validation)} verification can not be skipped in custom signature verification"
            )
        actions[validation] = action
    return level, actions


def _verify_timestamp(verification: _Fields) -> str:
    option = verification.text("verifyTimestamp") or ALWAYS
    if option not in (ALWAYS, AFTER_EXPIRY):
        raise _InvalidVerificationError(
            f"verifyTimestamp must be {_q(ALWAYS)} or {_q(AFTER_EXPIRY)}, but got {_q(option)}"
        )
    return option


def _store_type(name: str, store: str) -> str:
    kind, separator, named = store.partition(":")
    if not separator:
        raise TrustError(
            f"{_flawed(name)} has malformed trust store value {_q(store)}. The required format is "
            "<TrustStoreType>:<TrustStoreName>"
        )
    if kind not in (CA, SIGNING_AUTHORITY, TSA):
        raise TrustError(
            f"{_flawed(name)} uses an unsupported trust store type {_q(kind)} in trust store value {_q(store)}"
        )
    if not _STORE_NAME.fullmatch(named):
        raise TrustError(
            f"{_flawed(name)} uses an unsupported trust store name {_q(named)} in trust store value "
            f"{_q(store)}. Named store name needs to follow [a-zA-Z0-9_.-]+ format"
        )
    return kind


def _flawed(name: str) -> str:
    """How the flaw of one statement begins, for clients. One of its scopes, or of it beside others, does without the
    first words."""
    return f"trust policy: trust policy statement {_q(name)}"


def _scopes(name: str, scopes: tuple[str, ...]) -> tuple[str, ...]:
    if not scopes:
        raise TrustError(
            f"trust policy statement {_q(name)} has zero registry scopes, it must specify registry scopes with at "
            "least one value"
        )
    if len(scopes) > 1 and _WILDCARD in scopes:
        raise TrustError(
            f"trust policy statement {_q(name)} uses wildcard registry scope '*', a wildcard scope cannot be used in "
            "conjunction with other scope values"
        )
    for scope in scopes:
        if scope != _WILDCARD and not _SCOPE.fullmatch(scope):
            wild = " with wild card(s)" if _WILDCARD in scope else ""
            raise TrustError(f"registry scope {_q(scope)}{wild} is not valid, {_FULLY_QUALIFIED}")
    return scopes


class _Fields:
    """One object of the document; null is as good as absent. `where` leads to it, in messages.

    Other tools read names without regard to case. Such a name is refused: what it says must not be overlooked.
    """

    def __init__(self, value: object, where: str, known: tuple[str, ...]) -> None:
        if not isinstance(value, dict):
            raise _unparsable(f"{where.rstrip('.')} must be an object")
        lowered = {name.lower(): name for name in known}
        for name in value:
            meant = lowered.get(name.lower(), name)
            if name != meant:
                raise _unparsable(f"{where}{clean(name, 80)} must be written {meant}")
        self._value: dict[str, Any] = value
        self._where = where

    def _typed(self, name: str, kind: type, what: str) -> Any:
        value = self._value.get(name)
        if value is None:
            return kind()
        if not isinstance(value, kind):
            raise _unparsable(f"{self._where}{name} must be {what}")
        return value

    def text(self, name: str) -> str:
        text: str = self._typed(name, str, "a string")
        return text

    def items(self, name: str) -> list[Any]:
        found: list[Any] = self._typed(name, list, "a list")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        texts = tuple(self.items(name))
        if not all(isinstance(text, str) for text in texts):
            raise _unparsable(f"{self._where}{name} must be a list of strings")
        return texts

    def pairs(self, name: str) -> dict[str, str]:
        pairs: dict[str, str] = self._typed(name, dict, "an object")
        if not all(isinstance(value, str) for value in pairs.values()):
            raise _unparsable(f"{self._where}{name} must hold strings only")
        return pairs

    def inside(self, name: str, known: tuple[str, ...]) -> _Fields:
        return _Fields(self._typed(name, dict, "an object"), f"{self._where}{name}.", known)


def _unparsable(problem: str) -> TrustError:
    return TrustError(f"error occurred while parsing {ENTRY}: {problem}")


def _repeated(values: Any) -> list[str]:
    return [value for value, times in Counter(values).items() if times > 1]


def _q(text: str) -> str:
    return double_quoted(clean(text, 200))
