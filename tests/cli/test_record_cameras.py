"""`videostore record` and a network camera that wants a password, refuses, and comes later."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from tests.support import child_processes
from tests.support.guarded_camera import PASSWORD, RtspCamera
from tests.support.program import TIMEOUT_S, Process, Program
from tests.support.recording import until


@pytest.fixture
async def camera() -> AsyncIterator[RtspCamera]:
    camera = RtspCamera()
    await camera.start()
    yield camera
    await camera.stop()


@pytest.fixture
def url_file(program: Program, camera: RtspCamera) -> Path:
    path = program.here / "url"
    path.write_text(f"{camera.url}\n")
    return path


@contextlib.contextmanager
def started(program: Program, *arguments: object) -> Iterator[tuple[Process, Path]]:
    """The program, and the file with what it writes to standard error."""
    messages = program.here / "messages"
    with (
        messages.open("wb") as file,
        Process(
            program.command(*arguments),
            cwd=program.here,
            env=program.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
        ) as process,
    ):
        yield process, messages


def shown_by(process: Process) -> list[str]:
    """What the list of processes shows of the program and of all that it has started."""
    program = psutil.Process(process.pid)
    return child_processes.shown_by([program, *child_processes.running_children(program)])


async def test_a_camera_that_refuses_is_waited_for_and_then_recorded(
    program: Program, camera: RtspCamera, url_file: Path
) -> None:
    camera.refusal = "404 Not Found"
    arguments = "record", "--url-file", url_file, "--wait", "--storage", "door", "--size-gb", 1, "--verbose"
    with started(program, *arguments, "--duration", "1s") as (process, messages):
        await until(lambda: "it has no such stream (404)" in messages.read_text())
        asked = camera.clients
        await until(lambda: camera.clients > asked)
        camera.refusal = ""
        shown = list[str]()
        door = program.here / "door"
        while process.poll() is None:
            shown += await asyncio.to_thread(shown_by, process)
            await asyncio.sleep(0.05)
        out = process.stdout.read().decode() if process.stdout else ""
    said = messages.read_text()
    assert process.returncode == 0, said
    assert "The input cannot be recorded yet. It is tried again until it can; Ctrl-C stops.\n" in said
    assert out.startswith("Recorded ") and list(door.glob("*.mp4"))
    assert any("concat" in word for word in shown) and not [word for word in shown if PASSWORD in word]
    stored = b"".join(path.read_bytes() for path in door.iterdir() if path.is_file())
    assert PASSWORD not in said + out and PASSWORD.encode() not in stored


async def test_without_wait_a_camera_that_refuses_ends_the_program(
    program: Program, camera: RtspCamera, url_file: Path
) -> None:
    arguments = program.command("record", "--url-file", "-", "--storage", "door", "--size-gb", 1)
    camera.refusal = "404 Not Found"
    done = await asyncio.to_thread(
        subprocess.run,
        arguments,
        cwd=program.here,
        env=program.environment(),
        input=url_file.read_bytes(),
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 2 and done.stdout == b""
    assert b"cannot be recorded: it has no such stream (404)" in done.stderr
    assert PASSWORD.encode() not in done.stderr and not (program.here / "door").exists()


@pytest.mark.parametrize("options", [[], ["--format", "v4l2"]])
def test_a_device_that_is_missing_is_waited_for(program: Program, options: list[str]) -> None:
    absent = f"/dev/videostore-{os.getpid()}"
    command = "record", absent, *options, "--storage", "door", "--size-gb", 1
    done = program(*command)
    assert done.code == 2 and done.sentence.endswith("there is no such device.")
    with program.start_warm(*command, "--wait") as process:
        said = b""
        while b"Not recording: " not in said or b"no such device" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=TIMEOUT_S)
    assert b"there is no such device" in said and process.returncode == 130 and b"Nothing was recorded" in rest


@pytest.mark.parametrize("url", ["ftp://user:secret@host/x.mp4", "sftp://user:secret@host/x.mp4"])
def test_a_url_that_would_be_shown_is_refused(program: Program, url: str) -> None:
    file = program.here / "url"
    file.write_text(url)
    done = program("record", "--url-file", file, "--storage", "door", "--size-gb", 1)
    assert done.code == 2 and "cannot be hidden" in done.sentence and "secret" not in done.err


def test_an_input_is_named_exactly_once(program: Program) -> None:
    for named in ([], ["rtsp://user:secret@host/x", "--url-file", "-"]):
        done = program("record", *named, "--storage", "door", "--size-gb", 1)
        assert done.code == 2 and done.sentence == "Name either INPUT or --url-file FILE."
