"""`videostore record`: records anything that ffmpeg can open, until it ends or the user stops it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import NOTHING_YET, STOPPED, US_PER_SECOND
from videostore.base.errors import RequestError, VideoStoreError, printable
from videostore.base.ranges import Range
from videostore.base.tasks import off_loop
from videostore.cli import terminal
from videostore.cli.recorded import report_recording
from videostore.cli.runtime import DONE, FAILED, INCOMPLETE, INTERRUPTED, print_message, second_signal
from videostore.cli.text import format_size
from videostore.cli.time_options import format_length, format_range, format_time, now_us
from videostore.recording.backlog import END_OF_SOURCE
from videostore.recording.health import RecorderHealth
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.probing import StreamInfo
from videostore.store.results import Health
from videostore.store.store import VideoStore

_RECORDING = "Recording."
_NO_SOUND = "The sound of the input is not recorded."
_FINISHING = "Recording what is due until now, since ffmpeg is slower than the input. Ctrl-C drops it."
_TELL_AFTER_S = 2.0
_POLL_S = 0.25
_ON_THE_WAY_S = 0.35
"""A frame of a stream is dated and passed on so long after it came, measured 0.1 to 0.35 s; the end waits for it."""
_FIRST_FRAME_S = 30.0
"""With `--duration` and without `--wait`, an input that answers has this much more time for its first frame."""


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """What to record, and how. None means the default of the machine config."""

    input: str
    directory: Path
    size_gb: float
    segment_seconds: float | None
    codec: str | None
    bitrate: int | None
    preset: str | None
    framerate: int | None
    reencode: bool
    sound: bool
    """Whether the input's sound is recorded."""
    format: str | None
    options: Mapping[str, str]
    """Options of ffmpeg for the input."""
    duration_s: float | None
    """Length of the recording; None: until the input ends."""
    hide_url: bool = False
    """Whether no process may show the URL."""
    wait: bool = False
    """Whether a camera that is not there yet, or refuses, is waited for."""


@dataclass(frozen=True, slots=True)
class _End:
    """How a recording has ended."""

    health: RecorderHealth | None
    failure: str
    """Why the rest could not be recorded; empty if it was."""
    trouble: str
    """Why nothing was recorded at a time, the last such reason; empty if there was none."""
    deleted: Range | None
    """What was deleted meanwhile; None if nothing was."""
    limit: str
    """What limited the storage besides the quota and the free space; empty if nothing did."""
    interrupted: bool = False
    """Whether the user has ended it."""

    @property
    def reason(self) -> str:
        """Why nothing is stored, if that is so."""
        if self.failure or self.health is None:
            return self.failure
        if self.health.last_frame_age_s is None:
            return self.health.reason
        trouble = f" ({self.trouble})" if self.trouble else ""
        return f"all of it was deleted again, to stay within the quota and the free space{trouble}"


async def record(options: RecordOptions) -> int:
    """Record, and finish the last segment however the recording ends."""
    source = await FFmpegInput.open(
        options.input,
        codec=options.codec,
        bitrate=options.bitrate,
        preset=options.preset,
        framerate=options.framerate,
        options=options.options,
        format=options.format,
        reencode=options.reencode,
        hide_url=options.hide_url,
        wait=options.wait,
        sound=options.sound,
    )
    make = functools.partial(
        VideoStore.record,
        options.directory,
        source,
        size_gb=options.size_gb,
        segment_seconds=options.segment_seconds,
        bitrate=options.bitrate,
        framerate=options.framerate,
        codec="copy",
        live=source.live,
    )
    store = await off_loop(make)
    _report_input(source.info, options.wait, options.duration_s)
    if sound_told := source.has_sound and not source.records_sound:
        print_message(_NO_SOUND)
    if options.duration_s is not None and not source.live:
        source.end_after(round(options.duration_s * US_PER_SECOND))
    started_us = now_us()
    async with store:
        end = await _wait_for_end(store, source, options.duration_s if source.live else None)
    if source.has_sound and not source.records_sound and not sound_told:  # it did not answer at first
        print_message(_NO_SOUND)
    began_us = min(started_us, source.first_us or started_us)
    code = await report_recording(options.directory.expanduser().absolute(), began_us, end.reason)
    if end.deleted is not None:
        print_message(f"Deleted to stay within the quota and the free space: {' to '.join(format_range(end.deleted))}.")
        if end.limit:
            print_message(end.limit)
    if code == FAILED:
        return INTERRUPTED if end.interrupted else FAILED
    return _report_shortfall(source, end.health, end.failure) or code


def _report_shortfall(source: FFmpegInput, health: RecorderHealth | None, failure: str) -> int:
    """Say what is missing in what was recorded, and return the exit code."""
    if early := source.fault or failure:
        print_message(f"The recording ended early: {early.rstrip('.')}.")
        return FAILED
    code = DONE
    if health and health.dropped_frames:
        print_message(f"{health.dropped_frames} frames were not recorded: ffmpeg was too slow for them, or failed.")
        code = INCOMPLETE
    if source.shortfall:
        print_message(f"The input {source.shortfall}.")
        code = INCOMPLETE
    return code


def _report_input(info: StreamInfo | None, wait: bool, duration_s: float | None) -> None:
    if info is None and wait:
        print_message("The input cannot be recorded yet. It is tried again until it can; Ctrl-C stops.")
    elif info is None:
        until = "" if duration_s is None else f", for {format_length(round(duration_s * US_PER_SECOND))}"
        print_message(f"The input does not answer. It is tried again until it does{until}; Ctrl-C stops.")
    elif info.reencoded:
        print_message(f"The input is re-encoded: {info.reencoded}.")
    else:
        with_sound = " with sound" if info.records_sound else ""
        print_message(
            f"The input is {info.codec} of {info.width}x{info.height}{with_sound}, recorded without re-encoding."
        )


async def _wait_for_end(store: VideoStore, source: FFmpegInput, duration_s: float | None) -> _End:
    """Show the progress until all is recorded that the input has, or has until the duration is over or Ctrl-C."""
    ending = asyncio.ensure_future(store.ended())
    ending.add_done_callback(lambda done: done.cancelled() or done.exception())
    trouble = ""
    oldest = _Oldest()
    with _progress() as show:

        def look() -> None:
            nonlocal trouble
            health = store.health()
            oldest.look(health, source)
            show(health, source.first_us)
            if (reason := _trouble(health)) not in ("", NOTHING_YET, END_OF_SOURCE.reason, STOPPED):
                trouble = reason

        interrupted = True
        with contextlib.suppress(asyncio.CancelledError):  # Ctrl-C is the usual way to stop
            await _wait(ending, look, source, duration_s, _first_frame_s(source))
            interrupted = False
        source.stop()
        with second_signal(ending.cancel):
            told_s = time.monotonic() + _TELL_AFTER_S
            while not (await asyncio.wait({ending}, timeout=_POLL_S))[0]:
                look()
                if told_s and time.monotonic() > told_s:
                    print_message(_FINISHING)
                    told_s = 0.0
    failure = None if ending.cancelled() else ending.exception()
    reason = failure.fields.get("reason", failure) if isinstance(failure, VideoStoreError) else failure
    health = store.health()
    oldest.look(health, source)
    return _End(health.recorder, str(reason or ""), trouble, oldest.deleted, health.storage_limit or "", interrupted)


class _Oldest:
    """Sees from where to where the oldest footage is deleted."""

    def __init__(self) -> None:
        self._first_us = self._oldest_us = 1 << 62

    def look(self, health: Health, source: FFmpegInput) -> None:
        """Take in what is stored now, and what the input has brought."""
        known = [one for one in (health.oldest_us, source.first_us) if one is not None]
        self._first_us = min([self._first_us, *known])
        self._oldest_us = max([self._first_us, *([] if health.oldest_us is None else [health.oldest_us])])

    @property
    def deleted(self) -> Range | None:
        """What is gone of what was there; None if that is less than a second."""
        is_gone = self._oldest_us > self._first_us + US_PER_SECOND
        return Range(self._first_us, self._oldest_us) if is_gone else None


def _first_frame_s(source: FFmpegInput) -> float:
    """How long after the duration a first frame may still come: an input that does not answer is not waited for."""
    if source.waited_for:
        return math.inf
    return 0.0 if source.info is None else _FIRST_FRAME_S


async def _wait(
    ending: asyncio.Future[None],
    look: Callable[[], None],
    source: FFmpegInput,
    duration_s: float | None,
    first_frame_s: float,
) -> None:
    began_s, first_s = time.monotonic(), None
    left_s = _POLL_S
    while left_s > 0 and not (await asyncio.wait({ending}, timeout=min(_POLL_S, left_s)))[0]:
        look()
        if first_s is None and source.first_us is not None:  # ffmpeg passes it on up to two seconds later
            age_s = max(0, now_us() - source.first_us) / US_PER_SECOND
            first_s = max(began_s, time.monotonic() - age_s)
        left_s = _left_s(duration_s, began_s, first_s, first_frame_s)


def _left_s(duration_s: float | None, began_s: float, first_s: float | None, first_frame_s: float) -> float:
    if duration_s is None:
        return _POLL_S
    if first_s is None:
        return began_s + duration_s + first_frame_s - time.monotonic()
    return first_s + duration_s + _ON_THE_WAY_S - time.monotonic()


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Health, int | None], None]]:
    """On a terminal, a status line that is updated; elsewhere, a line for each change. Frames come since `first_us`."""
    console = terminal.messages_console()
    if console.is_terminal:
        with console.status("Opening the input …") as status:
            yield lambda health, first_us: status.update(printable(_status_line(health, first_us)))
        return
    last, before = "", 0

    def show_change(health: Health, first_us: int | None) -> None:
        nonlocal last, before
        activity, frames = _activity(health), health.recorder.recorded_frames if health.recorder else 0
        if activity == _RECORDING and frames == before:  # an ffmpeg was started, which may fail as the last one did
            return
        if activity != last:
            console.print(f"{format_time(now_us())}  {activity}")
        last, before = activity, before if activity == _RECORDING else frames

    yield show_change


def _trouble(health: Health) -> str:
    """Why nothing is recorded at the moment; empty if something is."""
    reason = health.recorder.reason if health.recorder and not health.recorder.recording else ""
    return (health.storage_trouble or reason).rstrip(".")


def _activity(health: Health) -> str:
    trouble = _trouble(health)
    if trouble == NOTHING_YET:
        return "Waiting for the first frame."
    return f"Not recording: {trouble}." if trouble else _RECORDING


def _status_line(health: Health, first_us: int | None) -> str:
    """What is stored counts only when a segment is closed, so the time is that since the first frame."""
    stored, recorder = f"{format_size(health.stored_bytes)} stored", health.recorder
    if recorder is None or not recorder.recording or first_us is None:
        return f"{_activity(health)} {stored}. Ctrl-C stops."
    lasted = format_length(max(0, now_us() - first_us))
    dropped = f", {recorder.dropped_frames} frames dropped" if recorder.dropped_frames else ""
    return f"Recording for {lasted}: {recorder.frames_per_second:.1f} frames/s, {stored}{dropped}. Ctrl-C stops."


def parse_input_options(given: list[str]) -> dict[str, str]:
    """Options of ffmpeg for the input, from `KEY=VALUE` each.

    Raises:
        RequestError: one does not have this form.
    """
    options = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise RequestError(
                "option-wrong", field="--option", value=name, expected="KEY=VALUE, such as rtsp_transport=udp"
            )
        options[name] = value
    return options
