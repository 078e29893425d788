"""The arguments and the options of `videostore import` alone."""

from __future__ import annotations

from typing import Annotated

import typer

HELP = (
    "The video of files becomes a recording of its own time, as fast as the disk can. H.264 and H.265 are not "
    "re-encoded, if possible, nor is sound in AAC or Opus; other sound becomes AAC. Without --start, a file has to "
    "tell when it was captured: a clip or a segment to the microsecond, others to the second by their header or their "
    "name, which is local time without a Z. If that is doubtful, the file is refused; the other files are stored. The "
    "same file is stored once. Import into a directory of its own."
)

Files = Annotated[list[str], typer.Argument(metavar="FILE...", help="Video files, such as those of an SD card.")]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="When the first frame of the file was captured: 2026-11-22T02:50:00Z, 02:50 … Default: what it tells.",
    ),
]
NoAudio = Annotated[bool, typer.Option("--no-audio", help="Leave the sound out.")]
Quota = Annotated[
    str | None,
    typer.Option(
        "--size-gb",
        metavar="N",
        help="Storage quota of the directory in GiB, which must hold everything. Needed for the directory of a "
        "recorder.",
    ),
]
