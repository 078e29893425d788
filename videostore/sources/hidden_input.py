"""Hands a URL to ffmpeg in a list on its standard input. As an argument, every user of the machine would see it."""

from __future__ import annotations

from collections.abc import Mapping

SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmpe", "rtmps", "rtmpt", "rtmpte", "rtmpts", "srt", "rist"})
"""URLs of these are always hidden."""
SCHEMES_OF_STREAMS = SCHEMES | {"http", "https", "tcp", "tls", "udp", "rtp"}
"""What can bring a stream."""
_PROTOCOLS = (
    "pipe,crypto,data,tcp,tls,udp,rtp,srtp,http,https,httpproxy,srt,rist,"
    "rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,ffrtmpcrypt,ffrtmphttp"
)
LIST_INPUT = ("-f", "concat", "-safe", "0", "-protocol_whitelist", _PROTOCOLS, "-i", "pipe:0")
"""The concat demuxer of a list with one entry, which leads to no file of this machine."""
_HTTP_FORMATS = "mpjpeg,mjpeg,mpegts,flv,live_flv,h264,hevc"
"""Streams over HTTP. Files have an end, and playlists (HLS, DASH) arrive late and in bursts."""
_OF_PROGRAM = frozenset(
    {"c", "c:v", "codec", "codec:v", "vcodec", "hwaccel", "hwaccel_device", "hwaccel_output_format", "itsoffset", "r"}
    | {"re", "readrate", "ss", "sseof", "stream_loop", "t", "thread_type", "threads", "to", "err_detect"}
)
"""Options that are not for what opens the input, but for the program and its decoder."""


def can_be_hidden(scheme: str) -> bool:
    """Whether a URL of this scheme can be handed over so; a device or a file, without one, has nothing to hide."""
    return not scheme or scheme in SCHEMES_OF_STREAMS


def list_of(url: str, options: Mapping[str, str], format: str | None) -> bytes:
    """The list with this URL and ffmpeg's options for it."""
    options = {name: value for name, value in options.items() if name not in _OF_PROGRAM}
    if format:
        options["format_whitelist"] = format
    elif url.lower().startswith("http"):
        options["format_whitelist"] = _HTTP_FORMATS
    lines = ["ffconcat version 1.0", f"file {_quoted(url)}"]
    lines += [f"option {name} {_quoted(value)}" for name, value in options.items()]
    return "\n".join([*lines, ""]).encode()


def program_options(options: Mapping[str, str]) -> dict[str, str]:
    """Those that stay arguments."""
    return {name: value for name, value in options.items() if name in _OF_PROGRAM}


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
