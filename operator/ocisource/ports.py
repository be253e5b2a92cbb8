"""What the corridor needs of each room. A room fits these Protocols without importing them; fakes fit them too
and run the same tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Literal, Protocol

from ocisource.domain.access import Access, Credentials
from ocisource.domain.accounts import ServiceAccount
from ocisource.domain.certificates import TLS
from ocisource.domain.clouds import CloudAccess
from ocisource.domain.content import Descriptor, Manifest, StoredFile
from ocisource.domain.evidence import Evidence, Judgement, Material, Subject
from ocisource.domain.source import Verify
from ocisource.domain.status import Event

Form = Literal["cosign", "notation"]
"""Kinds of signatures, by who looks for them."""


class Spool(Protocol):
    """A place for the bytes of one blob until they are known to be whole."""

    def write(self, chunk: bytes, /) -> object: ...

    def close(self) -> None: ...


class Registry(Protocol):
    """A registry that speaks OCI distribution. Every method raises RegistryError. No method has a timeout of its
    own: the corridor bounds the whole pass (flux-compat J6)."""

    async def prepare(self, tls: TLS, /) -> None:
        """Makes ready what connections with this material need. Raises SecretError where it cannot be used
        (flux-compat C8)."""
        ...

    async def tags(self, access: Access, /) -> tuple[str, ...]:
        """All tags of the repository, every page (flux-compat D7)."""
        ...

    async def resolve(self, access: Access, tag: str, /) -> str:
        """The digest `sha256:<hex>` that the tag names now (flux-compat D3)."""
        ...

    async def manifest(self, access: Access, digest: str, /) -> Manifest:
        """The image manifest at `digest`; of an index, the child for the platform (flux-compat D5, D6, J14).
        The `digest` of the answer is the one asked for; layers and annotations are the child's."""
        ...

    async def describe(self, access: Access, digest: str, /) -> Descriptor:
        """Media type, digest and size of the manifest or index at `digest`, whose bytes were hashed: what Notation
        signs."""
        ...

    async def blob(self, access: Access, descriptor: Descriptor, spool: Spool, /) -> None:
        """Writes the blob into the spool and returns only if size and digest are the descriptor's (J3)."""
        ...

    def signatures(self, access: Access, digest: str, form: Form, /) -> AsyncIterator[Evidence]:
        """Everything of the form that claims to sign `digest`, within the bounds of signatures.md: cosign's legacy
        signatures and bundles, or Notation's."""
        ...


class Policy(Protocol):
    """Whose signature an object accepts: `spec.verify` and its Secrets, ready to judge with. Immutable."""

    @property
    def fingerprint(self) -> str:
        """Hex digest over every input of a verdict (keys, matchers, trust policy, root, provider): another
        fingerprint may mean another verdict (flux-compat J4)."""
        ...

    @property
    def form(self) -> Form:
        """Which signatures to look for in the registry."""
        ...

    @property
    def flaw(self) -> str:
        """Why nobody can have signed for this policy, "" where somebody can."""
        ...

    @property
    def waived(self) -> str:
        """Why the artifact is accepted without a look at its signatures (Notation's level skip), "" where it is
        not."""
        ...

    @property
    def open(self) -> str:
        """Why the policy accepts more than its author may think (keyless without identities), "" otherwise."""
        ...

    def judge(self, subject: Subject, evidence: Evidence, /) -> Judgement:
        """The verdict on one piece of evidence about the subject. Never raises: what cannot be judged does not count
        (signatures.md rule 2)."""
        ...

    def refusal(self, subject: Subject, refused: Sequence[tuple[str, str]], /) -> str:
        """What the user is told where nothing counted: the message that clients know, then name and reason of each
        signature that was refused (flux-compat H3 to H7)."""
        ...


class Trust(Protocol):
    """Bytes in, verdict out. No I/O."""

    def policy(self, verify: Verify, material: Material, subject: Subject, /) -> Policy:
        """The policy of an object for a subject: Notation's depends on its repository. Raises TrustError, naming the
        Secret's entry and the field that cannot be used."""
        ...


class Store(Protocol):
    """The tarballs on disk. Every method raises StoreError."""

    def spool(self, size: int, /) -> Any:
        """A Spool for a blob of `size` bytes."""
        ...

    async def publish(self, namespace: str, name: str, digest: str, spool: Any, ignore: str | None, /) -> StoredFile:
        """Archives the layer in the spool as the tarball of revision digest `digest`, whole or not at all, without
        what `ignore` (the text of spec.ignore) excludes (flux-compat F2, F3, F6, G1). Raises LayerError where
        the content breaks a rule."""
        ...

    async def copy(self, namespace: str, name: str, digest: str, spool: Any, /) -> StoredFile:
        """Stores the layer in the spool, byte for byte, as the tarball of revision digest `digest`, whole or not at
        all (flux-compat F8)."""
        ...

    async def link(self, namespace: str, name: str, digest: str, source: StoredFile, /) -> StoredFile | None:
        """The same tarball for another object without making it again; None if the source is no longer there
        and whole."""
        ...

    async def damage(self, namespace: str, name: str, digest: str, file_digest: str, size: int, /) -> str | None:
        """What is wrong with the stored tarball: "" if it is not there, a sentence if it is broken (flux-compat
        C2, J10; the file is then removed), None if it is whole."""
        ...

    async def retain(self, namespace: str, name: str, digest: str, /) -> int:
        """Deletes what retention no longer keeps, never the tarball of `digest`; how many (flux-compat G4)."""
        ...

    async def remove(self, namespace: str, name: str, /) -> bool:
        """Deletes everything stored for the object; whether there was anything (flux-compat B20)."""
        ...

    async def sweep(self, known: AbstractSet[tuple[str, str]], /) -> int:
        """Deletes what is stored for objects (namespace, name) that are not known; of how many."""
        ...

    def latest_path(self, namespace: str, name: str, /) -> str:
        """`ocirepository/<namespace>/<name>/latest.tar.gz` (flux-compat G2)."""
        ...

    def path(self, namespace: str, name: str, digest: str, /) -> str:
        """`ocirepository/<namespace>/<name>/sha256:<hex>.tar.gz` (flux-compat G1)."""
        ...


class Secrets(Protocol):
    """Where Secrets come from: the cluster, or files."""

    async def secret(self, namespace: str, name: str, /) -> tuple[str, Mapping[str, bytes]]:
        """Type and data of the Secret. Raises SecretMissing or SecretError."""
        ...


class Accounts(Protocol):
    """Where ServiceAccounts come from: the cluster, or files."""

    async def account(self, namespace: str, name: str, /) -> ServiceAccount:
        """Raises AccountMissing or AccountError."""
        ...

    async def token(self, account: ServiceAccount, audience: str, /) -> str:
        """A token of the cluster by which the audience knows the ServiceAccount. Raises AccountError."""
        ...


class Clouds(Protocol):
    """Where credentials of clouds come from."""

    async def credentials(self, access: CloudAccess, /) -> Credentials:
        """What the cloud's registry is shown. Raises CloudError, or AccountError where a ServiceAccount asks."""
        ...


class Objects(Protocol):
    """The OCIRepositories in the cluster, as dicts. A write that loses against another one raises Conflict, one to
    an object that is gone raises NotFound (domain/errors.py)."""

    async def get(self, namespace: str, name: str, /) -> dict[str, Any] | None:
        """The object as it is now, None if there is none."""
        ...

    async def keys(self, *, everybodys: bool = False) -> set[tuple[str, str]]:
        """Namespace and name of every object that is ours to look after, or with `everybodys` of other shards, too."""
        ...

    async def add_finalizer(self, obj: Mapping[str, Any], /) -> dict[str, Any]:
        """The object with our finalizer (flux-compat B3), as the API server answers."""
        ...

    async def remove_finalizer(self, obj: Mapping[str, Any], /) -> None:
        """Lets a deleted object go (flux-compat B20). An object that is gone already is fine."""
        ...

    async def patch_status(self, obj: Mapping[str, Any], status: Mapping[str, Any], /) -> dict[str, Any]:
        """The object with `status` in place of the one in `obj`, by a merge patch that holds only if nobody has
        written since `obj` was read (flux-compat B19). Nothing is written if nothing changes."""
        ...


class Recorder(Protocol):
    """Where events go. Never waits and never fails (flux-compat B21, B22)."""

    def record(self, obj: Mapping[str, Any], event: Event, /) -> None: ...


class Gauges(Protocol):
    """Where passes are counted (flux-compat G7)."""

    def passed(self, namespace: str, name: str, seconds: float, result: str, /) -> None:
        """`result` is success, requeue_after (success, and the next pass is planned), error or stalled."""
        ...

    def forget(self, namespace: str, name: str, /) -> None: ...
