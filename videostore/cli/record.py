"""`videostore record`: records anything that ffmpeg can open, until it ends or the user stops it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from videostore.base.constants import JOIN_US, US_PER_SECOND
from videostore.base.errors import RequestError, printable
from videostore.base.ranges import Range
from videostore.cli import terminal
from videostore.cli.runtime import DONE, FAILED, INCOMPLETE, print_message
from videostore.cli.text import format_size
from videostore.cli.time_options import format_length, format_range, format_time, now_us
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.media.segment_names import name_time_us
from videostore.recording.health import RecorderHealth
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.probing import StreamInfo
from videostore.storage.index import Index
from videostore.storage.segment_files import list_directory
from videostore.store.results import Health
from videostore.store.store import VideoStore

_NO_SOUND = "The sound of the input is not recorded."
_POLL_S = 0.25
_FIRST_FRAME_S = 30.0
"""With `--duration`, the input has this much time for its first frame."""
_SHOWN = 20
_LOGGER = logging.getLogger("videostore")


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
    format: str | None
    options: Mapping[str, str]
    """Options of ffmpeg for the input."""
    duration_s: float | None
    """Length of the recording; None: until the input ends."""


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
    )
    store = VideoStore.record(
        options.directory,
        source,
        size_gb=options.size_gb,
        segment_seconds=options.segment_seconds,
        bitrate=options.bitrate,
        framerate=options.framerate,
        codec="copy",
        live=source.live,
    )
    _report_input(source.info)
    if sound_told := source.has_sound:
        print_message(_NO_SOUND)
    started_us = now_us()
    async with store:
        health = await _wait_for_end(store, options.duration_s)
    if source.has_sound and not sound_told:  # it did not answer at first
        print_message(_NO_SOUND)
    directory = options.directory.expanduser().absolute()
    code = await _report_recording(directory, started_us, health.reason if health else "")
    if health and health.dropped_frames and code == DONE:
        print_message(f"{health.dropped_frames} frames were not recorded: ffmpeg was too slow for them, or failed.")
        code = INCOMPLETE
    if source.fault and code != FAILED:
        print_message(f"The recording ended early: {source.fault}.")
        return FAILED
    return code


def _report_input(info: StreamInfo | None) -> None:
    if info is None:
        print_message("The input does not answer. It is tried again until it does; Ctrl-C stops.")
    elif info.reencoded:
        print_message(f"The input is re-encoded: {info.reencoded}.")
    else:
        print_message(f"The input is {info.codec} of {info.width}x{info.height}, recorded without re-encoding.")


async def _wait_for_end(store: VideoStore, duration_s: float | None) -> RecorderHealth | None:
    """Show the progress until the input ends, the duration is over, or the user interrupts; the last health."""
    began_s, first_s = time.monotonic(), None
    left_s = _POLL_S
    ending = asyncio.ensure_future(store.ended())
    try:
        with _progress() as show:
            while left_s > 0:
                await asyncio.wait({ending}, timeout=min(_POLL_S, left_s))
                if ending.done():
                    break
                health = store.health()
                show(health)
                if first_s is None and health.recorder and health.recorder.last_frame_age_s is not None:
                    first_s = time.monotonic()
                left_s = _left_s(duration_s, began_s, first_s)
    except asyncio.CancelledError:  # Ctrl-C is the usual way to stop
        pass
    finally:
        ending.cancel()
    return store.health().recorder


def _left_s(duration_s: float | None, began_s: float, first_s: float | None) -> float:
    if duration_s is None:
        return _POLL_S
    if first_s is None:
        return began_s + duration_s + _FIRST_FRAME_S - time.monotonic()
    return first_s + duration_s - time.monotonic()


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[Health], None]]:
    """On a terminal, a status line that is updated; elsewhere, a line for each change."""
    console = terminal.messages_console()
    if console.is_terminal:
        with console.status("Opening the input …") as status:
            yield lambda health: status.update(printable(_status_line(health)))
        return
    last = ""

    def show_change(health: Health) -> None:
        nonlocal last
        activity = _activity(health)
        if activity != last:
            console.print(f"{format_time(now_us())}  {activity}")
        last = activity

    yield show_change


def _activity(health: Health) -> str:
    trouble = health.storage_trouble
    reason = trouble or (health.recorder.reason if health.recorder and not health.recorder.recording else "")
    return f"Not recording: {reason.rstrip('.')}." if reason else "Recording."


def _status_line(health: Health) -> str:
    stored_us = round(health.stored_seconds * US_PER_SECOND)
    stored = f"{format_length(stored_us)} stored, {format_size(health.stored_bytes)}"
    recorder = health.recorder
    if recorder is None or not recorder.recording:
        return f"{_activity(health)} {stored}"
    dropped = f", {recorder.dropped_frames} frames dropped" if recorder.dropped_frames else ""
    return f"Recording {recorder.frames_per_second:.1f} frames/s, {stored}{dropped}. Ctrl-C stops."


async def _report_recording(directory: Path, started_us: int, reason: str) -> int:
    ranges = _joined(await _recorded_segments(directory, started_us - US_PER_SECOND))
    if not ranges:
        print_message(f"Nothing was recorded: {reason.rstrip('.')}." if reason else "Nothing was recorded.")
        return FAILED
    recorded_us = sum(one.to_us - one.from_us for one in ranges)
    pieces = f" in {len(ranges)} ranges" if len(ranges) > 1 else ""
    terminal.print_result(f"Recorded {format_length(recorded_us)}{pieces} into {directory}")
    table = terminal.facts_table()
    if len(ranges) == 1:
        for name, time in zip(("from", "to"), format_range(ranges[0]), strict=True):
            table.add_row(name, time)
    else:
        for one in ranges[-_SHOWN:]:
            ends = " to ".join(format_range(one))
            table.add_row("holds", ends, f"({format_length(one.to_us - one.from_us)})")
    terminal.print_result(table)
    if len(ranges) > 1:
        missing_us = ranges[-1].to_us - ranges[0].from_us - recorded_us
        print_message(
            f"{format_length(missing_us)} are missing between these ranges. `videostore state --all` shows all ranges."
        )
    return DONE


async def _recorded_segments(directory: Path, from_us: int) -> list[Segment]:
    """The segments from a time on, as the index has them; those that it lacks are read from their files."""
    names = [name for name in list_directory(directory)[1] if (name_time_us(name) or 0) >= from_us]
    indexed: dict[str, Segment] = {}
    with contextlib.suppress(OSError, sqlite3.Error):
        index = await Index.open_snapshot(directory, _LOGGER)
        try:
            indexed = {one.file_name: one for one in await index.select(from_us, 1 << 62)}
        finally:
            await index.close()
    found = [indexed.get(name) or _read(directory / name) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.start_us)


def _joined(segments: Sequence[Segment]) -> list[Range]:
    """The ranges that segments make. Those of one run follow each other without a gap."""
    ranges: list[Range] = []
    before: Segment | None = None
    for one in segments:
        if before is not None and (_follows(one, before) or one.start_us <= ranges[-1].to_us + JOIN_US):
            ranges[-1] = Range(ranges[-1].from_us, max(ranges[-1].to_us, one.end_us))
        else:
            ranges.append(Range(one.start_us, one.end_us))
        before = one
    return ranges


def _follows(one: Segment, before: Segment) -> bool:
    if one.run_us is None or one.run_us != before.run_us or one.run_number is None or before.run_number is None:
        return False
    return one.run_number == before.run_number + 1


def _read(path: Path) -> Segment | None:
    try:
        return probe(path)
    except (OSError, UnknownFileError, UnreadableError):
        return None


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
