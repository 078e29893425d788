"""The state of a recorder, for people and monitoring: what came out of ffmpeg, not what went in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.clock import Clock, SteadyClock
from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import FFmpegError, reason_of
from videostore.base.ranges import DamagedRange
from videostore.media.damage_mark import DamageMark
from videostore.media.packet import FaultCount, Source
from videostore.recording.run import Run
from videostore.recording.standstill import READS_WITHIN_S

_RATE_WINDOW_US = 5 * US_PER_SECOND
_QUIET_US = US_PER_SECOND
"""So long no frame may come out before the rate falls."""


@dataclass(frozen=True, slots=True)
class RecorderHealth:
    """The state of the recorder."""

    recording: bool
    reason: str
    """Why it is not recording; empty while it is."""
    frames_per_second: float
    """Frames recorded, over the last 5 s."""
    last_frame_age_s: float | None
    """Time since the capture of the last recorded frame; None before the first."""
    open_segment: str | None
    """Name of the file that is being written."""
    ffmpeg_restarts: int
    """How often ffmpeg failed."""
    dropped_frames: int
    """Frames that were not recorded because ffmpeg was too slow, was not running, or failed before they were in a
    file."""
    faulty_frames: int
    """Frames that were not recorded because they came damaged, or in a format that alternates with another."""
    last_fault: str
    """What was wrong with the last of them; empty if there was none."""
    sound: bool = False
    """Whether sound is recorded with the video at the moment."""
    damaged_frames: int = 0
    """Frames of a camera's own stream that came damaged, or need one that did. They are recorded, and marked."""
    last_damage: DamagedRange | None = None
    """When the last of them were captured; None if there were none."""
    recorded_frames: int = 0
    """Frames that were recorded since the recorder started. It never falls: after a failure of ffmpeg, it stays until
    what was lost is made up for."""


class HealthMeter:
    """Counts the frames of all runs of a recorder, and knows why none is recorded."""

    def __init__(self, source: Source, clock: Clock, steady: SteadyClock, directory: Path) -> None:
        self._source = source if isinstance(source, FaultCount) else None
        self._source_noted = 0
        self._directory = directory
        self._clock = clock
        self._steady = steady
        self._last_us: int | None = None
        self._recorded = self._told = 0
        """Frames that came out, without those that are known to be lost; and the most that was told, as a count of
        frames never falls."""
        self._recorded_us: deque[tuple[int, int]] = deque()
        """When frames came out in the last seconds, by the monotonic clock, and their capture times."""
        self._faulty = 0
        """Without those that a run counts itself."""
        self._noted = 0
        """Of the faulty frames of the current run, those whose fault is told."""
        self.last_fault = ""
        """What was wrong with the last faulty frame."""
        self.restarts = 0
        """How often ffmpeg failed."""
        self.dropped = 0
        """Frames that a failed ffmpeg held, or that came while none ran; without those that the backlog dropped."""
        self._damaged = 0
        self._damage: DamagedRange | None = None
        self._is_damaged = False
        """Whether the last frame was damaged."""
        self.undecodable = ""
        """Why nothing comes out of the decoder; empty while frames do."""
        self.ended = ""
        """Why nothing more comes into the current run. Its ffmpeg may take long to end: it may be slow, and the system
        kills none that waits for a disk that hangs."""

    @property
    def fault_of_all(self) -> str | None:
        """What is wrong with a source of which no frame was ever recorded; None if nothing is."""
        return None if self._last_us is not None else self.last_fault or None

    def frame_came_out(self, captured_us: int) -> None:
        """A frame came out of the current run."""
        now_us = self._clock.monotonic_us()
        self.undecodable = ""
        self._recorded += 1
        self._last_us = captured_us
        self._recorded_us.append((now_us, captured_us))
        self._forget_before(now_us - _RATE_WINDOW_US)

    def count_damage(self, mark: DamageMark | None, captured_us: int) -> None:
        """A frame is written, with this mark or without any."""
        if mark is None:
            if self._is_damaged and self._damage is not None:
                self._damage = replace(self._damage, to_us=max(captured_us, self._damage.to_us))
            self._is_damaged = False
            return
        self._damaged += 1
        if not self._is_damaged or self._damage is None or self._damage.reason != mark.reason:
            self._damage = DamagedRange(mark.since_us, captured_us + 1, mark.reason)
        self._damage = replace(self._damage, to_us=max(captured_us + 1, self._damage.to_us))
        self._is_damaged = True

    def count_fault(self, reason: str) -> None:
        """A frame was not recorded because of what it is."""
        self._faulty += 1
        self.last_fault = reason

    def note_faults(self, run: Run) -> None:
        """Remember what was wrong with the faulty frames of a run."""
        if run.tally.faulty > self._noted:
            self._noted = run.tally.faulty
            self.last_fault = run.fault

    def _faulty_of_source(self) -> int:
        """How many frames the source itself has found to be faulty."""
        if self._source is None:
            return 0
        if self._source.faulty_frames > self._source_noted:
            self._source_noted, self.last_fault = self._source.faulty_frames, self._source.last_fault
        return self._source.faulty_frames

    def take_over(self, run: Run, stored_us: int | None = None, *, failed: bool = False, loses: bool = False) -> None:
        """A run has ended: its faulty frames are counted here from now on.

        If its ffmpeg has `failed`, what is behind its last frame that is in a file is not recorded; None: it is not
        known which one that is. It is lost, or written again.
        """
        if failed:
            unwritten, waiting = run.tally.lose_behind(stored_us, run.epoch_us)
            self._recorded -= unwritten
            self.dropped += unwritten + waiting if loses else 0
        self.note_faults(run)
        self._faulty, self._noted = self._faulty + run.tally.faulty, 0
        self.ended = ""

    def health(self, run: Run | None, reason: str, backlog_dropped: int) -> RecorderHealth:
        """The state with this current run, or without one for this reason, and what the backlog dropped."""
        now_us = self._clock.monotonic_us()
        self._forget_before(now_us - _RATE_WINDOW_US)
        frames_per_second = self._frames_per_second(now_us)
        age_s = None
        if self._last_us is not None:
            age_s = round(max(0, self._steady.now_us() - self._last_us) / US_PER_SECOND, 3)
        open_paths: list[str] = []
        if run is not None:
            self.note_faults(run)
            open_paths = [path.name for path in run.files.known]
            reason = self._fault(run)
        recording = run is not None and not reason
        self._told = max(self._told, self._recorded)
        faulty = self._faulty_of_source() + self._faulty + (run.tally.faulty if run is not None else 0)
        return RecorderHealth(
            recording=recording,
            reason=reason,
            frames_per_second=frames_per_second,
            last_frame_age_s=age_s,
            open_segment=open_paths[-1] if open_paths else None,
            ffmpeg_restarts=self.restarts,
            dropped_frames=self.dropped + backlog_dropped,
            faulty_frames=faulty,
            last_fault=self.last_fault,
            sound=recording and run is not None and run.format.sound is not None,
            damaged_frames=self._damaged,
            last_damage=self._damage,
            recorded_frames=self._told,
        )

    def _fault(self, run: Run) -> str:
        """Why nothing comes of the current run; empty if something does."""
        told = self.ended or self.undecodable
        if run.standstill.ends_late:
            told = told or "the segment cannot be closed"
            return reason_of(FFmpegError("recording-held-up", path=self._directory, reason=told.rstrip(".")))
        if not told and run.standstill.reads_nothing:
            return reason_of(FFmpegError("ffmpeg-reads-nothing", path=self._directory, timeout_s=READS_WITHIN_S))
        return told

    def _frames_per_second(self, now_us: int) -> float:
        """The rate at which frames were captured: they come out some at a time. It falls while none do."""
        times = self._recorded_us
        if not times:
            return 0.0
        (first_us, first_captured_us), (last_us, last_captured_us) = times[0], times[-1]
        span_us = last_captured_us - first_captured_us + max(0, now_us - last_us - _QUIET_US)
        if not 0 < span_us <= 2 * _RATE_WINDOW_US:  # the clock was changed
            span_us = now_us - first_us
        return round((len(times) - 1) * US_PER_SECOND / span_us, 2) if span_us else 0.0

    def _forget_before(self, time_us: int) -> None:
        while self._recorded_us and self._recorded_us[0][0] < time_us:
            self._recorded_us.popleft()
