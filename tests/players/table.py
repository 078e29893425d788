"""The table of players and kinds of clips."""

from __future__ import annotations

from collections.abc import Iterator

from tests.players.reading import cell
from tests.players.showings import PLAYERS, Showings

LEGEND = (
    "Each cell: first frame against `from` and last frame against `to` in ms; frames shown / frames of the range; the "
    "duration that the player tells; and how far a seek to the middle is off in ms, if it is."
)


def summary(showings: Showings) -> Iterator[str]:
    """What the players showed of each clip, what they do to any file, and what was not tried."""
    yield LEGEND
    yield ""
    yield from table(showings)
    yield ""
    for name in showings.played():
        yield f"{name}: {PLAYERS[name].version()}"
    for name, reason in showings.missing.items():
        yield f"{name} was not tried: {reason}."
    for name in showings.played():
        for control in showings.controls():
            if habit := str(showings.habit(name, control)):
                yield f"{name} with a file of libav alone ({control.name}): {habit.rstrip('.')}."


def table(showings: Showings) -> Iterator[str]:
    """The lines of the table, in Markdown."""
    names = showings.played()
    rows = [["clip", "due", *names]]
    for clip in showings.clips.values():
        due = f"{(clip.times[0] - clip.from_us) / 1000:+.0f} {(clip.times[-1] - clip.to_us) / 1000:+.0f}"
        cells = [cell(clip, showings.reading(name, clip.name), PLAYERS[name].seek) for name in names]
        rows.append([clip.name, due, *cells])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        yield "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |"
