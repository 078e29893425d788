from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.support.program import Program, exact


def test_names_cannot_control_the_terminal(
    program: Program, recording: Path, times: list[int], tmp_path: Path, player: Path
) -> None:
    hostile = tmp_path / "door\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    shutil.copytree(recording, hostile)
    shown = r"door\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    arguments = exact(times[0]), exact(times[9]), "--storage", hostile
    made = program("export", *arguments)
    assert made.code == 0 and made.out.startswith(shown)
    above = program("state", "--storage", tmp_path)
    assert above.code == 2 and shown in above.sentence
    assert program("state", "--storage", hostile).out.startswith(f"Storage    {hostile.parent / shown}\n")
    assert program("play", *arguments, VIDEOSTORE_FFPLAY=str(player)).code == 0
    assert f"-window_title {shown}  " in (program.home / "arguments").read_text()
    for command in (["state", "--storage", str(hostile)], ["export", *arguments, "--overwrite"]):
        _, drawn = program.on_terminal(*command, columns=300)
        assert shown in drawn and not {"\x1b]", "\x1b[2J", "\x07", "\x9b"} & {
            drawn[i : i + n] for i in range(len(drawn)) for n in (1, 2, 4)
        }


def test_only_a_terminal_gets_colours_and_bars(program: Program, recording: Path, times: list[int]) -> None:
    code, drawn = program.on_terminal("state", "--storage", recording)
    assert code == 0 and "\x1b[1m" in drawn and "FROM" in drawn
    arguments = "export", exact(times[0]), exact(times[60]), "--storage", recording
    code, drawn = program.on_terminal(*arguments)
    assert code == 0 and "Writing" in drawn and " %" in drawn and "\x1b[" in drawn
    done = program(*arguments, "--overwrite")
    assert "\x1b" not in done.out + done.err and "Writing" not in done.out + done.err
    code, drawn = program.on_terminal(*arguments, "-o", "-")
    assert code == 2 and "A clip cannot be shown in a terminal" in drawn


@pytest.mark.parametrize("columns", [36, 40, 60, 120])
def test_facts_are_broken_between_words_and_a_time_is_never_cut(
    program: Program, recording: Path, times: list[int], columns: int
) -> None:
    arguments = "export", exact(times[0]), exact(times[60]), "--storage", recording, "-o", "clip.mp4"
    code, drawn = program.on_terminal(*arguments, columns=columns)
    (held,) = re.findall(r"holds.*", drawn, re.DOTALL)
    assert code == 0 and "2024-08-30T08:40:00.123+02:00" in held and re.search(r"\(\d\.\d s\)", held)
    assert len(re.findall(r"2024-08-30T\d\d:\d\d:\d\d\.\d{3}\+02:00", held)) == 2
