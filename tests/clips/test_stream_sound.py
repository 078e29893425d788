"""The sound of a stream in windows: each packet once, in its place, however the stream is divided."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import av
import pytest

from tests.support.clapping import Clapping, clapping, record_clapping
from tests.support.recording import LOGGER, START_US, US, clips_of
from videostore.clips.clip_sound import SoundFormat, cut_sound
from videostore.clips.cutter import ClipCutter
from videostore.clips.stream_sound import SoundSoFar, StreamSound, cut_window
from videostore.ffmpeg.process import find_ffmpeg
from videostore.media.fmp4 import read_fragments
from videostore.storage.archive import Archive
from videostore.storage.reconciler import Reconciler
from videostore.storage.segment_files import close_segment


async def clips(directory: Path, *cameras: Clapping) -> AsyncIterator[ClipCutter]:
    for camera in cameras:
        run = await record_clapping(directory, camera)
        for path in sorted(directory.glob("*.open")):
            close_segment(path, finished_only=True, run=run)
    archive = await Archive.open(directory, LOGGER)
    await Reconciler(archive, LOGGER).reconcile(lambda _: False)
    yield clips_of(archive, find_ffmpeg())
    await archive.close()


def packets_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(one) for one in container.demux(audio=0) if one.size]


def sound_of(directory: Path) -> StreamSound:
    for path in sorted(directory.glob("*.mp4")):
        content = read_fragments(path)
        if content.sound is not None:
            return StreamSound.of(SoundFormat(content.sound.entry, content.sound.timescale), content.sounds)
    raise AssertionError("nothing sounds")


async def windows(cutter: ClipCutter, directory: Path, work: Path, borders: list[int]) -> tuple[list[bytes], list[int]]:
    """The packets of all windows between some times, and where in the stream each window's sound begins."""
    sound, so_far, position_us = sound_of(directory), SoundSoFar(), 0
    packets, begins = [], []
    for number, (from_us, to_us) in enumerate(pairwise(borders)):
        async with cutter.plan(from_us, to_us) as plan:
            more = number < len(borders) - 2
            made = cut_window(sound, so_far, plan, work / f"{number}.mp4", position_us, more=more)
            so_far = made.after
            position_us += plan.length_us
        begins.append(made.begin_us)
        packets += packets_of(made.path)
    return packets, begins


@pytest.mark.parametrize("seed", range(4))
async def test_however_it_is_divided_each_packet_comes_once(tmp_path: Path, seed: int) -> None:
    dice, storage = random.Random(seed), tmp_path / "storage"
    camera = clapping(12, rate=48000, gop_s=2, b_frames=2) if seed % 2 else clapping(12)
    frames = sorted(one.captured_us for one in camera.packets)
    async for cutter in clips(storage, camera):
        borders = [frames[0], *sorted(dice.sample(frames[3:-3], 6)), frames[-1]]
        packets, begins = await windows(cutter, storage, tmp_path, borders)
        async with cutter.plan(borders[0], borders[-1]) as plan:
            whole = packets_of(cut_sound(plan, tmp_path).files[0])
        assert packets == whole
        packet_us = camera.sound_us
        assert all(
            abs(begin - (border - borders[0])) <= packet_us for begin, border in zip(begins, borders, strict=False)
        )


async def test_a_window_without_sound_is_silent_and_the_next_one_is_in_its_place(tmp_path: Path) -> None:
    camera = clapping(12)
    silent = camera.silent().moved(20 * US)
    async for cutter in clips(tmp_path / "storage", camera, silent, camera.moved(40 * US)):
        borders = [START_US, *(START_US + s * US for s in (15, 35)), START_US + 52 * US]
        packets, begins = await windows(cutter, tmp_path / "storage", tmp_path, borders)
        packet_s = camera.sound_us / US
        assert begins[1] / US == pytest.approx(12, abs=2 * packet_s)
        assert 24 - 1 - 2 * packet_s <= begins[2] / US <= 24 + packet_s, "late sound would have a place"
        assert len(packets) * packet_s == pytest.approx(36, abs=2 * packet_s)
