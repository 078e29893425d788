from __future__ import annotations

import json
import signal
import socket
import urllib.error
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
        (["--host", "0.0.0.0"], "--host is '0.0.0.0', so that others than this machine reach the page."),
        (["--allow-host", "cameras.example"], '--allow-host is ["cameras.example"], so that others'),
        (["--host", "http://x"], "--host is 'http://x'. It must be an IP address"),
        (["--host", "::", "--password-env", "VIDEOSTORE_TEST_NO_SUCH"], "The password cannot be read: the environment"),
        (["--password-file", "nowhere"], "The password cannot be read from "),
    ],
)
def test_what_cannot_be_shown_is_refused_with_a_sentence(
    program: Program, recording: Path, arguments: list[str], words: str
) -> None:
    done = program("web", *([] if "--storage" in arguments else ["--storage", recording]), *arguments)
    assert done.code == 2 and done.sentence.startswith(words)


def test_with_a_password_only_those_get_in_who_know_it(program: Program, recording: Path) -> None:
    file = program.here / "password"
    file.touch(mode=0o600)
    file.write_text("a secret word\n")
    with program.start("web", "--storage", recording, "--port", "0", "--password-file", "password") as process:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}api/recorders", timeout=TIMEOUT_S)
        assert refused.value.code == 401
        allowed = urllib.request.Request(f"{url}api/recorders", headers={"Authorization": "Basic OmEgc2VjcmV0IHdvcmQ="})
        with urllib.request.urlopen(allowed, timeout=TIMEOUT_S) as answer:
            assert len(json.load(answer)["recorders"]) == 1
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=TIMEOUT_S)


def test_a_port_that_is_taken_is_told_at_once(program: Program, recording: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = program("web", "--storage", recording, "--port", taken.getsockname()[1])
    assert done.code == 1 and "another program uses this port" in done.sentence
