from __future__ import annotations

from pathlib import Path

import pytest

from videostore.ffmpeg.known_options import unknown_option

USED = (
    *("rtsp_transport", "timeout", "user_agent", "headers", "video_size", "framerate", "input_format", "buffer_size"),
    *("fifo_size", "latency", "passphrase", "rtmp_live", "reorder_queue_size", "max_delay", "probesize", "fflags"),
    *("use_wallclock_as_timestamps", "reconnect", "ca_file", "thread_queue_size", "hwaccel", "r", "c:v", "t"),
)
"""Options that guides for network cameras and devices name."""


async def test_options_of_demuxers_protocols_and_the_program_are_known(binary: str) -> None:
    assert await unknown_option(binary, USED) is None
    assert await unknown_option("/there/is/none", ()) is None


@pytest.mark.parametrize(
    ("name", "similar"), [("rtsp_transprot", "rtsp_transport"), ("stimeout", "timeout"), ("zzzzzzzzzzzz", "")]
)
async def test_what_no_part_of_ffmpeg_has_is_named_with_what_is_meant(binary: str, name: str, similar: str) -> None:
    assert await unknown_option(binary, ["timeout", name, "r"]) == (name, similar)


async def test_an_ffmpeg_with_another_help_refuses_nothing(tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no help\n")
    program.chmod(0o755)
    assert await unknown_option(str(program), ["whatever"]) is None
