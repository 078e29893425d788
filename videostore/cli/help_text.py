"""Parts of the help that several commands share."""

from __future__ import annotations

from collections.abc import Mapping

TIMES = """\b
FROM and TO are times in one of these forms:
  2026-11-22T02:50:00+01:00  RFC 3339, also with Z for UTC
  "2026-11-22 02:50:00"      local time of this computer
  02:50  or  02:50:30        the last time it was that time
  -5m  or  -1h30m            before now
  now
  +30s                       TO only: after FROM"""

MOMENT = """\b
AT is a time in one of these forms:
  2026-11-22T02:50:00+01:00  RFC 3339, also with Z for UTC
  "2026-11-22 02:50:00"      local time of this computer
  02:50  or  02:50:30        the last time it was that time
  -5m  or  -1h30m            before now
  now"""

WHEN = (
    "POSITION is what a player shows: seconds (12.5), or 1:02.5, or 0:01:02.500. Players show it to the millisecond, "
    "so a frame that begins within the same millisecond counts as shown. Without POSITION this lists the stretches of "
    "the clip and the gaps between them. Clips of videostore 0.1.0 and of other programs do not tell their times."
)
VERIFY = (
    "Reads every segment, decodes it to its last frame, and compares the index with the files. Without --repair this "
    "changes nothing. With --repair it updates the index, closes the segments that a crash left open, and moves "
    "unreadable files to damaged/ in the storage directory; it deletes nothing. Stop the recorder before a repair."
)


def examples(*commands: str) -> str:
    """A block of examples."""
    return "\n".join(["\b", "Examples:", *(f"  {one}" for one in commands)])


def table(title: str, rows: Mapping[int, str] | Mapping[str, str]) -> str:
    """A block of names and what they mean. `\\b` keeps its lines as they are."""
    width = max(len(str(name)) for name in rows)
    return "\n".join(["\b", f"{title}:", *(f"  {name:<{width}}  {text}" for name, text in rows.items())])
