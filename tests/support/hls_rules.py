"""What RFC 8216 demands of a media playlist: Apple's players keep to it, others forgive."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

_ONCE = ("#EXT-X-VERSION:", "#EXT-X-TARGETDURATION:", "#EXT-X-MEDIA-SEQUENCE:", "#EXT-X-DISCONTINUITY-SEQUENCE:")
_OF_PIECES = ("#EXTINF:", "#EXT-X-BYTERANGE:", "#EXT-X-DISCONTINUITY", "#EXT-X-MAP:", "#EXT-X-PROGRAM-DATE-TIME:")
_AT_THE_END = "#EXT-X-ENDLIST"
_INDEPENDENT = "#EXT-X-INDEPENDENT-SEGMENTS"


def number(text: str, tag: str, missing: int = 0) -> int:
    """The number behind a tag."""
    found = re.search(rf"^{tag}:(\d+)$", text, re.MULTILINE)
    return int(found[1]) if found else missing


def check(text: str, *, one_header: bool = False) -> None:
    """Check a playlist alone. With `one_header` each piece has its own, for players that know no `EXT-X-MAP`."""
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert text.endswith("\n")
    head = [line for line in lines if line.startswith((*_ONCE, "#EXT-X-PLAYLIST-TYPE:", _INDEPENDENT))]
    names = [line.partition(":")[0] for line in head]
    assert len(set(names)) == len(names)
    assert lines[1 : 1 + len(head)] == head, "what holds for all of it comes before its first piece"
    assert number(text, "#EXT-X-VERSION") >= 6, "EXT-X-MAP"
    target_s = number(text, "#EXT-X-TARGETDURATION")
    assert target_s >= 1
    ended = lines[-1] == _AT_THE_END
    assert text.count(_AT_THE_END) == int(ended)
    assert ("#EXT-X-PLAYLIST-TYPE:VOD" not in text) or ended
    assert _INDEPENDENT not in lines or "#EXT-X-PLAYLIST-TYPE:VOD" in lines, "of a piece to come that is not known"
    piece: dict[str, str] = {}
    has_map = one_header
    last_date: datetime | None = None
    for line in lines[1 + len(head) : len(lines) - int(ended)]:
        if line.startswith("#"):
            name = next(one for one in _OF_PIECES if line.startswith(one))
            assert name not in piece, line
            piece[name] = line[len(name) :]
            continue
        if "#EXT-X-DISCONTINUITY" in piece:
            has_map = one_header
        has_map = has_map or "#EXT-X-MAP:" in piece
        assert has_map, f"{line} has no header"
        seconds = piece["#EXTINF:"].removesuffix(",")
        assert re.fullmatch(r"\d+\.\d+", seconds)
        assert int(float(seconds) + 0.5) <= target_s, line
        if span := piece.get("#EXT-X-BYTERANGE:"):
            assert re.fullmatch(r"\d+@\d+", span), line
        date = datetime.fromisoformat(piece["#EXT-X-PROGRAM-DATE-TIME:"].replace("Z", "+00:00"))
        assert last_date is None or date > last_date
        last_date, piece = date, {}
    assert not piece


def check_reload(before: str, after: str) -> None:
    """Check what may change between two answers to one address: nothing but its end, and its oldest pieces go."""
    for text in (before, after):
        check(text)
    assert number(after, "#EXT-X-TARGETDURATION") >= number(before, "#EXT-X-TARGETDURATION")
    gone = number(after, "#EXT-X-MEDIA-SEQUENCE") - number(before, "#EXT-X-MEDIA-SEQUENCE")
    assert gone >= 0
    was, is_now = _pieces(before), _pieces(after)
    kept = was[gone:]
    assert [one[1] for one in is_now[: len(kept)]] == [one[1] for one in kept]
    if not kept:
        return
    changes = sum(is_change for is_change, _ in was[1 : gone + 1])
    passed = number(after, "#EXT-X-DISCONTINUITY-SEQUENCE") - number(before, "#EXT-X-DISCONTINUITY-SEQUENCE")
    assert passed == changes
    assert "PLAYLIST-TYPE" not in after


def _pieces(text: str) -> Sequence[tuple[bool, str]]:
    """Whether a change is before each piece, and what the piece is."""
    found, change, date = [], False, ""
    for line in text.splitlines():
        if line == "#EXT-X-DISCONTINUITY":
            change = True
        elif line.startswith("#EXT-X-PROGRAM-DATE-TIME:"):
            date = line
        elif not line.startswith("#"):
            found.append((change, f"{date} {line}"))
            change = False
    return found
