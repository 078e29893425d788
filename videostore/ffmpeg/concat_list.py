"""Lists for ffmpeg's concat demuxer, which plays several files as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.base.time_format import format_seconds

CONCAT_INPUT = {"f": "concat", "safe": 0, "format_whitelist": "concat,mov", "protocol_whitelist": "file,subfile"}
"""Options for a list as an input. Without `safe` the demuxer refuses absolute paths. The other two hold for the files
in it as well: a damaged or forged one is never taken for a playlist, which would lead to other files or hosts."""
LATE_CONCAT_INPUT = {**CONCAT_INPUT, "protocol_whitelist": "file,subfile,pipe"}
"""The same for a list that ffmpeg reads from its standard input, which is all that a pipe can lead to."""
COPIED_INPUT = {"nofind_stream_info": None}
"""More options for a list that is copied. The demuxer itself has read the first file to know the streams; for ffmpeg to
do so once more takes 3 ms."""

_HEADER = "ffconcat version 1.0"
_VIDEO_ONLY = ("stream", "exact_stream_id 1")
"""The first track. With sound, the demuxer takes for the start of a file what begins first, be it that or the video."""
_UNPROBED = "option fpsprobesize 0"
"""ffmpeg need not know at which rate frames come. To read some for that takes 4 ms for each file that is copied, and to
decode them a fifth of the time in which a few frames of 1080p are encoded. But from those it learns how far frames are
reordered, if the stream does not say it: without, it would leave out some."""
_BLOCK_LINES = 1000


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of a list."""

    path: Path
    """Relative to the list's directory, or absolute."""
    duration_us: int
    """How long it is shown, in microseconds. The next file starts then, whatever the file itself says."""
    inpoint_us: int | None = None
    """Where in the file to start, in microseconds; None for its beginning."""
    outpoint_us: int | None = None
    """The file ends before the first frame that is decoded at this time or later, in microseconds; None for its end."""
    size_bytes: int | None = None
    """How many bytes of the file are read, from its start; None for all. An absolute path is needed for that."""


def concat_list(
    files: Iterable[ListedFile], *, video_only: bool = False, piped: bool = False, in_order: bool = False
) -> str:
    """The text of a list. `video_only` is for files of ours with sound, of which the demuxer then knows nothing.
    A list that is `piped` to ffmpeg has absolute paths alone. Of one that is `in_order`, frames are only copied, or
    decoded in the order in which they are shown.

    Raises:
        RequestError: a path contains a line break, which the format cannot express.
    """
    blocks, lines = [], [_HEADER, *(_VIDEO_ONLY if video_only else ())]
    for one in files:
        if len(lines) >= _BLOCK_LINES:  # freeing them all at once would hold up other threads
            blocks.append("\n".join(lines))
            lines = []
        lines.append(f"file {_quoted(one, piped=piped)}")
        if in_order:
            lines.append(_UNPROBED)
        if one.inpoint_us is not None:
            lines.append(f"inpoint {format_seconds(one.inpoint_us)}")
        if one.outpoint_us is not None:
            lines.append(f"outpoint {format_seconds(one.outpoint_us)}")
        lines.append(f"duration {format_seconds(one.duration_us)}")
    return "\n".join([*blocks, *lines, ""])


def _quoted(file: ListedFile, *, piped: bool) -> str:
    text = str(file.path)
    if "\n" in text or "\r" in text:
        raise RequestError("path-unlistable", path=file.path)
    if file.size_bytes is None and piped:
        text = f"file:{text}"  # a path alone would be taken for the name of a pipe
    elif file.size_bytes is not None:
        text = f"subfile,,start,0,end,{file.size_bytes},,:{text}"
    return "'" + text.replace("'", "'\\''") + "'"
