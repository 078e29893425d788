from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.fakes.painted_camera import read_clip
from tests.support.program import Program, exact, summer_time
from tests.support.recording import START_US
from videostore.base.errors import RequestError
from videostore.cli import play
from videostore.cli.play import find_player, find_screen

SCREENS = "DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER"
NO_SCREEN: dict[str, Any] = dict.fromkeys(SCREENS, "")


def test_play_gives_the_clip_to_a_player(
    program: Program, recording: Path, times: list[int], player: Path, unchanged: None
) -> None:
    done = program("play", exact(times[3]), exact(times[30]), "--storage", recording, VIDEOSTORE_FFPLAY=str(player))
    assert (done.code, done.out, done.err) == (0, "", "")
    shown = read_clip(program.home / "played.mp4")
    assert [frame.captured_us for _, frame in shown if frame] == times[3:30]
    title = f"{recording.name}  {summer_time(times[3])} to {summer_time(times[30])}"
    assert f"-window_title {title} -i -" in (program.home / "arguments").read_text()
    assert not program.temporary_files()


def test_closing_the_window_early_is_not_an_error(program: Program, recording: Path) -> None:
    player = program.script("ffplay", "head -c 1000 > /dev/null")
    done = program("play", exact(START_US), "+6s", "--storage", recording, VIDEOSTORE_FFPLAY=str(player))
    assert (done.code, done.out, done.err) == (0, "", "")


def test_without_a_player_or_a_screen_it_says_what_to_do(program: Program, recording: Path) -> None:
    arguments = "play", exact(START_US), "+3s", "--storage", recording
    sentence = program(*arguments, PATH=str(program.here)).sentence
    assert "No ffplay was found. Install it" in sentence and "videostore export" in sentence
    assert "VIDEOSTORE_FFPLAY is 'nowhere'" in program(*arguments, VIDEOSTORE_FFPLAY="nowhere").sentence
    blind = program.script(
        "ffplay", "head -c 1000 > /dev/null", "echo '[fatal] Could not initialize SDL' >&2", "exit 1"
    )
    done = program(*arguments, VIDEOSTORE_FFPLAY=str(blind))
    assert done.code == 1 and "ffplay failed (exit code 1): Could not initialize SDL. To watch" in done.sentence


def test_the_errors_of_a_missing_player_have_fields(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VIDEOSTORE_FFPLAY", raising=False)
    with pytest.raises(RequestError) as missing:
        find_player()
    assert missing.value.code == "player-missing"
    monkeypatch.setenv("VIDEOSTORE_FFPLAY", "nowhere")
    with pytest.raises(RequestError) as wrong:
        find_player()
    assert (wrong.value.code, wrong.value.value) == ("player-not-runnable", "nowhere")


@pytest.mark.skipif(any(Path("/dev/dri").glob("card*")), reason="this machine has a screen")
def test_without_a_screen_nothing_is_played_and_it_says_so(program: Program, recording: Path, player: Path) -> None:
    arguments = "play", exact(START_US), "+3s", "--storage", recording
    done = program(*arguments, VIDEOSTORE_FFPLAY=str(player), **NO_SCREEN)
    assert (done.code, done.out) == (2, "")
    assert done.sentence.startswith("There is no screen to play on: ") and "videostore export" in done.sentence
    assert not (program.home / "played.mp4").exists()


@pytest.mark.skipif(shutil.which("ffplay") is None, reason="there is no ffplay")
def test_a_screen_that_cannot_be_opened_is_an_error(program: Program, recording: Path) -> None:
    environment = {**NO_SCREEN, "DISPLAY": ":9393"}
    done = program("play", exact(START_US), "+3s", "--storage", recording, **environment)
    assert done.code == 1 and done.sentence.startswith("ffplay failed (exit code 1): "), done.err


@pytest.mark.parametrize(
    ("environment", "driver"),
    [
        ({"DISPLAY": ":0"}, "x11"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, "x11"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "wayland"),
        ({}, "kmsdrm"),
    ],
)
def test_the_player_draws_on_the_screen_of_the_user_and_on_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: dict[str, str], driver: str
) -> None:
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "card0").touch()
    monkeypatch.setattr(play, "_SCREENS", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    assert find_screen() == ["env", f"SDL_VIDEODRIVER={driver}", f"SDL_VIDEO_DRIVER={driver}"]
    monkeypatch.setenv("SDL_VIDEODRIVER", "directfb")
    assert find_screen() == []  # the user has chosen


def test_a_machine_without_a_screen_is_an_error_with_a_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in SCREENS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(play, "_SCREENS", tmp_path)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(RequestError) as refused:
        find_screen()
    assert refused.value.code == "no-screen"
