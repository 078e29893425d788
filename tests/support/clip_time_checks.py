"""Checks that a clip tells its own time, by the capture times that are painted into its frames."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av

from scripts.fakes.painted_camera import read_clip
from tests.support.recording import SIZE, SMALL, US
from videostore.media.clip_reader import read_clip_frame, read_clip_times
from videostore.media.clip_times import ClipTimes


@dataclass(frozen=True)
class ToldTimes:
    """What a clip tells about its frames, compared with their paint."""

    times: ClipTimes
    frames: int
    largest_error_us: int
    """By which the time that is told differs from the painted one."""


def painted_frames(path: Path) -> list[tuple[int, int]]:
    """Position and painted capture time of each frame that a player shows, in microseconds."""
    frames = []
    for seconds, frame in read_clip(path, [SIZE, SMALL]):
        assert frame is not None, f"the frame at {seconds} s cannot be read"
        frames.append((round(seconds * US), frame.captured_us))
    return frames


def check_times(path: Path) -> ToldTimes:
    """Ask a clip for the time of each of its frames: where the frame begins, and just before the next one."""
    frames = painted_frames(path)
    times = read_clip_times(path)
    ends = [position_us for position_us, _ in frames[1:]] + [times.listed_us]
    errors = []
    for (position_us, captured_us), end_us in zip(frames, ends, strict=True):
        for asked_us in (position_us, (position_us + end_us) // 2, end_us - 100):
            told = read_clip_frame(path, asked_us)
            assert abs(told.position_us - position_us) <= 1, (asked_us, told, position_us)
            assert abs(told.captured_us - captured_us) <= told.precision_us, (asked_us, told, captured_us)
            errors.append(abs(told.captured_us - captured_us))
        assert abs(times.at(min(position_us + 12, times.listed_us - 1)) - captured_us) <= 24
    return ToldTimes(times, len(frames), max(errors))


def ffprobe_tags(path: Path) -> dict[str, str]:
    """The tags of a file as ffprobe shows them; as libav does where no ffprobe is installed."""
    if ffprobe := shutil.which("ffprobe"):
        command = [ffprobe, "-v", "error", "-show_format", "-of", "json", str(path)]
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
        tags: dict[str, str] = json.loads(done.stdout)["format"]["tags"]
        return tags
    with av.open(str(path)) as container:
        return dict(container.metadata)


def exiftool_values(path: Path, *names: str) -> list[str]:
    """What exiftool shows for these names."""
    command = ["exiftool", "-s3", *(f"-{name}" for name in names), str(path)]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=60).stdout.splitlines()


def stretches_by_hand(tag: str) -> list[tuple[float, float, float]]:
    """Position, start and end of each stretch in seconds, as a person reads them in the tag."""
    found = re.findall(r"(\d+):(\d\d):([\d.]+) (?:about )?(\S+?)Z/(\S+?)Z(?:, |$)", tag)
    return [
        (int(hours) * 3600 + int(minutes) * 60 + float(seconds), _seconds(start), _seconds(end))
        for hours, minutes, seconds, start, end in found
    ]


def time_by_hand(stretches: Sequence[tuple[float, float, float]], position_s: float) -> float:
    """When a position was captured, in seconds since 1970."""
    begin, start, _ = [one for one in stretches if one[0] <= position_s + 2e-5][-1]
    return start + position_s - begin


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text + "+00:00").timestamp()
