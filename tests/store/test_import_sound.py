"""Sound of imported files: a flash and its click stay together, in every container and codec."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from tests.support.clapping import FPS, hear, write_clapping
from tests.support.recording import START_US, US
from videostore.media.clip_reader import read_clip_times
from videostore.media.fmp4 import read_fragments
from videostore.storage.verify import verify_directory
from videostore.store.footage_import import import_file
from videostore.store.store import VideoStore

SECONDS = 34


def sound_codec(segment: Path) -> str | None:
    with av.open(str(segment)) as container:
        return container.streams.audio[0].codec_context.name if container.streams.audio else None


@pytest.mark.parametrize(
    ("suffix", "codec", "b_frames", "late_s", "packet_us"),
    [
        pytest.param(".mp4", "aac", 2, 0, 21_334, marks=pytest.mark.exhaustive),
        pytest.param(".ts", "aac", 2, 0, 21_334, marks=pytest.mark.exhaustive),
        (".mkv", "libopus", 2, 1.21, 20_000),
        pytest.param(".mov", "pcm_s16le", 2, 0, 21_334, marks=pytest.mark.exhaustive),
        pytest.param(".mkv", "pcm_mulaw", 0, 1.21, 21_334, marks=pytest.mark.exhaustive),
        (".ts", "mp2", 0, 0, 21_334),
    ],
)
async def test_a_click_is_heard_with_its_flash_at_both_ends_of_each_clip(
    tmp_path: Path, suffix: str, codec: str, b_frames: int, late_s: float, packet_us: int
) -> None:
    path, directory = tmp_path / f"camera{suffix}", tmp_path / "sd"
    write_clapping(path, SECONDS, codec=codec, b_frames=b_frames, late_s=late_s)
    done = await import_file(path, directory, start=START_US)
    assert (done.has_sound, done.silent, done.reencoded, done.shortfall) == (True, "", "", "")
    stored = sorted(directory.glob("*.mp4"))
    assert len(stored) == 2
    assert {sound_codec(one) for one in stored} == {"opus" if codec == "libopus" else "aac"}
    report = await verify_directory(directory, decode=True)
    assert list(report.findings) == []
    first_us = done.captured.from_us
    begin = 2 if late_s else 0
    async with VideoStore.open(directory) as store:
        for container, from_s, to_s in (("mp4", begin, 33.9), ("fmp4", 5.3, 7.1), ("mp4", 29.1, 32.9)):
            clip = tmp_path / f"{from_s}.mp4"
            await store.export(
                first_us + round(from_s * US), first_us + round(to_s * US), clip, container=container, overwrite=True
            )
            heard = hear(clip.read_bytes())
            assert len(heard.flashes_s) == len(heard.clicks_s) > 2
            assert max(map(abs, heard.errors_ms)) * 1000 <= packet_us, heard.errors_ms
            told_s = read_clip_times(clip).listed_us / US
            assert -packet_us / US <= heard.sound_s - told_s <= 0.001


async def test_sound_is_left_out_if_that_is_wanted_and_a_file_is_stored_once_either_way(tmp_path: Path) -> None:
    path, directory = tmp_path / "camera.mp4", tmp_path / "sd"
    write_clapping(path, 3)
    done = await import_file(path, directory, start=START_US, sound=False)
    assert (done.has_sound, done.silent, done.known) == (True, "", False)
    (segment,) = directory.glob("*.mp4")
    assert read_fragments(segment).sound is None
    assert (await import_file(path, directory, start=START_US)).known
    assert list(directory.glob("*.mp4")) == [segment]


async def test_sound_that_cannot_be_decoded_does_not_keep_the_video_out(tmp_path: Path) -> None:
    path, directory = tmp_path / "camera.mkv", tmp_path / "sd"
    write_clapping(path, 3, codec="pcm_s16le")
    path.write_bytes(path.read_bytes().replace(b"A_PCM/INT/LIT", b"A_OLD/INT/LIT"))
    done = await import_file(path, directory, start=START_US)
    assert done.has_sound and done.silent and "\n" not in done.silent
    assert done.frames == 3 * FPS and done.shortfall == ""
    (segment,) = directory.glob("*.mp4")
    assert read_fragments(segment).sound is None
