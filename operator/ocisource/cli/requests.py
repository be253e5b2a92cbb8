"""What `ocisource verify` was asked: its flags, as the object and the Secrets that a team would write."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocisource.cli.documents import BadInput, FileSecrets
from ocisource.domain.errors import InvalidSource, SecretError
from ocisource.domain.evidence import Material
from ocisource.domain.keychain import parse_secret
from ocisource.domain.source import GROUP, KIND, Source, parse_source

NAMESPACE = "command-line"
TRUST, ROOT, PULL = "trust", "root", "pull"
"""Names of the Secrets."""

IDENTITY, ISSUER = "certificate-identity", "certificate-oidc-issuer"
_FIELDS = {"spec.timeout": "--timeout"}
_REFERENCE = re.compile(r"(?P<url>oci://.+?)(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?P<digest>@.*)?")

_KEYED = ("key",)
_KEYLESS = (IDENTITY, f"{IDENTITY}-regexp", ISSUER, f"{ISSUER}-regexp", "trusted-root")
_NOTATION = ("trust-policy", "certificate")


@dataclass(frozen=True)
class Request:
    """One reference and whose signature it must bear. `trusts` says whom it trusts, for people; `words` has what rooms
    call a thing, and what the user called it."""

    source: Source
    secrets: FileSecrets
    material: Material
    trusts: str
    words: Mapping[str, str]

    def told(self, text: str) -> str:
        """A room's text with the user's own words for what was given on the command line."""
        return _in_words(text, self.words)


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Declares the reference and the flags that a Request is made of."""
    parser.add_argument("reference", help="oci://registry/repository[:tag][@sha256:…]")
    parser.add_argument(
        "--provider", choices=("cosign", "notation"), default="cosign", help="whose signatures (default: %(default)s)"
    )
    keyed = parser.add_argument_group("cosign, signed with a key")
    keyed.add_argument("--key", action="append", metavar="FILE", help="PEM public key; repeat for more")
    keyless = parser.add_argument_group("cosign keyless: one flag for the identity and one for the issuer")
    keyless.add_argument(f"--{IDENTITY}", metavar="TEXT", help="who signed, exactly: an email address or a URI")
    keyless.add_argument(f"--{IDENTITY}-regexp", metavar="RE2", help="the same as an expression, found anywhere")
    keyless.add_argument(f"--{ISSUER}", metavar="URL", help="who vouched for that identity, exactly")
    keyless.add_argument(f"--{ISSUER}-regexp", metavar="RE2", help="the same as an expression, found anywhere")
    keyless.add_argument(
        "--trusted-root",
        metavar="FILE",
        help="trusted_root.json of a private Sigstore (default: the public one, as it came with this version)",
    )
    notation = parser.add_argument_group("notation")
    notation.add_argument("--trust-policy", metavar="FILE", help="trustpolicy.json")
    notation.add_argument(
        "--certificate", action="append", metavar="FILE", help="PEM certificates to trust; repeat for more"
    )
    registry = parser.add_argument_group("registry")
    registry.add_argument("--registry-config", metavar="FILE", help="credentials: a Docker config.json")
    registry.add_argument("--insecure", action="store_true", help="allow plain HTTP")
    registry.add_argument("--timeout", default="60s", help="bound on everything (default: %(default)s)")


def read_request(options: argparse.Namespace) -> Request:
    """The request that the flags make. Raises BadInput, naming the flag and the mend."""
    given = {name: value for name, value in vars(options).items() if value is not None}
    mode = _mode(options.provider, {name.replace("_", "-") for name in given})
    if mode == "keyed":
        return _keyed(options)
    return _keyless(options) if mode == "keyless" else _notation(options)


def _mode(provider: str, given: set[str]) -> str:
    keyed, keyless, notation = ([name for name in names if name in given] for names in (_KEYED, _KEYLESS, _NOTATION))
    if provider == "notation":
        for name in [*keyed, *keyless]:
            raise BadInput(f"--{name} is for cosign: leave it out, or leave out --provider notation")
        for name in _NOTATION:
            if name not in given:
                raise BadInput(f"--{name} is missing: --provider notation needs a trust policy and its certificates")
        return "notation"
    for name in notation:
        raise BadInput(f"--{name} is for Notation: add --provider notation, or leave it out")
    if not keyed and not keyless:
        raise BadInput(
            f"say whose signature counts: --key FILE; or --{IDENTITY} and --{ISSUER} for keyless signatures; or "
            "--provider notation with --trust-policy and --certificate"
        )
    for name in keyless if keyed else ():
        raise BadInput(f"--{name} is for keyless signatures and --key for those of a key: leave one of them out")
    return "keyed" if keyed else "keyless"


def _keyed(options: argparse.Namespace) -> Request:
    entries = {f"key-{number}.pub": path for number, path in enumerate(options.key, start=1)}
    words = {f"secret '{TRUST}' entry '{entry}'": f"--key {path}" for entry, path in entries.items()}
    words |= {f"'{entry}'": f"'{path}'" for entry, path in entries.items()}
    words["a key of the Secret"] = "one given with --key"
    data = {entry: _bytes("--key", path) for entry, path in entries.items()}
    trusts = f"any of the keys {', '.join(options.key)}" if len(entries) > 1 else f"the key {options.key[0]}"
    return _request(options, {"secretRef": {"name": TRUST}}, trusts, words, data=data)


def _keyless(options: argparse.Namespace) -> Request:
    subject, issuer = _Pattern.of(options, IDENTITY), _Pattern.of(options, ISSUER)
    place = "spec.verify.matchOIDCIdentity[0]"
    words = {f"{place}.subject": f"--{subject.flag}", f"{place}.issuer": f"--{issuer.flag}"}
    verify: dict[str, Any] = {"matchOIDCIdentity": [{"issuer": issuer.expression, "subject": subject.expression}]}
    root, named = None, "the public trusted root that came with this version"
    if options.trusted_root is not None:
        named = f"--trusted-root {options.trusted_root}"
        root = {"trusted_root.json": _bytes("--trusted-root", options.trusted_root)}
        verify["trustedRootSecretRef"] = {"name": ROOT}
        words[f"secret '{NAMESPACE}/{ROOT}' entry 'trusted_root.json'"] = named
    trusts = f"who {subject} and whose issuer {issuer}, under {named}"
    return _request(options, verify, trusts, words, root=root)


def _notation(options: argparse.Namespace) -> Request:
    entries = {f"certificate-{number}.pem": path for number, path in enumerate(options.certificate, start=1)}
    secret = f"secret '{NAMESPACE}/{TRUST}'"
    words = {f"{secret} entry '{entry}'": f"--certificate {path}" for entry, path in entries.items()}
    words |= {secret: "--certificate", "trustpolicy.json": f"--trust-policy {options.trust_policy}"}
    data = {entry: _bytes("--certificate", path) for entry, path in entries.items()}
    data["trustpolicy.json"] = _bytes("--trust-policy", options.trust_policy)
    verify = {"provider": "notation", "secretRef": {"name": TRUST}}
    trusts = f"what {options.trust_policy} allows, by the certificates of {', '.join(options.certificate)}"
    return _request(options, verify, trusts, words, data=data)


@dataclass(frozen=True)
class _Pattern:
    """What identity or issuer must be: as it was given, with which flag."""

    flag: str
    given: str

    @classmethod
    def of(cls, options: argparse.Namespace, name: str) -> _Pattern:
        flags = (name, f"{name}-regexp")
        values = {flag: getattr(options, flag.replace("-", "_")) for flag in flags}
        found = [cls(flag, value) for flag, value in values.items() if value is not None]
        if not found:
            raise BadInput(f"--{name} (or --{name}-regexp) is missing: an identity counts together with its issuer")
        if len(found) > 1:
            raise BadInput(f"--{name} and --{name}-regexp say the same thing twice: leave one of them out")
        if not found[0].given:
            raise BadInput(f"--{found[0].flag} is empty: to accept any, write --{name}-regexp '.*'")
        return found[0]

    @property
    def expression(self) -> str:
        """The RE2 expression that means it."""
        if self.flag.endswith("-regexp"):
            return self.given
        import re2  # noqa: PLC0415 - a process pays for what it uses

        return f"^{re2.escape(self.given)}$"

    def __str__(self) -> str:
        return f"{'matches' if self.flag.endswith('-regexp') else 'is'} {self.given}"


def _request(
    options: argparse.Namespace,
    verify: Mapping[str, Any],
    trusts: str,
    words: Mapping[str, str],
    *,
    data: Mapping[str, bytes] | None = None,
    root: Mapping[str, bytes] | None = None,
) -> Request:
    secrets = FileSecrets()
    for name, content in ((TRUST, data), (ROOT, root)):
        if content is not None:
            secrets.put(NAMESPACE, name, "Opaque", content)
    spec: dict[str, Any] = {**_where(options), "verify": {"provider": "cosign", **verify}}
    if options.registry_config is not None:
        login = {".dockerconfigjson": _bytes("--registry-config", options.registry_config)}
        kind = "kubernetes.io/dockerconfigjson"
        try:
            parse_secret(kind, login)
        except SecretError as error:
            raise BadInput(f"--registry-config {options.registry_config}: {error}") from error
        secrets.put(NAMESPACE, PULL, kind, login)
        spec["secretRef"] = {"name": PULL}
    metadata = {"namespace": NAMESPACE, "name": "reference"}
    try:
        source = parse_source({"apiVersion": f"{GROUP}/v1", "kind": KIND, "metadata": metadata, "spec": spec})
    except InvalidSource as error:
        raise BadInput(_in_words(str(error), _FIELDS)) from error
    return Request(source, secrets, Material(NAMESPACE, data, root), trusts, {**words, **_FIELDS})


def _in_words(text: str, words: Mapping[str, str]) -> str:
    """In one go: what was put in is not looked at again. The longest that fits counts."""
    theirs = sorted(words, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, theirs)), lambda found: words[found[0]], text)


def _where(options: argparse.Namespace) -> dict[str, Any]:
    match = _REFERENCE.fullmatch(options.reference)
    if match is None:
        raise BadInput(f"{options.reference}: a reference begins with oci://, like oci://registry.example.com/app:1.0")
    return {
        "url": match["url"],
        "interval": "0s",
        "timeout": options.timeout,
        "insecure": options.insecure,
        "ref": {"tag": (match["tag"] or "")[1:], "digest": (match["digest"] or "")[1:]},
    }


def _bytes(flag: str, path: str) -> bytes:
    if not path:
        raise BadInput(f"{flag} is empty: it takes the name of a file")
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BadInput(f"{flag} {path}: {error.strerror}") from error
