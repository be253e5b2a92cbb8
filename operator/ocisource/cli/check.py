"""`ocisource check FILE…`: what the operator would make of the OCIRepositories in these files, before they are merged.

The same corridor as in the cluster. Exit status 0: all would be ready; 1: one would not; 2: bad input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ocisource.cli.advice import FIELDS, about
from ocisource.cli.corridors import corridor
from ocisource.cli.documents import BadInput, Document, FileAccounts, FileSecrets, read
from ocisource.cli.exits import BAD_INPUT, NOT_READY, READY
from ocisource.cli.findings import Findings
from ocisource.domain import conditions as c
from ocisource.domain import status as s
from ocisource.domain.content import Artifact
from ocisource.domain.errors import InvalidSource
from ocisource.domain.source import Source, parse_source, unknown_fields
from ocisource.reconcile import Corridor
from ocisource.settings.values import platform

SHOWN_FILES = 20


@dataclass
class Outcome:
    """What came of one object: the steps that ended, the status it would have, the files of its tarball."""

    place: str
    source: Source
    steps: list[tuple[str, str]] = field(default_factory=list)
    status: s.Status = field(default_factory=s.Status)
    artifact: Artifact | None = None
    notes: tuple[s.Event, ...] = ()
    files: list[str] = field(default_factory=list)
    written: str = ""
    findings: Findings = field(default_factory=Findings)
    advice: list[str] = field(default_factory=list)

    @property
    def ready(self) -> bool:
        return s.is_ready(self.status)


def main(arguments: list[str]) -> int:
    """Runs the command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        sources, secrets, accounts = _gather(options)
    except BadInput as error:
        print(f"ocisource check: {error}", file=sys.stderr)
        return BAD_INPUT
    outcomes = asyncio.run(_check(sources, secrets, accounts, options))
    if options.output_format == "json":
        print(json.dumps([_as_json(outcome) for outcome in outcomes], indent=2))
    else:
        for outcome in outcomes:
            _print(outcome)
    return READY if all(outcome.ready for outcome in outcomes) else NOT_READY


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocisource check",
        description="Resolves, verifies and fetches the OCIRepositories in YAML files as the operator would, without a "
        "cluster. Exit status 0: all would be ready, 1: one would not, 2: bad input.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="YAML with OCIRepositories, Secrets and ServiceAccounts; - is stdin"
    )
    parser.add_argument("--secret-file", action="append", default=[], metavar="FILE", help="YAML with Secrets only")
    parser.add_argument("--output", metavar="DIR", help="write the tarballs to DIR/<namespace>/<name>.tar.gz")
    parser.add_argument(
        "--platform", type=_platform, default="linux/amd64", help="child of an index to take (default: %(default)s)"
    )
    parser.add_argument("-o", dest="output_format", choices=("text", "json"), default="text", help="form of the report")
    return parser


def _platform(text: str) -> str:
    try:
        return platform(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _gather(options: argparse.Namespace) -> tuple[list[tuple[str, Source]], FileSecrets, FileAccounts]:
    secrets, accounts = FileSecrets(), FileAccounts()
    sources: list[tuple[str, Source]] = []
    kinds: dict[str, None] = {}
    for document in read(options.files):
        kinds[document.kind or "what has no kind"] = None
        if document.kind == "Secret":
            secrets.add(document)
        elif document.kind == "ServiceAccount":
            accounts.add(document)
        elif document.is_source:
            sources.append((document.place, _source(document)))
    for document in read(options.secret_file):
        if document.kind != "Secret":
            raise BadInput(f"{document.place}: --secret-file takes Secrets only, this is {document.kind or 'no kind'}")
        secrets.add(document)
    if not sources:
        instead = f" but {', '.join(kinds)}" if kinds else ""
        raise BadInput(f"{', '.join(options.files)}: there is no OCIRepository in there{instead}: nothing was checked")
    if options.output is not None:
        _refuse_overwriting(sources)
    return sources, secrets, accounts


def _refuse_overwriting(sources: Iterable[tuple[str, Source]]) -> None:
    """Raises BadInput where the tarball of one object would overwrite that of another, as files for several clusters
    may have them."""
    first: dict[tuple[str, str], str] = {}
    for place, source in sources:
        earlier = first.setdefault((source.namespace, source.name), place)
        if earlier != place:
            raise BadInput(
                f"{place}: {source.namespace}/{source.name} stands at {earlier} already, and --output has one place "
                "for both: check them one by one, each with an --output of its own"
            )


def _source(document: Document) -> Source:
    try:
        # First: a misspelt field is the reason why the right one is missing.
        unknown = next(unknown_fields(document.content), None)
        if unknown is not None:
            raise InvalidSource(unknown, "there is no such field; check its spelling and indentation")
        return parse_source(document.content)
    except InvalidSource as error:
        raise BadInput(f"{document.place}: {error}") from error


async def _check(
    sources: Iterable[tuple[str, Source]], secrets: FileSecrets, accounts: FileAccounts, options: argparse.Namespace
) -> list[Outcome]:
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="ocisource-check-") as root:
        async with corridor(root, secrets, accounts, options.platform) as way:
            for place, source in sources:
                outcome = await _walk(way, place, source)
                if outcome.artifact is not None:
                    tarball = Path(root, outcome.artifact.path)
                    if not source.layer.copies:  # what is copied may be anything, and was not looked into
                        outcome.files = _files(tarball)
                    outcome.written = _deliver(tarball, source, options.output)
                outcomes.append(outcome)
    return outcomes


async def _walk(way: Corridor, place: str, source: Source) -> Outcome:
    outcome = Outcome(place, source)
    report = await way.run(
        source, s.Status(), lambda *step: outcome.steps.append(step), witness=outcome.findings.witness
    )
    outcome.advice = about(source, report, outcome.findings.found, FIELDS)
    outcome.status = s.concluded(source, s.Status(), report, now="")
    outcome.artifact, outcome.notes = report.stored, report.notes
    return outcome


def _files(tarball: Path) -> list[str]:
    with tarfile.open(tarball, "r:gz") as archive:
        return [member.name for member in archive if member.isreg()]


def _deliver(tarball: Path, source: Source, folder: str | None) -> str:
    if folder is None:
        return ""
    target = Path(folder, source.namespace, f"{source.name}.tar.gz")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(tarball, target)
    return str(target)


def _ready(outcome: Outcome) -> c.Condition:
    ready = outcome.status.condition(c.READY)
    assert ready is not None, "a concluded status always has Ready"  # noqa: S101
    return ready


def _print(outcome: Outcome) -> None:
    source, ready = outcome.source, _ready(outcome)
    print(f"{source.namespace}/{source.name}  {source.url}  ({outcome.place})")
    if source.suspended:
        print("  note      spec.suspend is set: the operator would leave it alone; checked all the same")
    for step, told in outcome.steps:
        print(f"  {step:9} {told}")
        if step == "resolved":
            _print_findings(outcome.findings)
    for note in outcome.notes:
        print(f"  note      {note.message}")
    if outcome.artifact is not None:
        shown = outcome.files[:SHOWN_FILES]
        more = f" and {len(outcome.files) - len(shown)} more" if len(outcome.files) > len(shown) else ""
        none = "not looked at: the layer is copied as it is" if source.layer.copies else "none"
        print(f"  files     {', '.join(shown) or none}{more}")
    if outcome.written:
        print(f"  written   {outcome.written}")
    for each in outcome.advice:
        print(f"  advice    {each}")
    print(f"  {'READY' if outcome.ready else 'NOT READY'}     {ready.reason}: {ready.message}\n")


def _print_findings(findings: Findings) -> None:
    for finding in findings.found:
        first, *rest = finding.lines()
        print(f"  signature {first}")
        for line in rest:
            print(f"            {line}")


def _as_json(outcome: Outcome) -> dict[str, Any]:
    ready = _ready(outcome)
    return {
        "file": outcome.place,
        "namespace": outcome.source.namespace,
        "name": outcome.source.name,
        "url": outcome.source.url,
        "ready": outcome.ready,
        "reason": ready.reason,
        "message": ready.message,
        "steps": [{"step": step, "outcome": told} for step, told in outcome.steps],
        "signatures": outcome.findings.as_json(),
        "advice": outcome.advice,
        "notes": [note.message for note in outcome.notes],
        "artifact": s.written(outcome.status).get("artifact"),
        "files": outcome.files,
        "written": outcome.written,
    }
