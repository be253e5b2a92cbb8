"""What to change where the answer is no. Each piece of advice answers one check that did not hold, and says what would
be trusted with it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from ocisource.cli.findings import UNREADABLE, Finding
from ocisource.domain.conditions import SOURCE_VERIFIED
from ocisource.domain.errors import Failure, RegistryError
from ocisource.domain.reference import parse_url
from ocisource.domain.source import Source, Verify
from ocisource.domain.status import Report
from ocisource.reconcile.steps import URL_INVALID

_SEEN = re.compile(r"got subjects \['([!-&(->@-~]+(?<!\.\.\.))'\] with issuer '([!-&(->@-~]+(?<!\.\.\.))'$")
"""A whole identity in a reason: one subject, nothing cut or quoted away."""

_UNSIGNED = ("the registry holds no", "no signature is associated with")
"""What refusals say where there was no signature to judge."""

Mode = Literal["keyed", "keyless", "notation"]

_SIGN: dict[Mode, str] = {
    "keyed": "cosign sign --key cosign.key",
    "keyless": "cosign sign",
    "notation": "notation sign",
}


# flux-compat C11
_PLAIN = "server gave HTTP response to HTTPS client"


@dataclass(frozen=True)
class Terms:
    """How trust is spelt where it is given: flags here, fields of the object there."""

    key: str
    identity: Callable[[str, str], str]
    keyless: str
    keyed: str
    root: str
    certificate: str
    trust_policy: str
    credentials: str
    insecure: str
    timeout: str


FLAGS = Terms(
    key="give its public key with --key",
    identity=lambda subject, issuer: (
        f"--certificate-identity {shlex.quote(subject)} --certificate-oidc-issuer {shlex.quote(issuer)}"
    ),
    keyless="--certificate-identity and --certificate-oidc-issuer in place of --key",
    keyed="--key in place of --certificate-identity and --certificate-oidc-issuer",
    root="--trusted-root",
    certificate="--certificate",
    trust_policy="--trust-policy",
    credentials="--registry-config",
    insecure="--insecure",
    timeout="a longer --timeout",
)

FIELDS = Terms(
    key="put its public key into the Secret of spec.verify.secretRef, as an entry that ends in .pub",
    identity=lambda subject, issuer: (
        f"an entry of spec.verify.matchOIDCIdentity with issuer '^{_escaped(issuer)}$' and subject "
        f"'^{_escaped(subject)}$'"
    ),
    keyless="spec.verify.matchOIDCIdentity in place of spec.verify.secretRef",
    keyed="spec.verify.secretRef in place of spec.verify.matchOIDCIdentity",
    root="spec.verify.trustedRootSecretRef",
    certificate="an entry of the Secret that ends in .crt or .pem",
    trust_policy="trustpolicy.json",
    credentials="the Secret of spec.secretRef",
    insecure="spec.insecure: true",
    timeout="a longer spec.timeout",
)


def _escaped(text: str) -> str:
    """The text as an RE2 expression that means just it."""
    return re.sub(r"([^A-Za-z0-9_/:@-])", r"\\\1", text)


def about(source: Source, report: Report, found: Sequence[Finding], terms: Terms) -> list[str]:
    """What to change so that the artifact of the report is verified, or can be judged at all. Empty where there is
    nothing to change, and where the failure says all of it."""
    verify, failure = source.verify, report.failure
    if failure is None:
        waive = f"{terms.trust_policy} asks for no verdict here: set the level of its statement to strict"
        return [waive] if report.unjudged else []
    if failure.condition != SOURCE_VERIFIED or isinstance(failure.__cause__, TimeoutError):
        return _about_url(source.url) if failure.reason == URL_INVALID else _about_registry(source, failure, terms)
    if any(finding.unanswered for finding in found):
        return ["the registry did not show all signatures: try again, or ask who runs it"]
    if verify is None or not (found or any(text in failure.message for text in _UNSIGNED)):
        return []
    assert report.resolved is not None, "what was judged was resolved"  # noqa: S101
    return _about_signatures(_mode(verify), found, f"{parse_url(source.url)}@{report.resolved.digest}", terms)


def _mode(verify: Verify) -> Mode:
    """The kind of trust that the object asks for."""
    if verify.provider == "notation":
        return "notation"
    return "keyed" if verify.secret else "keyless"


def _about_signatures(mode: Mode, found: Sequence[Finding], reference: str, terms: Terms) -> list[str]:
    """Nothing twice, and first what is about the signature that came the furthest."""
    sign = f"sign this digest: {_SIGN[mode]} {reference}"
    judged = sorted(
        (finding for finding in found if finding.form != UNREADABLE),
        key=lambda finding: len(finding.judgement.checks),
        reverse=True,
    )
    if not judged:
        return [sign]
    return list(filter(None, dict.fromkeys(_about(mode, finding, sign, terms) for finding in judged)))


def _about(mode: Mode, finding: Finding, sign: str, terms: Terms) -> str:
    """One piece of advice, "" where the reason says all of it."""
    check, reason = finding.failed, finding.judgement.reason
    if check is None:
        return ""
    if mode == "keyed":
        return _about_keyed(check.name, reason, sign, terms)
    return (
        _about_keyless(check.name, reason, sign, terms)
        if mode == "keyless"
        else _about_notation(check.name, sign, terms)
    )


def _about_keyed(check: str, reason: str, sign: str, terms: Terms) -> str:
    if "certificate" in reason:
        return f"it is signed keyless: to trust whoever did that, use {terms.keyless}"
    if check == "signature":
        return f"if whoever signed it is to be trusted, {terms.key}; else {sign}"
    return sign


def _about_keyless(check: str, reason: str, sign: str, terms: Terms) -> str:
    if check == "identity":
        seen = _SEEN.search(reason)
        accepted = terms.identity(seen[1], seen[2]) if seen else terms.identity("SUBJECT", "ISSUER")
        return f"if that identity is to be trusted: {accepted}"
    if check in ("log entry", "time", "certificate chain", "certificate transparency"):
        return f"if it was signed with a Sigstore of your own, give its trusted root with {terms.root}; else {sign}"
    if "with a key" in reason:
        return f"it is signed with a key: to trust that, use {terms.keyed}"
    return sign


def _about_notation(check: str, sign: str, terms: Terms) -> str:
    if check == "authenticity":
        return (
            f"if whoever signed it is to be trusted, give the root of that certificate with {terms.certificate} and "
            f"name the identity under trustedIdentities in {terms.trust_policy}"
        )
    if check == "revocation":
        return (
            f"revocation is not looked up yet: sign with certificates that name no OCSP or CRL address, or let "
            f'{terms.trust_policy} override it ("override": {{"revocation": "skip"}})'
        )
    return sign


def _about_url(url: str) -> list[str]:
    """Where a tag or a digest belongs that stands in the URL, which names the repository alone."""
    path, _, digest = url.removeprefix("oci://").partition("/")[2].partition("@")
    _, _, tag = path.partition(":")
    found = (("tag", f":{tag}", tag), ("digest", f"@{digest}", digest))
    return [f"take {text} out of spec.url, and put {it} into spec.ref.{field}" for field, text, it in found if it]


def _about_registry(source: Source, failure: Failure, terms: Terms) -> list[str]:
    """What would make the registry answer."""
    cause = failure.__cause__
    if isinstance(cause, RegistryError) and cause.status in (401, 403):
        if not source.secret:
            return [f"the registry asks who you are: give credentials with {terms.credentials}"]
        refused = f"the registry refuses the credentials in {terms.credentials}, or there are none for it"
        return [f"{refused} (helpers that a Docker config.json names are not asked)"]
    if _PLAIN in failure.message:
        return [f"the registry speaks plain HTTP, which needs {terms.insecure}"]
    if isinstance(cause, TimeoutError):
        return [f"the registry is slow or gone: try again, or with {terms.timeout}"]
    return []
