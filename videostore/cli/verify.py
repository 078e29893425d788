"""`videostore verify`: whether every segment decodes and the index agrees with the files, and how that is repaired."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from videostore.cli import terminal as screen
from videostore.cli.runtime import DONE, INCOMPLETE
from videostore.storage.findings import REPAIRABLE, Finding, Problem, VerificationReport
from videostore.storage.repair import repair_directory
from videostore.storage.verify import verify_directory

_SHOWN = 100
_NOT_LOOKED_INTO = frozenset({Problem.UNREADABLE, Problem.BEING_WRITTEN, Problem.NOT_READ})
"""Where one of these is left, nothing else about the file is known to be put right."""


async def verify(directory: Path, *, decode: bool, repair: bool, everything: bool, as_json: bool) -> int:
    """Look at every segment of a directory, put right what can be, and tell what is wrong."""
    report = await _look(directory, "Verifying", decode=decode)
    findings = report.findings
    left = findings
    if repair and any(one.problem in REPAIRABLE for one in findings):
        await repair_directory(directory, findings)
        again = await _look(directory, "Verifying again", decode=False)
        # What does not decode was not looked for again, and is not repaired.
        left = (*again.findings, *(one for one in findings if one.problem is Problem.NOT_DECODED))
        # As of a segment that had no name before: what is damaged in it shows now.
        report = replace(report, findings=(*findings, *(one for one in left if one not in findings)))
    if as_json:
        print(json.dumps(_described(directory, report, repair, left), indent=2))  # noqa: T201 (the result)
    else:
        _show(report, decode=decode, repair=repair, everything=everything, left=left)
    return INCOMPLETE if left else DONE


async def _look(directory: Path, title: str, *, decode: bool) -> VerificationReport:
    with screen.bar(title) as show:
        return await verify_directory(directory, decode=decode, on_file=lambda done, of: show(done / of))


def _show(report: VerificationReport, *, decode: bool, repair: bool, everything: bool, left: Sequence[Finding]) -> None:
    console = screen.results()
    findings = report.findings
    for one in findings if everything else findings[:_SHOWN]:
        mark = ""
        if repair and one not in left:
            mark = "repaired: " if _is_repaired(one, left) else "no longer so: "
        console.print(f"{mark}{one.sentence}", soft_wrap=True)
    if len(findings) > _SHOWN and not everything:
        console.print(f"{len(findings) - _SHOWN} more are shown with --all.")
    looked = f"{report.segments} segment{'s' if report.segments != 1 else ''} read"
    if decode:
        looked += f", {report.decoded_frames} frames decoded"
    console.print(f"{looked}: {_summary(findings, left, repair=repair)}")


def _is_repaired(one: Finding, left: Sequence[Finding]) -> bool:
    if one.problem not in REPAIRABLE or one in left:
        return False
    return not any(other.file_name == one.file_name and other.problem in _NOT_LOOKED_INTO for other in left)


def _summary(findings: Sequence[Finding], left: Sequence[Finding], *, repair: bool) -> str:
    if not findings:
        return "nothing is wrong."
    if not repair:
        can = sum(one.problem in REPAIRABLE for one in findings)
        advice = f"; --repair can put {can} of them right" if can else "; clips hold what is whole"
        return f"{len(findings)} found{advice}."
    if not left:
        return "all is repaired."
    repaired = sum(_is_repaired(one, left) for one in findings)
    return f"{repaired} repaired, {len(left)} left; clips hold what is whole."


def _described(directory: Path, report: VerificationReport, repair: bool, left: Sequence[Finding]) -> dict[str, object]:
    return {
        "storage": str(directory),
        "segments": report.segments,
        "decoded_frames": report.decoded_frames,
        "findings": [
            {
                "file": one.file_name,
                "problem": one.problem.name.lower(),
                "detail": one.detail,
                "repaired": repair and _is_repaired(one, left),
            }
            for one in report.findings
        ],
        "left": len(left),
    }
