"""Sound of other formats in a long stream: encoded window by window, and heard as if it were in one piece."""

from __future__ import annotations

import asyncio
import io
import statistics
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy
import pytest

from tests.support.clapping import Clapping, clapping, record_clapping
from tests.support.recording import LOGGER, START_US, US, clips_of
from videostore.clips.clip_sound import SoundFormat
from videostore.clips.clip_sound import sounding as sounding_files
from videostore.clips.mixed_sound import mixed_sound
from videostore.clips.sound_commands import encode_command
from videostore.clips.stream_sound import ENCODED_SOUND, SoundSoFar, StreamSound, cut_window
from videostore.ffmpeg.process import run_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.media.sound_file import whole_file
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_files import close_segment

BORDERS_S = (0.52, 0.84, 2.6, 2.68, 5.04, 7.6)


def sound_of(camera: Clapping, path: Path) -> StreamSound:
    content = read_fragments(path)
    assert content.sound is not None and camera.packets[0].format.sound is not None
    return StreamSound.of(SoundFormat(content.sound.entry, content.sound.timescale), content.sounds)


async def encoded_windows(sound: StreamSound, directory: Path, work: Path, binary: str) -> list[bytes]:
    """The packets of all windows, each of which is encoded by itself."""
    archive = await Archive.open(directory, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    so_far, position_us, packets = SoundSoFar(), 0, list[bytes]()
    borders = [START_US + round(one * US) for one in BORDERS_S]
    for number, (from_us, to_us) in enumerate(pairwise(borders)):
        async with clips_of(archive, binary).plan(from_us, to_us) as plan:
            place = work / str(number)
            place.mkdir()
            mixed = mixed_sound(sound, so_far, plan, place, position_us)
            assert mixed is not None
            command = encode_command(mixed.files, mixed.output, mixed.encoding)
            await run_ffmpeg([binary, "-v", "error", *command.arguments])
            more, encoded = number < len(borders) - 2, mixed.encoded()
            made = cut_window(sound, so_far, plan, place / "made.mp4", position_us, more=more, encoded=encoded)
            so_far = made.after
            position_us += plan.length_us
            with av.open(str(made.path)) as container:
                packets += [bytes(one) for one in container.demux(audio=0) if one.size]
    await archive.close()
    return packets


def samples_of(sound: StreamSound, packets: list[bytes]) -> Any:
    data = whole_file(sound.format.entry, sound.format.rate, sound.samples, packets)
    with av.open(io.BytesIO(data)) as container:
        return numpy.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])


TARGETS: list[dict[str, Any] | None] = [{}, {"codec": "libopus", "rate": 48000}, None]


@pytest.mark.parametrize("target", TARGETS)
async def test_a_tone_of_another_format_has_no_hole_at_any_border(
    tmp_path: Path, binary: str, target: dict[str, Any] | None
) -> None:
    camera = clapping(8, rate=44100, tone=True)
    sound = ENCODED_SOUND
    if target is not None:
        await record_clapping(tmp_path / "like", clapping(2, **target), binary=binary)
        sound = sound_of(clapping(2, **target), next((tmp_path / "like").iterdir()))
    run = await record_clapping(tmp_path / "storage", camera, binary=binary)
    for path in sorted((tmp_path / "storage").glob("*.open")):
        close_segment(path, finished_only=True, run=run)
    packets = await encoded_windows(sound, tmp_path / "storage", tmp_path, binary)
    seconds = BORDERS_S[-1] - BORDERS_S[0]
    assert len(packets) == pytest.approx(seconds * US / sound.packet_us, abs=1)
    samples = await asyncio.to_thread(samples_of, sound, packets)
    step = sound.format.rate // 100
    within = samples[sound.format.rate // 10 : -sound.format.rate // 10]
    loudness = [float(numpy.sqrt((within[at : at + step] ** 2).mean())) for at in range(0, len(within) - step, step)]
    # Without what is heard around a window, borders have holes.
    assert min(loudness) > 0.4 * statistics.median(loudness)


async def test_sound_that_has_the_format_of_the_stream_is_not_encoded(tmp_path: Path, binary: str) -> None:
    await record_clapping(tmp_path / "storage", clapping(4), binary=binary)
    archive = await Archive.open(tmp_path / "storage", LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    async with clips_of(archive, binary).plan(START_US + US, START_US + 3 * US) as plan:
        format = next(sounding_files(plan)).format
        assert mixed_sound(StreamSound(format, 1024), SoundSoFar(), plan, tmp_path, 0) is None
        # Twice as many samples: that would need spectral band replication.
        assert mixed_sound(StreamSound(ENCODED_SOUND.format, 2048), SoundSoFar(), plan, tmp_path, 0) is None
    await archive.close()
