from __future__ import annotations

from pathlib import Path

import pytest

from videostore.ffmpeg.known_options import OptionFault, option_fault

USED = (
    *("rtsp_transport", "timeout", "user_agent", "headers", "video_size", "framerate", "input_format", "buffer_size"),
    *("fifo_size", "latency", "passphrase", "rtmp_live", "reorder_queue_size", "max_delay", "probesize", "fflags"),
    *("use_wallclock_as_timestamps", "reconnect", "ca_file", "thread_queue_size", "hwaccel", "r", "c:v", "t"),
)
"""Options that guides for network cameras and devices name."""


async def test_options_of_demuxers_protocols_and_the_program_are_known(binary: str) -> None:
    assert await option_fault(binary, dict.fromkeys(USED, "")) is None
    assert await option_fault("/there/is/none", {}) is None


@pytest.mark.parametrize(
    ("name", "similar"), [("rtsp_transprot", "rtsp_transport"), ("stimeout", "timeout"), ("zzzzzzzzzzzz", "")]
)
async def test_what_no_part_of_ffmpeg_has_is_named_with_what_is_meant(binary: str, name: str, similar: str) -> None:
    found = await option_fault(binary, {"timeout": "5000000", name: "1", "r": "25"})
    assert found == OptionFault(name, None, similar)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rtsp_transport", "true", "one of udp, tcp, udp_multicast, http, https"),
        ("rtsp_transport", "1", "one of udp, tcp, udp_multicast, http, https"),
        ("rtsp_transport", "tpc", "one of udp, tcp, udp_multicast, http, https"),
        ("timeout", "10s", "a number"),
        ("reorder_queue_size", "many", "a number"),
        ("reconnect", "maybe", "true or false"),
    ],
)
async def test_a_value_that_no_part_of_ffmpeg_takes_is_named_with_what_would_be_right(
    binary: str, name: str, value: str, expected: str
) -> None:
    assert await option_fault(binary, {name: value}) == OptionFault(name, value, expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("rtsp_transport", "udp"), ("rtsp_transport", "udp+tcp"), ("fflags", "+nobuffer+genpts")),
        *(("timeout", "5000000"), ("fflags", "-autobsf"), ("probesize", "32k"), ("max_delay", "0.5")),
        *(("reconnect", "1"), ("reconnect", "true"), ("threads", "auto"), ("framerate", "30000/1001"), ("loop", "1")),
        *(("discard", "nokey"), ("err_detect", "ignore_err"), ("c:v", "mjpeg"), ("timeout", "0x10"), ("ss", "10s")),
    ],
)
async def test_a_value_that_some_part_of_ffmpeg_may_take_is_left_to_it(binary: str, name: str, value: str) -> None:
    assert await option_fault(binary, {name: value}) is None


async def test_an_ffmpeg_with_another_help_refuses_nothing(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no help\n")
    program.chmod(0o755)
    assert await option_fault(str(program), {"whatever": "x"}) is None
