"""One pass: storage → access → revision → verdict → tarball. Verify comes before fetch, and every step after
`resolve` names the digest that it resolved to (flux-compat B2, D5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ocisource.domain.access import Access, Repository
from ocisource.domain.content import Artifact, Revision
from ocisource.domain.errors import Failure, InvalidRange, SecretError, SecretMissing, StoreError, TrustError
from ocisource.domain.evidence import Evidence, Judgement, Material, Subject
from ocisource.domain.keychain import Keychain, parse_secret
from ocisource.domain.plan import Situation, must_fetch, must_verify, verified_message
from ocisource.domain.ranges import latest
from ocisource.domain.reference import ByDigest, BySemver, check_digest, display_name, is_digest, parse_url
from ocisource.domain.source import Source, Verify
from ocisource.domain.status import NORMAL, Event, Report, Status
from ocisource.ports import Policy, Registry, Secrets, Store, Trust
from ocisource.reconcile import steps
from ocisource.reconcile.tarballs import Tarball, Tarballs, Wanted

Journal = Callable[[str, str], None]
"""Told of each step as it ends: its name and what came of it, in words for people."""

Witness = Callable[[Evidence, Judgement], None]
"""Told of each judgement as it falls. Who has a witness wants them all: the search goes on past the first signature
that counts, and no verdict of another time stands in for it."""


@dataclass(frozen=True)
class Rooms:
    """The rooms that the corridor leads through. `trust` opens its room when it is first needed (it is heavy to
    load), `advertised` is where clients find the artifact server (`http://host[:port]`), `clock` gives the time as
    RFC 3339, UTC, in whole seconds."""

    registry: Registry
    trust: Callable[[], Trust]
    store: Store
    secrets: Secrets
    advertised: str
    clock: Callable[[], str]


def _unread(_step: str, _outcome: str) -> None:
    """The journal of a pass that nobody reads along."""


class Corridor:
    """Runs passes. It keeps nothing about objects."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._tarballs = Tarballs(rooms.registry, rooms.store)

    async def run(
        self, source: Source, found: Status, journal: Journal = _unread, witness: Witness | None = None
    ) -> Report:
        """One pass over an object that is neither suspended nor being deleted.

        How it failed stands in the report; `spec.timeout` bounds all its registry work together (flux-compat J6).
        """
        walk = _Walk(self._rooms, self._tarballs, source, found, journal, witness=witness)
        return await self._walk(walk, fetching=True)

    async def judge(
        self, source: Source, found: Status, journal: Journal = _unread, witness: Witness | None = None
    ) -> Report:
        """A pass that ends with the verdict: nothing is fetched or stored."""
        walk = _Walk(self._rooms, self._tarballs, source, found, journal, witness=witness)
        return await self._walk(walk, fetching=False)

    async def _walk(self, walk: _Walk, *, fetching: bool) -> Report:
        try:
            await walk.look_into_storage()
            access = await walk.gain_access()
            revision = await walk.resolve(access)
            await walk.verify(access, revision)
            if fetching:
                await walk.fetch(access, revision)
        except Failure as failure:
            walk.report = replace(walk.report, failure=failure)
        return walk.report


class _Walk:
    """One pass: the object, the deadline, and what is known so far."""

    def __init__(
        self,
        rooms: Rooms,
        tarballs: Tarballs,
        source: Source,
        found: Status,
        journal: Journal,
        *,
        witness: Witness | None,
    ) -> None:
        self._rooms = rooms
        self._tarballs = tarballs
        self._source = source
        self._found = found
        self._journal = journal
        self._witness = witness
        self._deadline = steps.Deadline.after(source.timeout)
        self.report = Report(latest_url=self._url(rooms.store.latest_path(source.namespace, source.name)))

    async def look_into_storage(self) -> None:
        """Is the artifact of the status still there and whole (flux-compat B6, C2, G4)?"""
        artifact = self._found.artifact
        if artifact is None:
            return
        store, place = self._rooms.store, (self._source.namespace, self._source.name)
        digest = artifact.revision.rpartition("@")[2]
        if not is_digest(digest):  # of another controller, or another time: nothing that we could have stored
            self.report = replace(self.report, damage="")
            return
        async with steps.storage().until(self._deadline):
            path = store.path(*place, digest)
            collected = await self._retained(digest)
            damage = await store.damage(*place, digest, artifact.digest, artifact.size)
        kept = replace(artifact, path=path, url=self._url(path)) if damage is None else None
        self.report = replace(self.report, kept=kept, damage=damage, collected=collected)

    async def _retained(self, digest: str) -> int:
        """How many old tarballs retention deleted. That it failed is no reason to go without the new one (C3)."""
        try:
            return await self._rooms.store.retain(self._source.namespace, self._source.name, digest)
        except StoreError as error:
            self._journal("retention", str(error))
            return 0

    async def gain_access(self) -> Access:
        """Where the repository is, and as whom it may be read (flux-compat C4 to C9, in the original's order)."""
        source = self._source
        keychain = await self._keychain()
        for field, used in (
            ("serviceAccountName", source.service_account),
            ("proxySecretRef", source.proxy_secret),
            ("provider", source.provider != "generic"),
            ("certSecretRef", source.cert_secret),
            ("layerSelector", source.layer_selector),
        ):
            if used:
                raise steps.unsupported(source.url, field)
        async with steps.location(source.url).until(self._deadline):
            repository: Repository = parse_url(source.url)
        credentials = keychain.credentials(repository) if keychain else None
        return Access(repository, insecure=source.insecure, credentials=credentials)

    async def _keychain(self) -> Keychain | None:
        source = self._source
        if not source.secret:
            return None
        async with steps.credential(f"{source.namespace}/{source.secret}").until(self._deadline):
            try:
                kind, data = await self._rooms.secrets.secret(source.namespace, source.secret)
            except SecretMissing:
                self._note(steps.AUTHENTICATION_FAILED, f"auth secret '{source.secret}' not found")
                raise
            return parse_secret(kind, data)

    async def resolve(self, access: Access) -> Revision:
        """The revision that the reference names now (flux-compat D1 to D7)."""
        choice = self._source.reference.choice
        if isinstance(choice, ByDigest):
            async with steps.resolution().until(self._deadline):
                revision = Revision("", check_digest(choice.digest))
        else:
            tag = await self._newest(access, choice) if isinstance(choice, BySemver) else choice.tag
            async with steps.resolution().until(self._deadline):
                revision = Revision(tag, await self._rooms.registry.resolve(access, tag))
        name = display_name(access.repository, revision.tag, revision.digest)
        self.report = replace(self.report, resolved=revision, reference=name)
        self._journal("resolved", f"{name} is {revision.digest}")
        return revision

    async def _newest(self, access: Access, choice: BySemver) -> str:
        """The tag that the semver range chooses (flux-compat D7 to D10). The range is read before the registry is
        asked: one that does not parse needs no registry to be refused."""
        step = steps.choice_of_tag(self._source.url)
        async with step.until(self._deadline):
            try:
                newest = latest(choice.range, choice.pattern)
            except InvalidRange as error:
                raise InvalidRange(f"semver '{choice.range}' parse error: {error}") from error
            tag = newest(await self._rooms.registry.tags(access))
        if tag is None:
            raise step.failed(f"no match found for semver: {choice.range}")
        return tag

    async def verify(self, access: Access, revision: Revision) -> None:
        """Raises unless the revision is signed as `spec.verify` asks, or the verdict of an earlier pass holds."""
        verify = self._source.verify
        if verify is None:
            self._journal("verified", "not asked for: spec.verify is not set")
            return
        async with steps.verification(verify).until(self._deadline):
            policy = self._rooms.trust().policy(verify, await self._material(verify), str(access.repository))
            if not must_verify(self._situation(revision, policy.fingerprint)):
                self._journal("verified", "the verdict of an earlier pass holds")
                return
            signer = await self._signer(policy, access, revision.digest)
        self.report = replace(self.report, verified=verified_message(revision, signer, policy.fingerprint))
        self._journal("verified", f"{revision.digest} is signed by {signer}")

    async def _material(self, verify: Verify) -> Material:
        """What the Secrets of `spec.verify` hold. Raises SecretErrors."""
        namespace, secrets = self._source.namespace, self._rooms.secrets
        data = (await secrets.secret(namespace, verify.secret))[1] if verify.secret else None
        if not verify.trusted_root_secret:
            return Material(namespace, data)
        try:
            _, root = await secrets.secret(namespace, verify.trusted_root_secret)
        except SecretError as error:
            place = f"{namespace}/{verify.trusted_root_secret}"
            raise TrustError(f"failed to read trusted root from secret '{place}': {error}") from error
        return Material(namespace, data, root)

    async def _signer(self, policy: Policy, access: Access, digest: str) -> str:
        """Who signed. One good signature is enough, and a bad one hides none (signatures.md rule 3)."""
        subject = Subject(str(access.repository), digest)
        signer, refused = "", list[tuple[str, str]]()
        async for evidence in self._rooms.registry.signatures(access, digest, policy.form):
            judgement = policy.judge(subject, evidence)
            if self._witness:
                self._witness(evidence, judgement)
            if not judgement.accepted:
                refused.append((evidence.name, judgement.reason))
            elif self._witness is None:
                return judgement.signer
            signer = signer or judgement.signer
        if signer:
            return signer
        raise TrustError(policy.refusal(subject, refused))

    async def fetch(self, access: Access, revision: Revision) -> None:
        """Puts the tarball of the revision into storage, unless it is there (flux-compat B7 to B9)."""
        if not must_fetch(self._situation(revision)):
            self._journal("stored", "storage is up to date")
            return
        source = self._source
        async with steps.pull(source.url).until(self._deadline):
            wanted = Wanted(access, revision.digest, source.ignore)
            tarball = await self._tarballs.get(source.namespace, source.name, wanted)
        self._journal("layer", f"{tarball.layer.media_type} {tarball.layer.digest} ({tarball.layer.size} bytes)")
        if tarball.file.dropped:
            self._note("SymlinksDropped", _dropped_links(tarball))
        if tarball.file.link_problem:
            self._note("SymlinkUpdateFailed", tarball.file.link_problem)
        file = tarball.file
        artifact = Artifact(
            path=file.path,
            url=self._url(file.path),
            revision=str(revision),
            digest=file.digest,
            size=file.size,
            last_update_time=self._rooms.clock(),
            metadata=tarball.annotations,
        )
        self.report = replace(self.report, stored=artifact)
        self._journal("stored", f"{file.path} {file.digest} ({file.size} bytes)")

    def _situation(self, revision: Revision, trust: str = "") -> Situation:
        whole = self.report.kept is not None
        return Situation(self._source, self._found, revision, whole, trust)

    def _url(self, path: str) -> str:
        return f"{self._rooms.advertised}/{path}"

    def _note(self, reason: str, message: str) -> None:
        self.report = replace(self.report, notes=(*self.report.notes, Event(NORMAL, reason, message)))


def _dropped_links(tarball: Tarball) -> str:
    """What was left out, and which ones (flux-compat J8)."""
    file = tarball.file
    names, more = ", ".join(file.dropped_links), file.dropped - len(file.dropped_links)
    if more > 0:
        names += f" and {more} more"
    return f"symbolic links left out of the artifact ({file.dropped}): {names}"
