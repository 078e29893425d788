"""Shows all clips to all players, once for all tests, and prints what came as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.players.clips import clip_names
from tests.players.showings import PLAYERS, Showings
from tests.players.table import summary

_SHOWINGS = pytest.StashKey[Showings]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each player and clip."""
    if {"player_name", "clip_name"} <= set(metafunc.fixturenames):
        metafunc.parametrize("player_name", list(PLAYERS))
        metafunc.parametrize("clip_name", clip_names())


@pytest.fixture(scope="session")
def showings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Showings]:
    """All clips, being shown to all players of the selected tests."""
    asked = {item.callspec.params.get("player_name") for item in request.session.items if hasattr(item, "callspec")}
    showings = Showings(tmp_path_factory.mktemp("players"), [name for name in PLAYERS if name in asked])
    request.config.stash[_SHOWINGS] = showings
    yield showings
    showings.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of players and clips."""
    if (showings := config.stash.get(_SHOWINGS, None)) is None:
        return
    terminalreporter.section("what players show")
    for line in summary(showings):
        terminalreporter.write_line(line)
