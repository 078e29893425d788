from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.support.program import TIMEOUT_S, Program


def test_web_shows_directories_until_it_is_ended(program: Program, recording: Path) -> None:
    with program.start("web", "--storage", recording, "--storage", recording, "--port", "0") as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        with urllib.request.urlopen(f"{url}api/recorders", timeout=TIMEOUT_S) as answer:
            told = json.load(answer)
        assert [one["name"] for one in told["recorders"]] == [recording.name] * 2
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "x"], "--port is 'x'."),
        (["--port", "65536"], "--port is '65536'. It must be a port from 0 to 65535"),
        (["--storage", "nowhere"], "There is no storage directory"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_sentence(
    program: Program, recording: Path, arguments: list[str], words: str
) -> None:
    done = program("web", *([] if "--storage" in arguments else ["--storage", recording]), *arguments)
    assert done.code == 2 and done.sentence.startswith(words)
