"""Compares what the clips of a whole recording show with what the camera delivered, one clip after the other."""

import bisect
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.fakes.painted_camera import PaintedFrame
from scripts.soak.faults import Excuse

US = 1_000_000
MAX_DRIFT_US = 5_000
# Answers tell the bounds of ranges to the millisecond, so each gap inside a clip may hide one.
TOLD_US = 1_000

Shown = Sequence[tuple[float, PaintedFrame | None]]
Ranges = Sequence[tuple[int, int]]


@dataclass
class Verdict:
    """How many frames were delivered, and what became of them; `missing` are those that nothing excuses.

    `missing` holds (counter, capture time in µs since the Unix epoch); `excused` and `in_excuses` are by fault: the
    frames that are missing, and all that were delivered in such windows.
    """

    delivered: int = 0
    stored: int = 0
    excused: Counter[str] = field(default_factory=Counter)
    in_excuses: Counter[str] = field(default_factory=Counter)
    missing: list[tuple[int, int]] = field(default_factory=list)
    doubled: int = 0
    out_of_order: int = 0
    misdated: int = 0
    unreadable: int = 0
    unknown: int = 0
    outside: int = 0
    drift_ms: float = 0.0

    @property
    def flawless(self) -> bool:
        """Whether every frame is stored once, in order, at its time, or is excused."""
        flaws = (self.doubled, self.out_of_order, self.misdated, self.unreadable, self.unknown, self.outside)
        return not any(flaws) and not self.missing


class Judge:
    """Takes clips that follow one another, and keeps one byte per delivered frame.

    `delivered` are capture times in µs since the Unix epoch, in order; a frame's painted counter is its index.
    """

    def __init__(self, delivered: Sequence[int], excuses: Sequence[Excuse]) -> None:
        self._delivered = delivered
        self._excuses = sorted(excuses, key=lambda excuse: excuse.from_us)
        self._seen = bytearray(len(delivered))
        self._last_us = 0
        self.needles: list[tuple[int, int]] = []
        self.verdict = Verdict(delivered=len(delivered))

    def take(self, shown: Shown, ranges: Ranges, from_us: int, to_us: int) -> list[str]:
        """Judge the clip of [from_us, to_us); tell what is wrong with it.

        `ranges` is what the answer says that it holds, in µs since the Unix epoch. A clip tells times from its first
        frame on: `needles` gets the frames whose true time is still to be proved, one for each stretch without a gap.
        """
        verdict, wrong = self.verdict, []
        dater: Dater | None = None
        stretch = -1
        for seconds, frame in shown:
            if frame is None:
                verdict.unreadable += 1
                wrong.append(f"a frame without legible paint at {seconds:.3f} s")
                continue
            captured_us = frame.captured_us
            if not self._knows(frame):
                verdict.unknown += 1
                wrong.append(f"frame {frame.counter} of {captured_us}, shown at {seconds:.3f} s, was never delivered")
                continue
            if not from_us <= captured_us < to_us:
                verdict.outside += 1
                wrong.append(f"frame {frame.counter} lies outside of the range")
            if captured_us < self._last_us:
                verdict.out_of_order += 1
                wrong.append(f"frame {frame.counter} is out of order")
            if self._seen[frame.counter]:
                verdict.doubled += 1
                wrong.append(f"frame {frame.counter} is doubled")
            self._last_us = max(self._last_us, captured_us)
            self._seen[frame.counter] = 1
            dater = dater or Dater(captured_us, seconds, ranges)
            error_us, gaps = dater.error_us(seconds, captured_us)
            verdict.drift_ms = max(verdict.drift_ms, abs(error_us) / 1000)
            if gaps != stretch:
                stretch = gaps
                self.needles.append((frame.counter, captured_us))
            if abs(error_us) > MAX_DRIFT_US + gaps * TOLD_US:
                verdict.misdated += 1
                wrong.append(f"frame {frame.counter} is shown {error_us / 1000:+.1f} ms from its time")
        return wrong

    def lacks(self, shown: Shown, from_us: int, to_us: int) -> int:
        """How many frames of [from_us, to_us) a clip does not show though they are stored; after all clips."""
        there = {frame.counter for _, frame in shown if frame is not None}
        return sum(1 for counter in self._within(from_us, to_us) if self._seen[counter] and counter not in there)

    def finish(self) -> Verdict:
        """The verdict over all clips, and over what none of them showed."""
        verdict = self.verdict
        verdict.stored = sum(self._seen)
        faults: dict[int, str] = {}
        for excuse in self._excuses:
            for counter in self._within(excuse.from_us, excuse.to_us):
                faults.setdefault(counter, excuse.fault)
        verdict.in_excuses.update(faults.values())
        for counter, seen in enumerate(self._seen):
            if seen:
                continue
            if counter in faults:
                verdict.excused[faults[counter]] += 1
            else:
                verdict.missing.append((counter, self._delivered[counter]))
        return verdict

    def _within(self, from_us: int, to_us: int) -> range:
        return range(bisect.bisect_left(self._delivered, from_us), bisect.bisect_left(self._delivered, to_us))

    def _knows(self, frame: PaintedFrame) -> bool:
        return frame.counter < len(self._delivered) and self._delivered[frame.counter] == frame.captured_us


class Dater:
    """Tells at which time a clip shows a frame: from its first frame, and from the gaps that were left out of it."""

    def __init__(self, anchor_us: int, first_s: float, ranges: Ranges) -> None:
        self._first_s = first_s
        # A range in which only the frame before it lasts on holds no frame of its own.
        held = [(from_us, to_us) for from_us, to_us in ranges if to_us > anchor_us] or [(anchor_us, anchor_us)]
        self._held = [(anchor_us, max(held[0][1], anchor_us)), *held[1:]]

    def error_us(self, seconds: float, captured_us: int) -> tuple[int, int]:
        """How much later than captured a frame is shown, in µs, and how many gaps lie before it in the clip.

        Where rounding leaves it open on which side of a gap a frame stands, the nearer one counts.
        """
        left_us = round((seconds - self._first_s) * US)
        if left_us < 0:  # before the first frame there is no range to be in
            return self._held[0][0] + left_us - captured_us, 0
        candidates = []
        for gaps, (from_us, to_us) in enumerate(self._held):
            slack_us = (gaps + 1) * TOLD_US
            last = gaps == len(self._held) - 1
            if left_us >= -slack_us and (last or left_us <= to_us - from_us + slack_us):
                candidates.append((from_us + left_us - captured_us, gaps))
            left_us -= to_us - from_us
        return min(candidates, key=lambda candidate: abs(candidate[0]))


def runs_of(missing: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Missing frames as stretches: first and last capture time in µs since the Unix epoch, and how many."""
    stretches = []
    for _, group in itertools.groupby(enumerate(missing), key=lambda pair: pair[1][0] - pair[0]):
        times = [captured_us for _, (_, captured_us) in group]
        stretches.append((times[0], times[-1], len(times)))
    return stretches
