"""`videostore record`: records whatever ffmpeg can open, until it ends or is told to."""

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
from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.cli import terminal as screen
from videostore.cli.runtime import DONE, FAILED, INCOMPLETE, tell
from videostore.cli.time_options import length, now_us, written
from videostore.media.segment import Segment, UnknownFileError, UnreadableError, probe
from videostore.media.segment_names import name_time_us
from videostore.recording.recorder import RecorderHealth
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.probing import StreamInfo
from videostore.storage.index import Index
from videostore.storage.segment_files import list_directory
from videostore.store.results import Health
from videostore.store.store import VideoStore

_LOOK_S = 0.25
_PATIENCE_S = 30.0
"""With a duration, an input gets so long to begin."""
_SHOWN = 20
_LOGGER = logging.getLogger("videostore")


@dataclass(frozen=True, slots=True)
class Settings:
    """What is recorded, and how; None is the default of the machine config."""

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
    duration_s: float | None
    """Of the recording; None: until it ends."""


async def record(settings: Settings) -> int:
    """Record, and finish the last segment in order, however it ends."""
    source = await FFmpegInput.open(
        settings.input,
        codec=settings.codec,
        bitrate=settings.bitrate,
        preset=settings.preset,
        framerate=settings.framerate,
        options=settings.options,
        format=settings.format,
        reencode=settings.reencode,
    )
    store = VideoStore.record(
        settings.directory,
        source,
        size_gb=settings.size_gb,
        segment_seconds=settings.segment_seconds,
        bitrate=settings.bitrate,
        framerate=settings.framerate,
        codec="copy",
        live=source.live,
    )
    _tell_found(source.info)
    started_us = now_us()
    async with store:
        health = await _watch(store, settings.duration_s)
    code = await _report(settings.directory.expanduser().absolute(), started_us, health.reason if health else "")
    if health and health.dropped_frames and code == DONE:
        tell(f"{health.dropped_frames} frames were not recorded: ffmpeg was too slow for them, or had failed.")
        code = INCOMPLETE
    if source.fault and code != FAILED:
        tell(f"It ends early: {source.fault}.")
        return FAILED
    return code


def _tell_found(info: StreamInfo | None) -> None:
    if info is None:
        tell("The input does not answer just now; it is asked again until it does, or until Ctrl-C.")
    elif info.reencoded:
        tell(f"The input is encoded anew: {info.reencoded}.")
    else:
        tell(f"The input is {info.codec} of {info.width}x{info.height}, recorded as it is.")


async def _watch(store: VideoStore, duration_s: float | None) -> RecorderHealth | None:
    """Show how it goes until it ends, the time is over, or somebody interrupts; how it was at last."""
    began_s, first_s = time.monotonic(), None
    left_s = _LOOK_S
    ending = asyncio.ensure_future(store.ended())
    try:
        with _status() as show:
            while left_s > 0:
                await asyncio.wait({ending}, timeout=min(_LOOK_S, left_s))
                if ending.done():
                    break
                health = store.health()
                show(health)
                if first_s is None and health.recorder and health.recorder.last_frame_age_s is not None:
                    first_s = time.monotonic()
                left_s = _left_s(duration_s, began_s, first_s)
    except asyncio.CancelledError:  # Ctrl-C is the usual end of it
        pass
    finally:
        ending.cancel()
    return store.health().recorder


def _left_s(duration_s: float | None, began_s: float, first_s: float | None) -> float:
    if duration_s is None:
        return _LOOK_S
    if first_s is None:
        return began_s + duration_s + _PATIENCE_S - time.monotonic()
    return first_s + duration_s - time.monotonic()


@contextlib.contextmanager
def _status() -> Iterator[Callable[[Health], None]]:
    """A line that is drawn over and over; where there is no terminal, a line for each change."""
    console = screen.messages()
    if console.is_terminal:
        with console.status("Opening the input …") as status:
            yield lambda health: status.update(screen.visible(_line(health)))
        return
    last = ""

    def note(health: Health) -> None:
        nonlocal last
        said = _activity(health)
        if said != last:
            console.print(f"{written(now_us())}  {said}")
        last = said

    yield note


def _activity(health: Health) -> str:
    trouble = health.storage_trouble
    reason = trouble or (health.recorder.reason if health.recorder and not health.recorder.recording else "")
    return f"Not recording: {reason.rstrip('.')}." if reason else "Recording."


def _line(health: Health) -> str:
    stored = f"{length(round(health.stored_seconds * US_PER_SECOND))} stored, {screen.size(health.stored_bytes)}"
    recorder = health.recorder
    if recorder is None or not recorder.recording:
        return f"{_activity(health)} {stored}"
    dropped = f", {recorder.dropped_frames} frames dropped" if recorder.dropped_frames else ""
    return f"Recording {recorder.frames_per_second:.1f} frames/s, {stored}{dropped} — Ctrl-C ends it"


async def _report(directory: Path, started_us: int, reason: str) -> int:
    ranges = _joined(await _segments(directory, started_us - US_PER_SECOND))
    if not ranges:
        tell(f"Nothing was recorded: {reason.rstrip('.')}." if reason else "Nothing was recorded.")
        return FAILED
    recorded_us = sum(one.to_us - one.from_us for one in ranges)
    pieces = f" in {len(ranges)} ranges" if len(ranges) > 1 else ""
    screen.draw(f"Recorded {length(recorded_us)}{pieces} into {directory}")
    table = screen.facts()
    if len(ranges) == 1:
        table.add_row("from", written(ranges[0].from_us))
        table.add_row("to", written(ranges[0].to_us))
    else:
        for one in ranges[-_SHOWN:]:
            described = f"{written(one.from_us)} to {written(one.to_us)}"
            table.add_row("holds", described, f"({length(one.to_us - one.from_us)})")
    screen.draw(table)
    if len(ranges) > 1:
        missing_us = ranges[-1].to_us - ranges[0].from_us - recorded_us
        tell(f"Of the time between them {length(missing_us)} are missing; `videostore state --all` shows the ranges.")
    return DONE


async def _segments(directory: Path, from_us: int) -> list[Segment]:
    """What was recorded from a moment on, as the index knows it, else as the files say."""
    names = [name for name in list_directory(directory)[1] if (name_time_us(name) or 0) >= from_us]
    known: dict[str, Segment] = {}
    with contextlib.suppress(OSError, sqlite3.Error):
        index = await Index.open_snapshot(directory, _LOGGER)
        try:
            known = {one.file_name: one for one in await index.select(from_us, 1 << 62)}
        finally:
            await index.close()
    found = [known.get(name) or _read(directory / name) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.start_us)


def _joined(segments: Sequence[Segment]) -> list[Range]:
    """The ranges that they make; those of one run follow each other without a gap."""
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


def parse_options(given: list[str]) -> dict[str, str]:
    """Options of ffmpeg for the input, given as `KEY=VALUE`.

    Raises:
        RequestError: one is no such pair.
    """
    options = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise RequestError(
                f"--option is {one.partition('=')[0]!r}: it must be KEY=VALUE, such as rtsp_transport=udp."
            )
        options[name] = value
    return options
