from __future__ import annotations

import asyncio
import functools
import http.server
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.coding import write_video
from tests.support.inputs import Tap, open_input, playing, refusal
from tests.support.recording import H264, LOGGER, US, capture_times, until
from videostore.sources.ffmpeg_messages import FFmpegMessages
from videostore.sources.input_profile import LOOK_S, PATIENT_FACTOR, SLOW_US, InputProfile, InputSettings
from videostore.sources.input_url import Address


def profile_of(input: str | Path, format: str | None = None) -> InputProfile:
    address = Address(str(input), {}, format)
    return InputProfile(InputSettings(address, {}, format, "ffmpeg", H264, 1, 1), reencode=False)


def failed_with(line: str) -> FFmpegMessages:
    """What an ffmpeg reports that fails with this error."""
    messages = FFmpegMessages(LOGGER, str)
    messages.log(logging.ERROR, line)
    return messages


def test_urls_and_devices_are_live_and_files_are_not(tmp_path: Path) -> None:
    file = tmp_path / "x.mp4"
    file.touch()
    assert not profile_of(file).live and not profile_of("testsrc", "lavfi").live
    assert profile_of("rtsp://host/path").live and profile_of("/dev/null").live


async def test_a_url_with_a_duration_is_not_live() -> None:
    for url, live in (("http://host/x.mp4", False), ("tcp://host:1", True)):
        profile, messages = profile_of(url), FFmpegMessages(LOGGER, str)
        messages.log(logging.INFO, "Duration: 00:00:01.00, start: 0.000000")
        await profile.learn(messages)
        assert profile.live is live


def test_ffmpeg_analyses_a_stream_for_longer_after_each_attempt_without_a_keyframe() -> None:
    profile = profile_of("rtsp://host/path")
    looks = []
    for _ in range(4):
        looks.append(profile.look_s)
        profile.look_longer(failed_with("Could not find codec parameters for stream 0"))
    assert looks == [*LOOK_S, LOOK_S[-1]]
    profile = profile_of("rtsp://host/path")
    profile.look_longer(failed_with("Connection refused"))
    assert profile.look_s == LOOK_S[0]


def test_a_stream_that_sends_nothing_is_waited_for_longer_at_every_fourth_attempt() -> None:
    profile = profile_of("rtsp://host/path")
    waits, told = [], []
    for _ in range(6):
        waits.append(profile.patience_s)
        told.append(profile.silence("it does not answer"))
        profile.look_longer(failed_with("Connection timed out"))
    assert waits == [1, 1 * PATIENT_FACTOR, 1, 1, 1, PATIENT_FACTOR]
    assert told == ["it does not answer", *["no frame within 2.5 s: it sends none, or less than one in 1 s"] * 5]
    profile.learn_pace(10, 9 * SLOW_US)
    assert profile.patient is False and profile.silence("") != "no frame within 1 s"
    profile.learn_pace(10, 8 * SLOW_US)
    assert profile.silence("") == "no frame within 1 s"


def test_times_that_are_wrong_twice_in_a_row_are_not_used_and_sound_is_given_up_only_for_video() -> None:
    def profile(options: dict[str, str] | None = None, *, sound: bool = False) -> InputProfile:
        options = options or {}
        address = Address("rtsp://camera/", options, None)
        made = InputProfile(InputSettings(address, options, None, "ffmpeg", H264, 1, 1, sound=sound), reencode=False)
        made.sound = "aac"
        return made

    minute_us = 60 * US
    silent = profile()
    assert not silent.learn_wrong_times(100, 5 * US)
    assert not silent.learn_wrong_times(2000, minute_us + 1)  # they were right for long
    assert silent.learn_wrong_times(100, 5 * US) and silent.untimed
    assert profile().learn_wrong_times(0, 0)  # nothing could be recorded
    chosen = profile({"use_wallclock_as_timestamps": "1"})
    assert not chosen.learn_wrong_times(0, 0) and not chosen.untimed
    sounding = profile(sound=True)
    assert not any(sounding.learn_wrong_times(100, 5 * US) for _ in range(3))
    assert sounding.recorded_sound == "aac"
    assert sounding.learn_wrong_times(0, 0) and sounding.recorded_sound == "" and sounding.sound_fault


def test_a_camera_that_cannot_be_reached_is_not_waited_for_longer(tmp_path: Path) -> None:
    profile = profile_of("rtsp://host/path")
    for line in ("Connection to tcp://host:554?timeout=0 failed: Connection timed out", "Connection refused"):
        profile.look_longer(failed_with(line))
        assert not profile.patient
    file = tmp_path / "x.mp4"
    file.touch()
    profile = profile_of(file)
    profile.learn_silence()
    assert not profile.patient


def test_video_that_ffmpeg_cannot_copy_is_reencoded_once() -> None:
    profile = profile_of("x.avi")
    refused, hidden = failed_with("Connection refused"), failed_with("Negative pts not supported")
    assert [profile.must_reencode(messages) for messages in (refused, hidden, hidden)] == [False, True, False]
    assert profile.reencoded == "it starts with hidden frames"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL at which a web server serves it."""
    directory = tmp_path / "served"
    directory.mkdir()
    handler = functools.partial(QuietHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield directory, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("name", ["live.m3u8", "ended.m3u8", "ended.mpd"])
async def test_formats_that_arrive_in_bursts_are_refused(
    tmp_path: Path, binary: str, served: tuple[Path, str], name: str, b_frames: int
) -> None:
    """Each time such an input is opened, the same frames would be recorded again with wrong times."""
    directory, url = served
    write_video(tmp_path / "input.mp4", "h264", capture_times(4, fps=20, seed=None), b_frames=b_frames)
    process = await asyncio.create_subprocess_exec(
        *(binary, "-v", "error", "-i", str(tmp_path / "input.mp4"), "-c", "copy"),
        *(("-f", "dash") if name.endswith("mpd") else ("-f", "hls", "-hls_time", "1", "-hls_list_size", "0")),
        str(directory / name),
    )
    assert await process.wait() == 0
    if name == "live.m3u8":
        lines = (directory / name).read_text().splitlines()
        (directory / name).write_text("\n".join(line for line in lines if line != "#EXT-X-ENDLIST") + "\n")
    kind = "DASH" if name.endswith("mpd") else "HLS"
    reason = f"cannot be recorded: it is {kind}, which arrives late and in bursts, so capture times would be wrong"
    for input in (f"{url}/{name}", directory / name):
        assert reason in await refusal(input, binary)
        source = Tap(open_input(input, binary))  # without probing it first
        async with playing(source):
            await until(functools.partial(bool, source.gaps))
        assert reason in source.gaps[0].reason and "RTSP" in source.gaps[0].reason
        assert not source.packets_seen
