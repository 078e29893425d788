"""The pieces of a clip: what is copied from the segments, and the edges that must be re-encoded to be exact.

A copy can begin only at certain keyframes. So the frames from the first one of the clip up to such a keyframe are the
*head*, which is re-encoded. Where frames are decoded in another order than they are shown in, those before the end of
the clip may need one behind it: then what follows the last keyframe is the *tail*, which is re-encoded too. Nothing is
left for an edit list to hide, which many players ignore.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from videostore.clips.compact_list import CompactList
from videostore.clips.plan import ClipPart
from videostore.ffmpeg.concat_list import ListedFile

BETWEEN_US = 50
"""No two frames are that near to each other, and no rounding moves one so far."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Frames of a clip that are re-encoded."""

    name: str
    """`head` or `tail`."""
    parts: Sequence[ClipPart]
    length_us: int
    delay_us: int = 0
    """How long before it is shown each frame must be decoded, for the order of decoding in the whole clip."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A clip, or one group of its parts, from its first frame to its last."""

    head: Edge | None
    body: Sequence[ListedFile]
    tail: Edge | None
    model: Path
    """The segment whose codec and format the edges must have."""
    length_us: int
    """The whole length, up to the end of the last frame."""
    stop_us: int | None
    """Where to stop reading the pieces, from the start of the clip: between two frames. None for their end."""
    one_more: bool = False
    """Whether they have one frame more than the clip, which tells how long its last one is."""
    opens_us: int | None = None
    """Where in the clip a keyframe is with which copying begins, if the frames that are decoded behind it and shown
    before it are to be left out; None if there are none."""

    @property
    def edges(self) -> tuple[Edge, ...]:
        """The pieces that are re-encoded."""
        return tuple(edge for edge in (self.head, self.tail) if edge is not None)


def pieces_of(parts: Sequence[ClipPart], *, one_more: bool = False) -> Pieces:
    """Divide parts that can be joined without re-encoding all of them; with `one_more` frame, if there is one."""
    last = parts[-1]
    number = next((n for n, part in enumerate(parts) if not part.was_read or part.copy.keyframe_us is not None), None)
    entry = parts[number] if number is not None else last
    entry_begins_us, last_begins_us, length_us = _places(parts, number)
    stop_us = None
    one_more = one_more and last.one_more_us is not None
    if last.stop_us is not None and last.copy.end is None and not one_more:
        stop_us = last_begins_us + last.stop_us - last.segment.start_us
    end = last.copy.end
    tail_us = end.tail_us if end is not None else None
    entry_us = entry.segment.start_us if entry.copy.keyframe_us is None else entry.copy.keyframe_us
    # The demuxer takes no piece that ends, in the order of decoding, before its first frame is shown.
    ends_us = [] if end is None else [end.decoded_us, *([] if tail_us is None else [tail_us])]
    if number is None or (number == len(parts) - 1 and any(end_us <= entry_us for end_us in ends_us)):
        return Pieces(Edge("head", parts, length_us), (), None, last.path, length_us, None)
    before = CompactList(parts[:number])
    if entry_us > entry.first_us:
        before.append(replace(entry, stop_us=entry_us - 1, borrowed=None))
    elif number and entry.copy.opens and parts[number - 1].borrowed is not None:
        before = CompactList(parts[: number - 1])
        before.append(replace(parts[number - 1], stop_us=entry_us - 1))
    head_us = entry_begins_us + entry_us - entry.segment.start_us
    head = Edge("head", before, head_us, entry.copy.keyframe_delay_us) if before else None
    tail = None
    copied = parts[number:]
    if end is not None and tail_us is not None:
        if tail_us <= last.first_us:
            copied = copied[:-1]
        begin_us = max(tail_us, last.first_us)
        first = replace(last, first_us=begin_us, copy=replace(last.copy, decode_us=end.decode_us or tail_us))
        tail_length_us = length_us - (last_begins_us + begin_us - last.segment.start_us)
        tail = Edge("tail", (first,), tail_length_us, end.delay_us)
    body = CompactList[ListedFile]()
    for part in copied:
        more_us = part.one_more_us if one_more else None
        body.append(_listed(part, part.segment.start_us if body else entry_us, more_us))
    opens_us = head_us if entry.copy.opens else None
    return Pieces(head, body, tail, entry.path, length_us, stop_us, one_more, opens_us)


def listable(pieces: Pieces, starts: Mapping[Path, int] | None) -> Pieces:
    """The same as the demuxer takes it, where `starts` tells at what time in its file a video starts, in microseconds.

    It refuses a list whose last file ends, in the order of decoding, before its video starts. That is read to its end
    then, and the clip is stopped between two frames.
    """
    if not starts or not pieces.body or pieces.tail is not None:
        return pieces
    last = pieces.body[-1]
    start_us = starts.get(last.path) if last.inpoint_us is None else last.inpoint_us
    if start_us is None or last.outpoint_us is None or last.outpoint_us > start_us:
        return pieces
    body = CompactList[ListedFile]()
    begins_us = 0 if pieces.head is None else pieces.head.length_us
    for file in islice(pieces.body, len(pieces.body) - 1):
        body.append(file)
        begins_us += file.duration_us
    body.append(replace(last, outpoint_us=None))
    return replace(pieces, body=body, stop_us=begins_us + last.outpoint_us - start_us - BETWEEN_US)


def delayed(pieces: Pieces, delay_us: int) -> Pieces:
    """The same with frames that are decoded so long before they are shown, if all of it is a head."""
    return (
        pieces if pieces.head is None or pieces.body else replace(pieces, head=replace(pieces.head, delay_us=delay_us))
    )


def _places(parts: Sequence[ClipPart], number: int | None) -> tuple[int, int, int]:
    """Where the segments of a part and of the last one begin in the clip, and how long it is, in microseconds."""
    wanted_us = last_us = at_us = -parts[0].skip_us
    for n, part in enumerate(parts):
        last_us = at_us
        if n == number:
            wanted_us = at_us
        at_us += part.length_us
    return wanted_us, last_us, at_us


def _listed(part: ClipPart, from_us: int, one_more_us: int | None) -> ListedFile:
    start_us, end, to_us = part.segment.start_us, part.copy.end, part.segment.start_us + part.length_us
    outpoint_us = None if one_more_us is None else part.origin_us + one_more_us - start_us
    if end is not None and (end.tail_us is not None or part.stop_us is not None):
        outpoint_us = part.origin_us + end.decoded_us - start_us
        to_us = end.tail_us or to_us
    inpoint_us = part.origin_us + from_us - start_us if from_us > start_us else None
    # All of them with a duration: the demuxer seeks only where it knows every one.
    return ListedFile(part.path.absolute(), to_us - from_us, inpoint_us, outpoint_us, part.read_bytes)
