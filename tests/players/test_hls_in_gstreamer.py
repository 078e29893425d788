"""What GStreamer shows of playlists, on which the players of GNOME and of many embedded machines are built."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.players.programs import alone, gray_frames
from tests.players.reading import read_frames
from tests.support.coding import coded_packets, record_coded
from tests.support.recording import SMALL, START_US, US, capture_times, record, take_over
from tests.support.web_server import run_web
from videostore.config import WebConfig
from videostore.web.guard import Guard
from videostore.web.password import Password

_LAUNCH = shutil.which("gst-launch-1.0")
_SEEN = re.compile(r"seen:sink.*? pts: (\d+):(\d+):([0-9.]+),")
_WITHIN_S = 300.0
_TOO_SOON, _TRIES = b"Couldn't download fragments", 5
"""GStreamer 1.22 says this at times of what is shorter than 30 s: all of it was loaded before its decoder was there."""


@pytest.fixture(autouse=True)
def gstreamer() -> None:
    for plugin in ("hlsdemux2", "avdec_h264", "souphttpsrc"):
        if _LAUNCH is None or subprocess.run(["gst-inspect-1.0", "--exists", plugin]).returncode:
            pytest.skip("GStreamer or one of its plugins is not installed")


def shown(address: str, directory: Path) -> tuple[list[int], list[float]]:
    """The capture times of the frames that it shows of an address, to its end, and when each is shown. Blocking."""
    assert _LAUNCH is not None
    path = directory / "frames.raw"
    video = f"videoconvert ! video/x-raw,format=GRAY8 ! identity name=seen silent=false ! filesink location={path}"
    command = [_LAUNCH, "-v", "playbin3", f"uri={address}", f"video-sink={video}", "audio-sink=fakesink sync=false"]
    for _ in range(_TRIES):
        done = subprocess.run(command, env=alone(directory), capture_output=True, timeout=_WITHIN_S)
        if _TOO_SOON not in done.stderr:
            break
    assert done.returncode == 0 and path.exists(), done.stderr.decode()
    told = [(int(hours), int(minutes), float(rest)) for hours, minutes, rest in _SEEN.findall(done.stdout.decode())]
    shown_s = [hours * 3600 + minutes * 60 + rest for hours, minutes, rest in told]
    return read_frames(gray_frames(path.read_bytes(), SMALL)), shown_s


def address_of(url: str, times: Sequence[int]) -> str:
    return f"{url}hls/cam/index.m3u8?from_us={times[0]}&to_us={times[-1] + 1}"


@pytest.mark.parametrize("kind", ["over a gap", "B frames", "H.265"])
def test_it_shows_each_frame_of_a_range(kind: str, tmp_path: Path) -> None:
    times = capture_times(7)

    async def make() -> None:
        if kind == "over a gap":
            after = capture_times(5, START_US + 60 * US)
            await record(tmp_path / "cam", times, size=SMALL)
            await record(tmp_path / "cam", after, size=SMALL)
            times.extend(after)
        else:
            codec = "h264" if kind == "B frames" else "hevc"
            packets = coded_packets(times, codec, gop=20, b_frames=3 if codec == "h264" else 0, size=SMALL)
            await record_coded(tmp_path / "cam", packets)
        await take_over(tmp_path / "cam")

    asyncio.run(make())
    with run_web([tmp_path / "cam"]) as web:
        found, shown_s = shown(address_of(web.url, times), tmp_path)
    assert found == times
    # Each frame is shown for as long as it was the newest one, a gap left out. Reordered frames are dated later by as
    # much as they wait for others, which GStreamer takes for a pause where the second file begins.
    within_s = 0.4 if kind == "B frames" else 0.002
    for (captured_us, next_us), (one_s, next_s) in zip(pairwise(times), pairwise(shown_s), strict=True):
        if next_us - captured_us < 30 * US:
            assert next_s - one_s == pytest.approx((next_us - captured_us) / US, abs=within_s)
        else:
            assert 0 < next_s - one_s < 1


def test_it_plays_with_the_password_in_the_address(tmp_path: Path) -> None:
    times = capture_times(3)

    async def make() -> None:
        await record(tmp_path / "cam", times, size=SMALL)
        await take_over(tmp_path / "cam")

    asyncio.run(make())
    with run_web(
        [tmp_path / "cam"], Guard(WebConfig("127.0.0.1", 0, password_env="P"), Password("long enough"))
    ) as web:
        address = address_of(web.url, times).replace("//", "//any:long%20enough@", 1)
        found, _ = shown(address, tmp_path)
    assert found == times
