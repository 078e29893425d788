from __future__ import annotations

import logging

import pytest

from tests.support.inputs import open_input
from tests.support.recording import LOGGER
from videostore.base.errors import RequestError
from videostore.media.packet import Gap
from videostore.sources.ffmpeg_messages import FFmpegMessages


def read(*lines: tuple[int, str]) -> FFmpegMessages:
    """Messages in which `pw` is a secret."""
    messages = FFmpegMessages(LOGGER, lambda text: text.replace("pw", "…"))
    for level, line in lines:
        messages.log(level, "ffmpeg: %s", line)
    return messages


def test_warnings_and_errors_are_kept_once_each_without_secrets() -> None:
    lines = [(logging.ERROR, f"error {number} of pw") for number in (1, 2, 2, 3, 4)]
    messages = read(*lines, (logging.INFO, "Stream mapping:"))
    assert messages.first == "error 1 of …; error 2 of …; error 3 of …"
    assert messages.detail == "error 4 of …"
    assert messages.contains("4 of pw") and not messages.contains("mapping")


def test_what_decoders_report_before_the_first_keyframe_is_not_kept() -> None:
    messages = read((logging.ERROR, "[h264] non-existing PPS 0 referenced"), (logging.ERROR, "[h264] no frame!"))
    assert messages.detail == ""


def test_the_format_the_duration_and_the_rotation_of_the_input_are_recognized() -> None:
    messages = read()
    assert (messages.formats, messages.has_duration, messages.rotated) == (frozenset(), False, False)
    messages = read(
        (logging.INFO, "Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'x.mp4':"),
        (logging.INFO, "Duration: 00:00:01.00, start: 0.000000, bitrate: 181 kb/s"),
        (logging.INFO, "displaymatrix: rotation of -90.00 degrees"),
    )
    assert {"mov", "mp4"} <= messages.formats and messages.has_duration and messages.rotated
    assert messages.sound == ""
    messages = read(
        (logging.INFO, "  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 8000 Hz, mono, fltp"),
        (logging.INFO, "  Stream #1:0: Audio: opus, 48000 Hz, stereo"),
    )
    assert messages.sound == "aac"
    messages = read(
        (logging.INFO, "Duration: N/A, start: 0.000000, bitrate: N/A"),
        (logging.INFO, "displaymatrix: rotation of -0.00 degrees"),
    )
    assert (messages.has_duration, messages.rotated) == (False, False)


@pytest.mark.parametrize(
    ("described", "untimed"),
    [
        ("mjpeg (Baseline), yuvj420p(pc), 320x180 [SAR 1:1 DAR 16:9], 25 tbr, 25 tbn", True),
        ("mjpeg (Baseline), yuvj422p(pc), 640x480, 15 fps, 15 tbr, 1000k tbn", False),  # a webcam
        ("mjpeg (Baseline), yuvj420p(pc), 640x480, 25 fps, 25 tbr, 90k tbn", False),  # over RTSP
        ("h264 (Constrained Baseline), yuv420p(progressive), 640x360, 25 fps, 25 tbr, 1200k tbn", True),
        ("hevc (Main), yuv420p(tv), 640x360, 25 fps, 25 tbr, 1200k tbn, 25 tbc", True),
        ("h264 (High) ([27][0][0][0] / 0x001B), yuv420p, 640x360, 20 fps, 20 tbr, 90k tbn", False),
        ("h264 (High), yuv420p, 640x360, 25 fps, 25 tbr, 25 tbn", False),
    ],
)
def test_streams_whose_times_ffmpeg_makes_up_are_recognized(described: str, untimed: bool) -> None:
    assert read((logging.INFO, f"Stream #0:0: Video: {described}")).untimed is untimed


@pytest.mark.parametrize(
    ("described", "known"),
    [
        ("h264 (High) ([27][0][0][0] / 0x001B), yuv420p, 640x360, 20 fps, 20 tbr, 90k tbn", True),
        ("hevc (Main) ([36][0][0][0] / 0x0024), yuv420p, 640x360, 20 fps, 20 tbr, 90k tbn", True),
        ("h264 (High) (avc1 / 0x31637661), yuv420p, 640x360, 20 fps, 20 tbr, 90k tbn", False),
        ("h264 (High) ([7][0][0][0] / 0x0007), yuv420p, 640x360, 20 fps, 20 tbr, 1k tbn", False),
    ],
)
def test_mpeg_ts_is_known_behind_a_list(described: str, known: bool) -> None:
    lines = ("Input #0, concat, from 'pipe:0':", f"Stream #0:0: Video: {described}")
    assert ("mpegts" in read(*((logging.INFO, line) for line in lines)).formats) is known


async def test_a_password_is_never_shown(binary: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for url, is_wrong in (
        ("http://joe:pa55word@127.0.0.1:1/x?token=t0ken", False),
        ("rtsp://joe:pa5/5word@127.0.0.1:1/x", True),
    ):
        source = open_input(url, binary)
        refusal = ""
        try:
            assert await source.probe() is None  # it does not answer now, but may do so later
        except RequestError as error:
            refusal = str(error)
        assert bool(refusal) == is_wrong
        packets = source.packets()
        gap = await packets.__anext__()
        await packets.aclose()  # type: ignore[attr-defined]
        assert isinstance(gap, Gap) and "…@127.0.0.1:1/x" in gap.reason
        shown = refusal + gap.reason + caplog.text
        assert "127.0.0.1" in shown
        assert not [secret for secret in ("joe", "pa55word", "pa5", "5word", "t0ken") if secret in shown]


@pytest.mark.parametrize(
    "input",
    [
        "rtsp://127.0.0.1:1/user=admin_password=s3cret_channel=1_stream=0.sdp",
        "rtsp://admin:1/s3cret@127.0.0.1:1/x",
        "rtsp://admin:12#s3cret@127.0.0.1:1/x",
        "rtsp://s3cret:12?34@127.0.0.1:1/x",
        "rtsp:admin:s3cret@127.0.0.1:1/x",
        "http://127.0.0.1:1/x;pwd=s3cret",
        "http://127.0.0.1:1/x#access_token=s3cret",
        "http://127.0.0.1:1/x?a=b&pwd=a/s3cret",
        "rtmp://127.0.0.1:1/live/s3cret",
        "concat:http://u:s3cret@127.0.0.1:1/1|http://u:s3cret@127.0.0.1:1/2",
        "file:/none/pwd=s3cret",
    ],
)
async def test_no_message_of_ffmpeg_shows_a_password(binary: str, input: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = ""
    source = open_input(input, binary, patience_s=1)
    try:
        await source.probe()
    except RequestError as error:
        shown = str(error)
    packets = source.packets()
    gap = await packets.__anext__()
    await packets.aclose()  # type: ignore[attr-defined]
    assert isinstance(gap, Gap)
    shown += gap.reason + caplog.text
    assert "…" in shown and "s3cret" not in shown


@pytest.mark.parametrize(
    ("lines", "detail"),
    [
        (
            ["[http] HTTP error 461 What", "[in#0] Impossible to open 'http://x'", "Error opening input file pipe:0."],
            "HTTP error 461 What",
        ),
        (["[in#0] Error opening input: Invalid data found", "Error opening input file pipe:0."], "Invalid data found"),
        (["[concat] Impossible to open 'x'", "pipe:0: Input/output error"], "Input/output error"),
        (["[a] [b] one", "[nut] dimensions not set"], "one"),
        (["Error opening input file pipe:0."], ""),
        (["x" * 1000], "x" * 160 + "…"),
    ],
)
def test_the_detail_is_the_fault_and_not_what_follows_from_it(
    lines: list[str], detail: str, caplog: pytest.LogCaptureFixture
) -> None:
    messages = read(*((logging.ERROR, line) for line in lines))
    assert messages.detail == detail
    assert "pipe:0" not in "".join(one.getMessage() for one in caplog.records if one.levelno > logging.DEBUG)


@pytest.mark.parametrize(
    "line",
    [
        "[rtsp] RTP: missed 3 packets",
        "[in#0/rtsp] max delay reached. need to consume packet",
        "[rtsp] jitter buffer full",
        "[mpegts] Packet corrupt (stream = 0, dts = 12).",
        "[mpegts] Continuity check failed for pid 256 expected 3 got 5",
    ],
)
@pytest.mark.parametrize("level", [logging.WARNING, logging.DEBUG])
def test_losses_are_counted_also_those_that_are_not_logged_again(line: str, level: int) -> None:
    messages = FFmpegMessages(LOGGER, str, now_us=lambda: 7)
    messages.log(level, "ffmpeg: %s", line)
    messages.log(logging.WARNING, "ffmpeg: %s", "[h264] something else")
    assert (messages.losses, messages.lost_us) == (1, 7)
