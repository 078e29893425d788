"""An ffmpeg that reads an input, and the thread that takes what it writes apart into frames."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import av.error
from av.bitstream import BitStreamFilterContext

from videostore.base.clock import SteadyClock
from videostore.base.constants import FFMPEG_FINISH_S, US_PER_SECOND
from videostore.base.system import subordinate
from videostore.base.tasks import finish_despite_cancellation
from videostore.ffmpeg.process import end_process, log_messages, start_ffmpeg
from videostore.media.h26x import COPYABLE, KeyframeInfo, UncopyableError, inspect_keyframe, parameter_sets
from videostore.media.packet import StreamFormat

HANDOVER_FRAMES = 128
HANDOVER_BYTES = 8 * 1024 * 1024
"""What an input's thread reads ahead: some seconds of a live stream, which must not wait to have its arrival noted."""

NUT_OPTIONS = (
    "-f",
    "nut",
    "-flush_packets",
    "1",
    "-write_index",
    "0",
    "-syncpoints",
    "none",
    "-strict",
    "experimental",
)
"""Output options of the ffmpeg: every frame at once, and nothing that would grow with the length of the stream."""

_READ_OPTIONS = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}
"""ffmpeg has looked at the stream already: the first frame need not wait for others."""
_LENGTH = re.compile(r"Duration: \d")
_OPENED = re.compile(r"Input #0, (\S+), from ")
_JOINING = re.compile(
    r"non-existing [SPV]PS|[SPV]PS id out of range|no frame!|Could not find ref|First slice in a frame missing"
    r"|decode_slice_header error|Error parsing NAL unit|Skipping invalid undecodable NALU"
)
"""What decoders say, many times a second, until the first keyframe comes."""
_WORDS = 3
_REMEMBERED = 12
_WORD_CHARS = 300


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """One frame of H.264 or H.265 as an input delivered it, in Annex B, keyframes with their parameter sets."""

    format: StreamFormat
    data: bytes
    pts_us: int
    """By the input's own time."""
    arrived_us: int
    """When it was read, UTC."""
    clock_steps: int
    """How many steps of the clock were followed until then: times across a step cannot be compared."""
    keyframe: bool


class Demuxer:
    """Owns an ffmpeg and the thread that reads from it, from `start` to `end`."""

    def __init__(
        self, process: asyncio.subprocess.Process, nut: BinaryIO, clock: SteadyClock, words: FFmpegMessages
    ) -> None:
        """Use `start`."""
        assert process.stderr is not None
        self.codec = ""
        """What the stream is coded in; like its size, as soon as that is known."""
        self.width = self.height = 0
        self._process = process
        self._nut = nut
        self._clock = clock
        self._words = words
        self._handover = _Handover()
        self._messages = asyncio.create_task(log_messages(process.stderr, words))
        self._thread = threading.Thread(target=self._read, name="videostore input", daemon=True)
        self._thread.start()

    @classmethod
    async def start(cls, command: Sequence[str], clock: SteadyClock, words: FFmpegMessages) -> Demuxer:
        """Start a command that writes NUT to its standard output.

        Raises:
            FFmpegError: it cannot be started.
        """
        reading, writing = os.pipe()
        nut = os.fdopen(reading, "rb", buffering=0)
        try:
            with os.fdopen(writing, "wb", buffering=0) as output:
                process = await start_ffmpeg(subordinate(command), stdin=False, stdout=output)
            return cls(process, nut, clock, words)
        except BaseException:
            nut.close()
            raise

    @property
    def waiting(self) -> bool:
        """Whether another frame has come already."""
        return self._handover.filled

    async def next(self, within_s: float | None) -> CodedFrame | None:
        """The next frame; None when the input has come to its end, or has failed.

        Raises:
            UncopyableError: the video cannot be recorded as it comes.
            TimeoutError (asyncio's): nothing came in time.
        """
        item = self._handover.get_nowait()
        if item is None:
            item = await asyncio.wait_for(self._handover.get(), within_s)
        if isinstance(item, UncopyableError):
            raise item
        return item if isinstance(item, CodedFrame) else None

    async def succeeded(self) -> bool:
        """After the last frame: whether the ffmpeg ends now, and says that all went well."""
        try:
            return await asyncio.wait_for(self._process.wait(), FFMPEG_FINISH_S) == 0
        except asyncio.TimeoutError:  # what it writes cannot be read any more
            return False

    @property
    def ending(self) -> str:
        """What ended the ffmpeg, if a signal did and it has ended; empty otherwise. Ours counts, too, after `end`."""
        code = self._process.returncode
        return f"ffmpeg was ended by signal {-code}" if code is not None and code < 0 else ""

    async def end(self) -> None:
        """End the ffmpeg and the thread, whatever they do just now, and even while being cancelled."""
        await finish_despite_cancellation(self._end())

    async def _end(self) -> None:
        self._handover.close()
        await end_process(self._process)
        await self._messages
        await self._handover.finished.wait()
        self._thread.join()
        self._nut.close()

    def _read(self) -> None:
        """The thread: ends with the pipe, or when nobody takes its frames any more."""
        end: UncopyableError | _End = _End()
        try:
            with av.open(f"pipe:{self._nut.fileno()}", format="nut", options=_READ_OPTIONS) as container:
                for frame in self._frames(container):
                    if not self._handover.put(frame):
                        return
        except UncopyableError as error:
            end = error
        except (av.error.FFmpegError, OSError, ValueError, IndexError):
            pass  # the ffmpeg ended in the midst of it, and has told why
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self._words.error("The input cannot be read: %r", error)
        finally:
            self._handover.put(end)
            self._handover.finish()

    def _frames(self, container: Any) -> Iterator[CodedFrame]:
        stream = container.streams.video[0]
        self.codec = codec = stream.codec_context.name if stream.codec_context else "unknown"
        self.width, self.height = stream.width, stream.height
        if codec not in COPYABLE:
            raise UncopyableError(f"it is coded in {codec}")
        if stream.codec_context.has_b_frames:
            raise UncopyableError("its frames are not in the order in which they are shown (B frames)")
        extradata = bytes(stream.codec_context.extradata or b"")
        packets = container.demux(stream)
        if extradata[:1] == b"\1":  # lengths instead of start codes, as in an MP4
            packets = _filtered(packets, BitStreamFilterContext(f"{codec}_mp4toannexb", stream))
        else:
            extradata = parameter_sets(codec, extradata)
        shaper = _Shaper(codec, b"" if extradata[:1] == b"\1" else extradata)
        base = stream.time_base
        scale, unit = US_PER_SECOND * base.numerator, base.denominator
        last = None
        for packet in packets:
            if not packet.size:
                continue
            if packet.pts is None:
                raise UncopyableError("its frames carry no time")
            arrived_us = self._clock.now_us()
            if last is not None and packet.pts < last:
                raise UncopyableError("its frames are not in the order in which they are shown (B frames)")
            last = packet.pts
            shaped = shaper.shape(bytes(packet), bool(packet.is_keyframe))
            if shaped is not None:
                pts_us = (2 * packet.pts * scale + unit) // (2 * unit)
                yield CodedFrame(*shaped, pts_us, arrived_us, self._clock.steps, bool(packet.is_keyframe))


def _filtered(packets: Iterator[Any], context: BitStreamFilterContext) -> Iterator[Any]:
    for packet in packets:
        if packet.size:
            yield from context.filter(packet)


class _Shaper:
    """Gives each frame its format, and each keyframe its parameter sets."""

    def __init__(self, codec: str, sets: bytes) -> None:
        self._codec = codec
        self._sets = sets
        self._format: StreamFormat | None = None

    def shape(self, data: bytes, keyframe: bool) -> tuple[StreamFormat, bytes] | None:
        """Format and data; None before the first keyframe that can be decoded.

        Raises:
            UncopyableError: what begins here cannot be recorded as it is.
        """
        if not keyframe:
            return (self._format, data) if self._format else None
        sets = parameter_sets(self._codec, data)
        if not sets:
            if not self._sets:
                return (self._format, data) if self._format else None
            sets, data = self._sets, self._sets + data
        if self._format is None or sets != self._format.parameter_sets:
            look: KeyframeInfo = inspect_keyframe(self._codec, data)
            look.check(self._codec)
            self._sets = sets
            self._format = StreamFormat(self._codec, look.width, look.height, sets)
        return self._format, data


@dataclass(frozen=True, slots=True)
class _End:
    """Behind the last frame."""


_Item = CodedFrame | UncopyableError | _End


class _Handover:
    """Frames on their way from the thread to the event loop, bounded in number and bytes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: deque[_Item] = deque()
        self._bytes = 0
        self._room = threading.Condition()
        self._closed = False
        self._filled = asyncio.Event()
        self.finished = asyncio.Event()
        """Set when the thread has no more to do."""

    @property
    def filled(self) -> bool:
        return bool(self._items)

    def put(self, item: _Item) -> bool:
        """In the thread: hand an item over, waiting for room; False when nobody takes it any more."""
        size = len(item.data) if isinstance(item, CodedFrame) else 0
        with self._room:
            while not self._closed and self._full(size):
                self._room.wait()
            if self._closed:
                return False
            self._items.append(item)
            self._bytes += size
        return self._tell(self._filled.set)

    def finish(self) -> None:
        """In the thread: its last deed."""
        self._tell(self.finished.set)

    def get_nowait(self) -> _Item | None:
        with self._room:
            if not self._items:
                self._filled.clear()
                return None
            item = self._items.popleft()
            self._bytes -= len(item.data) if isinstance(item, CodedFrame) else 0
            self._room.notify()
            return item

    async def get(self) -> _Item:
        while (item := self.get_nowait()) is None:
            await self._filled.wait()
        return item

    def close(self) -> None:
        """What waits is dropped, and nothing more is taken."""
        with self._room:
            self._closed = True
            self._items.clear()
            self._room.notify()

    def _full(self, size: int) -> bool:
        return bool(self._items) and (len(self._items) >= HANDOVER_FRAMES or self._bytes + size > HANDOVER_BYTES)

    def _tell(self, deed: Callable[[], object]) -> bool:
        try:
            self._loop.call_soon_threadsafe(deed)
        except RuntimeError:  # the loop is closed: its process is ending
            return False
        return True


class FFmpegMessages(logging.Logger):
    """Passes on what an ffmpeg says, without the secrets of its input, and keeps the last of what matters."""

    def __init__(self, logger: logging.Logger, conceal: Callable[[str], str], *, quiet: bool = False) -> None:
        """`quiet` passes all on as of interest to nobody but who debugs."""
        super().__init__(logger.name, logging.DEBUG)
        self._quiet = quiet
        self._logger = logger
        self._conceal = conceal
        self._said: deque[str] = deque(maxlen=_REMEMBERED)
        self._meant: deque[str] = deque(maxlen=_REMEMBERED)
        """The same with all that is concealed, for what is looked for may lie in it."""
        self.turned = False
        """Whether the input's pictures are to be turned before they are shown."""
        self.length_told = False
        """Whether the input has a length."""
        self.formats: frozenset[str] = frozenset()
        """As what the input was opened, in ffmpeg's words; empty before."""

    def handle(self, record: logging.LogRecord) -> None:
        """As of any logger."""
        meant = record.getMessage()
        text = self._conceal(meant)
        record.msg, record.args = text, ()
        joining = record.levelno >= logging.WARNING and _JOINING.search(text) is not None
        if joining:
            pass
        elif record.levelno >= logging.WARNING:
            said = text.removeprefix("ffmpeg: ")[:_WORD_CHARS]
            if said not in self._said:
                self._said.append(said)
                self._meant.append(meant)
        elif record.levelno == logging.INFO:
            self.turned |= "rotation of" in meant and "rotation of -0.00" not in meant
            self.length_told |= bool(_LENGTH.search(meant))
            opened = _OPENED.search(meant)
            self.formats = frozenset(opened[1].split(",")) if opened and not self.formats else self.formats
        if self._quiet or joining or record.levelno == logging.INFO:  # what every input tells of itself
            record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        if self._logger.isEnabledFor(record.levelno):
            self._logger.handle(record)

    @property
    def first(self) -> str:
        """The first warnings and errors of the last ones, in their order: why it could not begin."""
        return "; ".join(list(self._said)[:_WORDS])

    @property
    def last(self) -> str:
        """The last warnings and errors, in their order: why it ended. Empty if there were none."""
        return "; ".join(list(self._said)[-_WORDS:])

    def heard(self, pattern: str | re.Pattern[str]) -> bool:
        """Whether one of the last warnings and errors was of a kind."""
        return any(re.search(pattern, meant) for meant in self._meant)
