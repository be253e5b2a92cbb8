"""(previous status, report of a pass, generation, now) → next status. What a client sees of a pass is decided here,
once, at its end (flux-compat B5 to B20); what it is told is in telling.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ocisource.domain import conditions as c
from ocisource.domain.content import EMPTY, Artifact, Revision
from ocisource.domain.errors import Failure
from ocisource.domain.source import LayerSelector, Source

NORMAL, WARNING = "Normal", "Warning"


@dataclass(frozen=True)
class Status:
    """`status` of an OCIRepository (flux-compat A6)."""

    observed_generation: int = -1
    conditions: tuple[c.Condition, ...] = ()
    artifact: Artifact | None = None
    url: str = ""
    handled: str = ""
    observed_ignore: str | None = None
    observed_layer_selector: LayerSelector | None = None

    def condition(self, kind: str) -> c.Condition | None:
        return next((condition for condition in self.conditions if condition.type == kind), None)

    @property
    def revision(self) -> str:
        """The revision in storage, "" if there is none."""
        return self.artifact.revision if self.artifact else ""


@dataclass(frozen=True)
class Event:
    """Something to tell about the object (core/v1 Event, flux-compat B21)."""

    type: str
    reason: str
    message: str
    annotations: Mapping[str, str] = field(default=EMPTY, hash=False)


@dataclass(frozen=True)
class Report:
    """The facts of one pass, as far as it came.

    `kept` is the artifact that was in storage when the pass began and is whole, under today's URL; `damage` says what
    was wrong with one that is not ("" if it disappeared, None if nothing was wrong). `stored` is the artifact that
    this pass put there. `resolved` is the revision and the name that resolved to it. `verified` is what SourceVerified
    says, "" if no verification was due; `unjudged` says why the revision passes without a verdict, "" where it does not
    (H7). `withdrawn` is true where the artifact was taken out of storage. `collected` counts the old tarballs that
    retention deleted.
    """

    kept: Artifact | None = None
    damage: str | None = None
    collected: int = 0
    resolved: Revision | None = None
    reference: str = ""
    verified: str = ""
    unjudged: str = ""
    withdrawn: bool = False
    stored: Artifact | None = None
    latest_url: str = ""
    notes: tuple[Event, ...] = ()
    failure: Failure | None = None


def parse_status(obj: Mapping[str, Any]) -> Status:
    """Reads the status of an OCIRepository dict. What is not there has its default; this never raises for a status
    that the API server has accepted."""
    status = obj.get("status") or {}
    selector = status.get("observedLayerSelector")
    return Status(
        observed_generation=int(status.get("observedGeneration", -1)),
        conditions=c.read(status.get("conditions") or ()),
        artifact=_parse_artifact(status.get("artifact")),
        url=str(status.get("url") or ""),
        handled=str(status.get("lastHandledReconcileAt") or ""),
        observed_ignore=status.get("observedIgnore"),
        observed_layer_selector=None
        if selector is None
        else LayerSelector(media_type=selector.get("mediaType") or "", operation=selector.get("operation") or ""),
    )


def _parse_artifact(artifact: Mapping[str, Any] | None) -> Artifact | None:
    if not artifact:
        return None
    return Artifact(
        path=str(artifact.get("path", "")),
        url=str(artifact.get("url", "")),
        revision=str(artifact.get("revision", "")),
        digest=str(artifact.get("digest", "")),
        size=int(artifact.get("size") or 0),
        last_update_time=str(artifact.get("lastUpdateTime", "")),
        metadata=MappingProxyType(dict(artifact.get("metadata") or {})),
    )


def written(status: Status) -> dict[str, Any]:
    """The status as a dict, without what is empty."""
    result: dict[str, Any] = {"observedGeneration": status.observed_generation}
    if status.conditions:
        result["conditions"] = c.written(status.conditions)
    if status.url:
        result["url"] = status.url
    if status.handled:
        result["lastHandledReconcileAt"] = status.handled
    if status.observed_ignore is not None:
        result["observedIgnore"] = status.observed_ignore
    if status.observed_layer_selector is not None:
        result["observedLayerSelector"] = status.observed_layer_selector.as_dict()
    if status.artifact is not None:
        result["artifact"] = _written_artifact(status.artifact)
    return result


def _written_artifact(artifact: Artifact) -> dict[str, Any]:
    result: dict[str, Any] = {
        "digest": artifact.digest,
        "lastUpdateTime": artifact.last_update_time,
        "path": artifact.path,
        "revision": artifact.revision,
        "size": artifact.size,
        "url": artifact.url,
    }
    if artifact.metadata:
        result["metadata"] = dict(artifact.metadata)
    return result


def is_due(source: Source, found: Status) -> bool:
    """Whether somebody waits for this pass: a generation that nothing was said about yet, or a request that was not
    handled (flux-compat B5). A retry of what is known to fail is not worth a word: Ready stays False meanwhile."""
    ready = found.condition(c.READY)
    told = ready is not None and ready.status != c.UNKNOWN and ready.observed_generation == source.generation
    requested = _handled(source, found) != found.handled
    return requested or (source.generation != found.observed_generation and not told)


def progress(source: Source, found: Status, now: str) -> Status:
    """The status while a pass takes long enough to be seen (flux-compat B5, B6)."""
    marks = c.Conditions(found.conditions, source.generation, now)
    marks.drop(c.STALLED)
    message = "building artifact" if found.artifact is None else _purpose(source, found)
    marks.set(c.RECONCILING, c.TRUE, c.PROGRESSING, message)
    if found.artifact is None or marks.status(c.READY) in ("", c.UNKNOWN):
        marks.set(c.READY, c.UNKNOWN, c.PROGRESSING, message)
    return replace(found, conditions=tuple(marks))


def suspended(source: Source, found: Status, now: str) -> Status:
    """The status of an object that is left alone (flux-compat B4)."""
    observed = source.generation if found.conditions else found.observed_generation
    return replace(_looked_at(source, found, now), observed_generation=observed)


def deleted(source: Source, found: Status, now: str) -> Status:
    """The status of an object whose files are gone, and that others still hold on to (flux-compat B20)."""
    return replace(suspended(source, found, now), artifact=None)


def undeleted(source: Source, found: Status, now: str) -> Status:
    """The status of an object whose files could not be deleted (flux-compat C3)."""
    return _looked_at(source, found, now)


def _looked_at(source: Source, found: Status, now: str) -> Status:
    """The status after a pass that asked nothing of anybody: what was told of the last attempt stays."""
    marks = c.Conditions(found.conditions, source.generation, now)
    reconciling = marks[c.RECONCILING]
    if reconciling is not None and reconciling.status == c.TRUE and marks.status(c.STALLED) != c.TRUE:
        marks.set(c.RECONCILING, c.TRUE, c.PROGRESSING_WITH_RETRY, reconciling.message)
    marks.drop(c.STALLED)
    marks.summarize()
    return replace(found, conditions=tuple(marks), handled=_handled(source, found))


def _handled(source: Source, found: Status) -> str:
    """What lastHandledReconcileAt says after the pass (flux-compat B14)."""
    return found.handled if source.requested_at is None else source.requested_at


def concluded(source: Source, found: Status, report: Report, now: str) -> Status:
    """The status at the end of a pass. The same facts give the same status, byte for byte."""
    artifact = report.stored or report.kept
    marks = c.Conditions(found.conditions, source.generation, now)
    marks.drop(c.STALLED, c.STORAGE_OPERATION_FAILED)
    if report.kept is None:
        marks.drop(c.ARTIFACT_IN_STORAGE)
    _mark_revision(marks, report)
    _mark_verdict(marks, source, report)
    if report.failure is None:
        _mark_success(marks, artifact)
    else:
        _mark_failure(marks, report.failure, _progress_message(source, found, report))
    marks.summarize()
    return Status(
        observed_generation=_observed_generation(source, found, report, tuple(marks)),
        conditions=tuple(marks),
        artifact=artifact,
        url=report.latest_url if artifact else "",
        handled=_handled(source, found),
        observed_ignore=source.ignore if report.stored else found.observed_ignore,
        observed_layer_selector=source.layer_selector if report.stored else found.observed_layer_selector,
    )


def _mark_revision(marks: c.Conditions, report: Report) -> None:
    if report.withdrawn:
        marks.drop(c.ARTIFACT_OUTDATED)
    if report.kept is not None and report.resolved is not None and str(report.resolved) != report.kept.revision:
        marks.set(c.ARTIFACT_OUTDATED, c.TRUE, "NewRevision", _new_revision(report))


def _mark_verdict(marks: c.Conditions, source: Source, report: Report) -> None:
    """A verdict of an earlier pass stays only if it was good; one that is no longer asked for goes (H1), and so does
    one where the policy lets pass without any (H7)."""
    unasked = source.verify is None and report.resolved is not None
    if marks.status(c.SOURCE_VERIFIED) == c.FALSE or unasked or report.unjudged:
        marks.drop(c.SOURCE_VERIFIED)
    if report.verified:
        marks.set(c.SOURCE_VERIFIED, c.TRUE, c.SUCCEEDED, report.verified)


def _mark_success(marks: c.Conditions, artifact: Artifact | None) -> None:
    marks.drop(c.FETCH_FAILED, c.RECONCILING)
    if artifact is not None:
        marks.drop(c.ARTIFACT_OUTDATED)
        marks.set(c.ARTIFACT_IN_STORAGE, c.TRUE, c.SUCCEEDED, f"stored artifact for digest '{artifact.revision}'")


def _mark_failure(marks: c.Conditions, failure: Failure, progress_message: str) -> None:
    if failure.condition == c.SOURCE_VERIFIED:
        marks.set(c.SOURCE_VERIFIED, c.FALSE, failure.reason, failure.message)
    elif failure.condition is not None:
        marks.set(failure.condition, c.TRUE, failure.reason, failure.message)
    if failure.stalls:
        marks.drop(c.RECONCILING)
        marks.set(c.STALLED, c.TRUE, failure.reason, failure.message)
    else:
        marks.set(c.RECONCILING, c.TRUE, c.PROGRESSING_WITH_RETRY, progress_message)


def _new_revision(report: Report) -> str:
    return f"new revision '{report.resolved}' for '{report.reference}'"


def _progress_message(source: Source, found: Status, report: Report) -> str:
    """How far the pass came before it failed (flux-compat B5 to B7, B16)."""
    stored = report.kept.revision if report.kept else ""
    if report.resolved is not None and str(report.resolved) != stored:
        return f"building artifact: {_new_revision(report)}"
    if report.kept is None:
        return "building artifact" if report.damage is None else "building artifact: disappeared from storage"
    return _purpose(source, found)


def _purpose(source: Source, found: Status) -> str:
    """What a pass is for (flux-compat B5)."""
    if source.generation != found.observed_generation:
        return f"processing object: new generation {found.observed_generation} -> {source.generation}"
    return "reconciliation in progress"


def _observed_generation(source: Source, found: Status, report: Report, marks: tuple[c.Condition, ...]) -> int:
    """Moves only when a pass ends well or stalls (flux-compat B13), and never without an observation."""
    ended = report.failure is None or report.failure.stalls
    return source.generation if ended and marks else found.observed_generation


def is_ready(status: Status) -> bool:
    """Whether Ready=True."""
    ready = status.condition(c.READY)
    return ready is not None and ready.status == c.TRUE
