"""All players, and all clips as they show them."""

from __future__ import annotations

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from tests.players.browsers import Chromium, Firefox
from tests.players.clips import Clip, control_name, make_clips
from tests.players.ffplay import FFplay
from tests.players.programs import FFmpeg, GStreamer, Mpv
from tests.players.reading import Habit, Player, Reading
from tests.players.vlc import Vlc
from videostore.ffmpeg.process import find_ffmpeg

AT_A_TIME = 2
"""Players that run side by side. More would be late with their frames on two cores."""

_PLAYERS: list[Player] = [
    Firefox(),
    Chromium(),
    Vlc(),
    FFplay(),
    Mpv(),
    GStreamer(),
    FFmpeg("ffmpeg", find_ffmpeg()),
    FFmpeg("ffmpeg (system)", "ffmpeg"),
    FFmpeg("no edit lists", find_ffmpeg(), hidden=True),
]
PLAYERS = {player.name: player for player in _PLAYERS}
MAY_DROP_LAST = {"VLC"}
"""VLC 3 ends its output with the stream: of any file, the last frame is shown only if that comes in time. The table
shows where it was not."""


class Showings:
    """The clips, and what the players show of them. Owns the threads that wait for players."""

    def __init__(self, directory: Path, names: list[str]) -> None:
        self._directory = directory
        self._pool = ThreadPoolExecutor(AT_A_TIME)
        self._again: dict[tuple[str, str], Reading] = {}
        self.missing = {name: reason for name in names if (reason := PLAYERS[name].missing())}
        self.clips = {clip.name: clip for clip in make_clips(directory)}
        self._futures: dict[str, Future[dict[str, Reading]]] = {}
        for name in names:
            if name not in self.missing:
                place = directory / name.replace(" ", "-")
                place.mkdir()
                self._futures[name] = self._pool.submit(PLAYERS[name].read, list(self.clips.values()), place)

    def reading(self, player: str, clip: str) -> Reading:
        """What a player showed of a clip. Waits for it."""
        return self._again.get((player, clip)) or self._futures[player].result()[clip]

    def again(self, player: str, clip: str) -> Reading:
        """What it shows of a clip when it plays it alone once more: on a busy machine players miss frames."""
        place = Path(tempfile.mkdtemp(dir=self._directory))
        reading = PLAYERS[player].read([self.clips[clip]], place)[clip]
        self._again[player, clip] = reading
        return reading

    def habit(self, player: str, clip: Clip) -> Habit:
        """What a player makes of any file of the same codec and container. With B frames it may also miss seeks as in
        any file with them."""
        habit = self._habit(player, control_name(clip.h265, clip.container))
        if clip.b_frames and not clip.control:
            reordered = self._habit(player, control_name(clip.h265, clip.container, True))
            habit = replace(habit, misses_seeks=habit.misses_seeks or reordered.misses_seeks)
        return replace(habit, drops_last=habit.drops_last or player in MAY_DROP_LAST)

    def controls(self) -> list[Clip]:
        """The files of libav alone."""
        return [clip for clip in self.clips.values() if clip.control]

    def _habit(self, player: str, control: str) -> Habit:
        clip, seek = self.clips[control], PLAYERS[player].seek
        habit = Habit.of(clip, self.reading(player, control), seek)
        if habit.refused and (player, control) not in self._again:
            # No clip of this kind is judged then: what is refused once may have been killed, or have been too slow.
            habit = Habit.of(clip, self.again(player, control), seek)
        return habit

    def played(self) -> list[str]:
        """The players that have shown everything."""
        return [name for name, one in self._futures.items() if one.done() and not one.exception()]

    def close(self) -> None:
        """Wait until every player has ended."""
        self._pool.shutdown(cancel_futures=True)
