"""(previous status, report of a pass) → events: what is told about a pass once it has ended (flux-compat B21)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import MappingProxyType

from ocisource.domain import conditions as c
from ocisource.domain.content import Artifact
from ocisource.domain.source import GROUP, Source
from ocisource.domain.status import NORMAL, WARNING, Event, Report, Status


def events(source: Source, found: Status, report: Report) -> Iterator[Event]:
    """What to tell about the pass (flux-compat B21, less J9)."""
    return (addressed(source, event) for event in _news(source, found, report))


def addressed(source: Source, event: Event) -> Event:
    """The event with what the object's annotations say to those who receive it."""
    return replace(event, annotations=MappingProxyType({**event.annotations, **source.event_annotations}))


def _news(source: Source, found: Status, report: Report) -> Iterator[Event]:
    if report.collected:
        yield Event(NORMAL, "GarbageCollectionSucceeded", f"garbage collected {report.collected} artifacts")
    if report.damage:
        yield Event(WARNING, "ArtifactVerificationFailed", f"failed to verify integrity of artifact: {report.damage}")
    yield from report.notes
    if report.failure is not None:
        yield Event(WARNING, report.failure.reason, report.failure.message)
        return
    stored = report.stored
    if stored is not None and (found.artifact is None or found.artifact.digest != stored.digest):
        yield _stored_event(source, stored, "NewArtifact")
    elif found.condition(c.FETCH_FAILED) or found.condition(c.STORAGE_OPERATION_FAILED):
        artifact = stored or report.kept
        if artifact is not None:
            yield _stored_event(source, artifact, c.SUCCEEDED)


def _stored_event(source: Source, artifact: Artifact, reason: str) -> Event:
    message = f"stored artifact with revision '{artifact.revision}' from '{source.url}'"
    origin = artifact.metadata.get("org.opencontainers.image.source")
    origin_revision = artifact.metadata.get("org.opencontainers.image.revision")
    if origin and origin_revision:
        message += f", origin source '{origin}', origin revision '{origin_revision}'"
    annotations = {f"{GROUP}/revision": artifact.revision, f"{GROUP}/digest": artifact.digest}
    return Event(NORMAL, reason, message, MappingProxyType(annotations))
