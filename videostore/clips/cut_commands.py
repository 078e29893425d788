"""The ffmpeg commands that make the clip of a plan: what to run, in which order, with which lists and options.

Nothing here runs or writes anything: `ClipCutter` writes the files of each command and runs it.

A clip is copied from the segments by the concat demuxer, with two exceptions. A fragmented MP4 cannot hide the frames
between a keyframe and the first frame of its range, so these are re-encoded. Parts that differ in frame size or codec
are all re-encoded to the largest size, because a clip cannot change it midway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.constants import FASTSTART_BYTES, US_PER_SECOND
from videostore.base.time_format import format_seconds
from videostore.clips.plan import REENCODED_FACTOR, ClipPart, Plan, groups_of
from videostore.clips.time_tags import plan_tags
from videostore.ffmpeg.concat_list import CONCAT_INPUT, ListedFile, concat_list
from videostore.ffmpeg.options import EXACT_TIMES, REENCODED
from videostore.media.clip_times import DATE, TITLE

_ESCAPES = str.maketrans({**{c: "\\" + c for c in "=;#\\\n\r"}, "\0": None})
_FRAGMENTED = "+frag_keyframe+empty_moov+default_base_moof"


@dataclass(frozen=True, slots=True)
class CutCommand:
    """One run of ffmpeg. The last command of a clip writes the clip, those before it write parts of it."""

    arguments: tuple[str, ...]
    """Inputs, options and output; the program and the options for its messages are not among them."""
    files: Mapping[Path, str]
    """Files to write before it runs, with their text: the lists and tags that it reads."""


def cut_commands(
    plan: Plan, output: str, *, container: str, comment: str, recorder: str, work: Path
) -> tuple[CutCommand, ...]:
    """The commands that write a clip to a file or a pipe, in the order in which they must run.

    `container` is `mp4` or `fmp4`; `comment` goes into the clip's comment tag, and the recorder's name into its title.
    Temporary files are in `work`.

    Raises:
        RequestError: the path of a segment cannot be written in a list.
    """
    commands = _Commands(work)
    first = plan.parts[0]
    options: dict[str, Any] = {
        "f": "mp4",
        "c": "copy",
        "map_metadata": 1,
        # In milliseconds, the muxer's default, the edit list could end before the last frame.
        "movie_timescale": US_PER_SECOND,
    }
    last_length_us = plan.parts[-1].last_length_us
    if last_length_us is not None:
        # Up to ffmpeg 7.1 the demuxer reports no duration for the frames of fragments, later ones guess that of a
        # segment's last frame. The muxer uses only the last frame's duration: for the others it takes the distances.
        options["bsf:v"] = f"setts=duration={format_seconds(last_length_us)}/TB"
    if container == "fmp4":
        options["movflags"] = _FRAGMENTED
    elif plan.estimated_bytes <= FASTSTART_BYTES:
        options["movflags"] = "+faststart"

    groups = groups_of(plan.parts)
    starts_between = container == "fmp4" and first.skip_us > 0
    # A re-encoded head joins only what was recorded as H.264 and in our unit of time.
    head_joins = first.segment.codec == "h264" and first.segment.run_us is not None
    if len(groups) > 1 or (starts_between and not head_joins):
        video = _reencode_groups(commands, groups)
    elif starts_between:
        video = _reencode_head(commands, groups[0])
    else:
        video = _exact_input(commands, groups[0], "list.txt").video
    times = plan_tags(plan, recorder)
    # The name may end in a backslash, as the comment may, and only one of them can be the last line of the file.
    options["metadata"] = f"{TITLE}={times.pop(TITLE)}"
    tags = {"creation_time": times[DATE], **times, "comment": comment}
    tags_file = commands.file("tags.txt", metadata_file(tags))
    # The tags have no video, but ffmpeg-python includes only inputs that are mapped.
    commands.add(ffmpeg.output(video, ffmpeg.input(str(tags_file), f="ffmetadata")["v?"], output, **options))
    return tuple(commands.commands)


class _Commands:
    """Collects commands, each with the files that it reads."""

    def __init__(self, work: Path) -> None:
        self.work = work.absolute()
        self.commands: list[CutCommand] = []
        self._files: dict[Path, str] = {}

    def file(self, name: str, text: str) -> Path:
        """Add a file for the next command; returns its path."""
        path = self.work / name
        self._files[path] = text
        return path

    def concat_input(self, name: str, files: Iterable[ListedFile], **options: str) -> Any:
        """An input of the next command that plays files one after another."""
        return ffmpeg.input(str(self.file(name, concat_list(files))), **CONCAT_INPUT, **options)

    def add(self, output: Any) -> None:
        """Add the command that writes an output of ffmpeg-python."""
        self.commands.append(CutCommand(tuple(ffmpeg.get_args(output)), self._files))
        self._files = {}


def _exact_input(commands: _Commands, parts: Sequence[ClipPart], list_name: str) -> Any:
    """An input that shows exactly the frames of the parts. `-ss` is on the first frame, `-t` is between two."""
    options = {}
    skip_us = parts[0].skip_us
    if skip_us > 0:
        options["ss"] = format_seconds(skip_us)
    stop_us = parts[-1].stop_us
    if stop_us is not None:
        before_us = sum(part.length_us for part in parts[:-1])
        options["t"] = format_seconds(before_us + stop_us - parts[-1].segment.start_us - skip_us)
    return commands.concat_input(list_name, _listed(parts), **options)


def _reencode_head(commands: _Commands, parts: Sequence[ClipPart]) -> Any:
    """Re-encode the frames up to the first keyframe, and copy the rest."""
    first = parts[0]
    head_end_us = first.keyframe_us if first.keyframe_us is not None else first.end_us
    if first.stop_us is not None:
        head_end_us = min(head_end_us, first.stop_us)
    if head_end_us <= first.first_us:  # it starts with a keyframe
        return _exact_input(commands, parts, "list.txt").video
    head = commands.work / "head.mp4"
    source = _exact_input(commands, [replace(first, stop_us=head_end_us - 1)], "head.txt")
    commands.add(source.video.output(str(head), f="mp4", **REENCODED, **EXACT_TIMES))
    listed = [ListedFile(head, head_end_us - first.first_us)]
    rest_us = head_end_us - first.segment.start_us
    ended = first.keyframe_us is None or first.stop_us == head_end_us
    if not ended:
        listed.append(ListedFile(first.path.absolute(), first.length_us - rest_us, inpoint_us=rest_us))
    listed += _listed(parts[1:])
    last = parts[-1]
    options = {}
    if last.stop_us is not None and not (ended and len(parts) == 1):
        before_us = sum(part.length_us for part in parts[:-1])
        options["t"] = format_seconds(before_us + last.stop_us - last.segment.start_us - first.skip_us)
    return commands.concat_input("list.txt", listed, **options).video


def _reencode_groups(commands: _Commands, groups: Sequence[Sequence[ClipPart]]) -> Any:
    """Re-encode each group to the largest frame size, then join them.

    Each group by itself: ffmpeg's filter that joins them guesses how long the last frame of each is shown.
    """
    largest = max((part.segment for group in groups for part in group), key=lambda s: s.width * s.height)
    width, height = largest.width + largest.width % 2, largest.height + largest.height % 2
    listed = []
    for number, group in enumerate(groups):
        encoded = commands.work / f"group{number}.mp4"
        video = _exact_input(commands, group, f"list{number}.txt").video
        video = video.filter("scale", width, height, force_original_aspect_ratio="decrease")
        video = video.filter("pad", width, height, "(ow-iw)/2", "(oh-ih)/2").filter("setsar", 1)
        commands.add(video.output(str(encoded), f="mp4", **REENCODED, **EXACT_TIMES, **_bounded(group)))
        length_us = sum(part.length_us for part in group) - group[0].skip_us
        listed.append(ListedFile(encoded, length_us))
    return commands.concat_input("list.txt", listed).video


def _listed(parts: Sequence[ClipPart]) -> list[ListedFile]:
    # All of them with a duration: the demuxer seeks only where it knows every one.
    return [ListedFile(part.path.absolute(), part.length_us) for part in parts]


def _bounded(parts: Sequence[ClipPart]) -> dict[str, Any]:
    """Options that keep re-encoded video within `REENCODED_FACTOR` times the size of its source."""
    length_us = sum(part.length_us for part in parts)
    bits = 8 * REENCODED_FACTOR * sum(part.segment.size_bytes for part in parts) * US_PER_SECOND // max(length_us, 1)
    return {"maxrate": bits, "bufsize": bits}


def metadata_file(tags: Mapping[str, str]) -> str:
    """Tags in ffmpeg's own format, which takes what a command line cannot: any length, any character except NUL.

    The last line has no line break: ffmpeg would take it as escaped after a value that ends in a backslash.
    """
    lines = [";FFMETADATA1"]
    for name, value in tags.items():
        escaped = value.translate(_ESCAPES)
        if escaped:
            lines.append(f"{name}={escaped}")
    return "\n".join(lines)
