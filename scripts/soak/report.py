"""The results of a soak, and its report."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.soak.faults import KINDS
from scripts.soak.judge import Verdict
from scripts.soak.tested_module import TestedModule
from scripts.soak.usage import ProcessHistory, table

SHOWN_LINES = 40


@dataclass
class Record:
    """The results of a soak. Times are in seconds."""

    seed: int
    directory: Path
    asked_s: float
    complaining: int = 0
    """How many cameras are recorded beside the tested one, about whose images ffmpeg complains."""
    recorded_s: float = 0.0
    interrupted: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    processes: list[ProcessHistory] = field(default_factory=list)
    verdict: Verdict | None = None
    saves: Counter[str] = field(default_factory=Counter)
    module: TestedModule | None = None

    @property
    def failures(self) -> list[str]:
        """Everything that failed."""
        found = list(self.module.failures) if self.module else ["the soak did not start"]
        if self.verdict is None:
            found.append("the recording was not judged")
        elif not self.verdict.flawless:
            found.append("the clips do not show every frame once, in order and at its time")
        return found + [line for life in self.processes for line in life.growth()]


def report(record: Record) -> list[str]:
    """The lines of the report."""
    lines = ["", f"Soak of {record.recorded_s / 60:.1f} min (requested: {record.asked_s / 60:g}), seed {record.seed}"]
    if record.interrupted:
        lines.append("It was interrupted; these are the results so far.")
    if record.complaining:
        lines.append(f"  at log level debug, beside {record.complaining} cameras about which ffmpeg complains")
    lines += [f"  faults: {sum(record.faults.values())}", *_columns(record.faults)]
    verdict = record.verdict
    if verdict is not None:
        excused = sum(verdict.excused.values())
        lines.append(
            f"  frames: {verdict.delivered} delivered, {verdict.stored} stored, {excused} excused, "
            f"{len(verdict.missing)} missing, {verdict.doubled} shown twice, {verdict.misdated} misdated "
            f"(largest drift {verdict.drift_ms:.3f} ms),"
        )
        lines.append(
            f"          {verdict.out_of_order} out of order, {verdict.outside} outside their clip's range, "
            f"{verdict.unknown} never delivered, {verdict.unreadable} illegible"
        )
        lines.append("  excused, of the frames delivered meanwhile:")
        why = {kind.name: kind.why for kind in KINDS}
        lines += [
            f"    {name:<24} {verdict.excused[name]:5} of {count:5}  {why[name]}"
            for name, count in sorted(verdict.in_excuses.items())
        ]
    if record.module is not None:
        ends_s = record.module.ends_s
        lines.append(f"  requests: {record.module.requests}; asynchronous saves: {dict(record.saves) or 'not judged'}")
        lines.append(f"  ends after SIGTERM: {len(ends_s)}, the longest took {max(ends_s, default=0.0):.2f} s")
    lines += ["  the module's processes, sampled between faults:", *table(record.processes)]
    failures = record.failures
    lines += [f"  FAILED: {line.strip()}" for line in failures[:SHOWN_LINES]]
    if len(failures) > SHOWN_LINES:
        lines.append(f"  … and {len(failures) - SHOWN_LINES} more failures")
    lines.append(f"Soak: {'FAILED' if failures else 'passed'} ({len(failures)} failures), seed {record.seed}")
    return lines


def _columns(counts: Counter[str], per_line: int = 4) -> list[str]:
    cells = [f"{name} {count}".ljust(26) for name, count in sorted(counts.items())]
    return ["    " + "".join(cells[at : at + per_line]).rstrip() for at in range(0, len(cells), per_line)]
