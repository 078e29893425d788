"""What a player showed of a clip, and where that differs from what it had to show."""

from __future__ import annotations

import enum
import itertools
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from scripts.fakes.clip_check import PaintReader
from tests.players.clips import LARGE, Clip
from tests.support.recording import SIZE

DURATION_TOLERANCE_S = 0.06
"""More than the last frame's length can differ by rounding; less than a hidden frame adds."""
_UNREADABLE = 0


@dataclass
class Reading:
    """What one player showed of one clip. Times are capture times in microseconds, read off the pixels; 0 where the
    pixels cannot be read."""

    shown: list[int] = field(default_factory=list)
    """The frames in the order in which they were shown."""
    duration_s: float | None = None
    middle_us: int | None = None
    """The frame that was shown after a seek to the middle."""
    error: str | None = None
    """What the player said, if it does not play the clip."""

    @classmethod
    def of_failure(cls, done: subprocess.CompletedProcess[bytes]) -> Reading:
        """A program has failed, or showed nothing."""
        said = done.stderr.decode(errors="replace").strip()
        return cls(error=said[-300:] or f"it ended with {done.returncode}, and said nothing")


class Seek(enum.Enum):
    """What a player shows after a seek to a position between the beginnings of two frames, in any file."""

    SHOWN = "the frame that is shown at this position"
    NEXT = "the frame that begins next"
    LATE = "one of these two: what comes late after a seek is replaced by the next"
    NEAR = "the frame that is shown there or a neighbour, because it guesses how long each is shown"
    KEYFRAME = "the last keyframe before"


class Player(Protocol):
    """Something that shows clips. It starts what it needs, and ends it."""

    name: str
    seek: Seek

    def missing(self) -> str | None:
        """Why it cannot be tried here; None if it can."""

    def version(self) -> str:
        """Its version, for the table."""

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        """Show clips, and say what was shown, by the clip's name. `directory` is for its files. Blocking."""


@dataclass(frozen=True)
class Habit:
    """What a player does wrong with a file of libav alone: so much is allowed with a clip of the same codec and
    container, and no more."""

    refused: str | None = None
    """Why it does not play such a file at all."""
    drops_last: bool = False
    guesses_duration: bool = False
    misses_seeks: bool = False

    @classmethod
    def of(cls, control: Clip, reading: Reading, seek: Seek) -> Habit:
        """What is wrong with a control file."""
        if reading.error is not None or not reading.shown:
            return cls(reading.error or "it shows nothing")
        return cls(
            None,
            reading.shown == list(control.times[:-1]),
            control.duration_s is not None and not _lasts(reading.duration_s, control.duration_s),
            reading.middle_us not in (None, *seek_targets(control, seek)),
        )

    def __str__(self) -> str:
        told = {
            "drops the last frame": self.drops_last,
            "tells a wrong duration": self.guesses_duration,
            "does not show the frame that it was sent to": self.misses_seeks,
        }
        return self.refused or ", ".join(words for words, found in told.items() if found)


def read_frames(frames: Iterable[NDArray[Any]]) -> list[int]:
    """The capture times in frames (rows x columns of brightness), without repetitions of a frame that stays."""
    reader = PaintReader([None, SIZE, LARGE])
    painted = (reader.read(frame) for frame in frames)
    return without_repetitions(frame.captured_us if frame else _UNREADABLE for frame in painted)


def without_repetitions(times: Iterable[int]) -> list[int]:
    """The same frames, without those that a player shows again in place."""
    return [time_us for time_us, _ in itertools.groupby(times)]


def faults(clip: Clip, reading: Reading, habit: Habit, seek: Seek) -> list[str]:
    """What is wrong with what a player showed; empty if nothing is."""
    if reading.error is not None or not reading.shown:
        return [reading.error or "it showed nothing"]
    found = []
    due = list(clip.times)
    if reading.shown != due and not (habit.drops_last and len(due) > 1 and reading.shown == due[:-1]):
        found.append(_difference(due, reading.shown))
    if clip.duration_s and not habit.guesses_duration and not _lasts(reading.duration_s, clip.duration_s):
        found.append(
            f"it lasts {reading.duration_s:.3f} s instead of {clip.duration_s[0]:.3f} to {clip.duration_s[1]:.3f} s"
        )
    if reading.middle_us is not None and not habit.misses_seeks and reading.middle_us not in seek_targets(clip, seek):
        found.append("a seek to the middle shows another frame" if reading.middle_us else "a seek shows no frame")
    return found


def _lasts(duration_s: float | None, right_s: tuple[float, float]) -> bool:
    shortest_s, longest_s = right_s[0] - DURATION_TOLERANCE_S, right_s[1] + DURATION_TOLERANCE_S
    return duration_s is None or shortest_s <= duration_s <= longest_s


def seek_targets(clip: Clip, seek: Seek) -> tuple[int, ...]:
    """The frames that a seek to the middle may show."""
    number = clip.times.index(clip.middle_us)
    if seek is Seek.KEYFRAME:
        return clip.times[: number + 1]
    if seek is Seek.NEAR:
        return clip.times[max(number - 1, 0) : number + 2]
    if seek is Seek.LATE:
        return clip.times[number : number + 2]
    if seek is Seek.NEXT:
        return clip.times[number + 1 : number + 2] or clip.times[number:]
    return (clip.middle_us,)


def _difference(due: list[int], shown: list[int]) -> str:
    parts = []
    extra = [time_us for time_us in shown if time_us not in due]
    if unreadable := extra.count(_UNREADABLE):
        parts.append(f"{unreadable} unreadable")
    if before := [time_us for time_us in extra if _UNREADABLE < time_us < due[0]]:
        parts.append(f"{len(before)} before the first, by {(due[0] - before[0]) / 1000:.0f} ms")
    if after := [time_us for time_us in extra if time_us > due[-1]]:
        parts.append(f"{len(after)} after the last, by {(after[-1] - due[-1]) / 1000:.0f} ms")
    if missing := [time_us for time_us in due if time_us not in shown]:
        parts.append(f"{len(missing)} of {len(due)} missing, first number {due.index(missing[0])}")
    if shown != sorted(shown) or len(set(shown)) != len(shown):
        parts.append("out of order or twice")
    return "frames: " + (", ".join(parts) or "others")


def cell(clip: Clip, reading: Reading, seek: Seek) -> str:
    """First frame against `from` and last one against `to` in ms, the number of frames, what else is off."""
    if reading.error is not None or not reading.shown:
        return "does not play"
    readable = [time_us for time_us in reading.shown if time_us]
    if not readable:
        return "unreadable"
    first, last = (readable[0] - clip.from_us) / 1000, (readable[-1] - clip.to_us) / 1000
    text = f"{first:+.0f} {last:+.0f} {len(reading.shown)}/{len(clip.times)}"
    if reading.duration_s is not None:
        text += f" {reading.duration_s:.2f}s"
    if reading.middle_us is not None:
        off_ms = min(((reading.middle_us - time_us) / 1000 for time_us in seek_targets(clip, seek)), key=abs)
        text += f" seek{off_ms:+.0f}" if reading.middle_us and off_ms else "" if reading.middle_us else " seek?"
    return text
