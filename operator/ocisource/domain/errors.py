"""Failures, drawn at the top so that a reader sees the whole family.

    RoomError                 a room could not do what it was asked; the text is for the user
     ├─ InvalidSource         the OCIRepository itself is wrong; names the field
     ├─ InvalidDuration       a text is no duration
     ├─ InvalidReference      spec.url or spec.ref cannot name an artifact, whatever the registry holds
     │   ├─ InvalidRange      ref.semver does not parse
     │   ├─ InvalidPattern    ref.semverFilter does not parse
     │   └─ InvalidDigest     ref.digest does not parse
     ├─ RegistryError         the registry (or the way to it) answered with an error
     │   └─ ManifestError     what it answered is no manifest that can be used
     ├─ SecretError           a Secret is missing or unusable
     ├─ AccountError          a ServiceAccount cannot be used
     │   └─ AccountMissing    it does not exist
     ├─ CloudError            a cloud gave no credentials
     ├─ TrustError            trust material cannot be used (a key that does not parse), or nobody that it trusts signed
     ├─ Unjudged              who signed cannot be told now, since an answer is missing
     ├─ LayerError            the content of a layer breaks a rule
     ├─ IgnoreError           the .sourceignore files of a layer cannot be kept to
     ├─ StoreError            the disk refused
     └─ ClusterError          the Kubernetes API refused
         ├─ NotFound          the object is gone
         └─ Conflict          somebody else wrote first
    Failure                   what a pass ends with: condition, reason, message, retry or stall

Rooms raise RoomErrors. Only the corridor knows which step it was in, so only the corridor
turns a RoomError into a Failure (flux-compat section C).
"""

from __future__ import annotations


class RoomError(Exception):
    """A room could not do its work. `str(error)` is a sentence for the user, without a prefix."""


class InvalidSource(RoomError):
    """A field of the OCIRepository breaks a rule.

    `field` is the JSON path of the field (`spec.interval`), `problem` says what is wrong with it
    and how to mend it.
    """

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class InvalidDuration(RoomError):
    """A text is no duration: not Go's syntax, or longer than Go can count."""


class InvalidReference(RoomError):
    """What the object says about which artifact it means cannot be right: only a change of the object can help,
    so it stalls (flux-compat C9, J11). Itself, it is about spec.url."""


class InvalidRange(InvalidReference):
    """A semver constraint does not parse. The text is what clients know (flux-compat C10)."""


class InvalidPattern(InvalidReference):
    """A semverFilter is no RE2 expression. The text is what clients know (flux-compat C10)."""


class InvalidDigest(InvalidReference):
    """A digest is not `sha256:` and 64 hex digits. The text is what clients know (flux-compat C11)."""


class RegistryError(RoomError):
    """The registry answered with an error, lied about a digest, or could not be reached.

    `status` is the HTTP status, or None where there was no answer.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class ManifestError(RegistryError):
    """The manifest is whole and the one that was asked for, and cannot be used (flux-compat C14)."""


class SecretError(RoomError):
    """A Secret cannot be used."""


class SecretMissing(SecretError):
    """The Secret `namespace/name` does not exist."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(f'secrets "{name}" not found')
        self.namespace = namespace
        self.name = name


class AccountError(RoomError):
    """A ServiceAccount cannot be used."""


class AccountMissing(AccountError):
    """The ServiceAccount `namespace/name` does not exist."""

    def __init__(self, namespace: str, name: str) -> None:
        super().__init__(f"serviceaccount '{namespace}/{name}' not found")


class CloudError(RoomError):
    """A cloud gave no credentials, or is not one that could; the text says what was asked of whom."""


class TrustError(RoomError):
    """A verdict: nobody who is trusted signed, or trust material cannot be used, so that nothing can be verified with
    it (signatures.md rule 9)."""


class Unjudged(RoomError):
    """Nobody can say now who signed: the registry or the API server did not answer. Unlike TrustError this is no
    verdict, and nothing that was verified before is the worse for it."""


class LayerError(RoomError):
    """The content of a layer breaks a rule (flux-compat C15, J7)."""


class IgnoreError(RoomError):
    """The .sourceignore files of a layer are too many, or too large, to be kept to (flux-compat C19)."""


class StoreError(RoomError):
    """The disk refused. `reason` is the condition's reason (flux-compat C17)."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ClusterError(RoomError):
    """The Kubernetes API refused; the text names the verb, the resource and what is missing."""


class NotFound(ClusterError):
    """The object is gone."""


class Conflict(ClusterError):
    """Somebody else wrote the object since it was read."""


class Failure(Exception):
    """How a pass failed, in the terms of the status (flux-compat section C).

    `condition` is the type that turns bad: FetchFailed, StorageOperationFailed (True), SourceVerified
    (False), or None where the failure has no condition of its own. `stalls` means that only a change
    of the object can help, so it is not retried (flux-compat B10). `verdict` means that the signature was looked at, or
    can count for nobody: not that the registry or the API server gave no answer.
    """

    def __init__(
        self, condition: str | None, reason: str, message: str, *, stalls: bool = False, verdict: bool = False
    ) -> None:
        super().__init__(message)
        self.condition = condition
        self.reason = reason
        self.message = message
        self.stalls = stalls
        self.verdict = verdict


_ESCAPES = {'"': '\\"', "\\": "\\\\"} | dict(zip("\a\b\f\n\r\t\v", (f"\\{c}" for c in "abfnrtv"), strict=True))


def quoted(text: str) -> str:
    """The text in quotes as Go's %q writes it. Lone surrogates in it stand for bytes that are no UTF-8."""
    return '"' + "".join(_ESCAPES.get(char) or _escaped(char) for char in text) + '"'


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF or code < 0x80:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
