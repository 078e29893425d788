from __future__ import annotations

from pathlib import Path

import av
import ffmpeg
import numpy as np

from tests.support.recording import SMALL, US, capture_times, record
from videostore.ffmpeg.options import EXACT_TIMES, REENCODED
from videostore.ffmpeg.process import run_ffmpeg


def read(path: Path) -> tuple[list[int], list[object], list[np.ndarray]]:
    """Times in microseconds since the first frame, kinds and pixels of all frames."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times = [round(float(frame.pts * frame.time_base) * US) for frame in frames]
    return [t - times[0] for t in times], [f.pict_type for f in frames], [f.to_ndarray(format="gray") for f in frames]


async def test_re_encoded_frames_keep_their_times_their_order_and_their_look(tmp_path: Path, binary: str) -> None:
    await record(tmp_path, capture_times(1.2), size=SMALL)
    (source,) = tmp_path.glob("*.open")
    output = tmp_path / "output.mp4"
    stream = ffmpeg.input(str(source), f="mp4").output(
        str(output), f="mp4", movflags="faststart", **REENCODED, **EXACT_TIMES
    )
    await run_ffmpeg([binary, "-v", "error", *stream.get_args()])
    times, _, pixels = read(source)
    found, kinds, again = read(output)
    assert len(times) > 10 and found == times
    assert av.video.frame.PictureType.B not in kinds
    assert all(np.abs(a.astype(int) - b.astype(int)).mean() < 4 for a, b in zip(pixels, again, strict=True))
