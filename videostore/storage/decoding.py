"""Decoding: whether what is stored decodes to its end, and how many frames come out."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError
from videostore.base.tasks import off_loop
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.process import ffmpeg_output
from videostore.media.border_frames import BorderFrames, border_frames
from videostore.media.segment import UnreadableError

_FORMATS = {"h264": "h264", "hevc": "hevc"}
"""ffmpeg's demuxers of frames without a container, by codec."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What came out."""

    frames: int
    complaints: Sequence[str]
    """The first errors of ffmpeg."""
    missing: int = 0
    """How many did not come out, if it was counted how many went in."""

    @property
    def complaint(self) -> str | None:
        """What is wrong; None if nothing is."""
        if self.complaints or not self.missing:
            return next(iter(self.complaints), None)
        return f"{self.frames} of {self.frames + self.missing} frames"


async def decode_file(binary: str, path: Path, frames: int | None) -> Decoded:
    """Decode a file to its end, in which so many frames need nothing of another file; None if that is not known.

    Nothing is expected of the others, and none of them counts.
    """
    done = await _decode(binary, ["-i", f"file:{path}"])
    if frames is None:
        return done
    return replace(done, frames=min(done.frames, frames), missing=max(0, frames - done.frames))


async def decode_border(binary: str, path: Path, following: Path) -> Decoded | None:
    """Decode the frames of a segment that are in the file of the next one: behind those from its last keyframe on.

    None if there are none, or if they cannot be read.
    """
    border = await off_loop(_border_frames, path, following)
    if border is None or border.codec not in _FORMATS:
        return None
    frames = LateInput()
    frames.give_pieces(border.pieces())
    done = await _decode(binary, ["-f", _FORMATS[border.codec], "-i", "pipe:0"], frames)
    return replace(done, missing=max(0, border.frames - done.frames))


def _border_frames(path: Path, following: Path) -> BorderFrames | None:
    """Blocking."""
    with contextlib.suppress(UnreadableError):
        return border_frames(path, following)
    return None


async def _decode(binary: str, source: Sequence[str], late: LateInput | None = None) -> Decoded:
    command = [binary, "-hide_banner", "-nostats", "-loglevel", "level+error", "-threads", "1", *source]
    command += ["-map", "0:v:0", "-fps_mode", "passthrough", "-enc_time_base", "1/1000000"]
    command += ["-f", "null", "-progress", "pipe:1", "-"]
    complaints: list[str] = []
    frames = 0
    try:
        async with ffmpeg_output(command, niceness=CUT_NICENESS, complaints=complaints, late=late) as output:
            async for line in output:
                name, _, value = line.decode(errors="replace").strip().partition("=")
                if name == "frame" and value.isdigit():
                    frames = int(value)
    except FFmpegError as error:
        complaints = complaints or [str(error)]
    return Decoded(frames, complaints)
