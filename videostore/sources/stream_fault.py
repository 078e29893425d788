"""What it means that a camera refuses. ffmpeg says it in words of protocols, other ones in each version."""

from __future__ import annotations

import re
from dataclasses import dataclass

from videostore.sources.ffmpeg_messages import FFmpegMessages


@dataclass(frozen=True, slots=True)
class _Fault:
    pattern: str
    reason: str


_UNKNOWN_HOST = "its host name is unknown"
WRONG_URL = (
    "its URL is wrong: in a password, /, ? and # are written as %2F, %3F and %23, and a port is a number up to 65535"
)
CLOSED = "it closed the connection"
NO_RTSP = "it does not speak RTSP, or closed the connection"
NO_TLS = "it does not speak TLS on this port"
_FAULTS = (
    _Fault(r"\b401\b", "the user name or the password is missing or wrong (401)"),
    _Fault(r"\b403\b", "it forbids access (403)"),
    _Fault(r"\b404\b", "it has no such stream (404)"),
    _Fault(r"\b454\b", "it has ended the session (454)"),
    _Fault(r"\b4\d\d\b.*[Nn]ot [Ee]nough|\b453\b|\b503\b", "it serves no further stream (453 or 503)"),
    _Fault(r"Protocol '(rtsps?)?' not on whitelist", "it redirects to another address, which has to be the URL"),
    _Fault(r"matches no streams", "it contains no video"),
    _Fault(r"unknown codec", "its video has a codec that this ffmpeg does not know"),
    _Fault(r"certificate verify failed", "its certificate is not trusted"),
    _Fault(r"SSL routines|TLS fatal|unexpected TLS packet|[Hh]andshake failure", NO_TLS),
    _Fault(r"Connection refused", "it refuses the connection"),
    _Fault(r"No route to host|unreachable", "it cannot be reached"),
    _Fault(r"[Ff]ailed to resolve|not known|name resolution", _UNKNOWN_HOST),
    _Fault(r"timed out", "it does not answer"),
    _Fault(r"Connection reset|Broken pipe|End of file|Stream ends prematurely", CLOSED),
    _Fault(r"[Ii]s a directory", "it is a directory"),
    _Fault(r"Inappropriate ioctl|Not a video capture device", "it is no camera"),
    _Fault(r"Protocol not found", "this ffmpeg does not support its protocol"),
    _Fault(r"Unknown input format", "this ffmpeg does not support its format"),
    _Fault(r"Connection to \S+ failed", "it cannot be reached"),
    _Fault(r"Port missing in uri", WRONG_URL),
    _Fault(
        r"Error setting option|[Uu]nable to parse|Undefined constant|Error parsing option",
        "an option for it has a value that this ffmpeg does not take",
    ),
    _Fault(r"Unknown encoder", "it has to be encoded, and this ffmpeg has no encoder for that"),
    _Fault(r"No such file or directory|No such device", "there is no such device"),
    _Fault(r"not on whitelist", "it is a file or a playlist, and only streams and devices have capture times"),
)


_REFUSED = re.compile(r"HTTP error (\d{3})|method \w+ failed: (\d{3})|Server returned (\d{3})")
_REFUSED_SOMEHOW = re.compile(r"Server returned ([45])XX")
_NO_PICTURE = re.compile(r"dimensions not set|unspecified size|Could not find codec parameters|No JPEG data found")
_RTSP = re.compile(r"\brtsps?://")
_NO_STREAM = re.compile(r"(?:Error opening input|^ffmpeg: \S+): Invalid data found|Unexpected Content-Type")


def stream_fault(messages: FFmpegMessages, *, ends_in_password: bool = False) -> str:
    """Why a stream could not be opened or read on; empty if ffmpeg says nothing that is known.

    `ends_in_password`: what ffmpeg takes for the host may be part of a password.
    """
    reason = next((fault.reason for fault in _FAULTS if messages.contains(fault.pattern)), "")
    if not reason and (refused := messages.found(_REFUSED) or messages.found(_REFUSED_SOMEHOW)):
        status = refused if len(refused) == 3 else f"{refused}xx"
        reason = f"it answers with the error {status}"
    return WRONG_URL if reason == _UNKNOWN_HOST and ends_in_password else reason


def other_fault(messages: FFmpegMessages, killed: str) -> str:
    """The same in words that are always true, with what ffmpeg says; empty if it says nothing. `killed` is which signal
    ended it, or empty."""
    detail = messages.detail
    if not detail:
        return killed
    reason = killed or "it cannot be read"
    if not killed and messages.contains(_NO_PICTURE):
        reason = "no picture of it can be decoded"
    elif not killed and messages.contains(_NO_STREAM):
        is_rtsp = messages.contains(_RTSP)
        reason = NO_RTSP if is_rtsp else "it is no video that ffmpeg knows"
    return f"{reason} (ffmpeg: {detail})"
