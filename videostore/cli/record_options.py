"""The argument and the options of `videostore record` alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videostore.cli import environment

HELP = (
    "INPUT is anything that ffmpeg can open. H.264 and H.265 are recorded without re-encoding, if possible; everything "
    "else is encoded. Sound is recorded too, unless --no-audio is given. A file is read in real time, as if it were a "
    "live camera. Recording stops when the input ends, after --duration, or at Ctrl-C; the last segment is always "
    "finished, and what ffmpeg still holds is waited for. After Ctrl-C the footage is kept, and the exit code is 0. "
    "Write a file whose name begins with a dash as ./-name. A URL that is typed as INPUT is in the history of the "
    "shell, and in the list of processes as part of this command line, with its password; --url-file keeps it out of "
    "both."
)

Input = Annotated[
    str | None,
    typer.Argument(metavar="INPUT", help="A file, a device or a URL. Required unless --url-file is given."),
]
UrlFile = Annotated[
    str | None,
    typer.Option(
        "--url-file",
        metavar="FILE",
        help="Read the URL of a stream from the first line of this file instead, or from standard input if it is -.",
    ),
]
Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait for a camera that is not there yet or refuses, and try it again, at least every 30 s. Without it, "
        "a missing device and a refusal (401, 403, 404) end the program at the start.",
    ),
]
NewStorage = Annotated[
    Path,
    typer.Option(
        "--storage",
        metavar="DIR",
        envvar=environment.STORAGE,
        readable=False,  # the recorder says who may use it
        help="The storage directory. It is created if it does not exist.",
    ),
]
SizeGb = Annotated[
    str, typer.Option("--size-gb", metavar="N", help="Storage quota in GiB. Beyond it the oldest video is deleted.")
]
Duration = Annotated[
    str | None,
    typer.Option(
        "--duration", metavar="LENGTH", help="Stop after this time, or after so much of a file: 30s, 5m, 1h30m …"
    ),
]
SegmentSeconds = Annotated[
    str | None, typer.Option("--segment-seconds", metavar="N", help="Length of a segment in seconds. Default: 30.")
]
Reencode = Annotated[bool, typer.Option("--reencode", help="Re-encode even if that is not needed.")]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.")]
Codec = Annotated[
    str | None,
    typer.Option(
        "--codec",
        metavar="NAME",
        help="If re-encoded: h264, h265, or the name of an ffmpeg encoder. Default: h264.",
    ),
]
Bitrate = Annotated[
    str | None, typer.Option("--bitrate", metavar="N", help="If re-encoded: bits per second. Default: 1000000.")
]
Preset = Annotated[
    str | None,
    typer.Option("--preset", metavar="NAME", help="If re-encoded: ultrafast … veryslow. Default: medium."),
]
Framerate = Annotated[
    str | None,
    typer.Option("--framerate", metavar="N", help="If re-encoded: the expected frames per second. Default: 20."),
]
Format = Annotated[
    str | None, typer.Option("--format", metavar="NAME", help="ffmpeg's format of the input, such as v4l2.")
]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="An ffmpeg option for the input. It may be given several times."
    ),
]
