from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from tests.support.inputs import Tap, open_input
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.packet import Packet

SECONDS = 3
VIDEO = f"testsrc=size=160x144:rate=10:duration={SECONDS}"
TONE = f"sine=frequency=440:duration={SECONDS}:sample_rate="
CODING = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")


async def played(path: Path, binary: str) -> list[Packet]:
    tap = Tap(open_input(path, binary, sound=True))
    await tap.play()
    return tap.packets_seen


@pytest.mark.parametrize(
    ("name", "rate", "coding", "codec", "length_us"),
    [
        ("aac.mp4", 48000, ("aac",), "aac", 21_333),
        ("aac.ts", 44100, ("aac",), "aac", 23_220),
        ("opus.mkv", 48000, ("libopus",), "opus", 20_000),
        ("mulaw.mkv", 8000, ("pcm_mulaw",), "aac", 64_000),
        ("pcm.mov", 44100, ("pcm_s16le",), "aac", 23_220),
        ("mp2.ts", 48000, ("mp2",), "aac", 21_333),
    ],
)
async def test_aac_and_opus_come_as_they_are_and_others_as_aac(
    tmp_path: Path, binary: str, name: str, rate: int, coding: tuple[str, ...], codec: str, length_us: int
) -> None:
    path = tmp_path / name
    inputs = ["-f", "lavfi", "-i", VIDEO, "-f", "lavfi", "-i", f"{TONE}{rate}"]
    await run_ffmpeg([binary, "-v", "error", *inputs, *CODING, "-c:a", *coding, str(path)])
    packets = await played(path, binary)
    formats = {one.format for one in packets}
    assert len(packets) == 10 * SECONDS and len(formats) == 1
    (format,) = formats
    assert format.sound is not None and format.sound.codec == codec
    times = [sound.captured_us for one in packets for sound in one.sound]
    steps = [after - before for before, after in itertools.pairwise(times)]
    assert all(abs(step - length_us) <= 1100 for step in steps)  # Matroska counts milliseconds
    assert times[-1] - times[0] > (SECONDS - 0.4) * 1e6
    assert all(sound.captured_us <= one.captured_us for one in packets for sound in one.sound)


async def test_a_stream_that_has_no_sound_any_more_is_recorded_without(tmp_path: Path, binary: str) -> None:
    path = tmp_path / "camera.mkv"
    command = [binary, "-y", "-v", "error", "-f", "lavfi", "-i", VIDEO]
    await run_ffmpeg([*command, "-f", "lavfi", "-i", f"{TONE}8000", *CODING, "-c:a", "aac", str(path)])
    source = open_input(path, binary, sound=True)
    assert (await source.probe()) is not None and source.records_sound
    await run_ffmpeg([*command, *CODING, str(path)])
    tap = Tap(source)
    await asyncio.wait_for(tap.play(), 150)
    assert len(tap.packets_seen) == 10 * SECONDS and not tap.gaps
    assert tap.packets_seen[0].format.sound is None and not source.records_sound
