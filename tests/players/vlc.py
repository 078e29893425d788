"""VLC, by its library: what it shows goes to memory instead of a window."""

from __future__ import annotations

import ctypes
import ctypes.util
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.players.clips import Clip
from tests.players.programs import alone, gray_frames, shown_size
from tests.players.reading import Reading, Seek, read_frames, seek_targets
from tests.support.checkout import ROOT

_LIMIT_S = 1200
ROUNDS = 3
"""A picture that comes late to VLC's output is replaced by the next one, which happens on a busy machine, most often to
the first and after a seek: what lacks frames is played again. Of a clip, the play with the most frames counts; of an
address, what was shown in any. What was not sent to it is shown in none."""


class Vlc:
    """VLC, in a process of its own, one file after the other."""

    name = "VLC"
    seek = Seek.LATE

    def missing(self) -> str | None:
        return None if ctypes.util.find_library("vlc") else "libvlc not installed"

    def version(self) -> str:
        library = ctypes.CDLL(ctypes.util.find_library("vlc"))
        library.libvlc_get_version.restype = ctypes.c_char_p
        return f"VLC {library.libvlc_get_version().decode()}"

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        readings: dict[str, Reading] = {}
        again = list(clips)
        for _ in range(ROUNDS):
            played = self._play(again, directory)
            readings |= {clip.name: _better(clip, played[clip.name], readings.get(clip.name)) for clip in again}
            again = [clip for clip in again if _lacks(clip, readings[clip.name])]
        return readings

    def _play(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        jobs: list[tuple[Any, ...]] = []
        for clip in clips:
            jobs += [(str(clip.path), *shown_size(clip), start_s, None) for start_s in (None, clip.middle_s)]
        try:
            answers = _play(jobs, directory)
        except RuntimeError as error:
            return {clip.name: Reading(error=str(error)) for clip in clips}
        return {
            clip.name: _reading(clip, whole, middle)
            for clip, whole, middle in zip(clips, answers[::2], answers[1::2], strict=True)
        }


def play_address(address: str, size: tuple[int, int], most: int | None, directory: Path) -> list[int]:
    """The capture times of the frames that VLC shows of an address, to its end or until `most` of them."""
    (answer,) = _play([(address, *size, None, most)], directory)
    return read_frames(gray_frames(_taken(answer), size))


def _lacks(clip: Clip, reading: Reading) -> bool:
    """Whether a clip was not shown whole, or not from where it was sought."""
    return not set(clip.times[:-1]) <= set(reading.shown) or _is_astray(clip, reading)


def _is_astray(clip: Clip, reading: Reading) -> bool:
    """Whether a seek shows another frame. One that is not legible did not come late: any file may do that."""
    return bool(reading.middle_us) and reading.middle_us not in seek_targets(clip, Vlc.seek)


def _better(clip: Clip, reading: Reading, before: Reading | None) -> Reading:
    """The play with more frames, with the seek of the one that went right: each is a play of its own."""
    if before is None:
        return reading
    best, other = (reading, before) if len(reading.shown) > len(before.shown) else (before, reading)
    if _is_astray(clip, best) and not _is_astray(clip, other):
        return replace(best, middle_us=other.middle_us)
    return best


def _play(jobs: Sequence[tuple[Any, ...]], directory: Path) -> list[dict[str, Any]]:
    """What libvlc answers to some jobs.

    Raises:
        RuntimeError: it failed; this says how.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.players.libvlc_frames", directory],
        input=json.dumps(jobs).encode(),
        capture_output=True,
        cwd=ROOT,
        env=alone(directory),
        timeout=_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode()[-300:])
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def _reading(clip: Clip, whole: dict[str, Any], middle: dict[str, Any]) -> Reading:
    size = shown_size(clip)
    shown = read_frames(gray_frames(_taken(whole), size))
    at_middle = read_frames(gray_frames(_taken(middle), size))
    if whole["error"] or not whole["ended"] or not shown:
        return Reading(error="it says that it cannot" if whole["error"] else "it did not end, or showed nothing")
    return Reading(shown, whole["duration_ms"] / 1000, at_middle[0] if at_middle else None)


def _taken(answer: dict[str, Any]) -> bytes:
    """The frames of an answer, whose file is removed: they are large."""
    path = Path(answer["frames"])
    data = path.read_bytes()
    path.unlink()
    return data
