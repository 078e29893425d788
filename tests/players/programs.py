"""Players that are programs, which write what they show to files: ffmpeg, mpv and GStreamer."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy
from numpy.typing import NDArray
from PIL import Image

from tests.players.clips import Clip
from tests.players.reading import Reading, Seek, read_frames

_LIMIT_S = 60
_DURATION = re.compile(r"Duration: (\d+):(\d\d):(\d\d\.\d+)")


def alone(home: Path) -> dict[str, str]:
    """An environment without a display, in which a player leaves its files in a directory of the test."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR")
    return kept | dict.fromkeys(places, str(home))


def run(command: Sequence[str | Path], home: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a player to its end."""
    environment = alone(home) | variables
    return subprocess.run([str(part) for part in command], capture_output=True, env=environment, timeout=_LIMIT_S)


def first_line(*command: str) -> str:
    """The first line that a program prints."""
    with tempfile.TemporaryDirectory() as home:
        done = run(command, Path(home))
    return ((done.stdout or done.stderr).decode(errors="replace").splitlines() or [""])[0]


def absent(*programs: str) -> str | None:
    """Which of these programs are not installed; None if all are."""
    gone = [program for program in programs if shutil.which(program) is None]
    return f"{', '.join(gone)} not installed" if gone else None


def printed_duration_s(text: str) -> float | None:
    """The length that ffmpeg or ffplay prints."""
    found = _DURATION.search(text)
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None


def shown_size(clip: Clip) -> tuple[int, int]:
    """The width and height at which a clip is shown."""
    with av.open(str(clip.path)) as container:
        return container.streams.video[0].width, container.streams.video[0].height


def gray_frames(data: bytes, size: tuple[int, int]) -> Iterator[NDArray[Any]]:
    """The frames of raw 8 bit gray video. A last one that is cut off is left out."""
    width, height = size
    for at in range(0, len(data) - width * height + 1, width * height):
        yield numpy.frombuffer(data, numpy.uint8, width * height, at).reshape(height, width)


def read_each(player: Any, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
    """Show one clip after the other."""
    readings = {}
    for clip in clips:
        try:
            readings[clip.name] = player.show(clip, directory)
        except subprocess.TimeoutExpired:
            readings[clip.name] = Reading(error=f"it did not end within {_LIMIT_S} s")
    return readings


class FFmpeg:
    """ffmpeg itself, which decodes what it would write. With `hidden` it shows what an edit list hides, as readers do
    that ignore edit lists (OpenCV, decord)."""

    seek = Seek.NEXT

    def __init__(self, name: str, binary: str, *, hidden: bool = False) -> None:
        self.name = name
        self._binary = binary
        self._input = ["-ignore_editlist", "1"] if hidden else []
        self._seeks = not hidden

    def missing(self) -> str | None:
        return absent(self._binary)

    def version(self) -> str:
        return " ".join(first_line(self._binary, "-version").split()[:3])

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        return read_each(self, clips, directory)

    def show(self, clip: Clip, directory: Path) -> Reading:
        """One clip."""
        whole = self._decode(clip, directory, [])
        shown = read_frames(gray_frames(whole.stdout, shown_size(clip)))
        duration_s = printed_duration_s(whole.stderr.decode(errors="replace")) if self._seeks else None
        if whole.returncode or not shown:
            return Reading.of_failure(whole)
        if not self._seeks:
            return Reading(shown)
        middle = self._decode(clip, directory, ["-ss", f"{clip.middle_s:.3f}"], "-frames:v", "1")
        middle_us = read_frames(gray_frames(middle.stdout, shown_size(clip)))
        return Reading(shown, duration_s, middle_us[0] if middle_us else None)

    def _decode(self, clip: Clip, home: Path, before: list[str], *after: str) -> subprocess.CompletedProcess[bytes]:
        output = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "gray", *after, "-"]
        return run([self._binary, "-nostdin", *self._input, *before, "-i", clip.path, *output], home)


class Mpv:
    """mpv with a video output that writes each frame as an image."""

    name = "mpv"
    seek = Seek.NEXT

    def missing(self) -> str | None:
        return absent("mpv")

    def version(self) -> str:
        return " ".join(first_line("mpv", "--version").split()[:2])

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        return read_each(self, clips, directory)

    def show(self, clip: Clip, directory: Path) -> Reading:
        """One clip."""
        said, shown = self._play(clip, directory / "whole")
        if not shown:
            return Reading(error=said[-300:])
        _, middle = self._play(clip, directory / "middle", f"--start={clip.middle_s:.3f}", "--frames=1")
        duration = re.search(r"DURATION=([\d.]+)", said)
        return Reading(shown, float(duration[1]) if duration else None, middle[0] if middle else None)

    @staticmethod
    def _play(clip: Clip, images: Path, *options: str) -> tuple[str, list[int]]:
        images.mkdir(parents=True)
        output = ["--vo=image", "--vo-image-format=png", "--vo-image-png-compression=0", f"--vo-image-outdir={images}"]
        quiet = [
            "--no-config",
            "--no-audio",
            "--hwdec=no",
            "--framedrop=no",
            "--term-playing-msg=DURATION=${=duration}",
        ]
        done = run(["mpv", *quiet, *output, *options, clip.path], images.parent)
        try:
            frames = [numpy.asarray(Image.open(path).convert("L")) for path in sorted(images.glob("*.png"))]
            return (done.stdout + done.stderr).decode(errors="replace"), read_frames(frames)
        finally:
            shutil.rmtree(images)


class GStreamer:
    """GStreamer's playbin, whose sink writes each frame."""

    name = "GStreamer"
    seek = Seek.NEAR

    def missing(self) -> str | None:
        return absent("gst-launch-1.0", "gst-discoverer-1.0", "gst-play-1.0")

    def version(self) -> str:
        return first_line("gst-launch-1.0", "--version").replace("gst-launch-1.0 version", "GStreamer")

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        return read_each(self, clips, directory)

    def show(self, clip: Clip, directory: Path) -> Reading:
        """One clip."""
        target = directory / "frames"
        sink = f"videoconvert ! video/x-raw,format=GRAY8 ! filesink location={target}"
        play = ["gst-play-1.0", "--no-interactive", "--quiet", f"--videosink={sink}", "--audiosink=fakesink"]
        done = run(
            ["gst-launch-1.0", "-q", "playbin", f"uri=file://{clip.path}", f"video-sink={sink}"],
            directory,
        )
        size = shown_size(clip)
        shown = read_frames(gray_frames(target.read_bytes(), size)) if target.exists() else []
        if done.returncode or not shown:
            return Reading.of_failure(done)
        run([*play, f"--start-position={clip.middle_s:.3f}", clip.path], directory)
        middle = read_frames(gray_frames(target.read_bytes(), size))
        told = run(["gst-discoverer-1.0", clip.path], directory).stdout.decode(errors="replace")
        found = re.search(r"Duration: (\d+):(\d\d):(\d\d\.\d+)", told)
        duration_s = int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) if found else None
        target.unlink()
        return Reading(shown, duration_s, middle[0] if middle else None)
