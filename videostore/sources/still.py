"""Makes a JPEG of a keyframe. Another process decodes it: what a camera sends must not crash this one."""

from __future__ import annotations

import asyncio

import ffmpeg

from videostore.base.constants import CUT_NICENESS
from videostore.base.errors import FFmpegError
from videostore.base.system import subordinate
from videostore.base.tasks import off_loop
from videostore.ffmpeg.process import end_process, start_ffmpeg
from videostore.media.packet import Packet

_TIMEOUT_S = 20.0
_QUALITY = 3
"""ffmpeg's scale for JPEG, 2 to 31: 3 is hardly distinguishable from the original."""


async def still(binary: str, keyframe: Packet) -> bytes:
    """The picture of a keyframe as a JPEG, in the full range that JPEGs have.

    Raises:
        FFmpegError: it cannot be decoded completely, or not in time.
    """
    command = await off_loop(subordinate, _command(binary, keyframe.format.codec), CUT_NICENESS)
    process = await start_ffmpeg(command, stdin=True, stdout=True)
    try:
        picture, messages = await asyncio.wait_for(process.communicate(keyframe.data), _TIMEOUT_S)
    except asyncio.TimeoutError as error:
        raise FFmpegError("ffmpeg-timeout", timeout_s=_TIMEOUT_S) from error
    finally:
        await end_process(process)
    if process.returncode or not picture:
        reason = messages.decode(errors="replace").partition("\n")[0] or "it gave no reason"
        raise FFmpegError("ffmpeg-failed", exit_code=process.returncode, reason=reason)
    return picture


def _command(binary: str, codec: str) -> list[str]:
    options = {"threads": 1, "err_detect": "crccheck+explode", "protocol_whitelist": "pipe", "format_whitelist": codec}
    video = ffmpeg.input("pipe:0", f=codec, **options).video.filter("scale", out_range="pc", out_color_matrix="bt601")
    output = video.filter("format", "yuvj420p").output(
        "pipe:1", f="image2pipe", **{"c:v": "mjpeg", "q:v": _QUALITY, "frames:v": 1}
    )
    command: list[str] = output.global_args("-hide_banner", "-nostats", "-loglevel", "error").compile(cmd=binary)
    return command
