"""Measures how soon an `fmp4` begins anywhere between keyframes that are far apart: its first message, and its first
frames, beside bare ffmpeg, which decodes and encodes the same ones.
"""

import asyncio
import random
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.bench.table import Row
from videostore.base.constants import US_PER_SECOND
from videostore.store.footage_import import import_file

WIDTH, HEIGHT, FRAMES_PER_SECOND = 1920, 1080, 30
LENGTH_S = 45
"""Long enough that a range of it does not end soon."""
TARGET_FIRST_S = 0.3
_KINDS = (("h264", 4), ("h264", 10), ("hevc", 10))
"""Codec, and seconds from keyframe to keyframe."""
_CODERS = {
    "h264": ["-c:v", "libx264", "-preset", "veryfast"],
    "hevc": ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error", "-tag:v", "hvc1"],
}
_PIECE_S = 1 / 8
_FRAGMENT = b"moof"


async def begins_us(directory: Path, binary: str, quick: bool) -> dict[tuple[str, int], int]:
    """Import a recording of each kind into a directory, and tell when they begin."""
    begins = {}
    for number, (codec, apart_s) in enumerate(_KINDS[:2] if quick else _KINDS):
        path = directory / f"{codec}-{apart_s}.mp4"
        await asyncio.to_thread(_write, path, binary, codec, apart_s)
        begins[codec, apart_s] = (int(time.time()) - 7200 + 2 * number * LENGTH_S) * US_PER_SECOND
        await import_file(path, directory / "storage", start=begins[codec, apart_s])
    return begins


def _write(path: Path, binary: str, codec: str, apart_s: int) -> None:
    """Blocking."""
    pictures = f"testsrc2=size={WIDTH}x{HEIGHT}:rate={FRAMES_PER_SECOND}:duration={LENGTH_S}"
    gop = str(apart_s * FRAMES_PER_SECOND)
    coding = [*_CODERS[codec], "-b:v", "4M", "-bf", "0", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0"]
    noisy = ["-vf", "noise=alls=8:allf=t", "-pix_fmt", "yuv420p"]
    subprocess.run([binary, "-v", "error", "-f", "lavfi", "-i", pictures, *noisy, *coding, str(path)], check=True)


def places_s(apart_s: int, count: int) -> Sequence[float]:
    """Places in a recording, spread evenly between its keyframes, in an order by chance but always the same."""
    drawn = random.Random(apart_s)
    spread = [(number + 0.5) * apart_s / count + apart_s * drawn.randrange(2) for number in range(count)]
    drawn.shuffle(spread)
    return spread


async def bare(path: Path, binary: str, place_s: float) -> float:
    """How long bare ffmpeg takes to its first fragment, in seconds."""
    began = time.monotonic()
    options = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-bf", "0"]
    fragmented = ["-f", "mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof", "pipe:1"]
    exact = ["-ss", f"{place_s:.6f}", "-i", str(path), "-t", f"{_PIECE_S:.6f}"]
    process = await asyncio.create_subprocess_exec(
        binary, "-v", "error", *exact, *options, *fragmented, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    begun = b""
    while _FRAGMENT not in begun:
        block = await process.stdout.read(1 << 16)
        assert block, "bare ffmpeg ended early"
        begun += block
    elapsed_s = time.monotonic() - began
    await process.communicate()
    return elapsed_s


def row(kind: tuple[str, int], times: Sequence[tuple[float, float, float]]) -> Row:
    """A row of the times to the first message, to the first frames, and of bare ffmpeg to its first frames."""
    firsts, frames, bares = ([one[at] * 1000 for one in times] for at in range(3))
    codec, apart_s = kind
    name = f"video: first message of {HEIGHT}p {codec} at any place between keyframes {apart_s} s apart"
    text = f"{statistics.median(firsts):.0f} ms, {max(firsts):.0f} at most; "
    text += f"first frames {statistics.median(frames):.0f} ms, {max(frames):.0f} at most"
    bare = f"{statistics.median(bares):.0f} ms, {max(bares):.0f} at most"
    beside = f"bare ffmpeg to its first frames: {bare}; ≤ {TARGET_FIRST_S * 1000:.0f} ms"
    ratio = statistics.median(one[1] / one[2] for one in times)
    return Row(name, text, beside, ratio, max(firsts) <= TARGET_FIRST_S * 1000)
