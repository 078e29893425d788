"""`videostore verify`: checks that every segment decodes and that the index matches the files; repairs on request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.ranges import Range
from videostore.cli import terminal
from videostore.cli.gaps import damage_lines
from videostore.cli.runtime import DONE, INCOMPLETE
from videostore.cli.time_options import format_time
from videostore.storage.findings import REPAIRABLE, Finding, Problem, VerificationReport
from videostore.storage.repair import repair_directory
from videostore.storage.verify import verify_directory

_SHOWN = 100
_HIDE_OTHER_PROBLEMS = frozenset({Problem.UNREADABLE, Problem.BEING_WRITTEN, Problem.NOT_READ})
"""A file with one of these was not examined further, so that an earlier finding may still be true."""


async def verify(directory: Path, *, decode: bool, repair: bool, everything: bool, as_json: bool) -> int:
    """Check every segment of a directory, repair what can be repaired, and report what is wrong."""
    report = await _check(directory, "Verifying", decode=decode)
    findings = report.findings
    left = findings
    if repair and any(one.problem in REPAIRABLE for one in findings):
        await repair_directory(directory, findings)
        again = await _check(directory, "Verifying again", decode=False)
        # The second check does not decode, and a repair does not change what a segment decodes to.
        left = (*again.findings, *(one for one in findings if one.problem is Problem.NOT_DECODED))
        # A repair can reveal a problem: once a segment is closed, it is examined for damage.
        report = replace(report, findings=(*findings, *(one for one in left if one not in findings)))
    if as_json:
        print(json.dumps(_as_json(directory, report, repair, left), indent=2))  # noqa: T201 (the result)
    else:
        _show(report, decode=decode, repair=repair, everything=everything, left=left)
    return INCOMPLETE if left else DONE


async def _check(directory: Path, title: str, *, decode: bool) -> VerificationReport:
    with terminal.progress_bar(title) as show:
        return await verify_directory(directory, decode=decode, on_file=lambda done, of: show(done / of))


def _show(report: VerificationReport, *, decode: bool, repair: bool, everything: bool, left: Sequence[Finding]) -> None:
    console = terminal.results_console()
    findings = report.findings
    for one in findings if everything else findings[:_SHOWN]:
        mark = ""
        if repair and one not in left:
            mark = "repaired: " if _is_repaired(one, left) else "no longer found: "
        console.print(f"{mark}{one.sentence}", soft_wrap=True)
    if len(findings) > _SHOWN and not everything:
        console.print(f"{len(findings) - _SHOWN} more are shown with --all.")
    checked = f"{report.segments} segment{'s' if report.segments != 1 else ''} read"
    if decode:
        checked += f", {report.decoded_frames} frames decoded"
    for line in damage_lines(report.damaged, utc=False):
        console.print(line, soft_wrap=True)
    console.print(f"{checked}: {_summary(findings, left, repair=repair)}")


def _is_repaired(one: Finding, left: Sequence[Finding]) -> bool:
    if one.problem not in REPAIRABLE or one in left:
        return False
    return not any(other.file_name == one.file_name and other.problem in _HIDE_OTHER_PROBLEMS for other in left)


def _summary(findings: Sequence[Finding], left: Sequence[Finding], *, repair: bool) -> str:
    if not findings:
        return "nothing is wrong."
    if not repair:
        count = f"{len(findings)} problem{'s' if len(findings) != 1 else ''} found"
        repairable = sum(one.problem in REPAIRABLE for one in findings)
        return f"{count}; {f'--repair can repair {repairable}' if repairable else 'clips show the intact parts'}."
    if not left:
        return "everything is repaired."
    repaired = sum(_is_repaired(one, left) for one in findings)
    return f"{repaired} repaired, {len(left)} left; clips show the intact parts."


def _as_json(directory: Path, report: VerificationReport, repair: bool, left: Sequence[Finding]) -> dict[str, object]:
    return {
        "storage": str(directory),
        "segments": report.segments,
        "decoded_frames": report.decoded_frames,
        "findings": [
            {
                "file": one.file_name,
                "problem": one.problem.name.lower(),
                "detail": one.told,
                "missing": [_range_as_json(part) for part in one.missing],
                "missing_frames": one.frames,
                "repaired": repair and _is_repaired(one, left),
            }
            for one in report.findings
        ],
        "left": len(left),
        "damaged": [_range_as_json(Range(one.from_us, one.to_us)) | {"reason": one.reason} for one in report.damaged],
    }


def _range_as_json(one: Range) -> dict[str, object]:
    start, end = (format_time(time_us, utc=True, precision="microseconds") for time_us in (one.from_us, one.to_us))
    return {"from": start, "to": end, "seconds": (one.to_us - one.from_us) / US_PER_SECOND}
