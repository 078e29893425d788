from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.support.program import TIMEOUT_S, Program, exact, wait_for
from videostore.cli.runtime import DONE, INTERRUPTED, print_message, run, second_signal
from videostore.ffmpeg.process import find_ffmpeg


def test_an_interrupt_leaves_no_file_and_no_process(program: Program, recording: Path, times: list[int]) -> None:
    stuck = program.script(
        "ffmpeg",
        f'case "$*" in *concat*) : > "{program.home}/cutting"; exec sleep 600;; esac',
        f'exec "{find_ffmpeg()}" "$@"',
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        arguments = "export", exact(times[0]), exact(times[9]), "--storage", recording, "-o", "clip.mp4"
        with program.start(*arguments, VIDEOSTORE_FFMPEG=str(stuck)) as process:
            wait_for(program.home / "cutting")
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
            process.send_signal(number)
            out, err = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, out, err) == (code, b"", b"")
        assert children and not psutil.wait_procs(children, TIMEOUT_S)[1]
        assert not os.listdir(program.here) and not program.temporary_files()
        (program.home / "cutting").unlink()


def test_an_interrupt_waits_neither_for_a_reader_nor_for_a_player(
    program: Program, recording: Path, times: list[int]
) -> None:
    """The clip is larger than what the pipe can hold."""
    idle = program.script("ffplay", f': > "{program.home}/playing"', "exec sleep 600")
    asked = exact(times[0]), exact(times[-1]), "--storage", recording
    with (
        program.start("export", *asked, "-o", "-") as exporting,
        program.start("play", *asked, VIDEOSTORE_FFPLAY=str(idle)) as playing,
    ):
        wait_for(program.home / "playing")
        assert exporting.stdout is not None
        assert len(exporting.stdout.read(10)) == 10
        children = [*psutil.Process(playing.pid).children(), *psutil.Process(exporting.pid).children()]
        for process in (exporting, playing):
            process.send_signal(signal.SIGINT)
        assert exporting.wait(TIMEOUT_S) == playing.wait(TIMEOUT_S) == 130
        assert exporting.communicate()[1] == playing.communicate()[1] == b""
    assert children and not psutil.wait_procs(children, TIMEOUT_S)[1]  # one that has written everything exits
    assert not program.temporary_files()


def test_a_signal_cancels_the_command_and_lets_it_close_what_it_owns() -> None:
    closed = []

    async def work() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.sleep(TIMEOUT_S)
        finally:
            await asyncio.sleep(0.05)
            closed.append(True)
        return DONE

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        assert run(work()) == INTERRUPTED and closed
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def test_a_second_signal_is_passed_on_to_what_waits_for_it() -> None:
    signals: list[str] = []

    async def work() -> int:
        again = asyncio.Event()
        try:
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.sleep(TIMEOUT_S)
        except asyncio.CancelledError:
            signals.append("first")
        with second_signal(again.set):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(again.wait(), TIMEOUT_S)
        signals.append("second")
        return DONE

    before = signal.getsignal(signal.SIGINT)
    try:
        assert run(work()) == DONE and signals == ["first", "second"]
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07done", "a\x9b2Jb", "a\x00b"])
def test_a_message_of_a_machine_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str], text: str) -> None:
    print_message(text)
    printed = capsys.readouterr().err
    assert "\\x" in printed and printed.rstrip("\n").isprintable()


def test_a_message_is_one_line_without_passwords_that_ends_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_message("rtsp://user:secret@camera/door\nis gone")
    assert capsys.readouterr().err == "videostore: rtsp://…@camera/door is gone.\n"
    print_message("Is it there?")
    assert capsys.readouterr().err == "videostore: Is it there?\n"
