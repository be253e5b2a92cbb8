"""`ocisource verify oci://…:tag --key cosign.pub`: the verdict on one reference. Nothing of it is fetched.

Exit status 0: verified; 1: not verified; 2: bad input; 3: there was nothing to judge, since the
registry did not answer or has no such artifact.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from typing import Any

from ocisource.cli.advice import FLAGS, about
from ocisource.cli.corridors import corridor, trust
from ocisource.cli.documents import BadInput, FileAccounts
from ocisource.cli.exits import BAD_INPUT, NOT_JUDGED, NOT_VERIFIED, VERIFIED
from ocisource.cli.findings import Finding, Findings
from ocisource.cli.requests import Request, add_flags, read_request
from ocisource.domain.errors import InvalidReference, TrustError
from ocisource.domain.evidence import Subject
from ocisource.domain.reference import parse_url
from ocisource.domain.status import Report, Status


def main(arguments: list[str]) -> int:
    """Runs the command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        request = read_request(options)
        _check_trust(request)
    except BadInput as error:
        print(f"ocisource verify: {error}", file=sys.stderr)
        return BAD_INPUT
    quiet = options.output_format == "json"
    findings = Findings(request.told) if quiet else Findings(request.told, _show)
    if not quiet:
        _tell("trusts", request.trusts)
    report = asyncio.run(_verify(request, findings, quiet=quiet))
    status = _status(report)
    advice = about(request.source, report, findings.found, FLAGS)
    if quiet:
        print(json.dumps(_as_json(request, findings, report, advice), indent=2))
    else:
        for each in advice:
            _tell("advice", each)
        print(f"{_VERDICTS[status]}  {_message(request, report)}")
    return status


_VERDICTS = {VERIFIED: "VERIFIED", NOT_VERIFIED: "NOT VERIFIED", BAD_INPUT: "BAD INPUT", NOT_JUDGED: "NOT JUDGED"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ocisource verify",
        allow_abbrev=False,
        description="Resolves one reference, and shows every signature of it and what was checked about each. Exit "
        "status 0: verified by one of them; 1: not verified; 2: bad input; 3: nothing to judge, since the registry did "
        "not answer or has no such artifact.",
    )
    add_flags(parser)
    parser.add_argument("-o", dest="output_format", choices=("text", "json"), default="text", help="form of the report")
    return parser


def _check_trust(request: Request) -> None:
    """Files that cannot be used are told before anybody is asked. Raises BadInput."""
    verify = request.source.verify
    assert verify is not None, "a request asks for a verdict"  # noqa: S101
    try:
        subject = Subject(str(parse_url(request.source.url)), "")
        trust().policy(verify, request.material, subject)
    except (TrustError, InvalidReference) as error:
        raise BadInput(request.told(str(error))) from error


async def _verify(request: Request, findings: Findings, *, quiet: bool) -> Report:
    def journal(step: str, told: str) -> None:
        if step != "verified" and not quiet:
            _tell(step, told)

    with tempfile.TemporaryDirectory(prefix="ocisource-verify-") as root:
        async with corridor(root, request.secrets, FileAccounts()) as way:
            return await way.judge(request.source, Status(), journal, findings.witness)


def _status(report: Report) -> int:
    """0 only for a verdict: neither an answer that is missing nor a policy that lets the artifact pass unjudged is
    one."""
    if report.failure is None:
        return VERIFIED if report.verified else NOT_VERIFIED
    if report.failure.stalls:
        return BAD_INPUT
    return NOT_VERIFIED if report.failure.verdict else NOT_JUDGED


def _message(request: Request, report: Report) -> str:
    if report.failure is not None:
        return request.told(report.failure.message)
    return request.told(report.verified or f"the policy lets it pass without a verdict: {report.unjudged}")


def _as_json(request: Request, findings: Findings, report: Report, advice: list[str]) -> dict[str, Any]:
    accepted = next((one for one in findings.found if one.judgement.accepted), None) if report.verified else None
    return {
        "reference": report.reference or request.source.url,
        "digest": report.resolved.digest if report.resolved else "",
        "verified": bool(report.verified),
        "signer": accepted.judgement.signer if accepted else "",
        "message": _message(request, report),
        "signatures": findings.as_json(),
        "advice": advice,
    }


def _show(finding: Finding) -> None:
    first, *rest = finding.lines()
    _tell("signature", first)
    for line in rest:
        _tell("", line)


def _tell(step: str, told: str) -> None:
    print(f"{step:10} {told}")
