"""One pass: storage → access → revision → verdict → tarball. Verify comes before fetch, and every step after
`resolve` names the digest that it resolved to (flux-compat B2, D5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from ocisource.domain.access import Access
from ocisource.domain.content import Artifact, Revision
from ocisource.domain.errors import Failure, InvalidRange, StoreError
from ocisource.domain.evidence import Subject
from ocisource.domain.plan import Situation, must_fetch, must_look, must_verify, verified_message
from ocisource.domain.ranges import latest
from ocisource.domain.reference import ByDigest, BySemver, check_digest, display_name, is_digest
from ocisource.domain.source import Source
from ocisource.domain.status import NORMAL, WARNING, Event, Report, Status
from ocisource.reconcile import material, steps
from ocisource.reconcile.access import Admission
from ocisource.reconcile.rooms import Rooms
from ocisource.reconcile.tarballs import Tarball, Tarballs, Wanted
from ocisource.reconcile.verdicts import Verdicts, Witness

MANY = 1000
"""Tags among which it takes more than a moment to choose."""

Journal = Callable[[str, str], None]
"""Told of each step as it ends: its name and what came of it, in words for people."""


def _unread(_step: str, _outcome: str) -> None:
    """The journal of a pass that nobody reads along."""


@dataclass(frozen=True)
class _Shared:
    """Work that passes share, also those over other objects."""

    tarballs: Tarballs
    verdicts: Verdicts


class Corridor:
    """Runs passes. It keeps nothing about objects. With `withdrawing` the artifact of an object whose verification
    fails is taken away; else the last one that was verified stays served."""

    def __init__(self, rooms: Rooms, *, withdrawing: bool = False) -> None:
        self._rooms = rooms
        self._withdrawing = withdrawing
        self._shared = _Shared(Tarballs(rooms.registry, rooms.store), Verdicts(rooms.registry))

    async def run(
        self,
        source: Source,
        found: Status,
        journal: Journal = _unread,
        witness: Witness | None = None,
        *,
        anew: bool = False,
    ) -> Report:
        """One pass over an object that is neither suspended nor being deleted. With `anew` no verdict of an earlier
        pass counts.

        How it failed stands in the report; `spec.timeout` bounds all its registry work together (flux-compat J6).
        """
        walk = _Walk(self._rooms, self._shared, source, found, journal, witness=witness, anew=anew)
        return await self._walk(walk, fetching=True)

    async def judge(
        self, source: Source, found: Status, journal: Journal = _unread, witness: Witness | None = None
    ) -> Report:
        """A pass that ends with the verdict: nothing is fetched or stored."""
        walk = _Walk(self._rooms, self._shared, source, found, journal, witness=witness)
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
            if failure.verdict and self._withdrawing:
                await walk.withdraw()
        return walk.report


class _Walk:
    """One pass: the object, the deadline, and what is known so far."""

    def __init__(
        self,
        rooms: Rooms,
        shared: _Shared,
        source: Source,
        found: Status,
        journal: Journal,
        *,
        witness: Witness | None,
        anew: bool = False,
    ) -> None:
        self._rooms = rooms
        self._shared = shared
        self._source = source
        self._found = found
        self._journal = journal
        self._witness = witness
        self._anew = anew
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
        """Where the repository is, and as whom it may be read."""
        return await Admission(self._rooms, self._source, self._deadline, self._note).access()

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
                newest = latest(choice.range, choice.pattern, charts=self._source.layer.is_chart)
            except InvalidRange as error:
                raise InvalidRange(f"semver '{choice.range}' parse error: {error}") from error
            tags = await self._rooms.registry.tags(access)
            # Many tags take their time, and the loop is everybody's.
            tag = newest(tags) if len(tags) < MANY else await asyncio.to_thread(newest, tags)
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
            trusted = await material.gather(self._rooms.secrets, self._source.namespace, verify)
            subject = Subject(str(access.repository), revision.digest)
            # In a thread: what a Secret holds may take long to read, as the room to open, and the loop is everybody's.
            policy = await asyncio.to_thread(lambda: self._rooms.trust().policy(verify, trusted, subject))
            if policy.waived:
                self._pass_unjudged(policy.waived)
                return
            situation = self._situation(revision, policy.fingerprint)
            if not must_verify(situation):
                self._journal("verified", "the verdict of an earlier pass holds")
                return
            judgement = await self._shared.verdicts.give(
                policy,
                access,
                revision.digest,
                anew=must_look(situation),
                witness=self._witness,
                spare=self._deadline.left() / 2,
            )
        if not judgement.accepted:
            self._pass_unjudged(judgement.ignored)
            return
        verified = verified_message(revision, judgement.signer, policy.fingerprint)
        self.report = replace(self.report, verified=verified)
        self._journal("verified", f"{revision.digest} is signed by {judgement.signer}")
        if policy.open:
            self._note("IdentityNotRestricted", f"{policy.open} {judgement.signer}", WARNING)

    def _pass_unjudged(self, reason: str) -> None:
        """The policy lets the revision pass without a verdict, so none is remembered (flux-compat H7)."""
        self.report = replace(self.report, unjudged=reason)
        self._journal("verified", f"accepted without a verdict: {reason}")

    async def withdraw(self) -> None:
        """Takes the artifact out of the status and out of storage. What storage does not let go now is tried again by
        the next pass, since that fails in the same way or stores what is verified."""
        source, artifact = self._source, self._found.artifact
        try:
            await self._rooms.store.remove(source.namespace, source.name)
        except StoreError as error:
            self._note(error.reason, f"the artifact could not be taken out of storage: {error}", WARNING)
        if artifact is not None:
            withdrawn = f"artifact with revision '{artifact.revision}' withdrawn, since verification failed"
            self._note("ArtifactWithdrawn", withdrawn, WARNING)
        self.report = replace(self.report, kept=None, withdrawn=True)

    async def fetch(self, access: Access, revision: Revision) -> None:
        """Puts the tarball of the revision into storage, unless it is there (flux-compat B7 to B9)."""
        if not must_fetch(self._situation(revision)):
            self._journal("stored", "storage is up to date")
            return
        source = self._source
        async with steps.pull(source.url).until(self._deadline):
            wanted = Wanted.by(source, access, revision.digest)
            tarball = await self._shared.tarballs.get(source.namespace, source.name, wanted)
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
        return Situation(self._source, self._found, revision, whole, trust, self._anew)

    def _url(self, path: str) -> str:
        return f"{self._rooms.advertised}/{path}"

    def _note(self, reason: str, message: str, kind: str = NORMAL) -> None:
        self.report = replace(self.report, notes=(*self.report.notes, Event(kind, reason, message)))


def _dropped_links(tarball: Tarball) -> str:
    """What was left out, and which ones (flux-compat J8)."""
    file = tarball.file
    names, more = ", ".join(file.dropped_links), file.dropped - len(file.dropped_links)
    if more > 0:
        names += f" and {more} more"
    return f"symbolic links left out of the artifact ({file.dropped}): {names}"
