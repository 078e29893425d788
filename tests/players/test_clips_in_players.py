"""What players show of clips: `make test-players`. Each frame is read off the pixels that a player shows."""

from __future__ import annotations

import pytest

from tests.players.reading import faults
from tests.players.showings import PLAYERS, Showings


def test_a_player_shows_every_frame_of_the_range_and_no_other(
    showings: Showings, player_name: str, clip_name: str
) -> None:
    if reason := showings.missing.get(player_name):
        pytest.skip(f"{player_name}: {reason}")
    clip = showings.clips[clip_name]
    habit = showings.habit(player_name, clip)
    if habit.refused:
        pytest.skip(f"{player_name} plays no file of this codec: {habit.refused}")
    seek = PLAYERS[player_name].seek
    if faults(clip, showings.reading(player_name, clip_name), habit, seek):
        showings.again(player_name, clip_name)
    assert faults(clip, showings.reading(player_name, clip_name), habit, seek) == []
