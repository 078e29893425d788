"""The ffmpeg commands that make the clip of a plan: what to run, in which order, with which lists and options.

Nothing here runs or writes anything: `ClipCutter` writes the files of each command and runs it.

A clip is joined from its pieces by the concat demuxer, without re-encoding: what is copied from the segments, and the
edges that were re-encoded before. Parts that differ in frame size or codec are all re-encoded to the largest size,
because a clip cannot change it midway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ffmpeg

from videostore.base.constants import FASTSTART_BYTES, US_PER_SECOND
from videostore.base.time_format import format_seconds
from videostore.clips.cut_command import CommandMaker, CutCommand, VideoStarts
from videostore.clips.pieces import BETWEEN_US, Edge
from videostore.clips.place import Fit, Place
from videostore.clips.plan import REENCODED_FACTOR, ClipPart, Plan, first_picture_bytes
from videostore.clips.time_tags import plan_stretches, plan_tags
from videostore.ffmpeg.concat_list import (
    ListedFile,
)
from videostore.ffmpeg.filters import fitted
from videostore.ffmpeg.metadata_file import metadata_file
from videostore.ffmpeg.options import (
    CLIP_TIMESCALE,
    EXACT_TIMES,
    OWN_CLIP,
    REENCODED,
)
from videostore.media.clip_times import DATE, TITLE

_TAGS_INPUT = {"f": "ffmetadata", "format_whitelist": "ffmetadata", "protocol_whitelist": "file"}
_FRAGMENTED = "+frag_keyframe+empty_moov+delay_moov+default_base_moof"
"""Without `delay_moov` there is no edit list, and with B frames the first frame would be shown late."""

_STREAM_BEGIN_US = 100 * US_PER_SECOND
"""Time of the first frame in the parts of a stream. Frames that are decoded before that have no negative time, and no
time is moved: so the parts go on from each other to the tick."""
_PART = {
    "movflags": _FRAGMENTED + "+frag_discont+skip_trailer",
    "avoid_negative_ts": "disabled",
    "use_editlist": 0,
    "write_btrt": 0,
}
"""Fragments with the times that the frames have. The table at the end, which ffmpeg keeps in memory, is left out, and
the bitrate in the header, which would be that of the first frames."""

_LARGEST_BUFFER_BITS = 400_000_000
"""libav takes 31 bits."""
_LOWEST_RATE = 1000
"""x264 counts in kilobits a second, and takes 0 for no limit."""

_DECODED_FIRST = "max(DTS,STARTPTS+(N-16)*0.0000112/TB)"
_DECODED_LAST = "if(eq(NEXT_DTS,NOPTS),PTS,{})"
"""When frames of a fragmented clip are decoded: as they were, but the first ones just before the first is shown, and
the last one when it is shown, because players add such delays to the length of a clip, or take them from it. No frame
is decoded more than 16 places early. The steps are longer than a unit of time."""
_DECODED_EARLY = "if(N,DTS,min(DTS,PTS-{}/TB))"
"""The same of an `mp4`: the first frame at least as early as the last one, because libav takes the time from the one to
the other for the length. The edit list has the rest."""
_OPENED = "st(0,max(ld(0),key*gte(pts,startpts+{0}/tb)))*lt(pts,startpts+{0}/tb)"
"""What to leave out where copying begins with the keyframe of an open GOP: the frames that are decoded behind it and
shown before it."""
_ONE_MORE = "setts=pts=PTS:dts=DTS:duration='if(eq(NEXT_PTS,NOPTS),0,max(1,NEXT_PTS-PTS))',noise=drop='not(d)'"
"""Each frame lasts until the next; the last is left out. So the arguments do not depend on how long one is shown."""
_LONGEST_LAST_S = 60
"""More than from the last frame that is decoded to the end; the muxer takes 31 bits."""

_QUEUED_FRAMES = 128
"""With 8, its default, its threads wait for each other so often that a copy takes a tenth longer. With 4K at 25 Mbit/s
they are 16 MB."""

TAGS = "tags.txt"
"""The file with the tags of a clip."""
HEVC_IN_BAND = "hev1"
"""The tag of H.265 whose parameter sets may be in the video."""


def join_command(
    plan: Plan,
    pieces: Iterable[ListedFile],
    output: str,
    *,
    container: str,
    comment: str,
    recorder: str,
    work: Path,
    stop_us: int | None = None,
    one_more: bool = False,
    opens_us: int | None = None,
    tag: str | None = None,
    sound: Path | None = None,
    starts: VideoStarts = None,
    place: Place | None = None,
    late: bool = False,
    queued: bool = False,
) -> CutCommand:
    """The command that writes a clip to a file or a pipe: its pieces, one after another, as they are.

    `container` is `mp4` or `fmp4`; `comment` goes into the clip's comment tag, and the recorder's name into its title.
    It ends at `stop_us`, if given, and without the last frame of the pieces if that is `one_more`. `tag` is that of the
    video; `HEVC_IN_BAND` also repeats the parameter sets before each keyframe. `sound` is a file with its sound, as
    long as the clip. With a `place`, it is a part of a stream, whose times count from the stream's start. If it is
    `late`, ffmpeg gets the list at its standard input: the arguments do not depend on it. Frames are `queued` between
    its threads that read and write, if it can do that.

    Raises:
        RequestError: the path of a segment cannot be written in a list.
    """
    options: dict[str, Any] = {
        "f": "mp4",
        "c": "copy",
        "map_metadata": 1,
        # In milliseconds, the muxer's default, the edit list could end before the last frame.
        "movie_timescale": US_PER_SECOND,
        # The filter below counts in the one, the muxer in the other: ffmpeg 5.1 mixes them up unless they are equal.
        "time_base:v": f"1/{CLIP_TIMESCALE}",
        "video_track_timescale": CLIP_TIMESCALE,
    }
    if queued:
        options["thread_queue_size"] = _QUEUED_FRAMES
    filters = ["hevc_mp4toannexb"] if tag == HEVC_IN_BAND else []
    if opens_us is not None:
        filters.append(f"noise=drop='{_OPENED.format(format_seconds(opens_us - BETWEEN_US))}'")
    last_length_us, copy_end = plan.parts[-1].last_length_us, plan.parts[-1].copy.end
    if one_more:
        filters.append(_ONE_MORE)
    elif container == "fmp4":
        filters.append(f"setts=pts=PTS:dts='{_decoded(place)}'")
    elif copy_end is not None and copy_end.delay_us and not plan.reencoded:
        filters.append(f"setts=pts=PTS:dts='{_DECODED_EARLY.format(format_seconds(copy_end.delay_us))}'")
    elif last_length_us is not None:
        filters.append("setts=pts=PTS:dts=DTS")
    if last_length_us is not None and not one_more:
        # Up to ffmpeg 7.1 the demuxer reports no duration for the frames of fragments, later ones guess that of a
        # segment's last frame. The muxer uses only the last frame's duration: for the others it takes the distances.
        ends = container == "fmp4" or copy_end is not None
        filters[-1] += f":duration='{_last_length(plan, last_length_us, ends=ends and not (place and place.more))}'"
    if filters:
        options["bsf:v"] = ",".join(filters)
    if tag is not None:
        options["tag:v"] = tag
    if place is not None:
        options |= _PART
    elif container == "fmp4":
        options["movflags"] = _FRAGMENTED
    elif plan.estimated_bytes <= FASTSTART_BYTES:
        options["movflags"] = "+faststart"
    command = CommandMaker(work, starts)
    begin_us = 0 if place is None else _STREAM_BEGIN_US + place.position_us
    begins = {"itsoffset": format_seconds(begin_us)} if begin_us else {}
    until = {} if stop_us is None else {"t": format_seconds(begin_us + stop_us)}
    video = command.concat_input(None if late else "list.txt", pieces, begins | until, copied=True).video
    told, goes_on = (plan, False) if place is None else place.told_by(plan)
    times = plan_tags(told, recorder, goes_on=goes_on)
    # The name may end in a backslash, as the comment may, and only one of them can be the last line of the file.
    options["metadata"] = f"{TITLE}={times.pop(TITLE)}"
    tags = command.file(TAGS, metadata_file({"creation_time": times[DATE], **times, "comment": comment}))
    # The tags have no video, but ffmpeg-python includes only inputs that are mapped.
    streams = [video, ffmpeg.input(str(tags), **_TAGS_INPUT)["v?"]]
    if sound is not None:
        if place is not None:
            begins["itsoffset"] = format_seconds(_STREAM_BEGIN_US + place.sound_begin_us)
        streams.append(ffmpeg.input(str(sound.absolute()), **OWN_CLIP, **begins).audio)
    usual = one_more and tag is None and opens_us is None and "movflags" in options
    return command.writing(ffmpeg.output(*streams, output, **options), usual=usual)


def _decoded(place: Place | None) -> str:
    """When each frame of a fragmented clip is decoded."""
    decoded = _DECODED_FIRST if place is None or place.first else "DTS"
    return decoded if place is not None and place.more else _DECODED_LAST.format(decoded)


def _last_length(plan: Plan, shown_us: int, *, ends: bool) -> str:
    """How long the frame lasts that is decoded last. The one that is shown last is shown for `shown_us`; where that is
    another one, players need the time from the former to the end if the clip `ends` with it."""
    shown = format_seconds(shown_us)
    if not ends:
        return f"{shown}/TB"
    length = format_seconds(plan_stretches(plan.parts)[-1].end_position_us)
    return f"clip(STARTPTS+{length}/TB-PTS,{shown}/TB,({shown}+{_LONGEST_LAST_S})/TB)"


def edge_command(
    edge: Edge, output: Path, encoding: Mapping[str, Any], *, timescale: int, work: Path, starts: VideoStarts = None
) -> CutCommand:
    """The command that encodes an edge of a clip. `timescale` is that of the segments to which it is joined.

    Raises:
        RequestError: the path of a segment cannot be written in a list.
    """
    command = CommandMaker(work, starts)
    options = {"f": "mp4", **encoding, **EXACT_TIMES, "video_track_timescale": timescale}
    options["enc_time_base"] = f"1/{timescale}"
    if edge.delay_us:
        options["bsf:v"] = f"setts=pts=PTS:dts=DTS-{format_seconds(edge.delay_us)}/TB"
    video = command.exact_video(f"{edge.name}.txt", edge.parts)
    return command.writing(video.output(str(output), **options, movie_timescale=US_PER_SECOND))


def group_commands(
    groups: Sequence[Sequence[ClipPart]],
    work: Path,
    starts: VideoStarts = None,
    fit: Fit | None = None,
    bounds: Sequence[Sequence[ClipPart]] | None = None,
) -> tuple[list[CutCommand], list[ListedFile]]:
    """The commands that re-encode each group to the largest frame size, with the pixel shape of that, or to `fit`, and
    what they write. What is encoded is bounded by its source, or by that of other groups (`bounds`).

    Each group by itself: ffmpeg's filter that joins them guesses how long the last frame of each is shown.

    Raises:
        RequestError: the path of a segment cannot be written in a list.
    """
    fit = fit or _largest(groups)
    width, height = fit.width, fit.height
    commands, listed = [], []
    for number, (group, bounded_by) in enumerate(zip(groups, bounds or groups, strict=False)):
        command = CommandMaker(work, starts)
        encoded = command.work / f"group{number}.mp4"
        video = command.exact_video(f"list{number}.txt", group)
        large = min(group[0].segment.width, group[0].segment.height) > 2
        video = fitted(video, width, height, fit.pixel_shape, may_have_fields=large)
        limits = _bounded(bounded_by, width * height)
        output = video.output(str(encoded), f="mp4", **REENCODED, **EXACT_TIMES, **limits)
        commands.append(command.writing(output))
        length_us = sum(part.length_us for part in group) - group[0].skip_us
        listed.append(ListedFile(encoded, length_us))
    return commands, listed


def _largest(groups: Sequence[Sequence[ClipPart]]) -> Fit:
    parts = (part for group in groups for part in group)
    one = max(parts, key=lambda part: part.segment.width * part.segment.height)
    return Fit.of_size(one.segment.width, one.segment.height, one.look)


def _bounded(parts: Sequence[ClipPart], pixels: int) -> dict[str, Any]:
    """Options that keep re-encoded video within `REENCODED_FACTOR` times the size of its source, and its first picture.

    Half of it may be used at any time: a slow camera's keyframe takes more than its average of a second, and is
    garbage without it.
    """
    length_us = sum(part.length_us for part in parts)
    bits = 8 * REENCODED_FACTOR * sum(part.segment.size_bytes for part in parts)
    buffer = min(bits // 2, _LARGEST_BUFFER_BITS)
    rate = (bits - buffer) * US_PER_SECOND // max(length_us, 1)
    return {"maxrate": max(rate, _LOWEST_RATE), "bufsize": buffer + 8 * first_picture_bytes(pixels)}
