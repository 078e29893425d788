from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Program, Result, exact
from videostore.cli import command_line, environment
from videostore.ffmpeg.process import find_ffmpeg

MISTAKES: list[tuple[list[str], list[str]]] = [
    (["exprot"], ["No such command 'exprot'", "export", "See `videostore --help`."]),
    (["export", "-5m"], ["Missing argument 'TO'. See `videostore export --help`."]),
    (["export", "-5m", "now", "--overwite"], ["--overwite", "--overwrite"]),
    (["export", "-5m", "now", "-x"], ["No such option: -x"]),
    (["export", "-5m", "now", "then"], ["then"]),
    (["export", "yesterday", "now"], ["FROM is not a valid time: 'yesterday'.", "-5m", "RFC 3339"]),
    (["export", "-5m", "-x"], ["No such option: -x"]),
    (["export", "2024-08-30T08:40:00+02:00", "+1s", "-o", "no/clip.mp4"], ["There is no directory", "Create it first"]),
    (["export", "-5m", "now", "--component", "door"], ["--component", "--machine ADDRESS"]),
    (["export", "-5m", "now", "--machine", "robot", "--storage", "."], ["Use either --machine or --storage, not both"]),
    (["export", "-5m", "now", "--machine", "robot", "-o", "-"], ["-o - is not available with --machine"]),
    (["export", "-5m", "now", "--machine", "robot", "--fmp4"], ["--fmp4 is not available with --machine"]),
    (["state", "--storage", "nowhere"], ["There is no storage directory", "nowhere"]),
    (["state", "--since", "soon"], ["--since is not a valid time: 'soon'"]),
    (["state"], ["No storage directory was found", "--storage DIR", environment.STORAGE]),
]  # fmt: skip
"""Wrong command lines, and words of the message."""


def test_a_mistake_is_answered_with_one_sentence(program: Program, recording: Path) -> None:
    def call(arguments: list[str]) -> Result:
        named = arguments[0] != "export" or {"--storage", "--machine", "--component"} & {*arguments}
        return program(*arguments, *([] if named else ["--storage", recording]))

    with ThreadPoolExecutor(2) as pool:
        for done, (_, words) in zip(pool.map(call, [arguments for arguments, _ in MISTAKES]), MISTAKES, strict=True):
            assert done.code == 2 and not done.out
            assert all(word in done.sentence for word in words), done.sentence
    assert not os.listdir(program.here)


def test_a_failure_of_ffmpeg_is_reported_with_its_reason(program: Program, recording: Path, times: list[int]) -> None:
    broken = program.script(
        "ffmpeg", 'case "$*" in *concat*) echo "[error] no luck" >&2; exit 1;; esac', f'exec "{find_ffmpeg()}" "$@"'
    )
    arguments = "export", exact(times[0]), exact(times[9]), "--storage", recording
    done = program(*arguments, VIDEOSTORE_FFMPEG=str(broken))
    assert done.code == 1
    assert done.sentence == "The clip could not be made: ffmpeg failed (exit code 1): no luck."
    assert program(*arguments, VIDEOSTORE_FFMPEG="nowhere").code == 1
    verbose = program(*arguments, "--verbose", VIDEOSTORE_FFMPEG=str(broken))
    assert "ffmpeg: no luck" in verbose.err and "Traceback" in verbose.err and verbose.code == 1
    assert not os.listdir(program.here) and not program.temporary_files()


def test_an_unexpected_error_is_reported_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: Any) -> int:
        raise KeyError("rtsp://user:secret@camera is odd\nand more")

    monkeypatch.setattr("videostore.cli.app.dispatch", fail)
    assert command_line.run_command_line(["state"]) == 1
    assert capsys.readouterr().err == (
        "videostore: Unexpected error: 'rtsp://…@camera is odd\\nand more'. Run the command again with --verbose for "
        "the traceback.\n"
    )
    monkeypatch.setattr("videostore.cli.app.dispatch", lambda arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command_line.run_command_line(["state"]) == 130
