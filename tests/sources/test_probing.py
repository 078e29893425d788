from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from tests.support.coding import write_video
from tests.support.inputs import Tap, open_input, refusal
from tests.support.recording import LOGGER, SMALL, capture_times
from videostore.base.errors import RequestError
from videostore.ffmpeg.encoder import Encoder
from videostore.ffmpeg.process import run_ffmpeg
from videostore.sources.ffmpeg_input import FFmpegInput
from videostore.sources.probing import StreamInfo


async def test_a_file_is_described_by_its_codec_and_size(tmp_path: Path, binary: str) -> None:
    path = tmp_path / "input.mp4"
    write_video(path, "h264", capture_times(0.3, fps=20))
    assert await open_input(path, binary).probe() == StreamInfo("h264", *SMALL, live=False, reencoded="")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
async def test_sound_that_is_not_recorded_is_told_once(
    tmp_path: Path, binary: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    silent, sounding = tmp_path / "silent.mp4", tmp_path / f"sounding.{suffix}"
    write_video(silent, "h264", capture_times(1, fps=20))
    tone = ["-f", "lavfi", "-i", "sine=duration=1", "-c:v", "copy", "-c:a", "aac"]
    await run_ffmpeg([binary, "-v", "error", "-i", str(silent), *tone, str(sounding)])
    info = await open_input(silent, binary).probe()
    assert info is not None and not info.has_sound and "sound" not in caplog.text
    caplog.set_level(logging.INFO)
    source = open_input(sounding, binary)
    info = await source.probe()
    assert info is not None and info.has_sound and source.has_sound
    assert not info.records_sound and not source.records_sound
    await Tap(source).play()
    unprobed = open_input(sounding, binary)
    await Tap(unprobed).play()
    told = [one.getMessage() for one in caplog.records if "sound" in one.getMessage()]
    assert told == [f"The sound of the input {sounding} is not recorded."] * 2
    caplog.clear()
    source = open_input(sounding, binary, sound=True)
    info = await source.probe()
    assert info is not None and info.has_sound and info.records_sound and source.records_sound
    assert "not recorded" not in caplog.text


async def test_an_input_that_can_never_be_recorded_is_refused_with_its_reason(tmp_path: Path, binary: str) -> None:
    garbage, sound = tmp_path / "garbage.mp4", tmp_path / "sound.wav"
    garbage.write_bytes(os.urandom(5000))
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-f", "lavfi", "-i", "sine=duration=1", str(sound))
    )
    assert await process.wait() == 0
    assert "there is no such file" in await refusal(tmp_path / "none.mp4", binary)
    assert "it is a directory" in await refusal(tmp_path, binary)
    assert "it contains no readable video" in await refusal(garbage, binary)
    assert (await refusal(sound, binary)).endswith("cannot be recorded: it contains no video.")
    assert "ffmpeg" not in await refusal(sound, binary)
    assert "does not support its protocol" in await refusal("nonsense://host/path", binary)
    assert "does not support its format" in await refusal("x", binary, format="nonsense")
    assert "option is unknown" in await refusal(garbage, binary, options={"no_such_option": "1"})
    assert str(garbage) in await refusal(garbage, binary)
    assert "its URL is wrong: in a password" in await refusal("rtsp://user:pass/word@127.0.0.1/x", binary)
    for port in ("99999", "x"):
        assert "a port is a number up to 65535" in await refusal(f"rtsp://127.0.0.1:{port}/x", binary)


@pytest.mark.parametrize(
    ("encoder", "words"),
    [("mjpeg", "its output cannot be recorded: its codec is mjpeg"), ("mpeg4", "not supported by MPEG 4 standard")],
)
async def test_an_encoder_that_is_of_no_use_is_not_blamed_on_the_input(
    tmp_path: Path, binary: str, encoder: str, words: str
) -> None:
    write_video(tmp_path / "input.mp4", "h264", capture_times(0.3, fps=20))
    source = FFmpegInput(
        tmp_path / "input.mp4", binary=binary, encoder=Encoder(encoder, 500_000, "", 20), logger=LOGGER, reencode=True
    )
    with pytest.raises(RequestError) as refused:
        await source.probe()
    assert (refused.value.code, refused.value.fields["encoder"]) == ("input-encoder", encoder)
    assert words in str(refused.value) and str(refused.value).endswith(". Choose another codec.")


@pytest.mark.parametrize("name", ["still.jpg", "still.png", "still.bmp", "still.tiff", "still.gif", "still.webp"])
async def test_a_still_is_no_recording(tmp_path: Path, binary: str, name: str) -> None:
    await _draw(binary, tmp_path / name, "-frames:v", "1")
    sentence = await refusal(tmp_path / name, binary)
    assert sentence.endswith("cannot be recorded: it is a still image, not a video.")
    assert "ffmpeg" not in sentence


@pytest.mark.parametrize("name", ["moving.gif", "moving.apng", "moving.mp4"])
async def test_pictures_that_move_are_recorded(tmp_path: Path, binary: str, name: str) -> None:
    await _draw(binary, tmp_path / name, "-t", "1")
    info = await open_input(tmp_path / name, binary).probe()
    assert info is not None and not info.live and (info.width, info.height) == (128, 72)


async def test_pictures_that_are_asked_for_as_a_video_are_recorded(tmp_path: Path, binary: str) -> None:
    await _draw(binary, tmp_path / "still-%d.jpg", "-t", "1")
    looped = open_input(tmp_path / "still-1.jpg", binary, format="image2", options={"loop": "1"})
    sequence = open_input(tmp_path / "still-%d.jpg", binary, format="image2")
    for source in (looped, sequence):
        info = await source.probe()
        assert info is not None and (info.width, info.height) == (128, 72)


async def test_a_video_of_one_frame_is_recorded(tmp_path: Path, binary: str) -> None:
    await _draw(binary, tmp_path / "one.mp4", "-frames:v", "1")
    assert await open_input(tmp_path / "one.mp4", binary).probe() is not None


async def _draw(binary: str, path: Path, *options: str) -> None:
    drawing = ["-f", "lavfi", "-i", "testsrc=size=128x72:rate=5"]
    await run_ffmpeg([binary, "-v", "error", *drawing, *options, str(path)])
