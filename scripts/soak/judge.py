"""Compares the clips of a whole recording with what the camera delivered, one clip after the other."""

import bisect
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from scripts.fakes.painted_camera import PaintedFrame
from scripts.soak.faults import Excuse

US = 1_000_000
MAX_DRIFT_US = 5_000
# Answers give ranges to the millisecond, so each gap inside a clip can hide one.
ROUNDING_US = 1_000

Shown = Sequence[tuple[float, PaintedFrame | None]]
Ranges = Sequence[tuple[int, int]]


@dataclass
class Verdict:
    """The number of delivered frames, and what happened to them.

    `missing` are the frames that nothing excuses, as (counter, capture time in microseconds since 1970). By fault,
    `excused` counts missing frames that are excused, and `in_excuses` all frames delivered in those times.
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
        """Whether every frame is excused or stored once, in order and at its time."""
        flaws = (self.doubled, self.out_of_order, self.misdated, self.unreadable, self.unknown, self.outside)
        return not any(flaws) and not self.missing


class Judge:
    """Takes consecutive clips, and keeps one byte per delivered frame.

    `delivered` are capture times in microseconds since 1970, in order. A frame's painted counter is its index.
    """

    def __init__(self, delivered: Sequence[int], excuses: Sequence[Excuse]) -> None:
        self._delivered = delivered
        self._excuses = sorted(excuses, key=lambda excuse: excuse.from_us)
        self._seen = bytearray(len(delivered))
        self._last_us = 0
        self.to_locate: list[tuple[int, int]] = []
        self.verdict = Verdict(delivered=len(delivered))

    def take(self, shown: Shown, ranges: Ranges, from_us: int, to_us: int) -> list[str]:
        """Judge the clip of [from_us, to_us). Returns what is wrong with it.

        `ranges` are the ranges that the answer names, in microseconds since 1970. A clip has times only from its first
        frame on, so `to_locate` gets one frame for each part without a gap, whose true time must still be checked.
        """
        verdict, wrong = self.verdict, []
        dater: Dater | None = None
        part = -1
        for seconds, frame in shown:
            if frame is None:
                verdict.unreadable += 1
                wrong.append(f"the frame at {seconds:.3f} s has no legible paint")
                continue
            captured_us = frame.captured_us
            if not self._knows(frame):
                verdict.unknown += 1
                wrong.append(f"frame {frame.counter} of {captured_us}, shown at {seconds:.3f} s, was never delivered")
                continue
            if not from_us <= captured_us < to_us:
                verdict.outside += 1
                wrong.append(f"frame {frame.counter} is outside the range")
            if captured_us < self._last_us:
                verdict.out_of_order += 1
                wrong.append(f"frame {frame.counter} is out of order")
            if self._seen[frame.counter]:
                verdict.doubled += 1
                wrong.append(f"frame {frame.counter} is shown twice")
            self._last_us = max(self._last_us, captured_us)
            self._seen[frame.counter] = 1
            dater = dater or Dater(captured_us, seconds, ranges)
            error_us, gaps = dater.error_us(seconds, captured_us)
            verdict.drift_ms = max(verdict.drift_ms, abs(error_us) / 1000)
            if gaps != part:
                part = gaps
                self.to_locate.append((frame.counter, captured_us))
            if abs(error_us) > MAX_DRIFT_US + gaps * ROUNDING_US:
                verdict.misdated += 1
                wrong.append(f"frame {frame.counter} is shown {error_us / 1000:+.1f} ms off its time")
        return wrong

    def missing_in(self, shown: Shown, from_us: int, to_us: int) -> int:
        """Number of stored frames of [from_us, to_us) that a clip does not show. Call it after all clips."""
        in_clip = {frame.counter for _, frame in shown if frame is not None}
        return sum(1 for counter in self._within(from_us, to_us) if self._seen[counter] and counter not in in_clip)

    def finish(self) -> Verdict:
        """The verdict on all clips, and on the frames that none of them showed."""
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
    """Computes the time of a frame in a clip from the clip's first frame and the gaps that were left out."""

    def __init__(self, anchor_us: int, first_s: float, ranges: Ranges) -> None:
        self._first_s = first_s
        # A range before the first frame holds no frame, only the end of an earlier one.
        held = [(from_us, to_us) for from_us, to_us in ranges if to_us > anchor_us] or [(anchor_us, anchor_us)]
        self._held = [(anchor_us, max(held[0][1], anchor_us)), *held[1:]]

    def error_us(self, seconds: float, captured_us: int) -> tuple[int, int]:
        """How much later than captured a frame is shown, in microseconds, and the number of gaps before it.

        If rounding leaves open on which side of a gap a frame is, the nearer side counts.
        """
        left_us = round((seconds - self._first_s) * US)
        if left_us < 0:  # before the first frame there is no range
            return self._held[0][0] + left_us - captured_us, 0
        candidates = []
        for gaps, (from_us, to_us) in enumerate(self._held):
            slack_us = (gaps + 1) * ROUNDING_US
            last = gaps == len(self._held) - 1
            if left_us >= -slack_us and (last or left_us <= to_us - from_us + slack_us):
                candidates.append((from_us + left_us - captured_us, gaps))
            left_us -= to_us - from_us
        return min(candidates, key=lambda candidate: abs(candidate[0]))


def runs_of(missing: Sequence[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Missing frames grouped: first and last capture time in microseconds since 1970, and their number."""
    parts = []
    for _, group in itertools.groupby(enumerate(missing), key=lambda pair: pair[1][0] - pair[0]):
        times = [captured_us for _, (_, captured_us) in group]
        parts.append((times[0], times[-1], len(times)))
    return parts
