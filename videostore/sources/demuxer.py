"""An ffmpeg that reads an input, and the thread that splits its output into frames."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from videostore.base.clock import SteadyClock
from videostore.base.constants import FFMPEG_FINISH_S, US_PER_SECOND
from videostore.base.processes import PASSED
from videostore.base.system import forbid_core_dump, subordinate
from videostore.base.tasks import finish_despite_cancellation, off_loop
from videostore.ffmpeg.process import end_process, log_messages, start_ffmpeg
from videostore.media.h26x import COPYABLE, KeyframeInfo, UncopyableError, inspect_keyframe, parameter_sets
from videostore.media.lenient_tags import lenient_tags
from videostore.media.libav import av
from videostore.media.packet import StreamFormat
from videostore.media.recovery_point import recovers_later
from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.frame_order import FrameOrder
from videostore.sources.frame_pipe import FramePipe
from videostore.sources.handover import CodedFrame, EndOfInput, Handover
from videostore.sources.joined_pictures import joined
from videostore.sources.sound_reader import SOUND_LATER_US, SoundReader

_READ_OPTIONS = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
"""ffmpeg has analysed the stream already: the first frame need not wait for others."""
_READ_BYTES = 1 << 15
"""What is read at once stays in the processor's cache until it is split into frames."""
_GATHERED_FRAMES = 32
_ROUNDS_TO_HEAR = 3
"""Rounds of the event loop until what waits in a pipe has been logged: it is seen, it is read, the task goes on."""
_MOST_HELD_BACK = 4
"""By a demuxer's parser, a filter, a decoder and an encoder, one frame each."""
_HELD_UP_US = 150 * US_PER_SECOND
"""A decoder and an encoder hold a frame up until the next ones come, which may take `patience_s` each."""


class Demuxer:
    """Owns an ffmpeg and the thread that reads its output, from `start` to `end`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        nut: BinaryIO,
        clock: SteadyClock,
        messages: FFmpegMessages,
        *,
        held_back: Callable[[], int],
        gathers: bool,
        sound: BinaryIO | None = None,
        sound_later_us: int = 0,
        reordered: bool,
        untimed: bool = False,
        timed_from_us: int | None = None,
    ) -> None:
        """Use `start`."""
        assert process.stderr is not None
        self.codec = ""
        """The stream's codec; like its size, as soon as it is known."""
        self.width = self.height = 0
        self._process = process
        self._nut = nut
        self._clock = clock
        self._messages = messages
        self._held_back = held_back
        self._reordered = reordered
        self._untimed = untimed
        self._timed_from_us = timed_from_us
        self._handover = Handover()
        self._gathered: list[CodedFrame] = []
        """In the thread: frames that were read and are not handed over yet."""
        self._pipe = FramePipe(nut.fileno(), clock, self._hand_over, gathers=gathers)
        self.sound = SoundReader(sound, messages.error, sound_later_us) if sound is not None else None
        """Reads its sound; None without."""
        self._logging = asyncio.create_task(log_messages(process.stderr, messages))
        self._thread = threading.Thread(target=self._read, name="videostore input", daemon=True)
        self._thread.start()

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        clock: SteadyClock,
        messages: FFmpegMessages,
        *,
        held_back: Callable[[], int] = lambda: 0,
        gathers: bool = False,
        reordered: bool = False,
        untimed: bool = False,
        timed_from_us: int | None = None,
        list_text: bytes = b"",
        sound_command: Sequence[str] = (),
        sound_later_us: int = SOUND_LATER_US,
    ) -> Demuxer:
        """Start a command that writes NUT to its standard output.

        `list_text` is what it reads from its standard input, at most what a pipe holds. `held_back` returns how many
        more frames it has to get before it passes a frame on; the thread calls it. `gathers`: frames are handed over
        some at a time, see `FramePipe`.
        `reordered`: frames are reordered, whether or not the stream says so. `untimed`: their times are made up, and
        each gets that of its arrival. `timed_from_us`: ffmpeg has given them these, counted from this moment, UTC, and
        passes each on later. `sound_command` is the end of the command
        that writes its sound, as NUT, to the output that follows; empty if it writes none. Its times are later by
        `sound_later_us` than those of the video.

        Raises:
            FFmpegError: it cannot be started.
        """
        nut, output = _pipe()
        sound, sound_output = _pipe() if sound_command else (None, None)
        try:
            if sound_output is not None:
                command = [*command, *sound_command, PASSED]
            whole = await off_loop(subordinate, command)
            with _filled_pipe(list_text) if list_text else contextlib.nullcontext(False) as given:
                process = await start_ffmpeg(whole, stdin=given, stdout=output, passed=sound_output)
            if list_text:
                forbid_core_dump(process.pid)
            return cls(
                process,
                nut,
                clock,
                messages,
                held_back=held_back,
                gathers=gathers,
                reordered=reordered,
                untimed=untimed,
                timed_from_us=timed_from_us,
                sound=sound,
                sound_later_us=sound_later_us,
            )
        except BaseException:
            nut.close()
            if sound is not None:
                sound.close()
            raise
        finally:
            output.close()
            if sound_output is not None:
                sound_output.close()

    @property
    def waiting(self) -> bool:
        """Whether another frame has arrived already."""
        return self._handover.filled

    async def next(self, within_s: float | None) -> CodedFrame | None:
        """The next frame; None when the input has ended or failed.

        Raises:
            ReorderedError: frames are reordered, which the stream does not say.
            UncopyableError: the video has to be re-encoded.
            TimeoutError (asyncio's): no frame came in time.
        """
        item = await self._handover.get(within_s)
        if isinstance(item, UncopyableError):
            raise item
        return item if isinstance(item, CodedFrame) else None

    def more(self, most: int) -> list[CodedFrame]:
        """Frames that have arrived already and follow the last one, at most so many."""
        return self._handover.frames_nowait(most)

    async def hear_reports(self) -> None:
        """Let the loop read what ffmpeg has reported by now. Its report of a loss comes before the frame that lacks
        something, but in another pipe: after a standstill both wait, and the frame would be looked at first."""
        for _ in range(_ROUNDS_TO_HEAR):
            await asyncio.sleep(0)

    async def succeeded(self, within_s: float = FFMPEG_FINISH_S) -> bool:
        """After the last frame: whether ffmpeg exits in time, and without an error."""
        try:
            return await asyncio.wait_for(self._process.wait(), within_s) == 0
        except asyncio.TimeoutError:  # its output is not readable any more
            return False

    @property
    def killed(self) -> str:
        """Which signal killed ffmpeg; empty if none did so far. After `end` it may be ours."""
        code = self._process.returncode
        return f"ffmpeg was killed by signal {-code}" if code is not None and code < 0 else ""

    async def end(self) -> None:
        """End ffmpeg and the thread, whatever they are doing, even while being cancelled."""
        await finish_despite_cancellation(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        self._handover.close()
        self._pipe.close()
        await end_process(self._process)
        await self._logging
        await self._handover.finished.wait()
        self._thread.join()
        self._nut.close()
        if self.sound is not None:
            await off_loop(self.sound.end)

    def _read(self) -> None:
        """The thread: ends with the pipe, or when the handover is closed."""
        end: UncopyableError | EndOfInput = EndOfInput()
        try:
            with av.open(
                self._pipe, format="nut", options=_READ_OPTIONS, buffer_size=_READ_BYTES, **lenient_tags()
            ) as container:
                for frame in self._frames(container):
                    self._gathered.append(frame)
                    if len(self._gathered) >= _GATHERED_FRAMES and not self._hand_over():
                        return
        except UncopyableError as error:
            end = error
        except (av.error.FFmpegError, OSError, ValueError, IndexError):
            pass  # ffmpeg exited in the middle of it, and has reported why
        except Exception as error:  # noqa: BLE001 - the thread has no caller that would see it
            self._messages.error("The input cannot be read: %r", error)
        finally:
            self._handover.put(*self._gathered, end)
            self._handover.finish()

    def _hand_over(self) -> bool:
        """In the thread: hand over what was read; False if the handover is closed."""
        frames, self._gathered = self._gathered, []
        return not frames or self._handover.put(*frames)

    def _frames(self, container: Any) -> Iterator[CodedFrame]:
        stream = container.streams.video[0]
        self.codec = codec = stream.codec_context.name if stream.codec_context else "unknown"
        self.width, self.height = stream.width, stream.height
        if codec not in COPYABLE:
            raise UncopyableError(f"its codec is {codec}")
        extradata = bytes(stream.codec_context.extradata or b"")
        packets = container.demux(stream)
        if extradata[:1] == b"\1":  # lengths instead of start codes, as in an MP4
            packets = _filtered(packets, av.bitstream.BitStreamFilterContext(f"{codec}_mp4toannexb", stream))
        else:
            extradata = parameter_sets(codec, extradata)
        formatter = _FrameFormatter(codec, b"" if extradata[:1] == b"\1" else extradata, reordered=self._reordered)
        base = stream.time_base
        scale, unit = US_PER_SECOND * base.numerator, base.denominator
        order: FrameOrder | None = None
        before: deque[tuple[int, int]] = deque(maxlen=_MOST_HELD_BACK)
        last_us: int | None = None
        for packet in joined(codec, packets):
            if packet.pts is None:
                raise UncopyableError("its frames have no timestamps")
            here = self._pipe.arrival_us(), self._clock.steps
            # A frame that is held back until the next one arrived when the one before it was passed on.
            held_back = min(self._held_back(), len(before))
            arrived_us, steps = before[-held_back] if held_back else here
            untimed = self._reordered and not before and self._held_back() > 0
            before.append(here)
            formatted = formatter.format(bytes(packet), bool(packet.is_keyframe))
            if formatted is not None:
                pts_us = (2 * packet.pts * scale + unit) // (2 * unit)
                if self._timed_from_us is not None:
                    came_us = pts_us + self._timed_from_us
                    was_set = any(earlier_steps != here[1] for _, earlier_steps in before)  # the clock, meanwhile
                    is_held_up = not was_set and 0 <= arrived_us - came_us < _HELD_UP_US
                    arrived_us = came_us if is_held_up else arrived_us
                if self._untimed:
                    pts_us = arrived_us - self._clock.stepped_us
                    pts_us = last_us = pts_us if last_us is None else max(pts_us, last_us + 1)
                if order is None or (order.format is not formatted[0] and order.format != formatted[0]):
                    yield from order.rest() if order else ()
                    order = FrameOrder(formatted[0], unsaid=formatter.unsaid, untimed=untimed)
                frame = CodedFrame(*formatted, pts_us, arrived_us, steps, bool(packet.is_keyframe))
                yield from order.next(frame)
        yield from order.rest() if order else ()


def _pipe() -> tuple[BinaryIO, BinaryIO]:
    """The readable and the writable end of a pipe."""
    reading, writing = os.pipe()
    return os.fdopen(reading, "rb", buffering=0), os.fdopen(writing, "wb", buffering=0)


def _filled_pipe(data: bytes) -> BinaryIO:
    """The readable end of a pipe that holds this, and then ends."""
    reading, end = _pipe()
    with end:
        end.write(data)
    return reading


def _filtered(packets: Iterator[Any], context: av.bitstream.BitStreamFilterContext) -> Iterator[Any]:
    for packet in packets:
        if packet.size:
            yield from context.filter(packet)


class _FrameFormatter:
    """Gives each frame its format, and each keyframe its parameter sets."""

    def __init__(self, codec: str, sets: bytes, *, reordered: bool) -> None:
        self._codec = codec
        self._sets = sets
        self._reordered = reordered
        self._format: StreamFormat | None = None
        self.unsaid = False
        """Whether frames may be reordered, although the format is one of frames that are not."""

    def format(self, data: bytes, keyframe: bool) -> tuple[StreamFormat, bytes] | None:
        """Format and data; None before the first keyframe that can be decoded.

        Raises:
            UncopyableError: what begins here cannot be recorded as it is.
        """
        if not keyframe:
            return (self._format, data) if self._format else None
        if self._codec == "h264" and recovers_later(data):
            raise UncopyableError("it has no keyframes: its pictures are refreshed bit by bit")
        sets = parameter_sets(self._codec, data)
        if not sets:
            if not self._sets:
                return (self._format, data) if self._format else None
            sets, data = self._sets, self._sets + data
        if self._format is None or sets != self._format.parameter_sets:
            info: KeyframeInfo = inspect_keyframe(self._codec, data)
            info.check(self._codec)
            self._sets = sets
            reordered = info.reordered or (info.most_reordered if self._reordered else 0)
            self.unsaid = info.most_reordered > reordered == 0
            self._format = StreamFormat(self._codec, info.width, info.height, sets, reordered=reordered)
        return self._format, data
