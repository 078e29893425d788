"""Playlists: the text of HLS (RFC 8216) that names the bytes of segments. Pure: nothing is read here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone

from videostore.base.constants import NEIGHBOUR_US, US_PER_SECOND
from videostore.store.viewing import SegmentKey, ViewedSegment
from videostore.web.parts import Part

TYPE = "application/vnd.apple.mpegurl"
LESS = "less_us"
"""The field of an address that tells how much of the one clock is left out."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One piece of a playlist: a part of a segment, or all of it."""

    key: SegmentKey
    header_bytes: int | None
    """None if that is not known: then the whole segment is one piece, and the server finds its bytes."""
    part: Part


def entry_uri(entry: Entry, *, with_header: bool = False, less_us: int = 0) -> str:
    """What a playlist calls the bytes of an entry, alone or behind the header that they need. `less_us`: for a player
    that gets all times on one clock, so much of that is left out before them.

    Each part has its own address: newer versions of ffmpeg ask for touching ranges of one address at once, and play
    only the first of them.
    """
    if with_header:
        part = f".{entry.part.begin_byte}-{entry.part.end_byte}" if entry.header_bytes is not None else ""
        return f"{entry.key}{part}.mp4"
    less = f"{LESS}={less_us}" if less_us else ""
    if entry.header_bytes is None:
        return f"{entry.key}.m4s{less and '?'}{less}"
    return f"{entry.key}.mp4?{entry.part.begin_byte}{less and '&'}{less}"


def playlist(
    entries: Sequence[Entry],
    *,
    ended: bool,
    sequence: int = 0,
    discontinuities: int = 0,
    target_s: int = 1,
    grew: bool = False,
    with_headers: bool = False,
    without_gaps: bool = False,
) -> str:
    """A media playlist. `sequence` and `discontinuities` count what was before it. No piece is longer than `target_s`.

    One that `grew` gets nothing but its end when it has ended, as RFC 8216 (6.2.1) has it.

    `with_headers` makes it one for VLC, which takes only the first `EXT-X-MAP` of a playlist, and loses the last second
    before a discontinuity: each piece comes with its header, and segments of one run follow each other without one.
    Their times have to be on one clock.

    `without_gaps` makes it one for a player that gets all times on one clock and would wait for as long as a gap is:
    the addresses behind it name how much less their times have to be.
    """
    target_s = max(target_s, longest_s(entries))
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target_s}"]
    lines += [f"#EXT-X-MEDIA-SEQUENCE:{sequence}"] if sequence else []
    lines += [f"#EXT-X-DISCONTINUITY-SEQUENCE:{discontinuities}"] if discontinuities else []
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD"] if ended and not grew else []
    lines += ["#EXT-X-INDEPENDENT-SEGMENTS"] if ended and not grew and _are_independent(entries) else []
    lines += _entry_lines(entries, with_headers=with_headers, without_gaps=without_gaps)
    lines += ["#EXT-X-ENDLIST"] if ended else []
    return "\n".join([*lines, ""])


def _are_independent(entries: Sequence[Entry]) -> bool:
    """Whether it is known that each piece can be decoded without another one: it begins with a keyframe, and no frame
    behind that is shown before it, as such frames need others of the piece before."""
    return bool(entries) and all(
        one.header_bytes is not None and one.part.keyed and one.part.early_us == 0 for one in entries
    )


def longest_s(entries: Iterable[Entry]) -> int:
    """The length of the longest piece, as a target duration is rounded."""
    longest_us = max((one.part.end_us - one.part.start_us for one in entries), default=0)
    return (longest_us + US_PER_SECOND // 2) // US_PER_SECOND


def leading_to(address: str, attributes: str, note: str = "") -> str:
    """A playlist that only leads to another one, whose address stays the same while it grows. `attributes` are those of
    the stream, a note is for people."""
    comment = f"# {note}\n" if note else ""
    return f"#EXTM3U\n#EXT-X-VERSION:7\n{comment}#EXT-X-STREAM-INF:{attributes}\n{address}\n"


def whole_entry(one: ViewedSegment) -> Entry:
    """A segment as one piece."""
    return Entry(one.key, None, Part(one.segment.start_us, one.segment.end_us, 0, one.segment.size_bytes, keyed=True))


def _entry_lines(entries: Iterable[Entry], *, with_headers: bool, without_gaps: bool) -> list[str]:
    lines: list[str] = []
    last: Entry | None = None
    less_us = 0
    for one in entries:
        part = one.part
        if last is None or last.key != one.key:
            if last is not None and not (with_headers and _goes_on(last, one)):
                lines.append("#EXT-X-DISCONTINUITY")
            if last is not None and without_gaps and not _goes_on(last, one):
                less_us += part.start_us - last.part.end_us
            if with_headers:
                pass
            elif one.header_bytes is None:
                lines.append(f'#EXT-X-MAP:URI="{one.key}.init.mp4"')
            else:
                lines.append(f'#EXT-X-MAP:URI="{one.key}.mp4",BYTERANGE="{one.header_bytes}@0"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{date_time(part.start_us)}")
        lines.append(f"#EXTINF:{(part.end_us - part.start_us) / US_PER_SECOND:.6f},")
        if one.header_bytes is not None and not with_headers:
            lines.append(f"#EXT-X-BYTERANGE:{part.end_byte - part.begin_byte}@{part.begin_byte}")
        lines.append(entry_uri(one, with_header=with_headers, less_us=less_us))
        last = one
    return lines


def _goes_on(last: Entry, one: Entry) -> bool:
    """Whether a segment continues the one before it, of the same run."""
    is_near = one.part.start_us - last.part.end_us < NEIGHBOUR_US
    return is_near and last.key.run_us is not None and last.key.run_us == one.key.run_us


def date_time(time_us: int) -> str:
    """A time as playlists write it, to the microsecond."""
    seconds, us = divmod(time_us, US_PER_SECOND)
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{us:06d}Z"
