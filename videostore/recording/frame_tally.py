"""Compares what goes into the ffmpeg of a run with what comes out of it."""

from __future__ import annotations

import enum
import statistics
from collections import deque
from collections.abc import Callable

from videostore.base.constants import CAMERA_SLOW_FACTOR, FILE_ROUNDING_US, US_PER_SECOND

FAULTY_AFTER_S = 1.0
"""Frames that are still missing after this, although ffmpeg has read them and complains, are faulty; when it lasts so
long, it is a gap, as are errors of a camera."""

SILENT_AFTER_S = 10.0
"""An ffmpeg that takes frames so long and makes nothing of them has failed."""

_SILENT_FRAMES = 60
"""Encoders hold some frames back, hardware ones too, but not so many."""

_MAX_WAITING = 2000
_MAX_RECENT = 2000
"""Far more frames than come out of a decoder before those of a fragment are in the file."""
_INTERVALS = 8


class Verdict(enum.Enum):
    """What is wrong with the output of a run."""

    FINE = enum.auto()
    FAULTY = enum.auto()
    """Its frames cannot be decoded, and that has lasted."""
    SILENT = enum.auto()
    """Frames go in and nothing comes out."""


class FrameTally:
    """The frames of one run: those that wait in ffmpeg, that came out of the decoder, and that are faulty.

    Frames come out in the order in which they went in: one that comes out tells that those before it never will.
    """

    def __init__(
        self, codec: str, on_frame: Callable[[int], None], *, now_s: Callable[[], float], copies: bool = False
    ) -> None:
        """`on_frame` is called with the capture time of each frame that came out."""
        self._codec = codec
        self._on_frame = on_frame
        self._now_s = now_s
        self._copies = copies
        self._waiting: deque[int] = deque()
        self._recent: deque[int] = deque(maxlen=_MAX_RECENT)
        """The capture times of the last frames that came out, in that order."""
        self._intervals: deque[int] = deque(maxlen=_INTERVALS)
        self._settled_us = 0
        """Capture time of the last frame that was taken for faulty before another one came out."""
        self._changed_s = now_s()
        """When a frame last came out, or one went in while none was waiting."""
        self._output_us = 0
        self._output_s = now_s()
        self._since_output = 0
        self._last_in_us: int | None = None
        self.recorded = 0
        """How many frames came out."""
        self.faulty = 0
        """How many did not, although later ones did, or ffmpeg complained and was done with them."""
        self.last_us: int | None = None
        """Capture time of the last frame that came out."""
        self.complaint = ""
        """ffmpeg's most telling complaint since then; empty if there is none."""
        self.last_complaint = ""
        """The last one of all."""

    @property
    def waiting(self) -> int:
        """How many are still in ffmpeg."""
        return len(self._waiting)

    def went_in(self, captured_us: int) -> None:
        """A frame is given to ffmpeg."""
        if not self._waiting:
            self._changed_s = self._now_s()
        if self._last_in_us is not None:
            self._intervals.append(captured_us - self._last_in_us)
        self._last_in_us = captured_us
        self._waiting.append(captured_us)
        if len(self._waiting) > _MAX_WAITING:
            self._settle_first()

    def took(self, captured_us: int) -> bool:
        """Whether this is one of the frames that were given to ffmpeg last."""
        return captured_us in self._waiting or captured_us in self._recent

    def came_out(self, captured_us: int) -> None:
        """A frame came out of the decoder."""
        while self._waiting and self._waiting[0] < captured_us:
            self._settle_first()
        if self._waiting and self._waiting[0] == captured_us:
            self._waiting.popleft()
        elif captured_us <= self._settled_us and self.faulty:
            self.faulty -= 1  # it was only late
        self.recorded += 1
        self._recent.append(captured_us)
        self._since_output += 1
        self.last_us, self.complaint, self._changed_s = captured_us, "", self._now_s()
        self._on_frame(captured_us)

    def came_out_until(self, time_us: int) -> None:
        """All frames up to this time came out."""
        while self._waiting and self._waiting[0] <= time_us:
            self.came_out(self._waiting[0])

    def written_until(self, time_us: int) -> None:
        """The encoder's output has come so far."""
        if time_us > self._output_us:
            self._output_us, self._output_s, self._since_output = time_us, self._now_s(), 0

    def complained(self, text: str) -> None:
        """ffmpeg reported an error. What the decoder says tells more than what follows from it."""
        decoder = f"[{self._codec}]"
        if not self.complaint or (decoder in text and decoder not in self.complaint):
            self.complaint = self.last_complaint = text.rstrip(".")

    @property
    def undecodable(self) -> bool:
        """Whether the decoder has complained since the last frame that came out."""
        return f"[{self._codec}]" in self.complaint

    def judge(self, *, drained: bool) -> Verdict:
        """What is wrong, if anything. `drained`: ffmpeg has read all that was written.

        Frames that are done for are counted as faulty. A slow ffmpeg is not to blame: it has not read everything, or
        does not complain.
        """
        now_s = self._now_s()
        if self._since_output >= _SILENT_FRAMES and now_s - self._output_s > SILENT_AFTER_S:
            return Verdict.SILENT
        if not self._waiting or not drained or now_s - self._changed_s < FAULTY_AFTER_S:
            return Verdict.FINE
        if self.complaint and not self._copies:
            before_us = self.last_us if self.last_us is not None else self._waiting[0]
            usual_us = statistics.median(self._intervals) if self._intervals else 0
            lasts_us = self._waiting[-1] - before_us
            self.settle()
            patience_us = max(FAULTY_AFTER_S * US_PER_SECOND, CAMERA_SLOW_FACTOR * usual_us)
            return Verdict.FAULTY if self.last_us is None or lasts_us >= patience_us else Verdict.FINE
        silent = len(self._waiting) >= _SILENT_FRAMES and now_s - self._changed_s > SILENT_AFTER_S
        return Verdict.SILENT if silent else Verdict.FINE

    def settle(self) -> None:
        """What waits will not come out."""
        while self._waiting:
            self._settle_first()

    def lose_behind(self, stored_us: int | None, epoch_us: int) -> tuple[int, int]:
        """ffmpeg has failed, and the last frame that is in a file, in the order of decoding, was captured at this time;
        None if that is not known, and before `epoch_us` if nothing of the run is in a file. Returns how many frames
        behind it came out all the same, and how many did not.

        A frame that came out is in no file until the encoder and the fragment that it is in are done with it.
        """
        if stored_us is None:
            return 0, len(self._waiting)
        times = [*self._recent, *self._waiting]
        # In the order of decoding, later frames may be captured earlier.
        nearby = (at for at in range(len(times) - 1, -1, -1) if abs(times[at] - stored_us) <= FILE_ROUNDING_US)
        stored = next(nearby, None) if stored_us >= epoch_us else -1
        behind = set(times[stored + 1 :] if stored is not None else (one for one in times if one > stored_us))
        while self._waiting and self._waiting[0] not in behind:  # what is copied is reported late
            self.came_out(self._waiting[0])
        unwritten = sum(one in behind for one in self._recent)
        self.recorded -= unwritten
        return unwritten, len(self._waiting)

    def _settle_first(self) -> None:
        self._settled_us = self._waiting.popleft()
        self.faulty += 1
