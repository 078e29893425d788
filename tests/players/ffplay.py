"""ffplay, which shows each frame on no display and says which frame it is by a checksum of its pixels."""

from __future__ import annotations

import re
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import av

from scripts.fakes.clip_check import PaintReader
from tests.players.clips import LARGE, Clip
from tests.players.programs import absent, first_line, printed_duration_s, read_each, run
from tests.players.reading import Reading, Seek, without_repetitions
from tests.support.recording import SIZE

_SHOWN = re.compile(r"plane_checksum:\[([0-9A-F]{8})")


class FFplay:
    """ffplay with SDL's dummy video driver. Its filter `showinfo` prints what goes to the display.

    The checksums are told apart by decoding the clip with hidden frames and all: decoders give the same bits.
    """

    name = "ffplay"
    seek = Seek.KEYFRAME

    def missing(self) -> str | None:
        return absent("ffplay")

    def version(self) -> str:
        return " ".join(first_line("ffplay", "-version").split()[:3])

    def read(self, clips: Sequence[Clip], directory: Path) -> dict[str, Reading]:
        return read_each(self, clips, directory)

    def show(self, clip: Clip, directory: Path) -> Reading:
        """One clip."""
        painted = _painted_by_checksum(clip)
        whole = self._play(clip, directory)
        shown = _shown(whole, painted)
        if whole.returncode or not shown:
            return Reading.of_failure(whole)
        middle = _shown(self._play(clip, directory, "-ss", f"{clip.middle_s:.3f}"), painted)
        duration_s = printed_duration_s(whole.stderr.decode(errors="replace"))
        return Reading(shown, duration_s, middle[0] if middle else None)

    @staticmethod
    def _play(clip: Clip, home: Path, *options: str) -> subprocess.CompletedProcess[bytes]:
        quiet = ["-an", "-autoexit", "-noframedrop", "-nostats", "-vf", "showinfo"]
        display = {"SDL_VIDEODRIVER": "dummy", "SDL_AUDIODRIVER": "dummy", "SDL_RENDER_DRIVER": "software"}
        return run(["ffplay", *quiet, *options, clip.path], home, **display)


def _shown(done: subprocess.CompletedProcess[bytes], painted: dict[str, int]) -> list[int]:
    sums = _SHOWN.findall(done.stderr.decode(errors="replace"))
    return without_repetitions(painted.get(one, 0) for one in sums)


def _painted_by_checksum(clip: Clip) -> dict[str, int]:
    """Capture times of all frames in a clip, by the Adler-32 of their brightness as ffmpeg computes it."""
    reader = PaintReader([None, SIZE, LARGE])
    painted = {}
    with av.open(str(clip.path), options={"ignore_editlist": "1"}) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray()[: frame.height, : frame.width]
            if paint := reader.read(luma):
                painted[f"{zlib.adler32(luma.tobytes(), 0):08X}"] = paint.captured_us
    return painted
