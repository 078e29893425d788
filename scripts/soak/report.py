"""What a soak has found, and how it is told."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from scripts.soak.faults import KINDS
from scripts.soak.judge import Verdict
from scripts.soak.station import Station
from scripts.soak.usage import Life, table

SHOWN_LINES = 40


@dataclass
class Record:
    """What a soak has found; seconds."""

    seed: int
    directory: Path
    asked_s: float
    recorded_s: float = 0.0
    interrupted: bool = False
    faults: Counter[str] = field(default_factory=Counter)
    lives: list[Life] = field(default_factory=list)
    verdict: Verdict | None = None
    saves: Counter[str] = field(default_factory=Counter)
    station: Station | None = None

    @property
    def failures(self) -> list[str]:
        """Everything that is wrong."""
        found = list(self.station.failures) if self.station else ["the soak did not begin"]
        if self.verdict is None:
            found.append("the recording was not judged")
        elif not self.verdict.flawless:
            found.append("the clips do not show every frame once, in order, at its time")
        return found + [line for life in self.lives for line in life.growth()]


def report(record: Record) -> list[str]:
    """The short report, line by line."""
    lines = ["", f"Soak of {record.recorded_s / 60:.1f} min (asked for: {record.asked_s / 60:g}), seed {record.seed}"]
    if record.interrupted:
        lines.append("It was interrupted; this is what there is.")
    lines += [f"  faults: {sum(record.faults.values())}", *_columns(record.faults)]
    verdict = record.verdict
    if verdict is not None:
        excused = sum(verdict.excused.values())
        lines.append(
            f"  frames: {verdict.delivered} delivered, {verdict.stored} stored, {excused} excused, "
            f"{len(verdict.missing)} missing, {verdict.doubled} doubled, {verdict.misdated} misdated "
            f"(largest drift {verdict.drift_ms:.3f} ms),"
        )
        lines.append(
            f"          {verdict.out_of_order} out of order, {verdict.outside} outside of their clip's range, "
            f"{verdict.unknown} never delivered, {verdict.unreadable} not legible"
        )
        lines.append("  excused, of those delivered meanwhile:")
        why = {kind.name: kind.why for kind in KINDS}
        lines += [
            f"    {name:<24} {verdict.excused[name]:5} of {count:5}  {why[name]}"
            for name, count in sorted(verdict.in_excuses.items())
        ]
    if record.station is not None:
        ends_s = record.station.ends_s
        lines.append(f"  requests: {record.station.requests}; asynchronous saves: {dict(record.saves) or 'not judged'}")
        lines.append(f"  ends by SIGTERM: {len(ends_s)}, the longest {max(ends_s, default=0.0):.2f} s")
    lines += ["  the module's processes, sampled in calm stretches:", *table(record.lives)]
    failures = record.failures
    lines += [f"  FAILED: {line.strip()}" for line in failures[:SHOWN_LINES]]
    if len(failures) > SHOWN_LINES:
        lines.append(f"  … and {len(failures) - SHOWN_LINES} more failures")
    lines.append(f"Soak: {'FAILED' if failures else 'passed'} ({len(failures)} failures), seed {record.seed}")
    return lines


def _columns(counts: Counter[str], per_line: int = 4) -> list[str]:
    cells = [f"{name} {count}".ljust(26) for name, count in sorted(counts.items())]
    return ["    " + "".join(cells[at : at + per_line]).rstrip() for at in range(0, len(cells), per_line)]
