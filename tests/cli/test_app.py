"""The command line, as the real program, on real recordings."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from scripts.fakes.painted_camera import check_clip, read_clip
from tests.support.checkout import ROOT
from tests.support.go_index import go_index
from tests.support.recording import START_US, US, Pulse, Stores, until, write_foreign
from videostore.base.ranges import Range
from videostore.cli import command_line
from videostore.cli import runtime as outcome
from videostore.cli.invocation import is_module_invocation
from videostore.cli.storage_directory import VARIABLE
from videostore.cli.time_options import bare, length, shield, written, written_within
from videostore.ffmpeg.process import find_ffmpeg

ZONE = "Europe/Berlin"
WITHIN_S = 60
GO_S = 1_700_000_000


@dataclass(frozen=True)
class Ended:
    """How the program has ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The only line on the standard error, which is a sentence for people."""
        (line,) = self.err.splitlines()
        assert line.startswith("videostore: ") and line.endswith("."), line
        assert "Traceback" not in line and "Error(" not in line
        return line.removeprefix("videostore: ")


@dataclass(frozen=True)
class Program:
    """The program, called by somebody whose home is a directory of the test's own."""

    home: Path

    def environment(self, **changes: str) -> dict[str, str]:
        """What it is started with."""
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("VIDEOSTORE_ST", "VIAM_"))}
        clean = {"HOME": str(self.home), "TMPDIR": str(self.home / "tmp"), "TZ": ZONE, "COLUMNS": "80"}
        return {**ours, **clean, "PYTHONPATH": str(ROOT), **changes}

    @property
    def here(self) -> Path:
        """Where it is called."""
        return self.home / "here"

    def command(self, *arguments: object) -> list[str]:
        """How it is called."""
        return [sys.executable, "-m", "videostore", *map(str, arguments)]

    def __call__(self, *arguments: object, cwd: Path | None = None, **environment: str) -> Ended:
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.here,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=WITHIN_S,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    async def beside(self, *arguments: object) -> Ended:
        """The same while this process goes on."""
        return await asyncio.to_thread(self, *arguments)

    def start(self, *arguments: object, **environment: str) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, for a test that ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.here,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def on_terminal(self, *arguments: object, columns: int = 80, **environment: str) -> tuple[int, str]:
        """Its exit code, and all that it draws on a terminal."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        settings = {**self.environment(TERM="xterm-256color", **environment)}
        settings.pop("COLUMNS")
        settings.pop("NO_COLOR", None)
        process = subprocess.Popen(
            self.command(*arguments), cwd=self.here, env=settings, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        drawn = b""
        with contextlib.suppress(OSError):  # its end
            while block := os.read(ours, 65536):
                drawn += block
        os.close(ours)
        return process.wait(WITHIN_S), drawn.decode()

    def stand_in(self, name: str, *lines: str) -> Path:
        """A script in the place of a program."""
        path = self.home / name
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return path

    def left(self) -> list[str]:
        """Temporary files."""
        return sorted(os.listdir(self.home / "tmp"))


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program; nothing temporary may be left of it."""
    for name in ("tmp", "here"):
        (tmp_path / "home" / name).mkdir(parents=True)
    return Program(tmp_path / "home")


@pytest.fixture(scope="session")
def years(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 segments as the Go module wrote them, 100 s apart, without an index. Not to be changed."""
    directory = tmp_path_factory.mktemp("years") / "yard"
    first = directory / f"{GO_S}.mp4"
    asyncio.run(write_foreign(first, seconds=2))
    for number in range(1, 25):
        shutil.copyfile(first, directory / f"{GO_S + 100 * number}.mp4")
    return directory


@pytest.fixture
def unchanged(recording: Path) -> Iterator[None]:
    """Nothing in the recording may have changed, be it a time."""
    before = contents(recording)
    yield
    assert contents(recording) == before


def contents(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """All that can be told of the files in a directory."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.stat()
        found[path.name] = status.st_size, status.st_mtime_ns, status.st_nlink, path.read_bytes()
    found["."] = 0, directory.stat().st_mtime_ns, 0, b""
    return found


def exact(time_us: int) -> str:
    return written(time_us, utc=True, precision="microseconds")


def moment_us(text: str) -> int:
    return round(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * US)


# state


def test_state_shows_ranges_sums_and_how_old_the_newest_frame_is(
    program: Program, recording: Path, times: list[int], unchanged: None
) -> None:
    done = program("state", "--storage", recording)
    assert done.code == 0 and not done.err
    facts, _, table = done.out.partition("\n\n")
    assert facts.splitlines()[0].split() == ["Storage", str(recording)]
    newest = r"the newest frame is \d+ d( \d\d h)? old \(2024-08-30T08:40:07\+02:00\)"
    assert re.search(f"Recording  not now, {newest}", facts)
    assert re.search(r"Stored +7\.0 s in 1 range\nUsed +[\d.]+ KiB\nFree +[\d.]+ [GT]iB on the device", facts)
    header, line = table.splitlines()
    assert header.split() == ["FROM", "TO", "LENGTH", "GAP", "BEFORE"]
    # Whole seconds that lie inside of what is stored.
    assert line.split() == ["2024-08-30T08:40:01+02:00", "2024-08-30T08:40:07+02:00", "7.0", "s"]


def test_state_for_programs_has_utc_times_bytes_and_seconds(
    program: Program, recording: Path, times: list[int]
) -> None:
    done = program("state", "--json", cwd=recording)
    assert done.code == 0 and not done.err
    state = json.loads(done.out)
    (one,) = state.pop("ranges")
    assert one["from"] == exact(times[0]) and moment_us(one["to"]) > times[-1]
    assert one["seconds"] == pytest.approx((moment_us(one["to"]) - times[0]) / US)
    assert state.pop("device_free_bytes") > 0 and state.pop("newest_age_seconds") > 3600
    assert state == {
        "storage": str(recording),
        "recording": False,
        "oldest": one["from"],
        "newest": one["to"],
        "stored_seconds": one["seconds"],
        "used_bytes": sum(path.stat().st_size for path in recording.glob("*.mp4")),
        "quota_bytes": None,
        "gaps": [],
    }


def test_state_shows_the_last_ranges_of_many_and_the_gaps_between_them(program: Program, years: Path) -> None:
    before = contents(years)
    done = program("state", "--storage", years, "--utc")
    lines = done.out.partition("\n\n")[2].splitlines()
    assert lines[0] == "5 earlier ranges, from 2023-11-14T22:13:20Z on, are shown with --all."
    assert len(lines) == 22
    # The gap that is measured from a range that is not shown counts as well.
    assert all(line.endswith("2.0 s   1 min 38 s") for line in lines[2:])
    whole = program("state", "--storage", years, "--utc", "--all").out.partition("\n\n")[2].splitlines()
    assert len(whole) == 26 and whole[1].split() == ["2023-11-14T22:13:20Z", "2023-11-14T22:13:22Z", "2.0", "s"]
    since = json.loads(program("state", "--storage", years, "--json", "--since", f"{written((GO_S + 2301) * US)}").out)
    assert [moment_us(one["from"]) // US - GO_S for one in since["ranges"]] == [2300, 2400]
    assert [one["seconds"] for one in since["gaps"]] == [98]
    assert contents(years) == before


def test_state_of_a_directory_with_nothing_in_it_says_so(program: Program, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = program("state", "--storage", empty)
    assert done.code == 0 and re.search(r"^Stored +nothing yet$", done.out, re.MULTILINE)
    assert json.loads(program("state", "--json", "--storage", empty).out)["ranges"] == []
    assert not os.listdir(empty)


# export


@pytest.mark.parametrize("options", [[], ["--fmp4"]])
def test_a_clip_shows_every_frame_of_its_range_and_no_other(
    program: Program, recording: Path, times: list[int], unchanged: None, options: list[str]
) -> None:
    from_us, to_us = times[13] - 1, times[41]
    done = program("export", exact(from_us), exact(to_us), "--storage", recording, "-o", "clip.mp4", *options)
    assert done.code == 0 and not done.err
    clip = program.here / "clip.mp4"
    shown = read_clip(clip)
    assert [frame.captured_us for _, frame in shown if frame] == times[13:41]
    assert check_clip(shown, times, from_us, to_us).drift_ms < 5
    first, second = done.out.splitlines()
    assert re.fullmatch(r"clip\.mp4  [\d.]+ KiB", first)
    assert second == f"holds  {written_in_zone(from_us)} to {written_in_zone(to_us)}  ({length(to_us - from_us)})"
    assert os.listdir(program.here) == ["clip.mp4"] and not program.left()


def test_a_clip_is_named_after_the_recorder_and_its_beginning(
    program: Program, recording: Path, times: list[int]
) -> None:
    name = f"{recording.name}_2024-08-30_08-40-01.mp4"
    arguments = "export", exact(times[0] + US), "+2s", "--storage", recording
    assert program(*arguments).code == 0
    assert [path.name for path in program.here.iterdir()] == [name]
    assert f"The file {program.here / name} exists already" in program(*arguments).sentence
    again = program(*arguments, "--overwrite", "-o", ".")  # a directory
    assert again.code == 0 and again.out.startswith(f"{name}  ")


def test_a_clip_that_lacks_a_part_says_which_and_the_exit_code_tells(
    program: Program, recording: Path, times: list[int]
) -> None:
    asked = exact(times[0] - 90 * US), exact(times[20])
    done = program("export", *asked, "--storage", recording, "-o", "clip.mp4", "--utc")
    assert done.code == 3
    assert done.sentence == (
        f"The clip lacks 1 min 30 s of {length(times[20] - times[0] + 90 * US)}: nothing is stored from "
        f"{written(times[0] - 90 * US, utc=True)} to {written(times[0], utc=True)}."
    )
    assert f"holds  {written(times[0], utc=True)} to {written(times[20], utc=True)}  (" in done.out
    assert len(read_clip(program.here / "clip.mp4")) == 20


def test_a_clip_goes_into_a_pipe_as_it_is_made(program: Program, recording: Path, times: list[int]) -> None:
    arguments = program.command("export", exact(times[7]), exact(times[33]), "--storage", recording, "-o", "-")
    done = subprocess.run(arguments, cwd=program.here, env=program.environment(), capture_output=True, timeout=WITHIN_S)
    assert done.returncode == 0 and not done.stderr
    assert [frame.captured_us for _, frame in read_clip(done.stdout) if frame] == times[7:33]
    assert not os.listdir(program.here) and not program.left()


def test_a_reader_that_goes_away_is_no_reason_for_a_word(program: Program, recording: Path, times: list[int]) -> None:
    with program.start("export", exact(times[0]), exact(times[-1]), "--storage", recording, "-o", "-") as process:
        assert process.stdout is not None and process.stderr is not None
        assert len(process.stdout.read(100)) == 100
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(WITHIN_S) in (0, 1)  # all of it may have fitted into the pipe
    with program.start("state", "--storage", recording) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(WITHIN_S) == 1


def test_a_copy_in_the_hands_of_somebody_who_may_only_read_is_read(
    program: Program, recording: Path, times: list[int], tmp_path: Path
) -> None:
    copy = tmp_path / "stick"
    shutil.copytree(recording, copy)
    for path in [*copy.iterdir(), copy]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = contents(copy)
        done = program("export", exact(times[5]), exact(times[25]), "--storage", copy, "-o", "clip.mp4")
        assert done.code == 0 and len(read_clip(program.here / "clip.mp4")) == 20
        assert contents(copy) == before
    finally:
        copy.chmod(0o755)


def test_segments_and_an_index_of_the_go_module_are_read(program: Program, years: Path, tmp_path: Path) -> None:
    yard = tmp_path / "yard"
    shutil.copytree(years, yard)
    sizes = {path.name: path.stat().st_size for path in yard.iterdir()}
    go_index(yard, *((name, int(name[:-4]), 2000, size) for name, size in sizes.items()))
    before = contents(yard)
    assert len(json.loads(program("state", "--json", "--storage", yard).out)["ranges"]) == 25
    done = program("export", written((GO_S + 100) * US), "+1s", "--storage", yard, "-o", "clip.mp4")
    assert done.code == 0 and len(read_clip(program.here / "clip.mp4")) == 10
    assert contents(yard) == before


async def test_beside_a_recorder_at_work_now_is_now(program: Program, stores: Stores) -> None:
    """The last second is still in the encoder when it is asked for."""
    pulse = Pulse()
    store = await stores.open(pulse, segment_seconds=2)
    await until(lambda: store.health().segments and len(pulse.delivered) > 25)
    state, done = await asyncio.gather(
        program.beside("state", "--json", "--storage", stores.storage),
        program.beside("export", "-2s", "now", "--storage", stores.storage, "-o", "clip.mp4", "--utc"),
    )
    described = json.loads(state.out)
    assert described["recording"] is True and described["newest_age_seconds"] < 10
    assert described["used_bytes"] > 0 and described["oldest"] == exact(pulse.delivered[0])
    assert done.code == 0 and not done.err, done.err
    held = re.search(r"holds  (\S+) to (\S+)  \(2\.0 s\)", done.out)
    assert held is not None
    from_us, to_us = moment_us(held[1]), moment_us(held[2])
    shown = [frame.captured_us for _, frame in read_clip(program.here / "clip.mp4") if frame]
    inside = [one for one in pulse.delivered if from_us <= one < to_us]
    assert set(inside) <= set(shown) <= set(pulse.delivered) and len(shown) <= len(inside) + 1  # told to 1 ms


def test_interrupted_it_leaves_no_file_and_no_process(program: Program, recording: Path, times: list[int]) -> None:
    stuck = program.stand_in(
        "ffmpeg",
        f'case "$*" in *concat*) : > "{program.home}/cutting"; exec sleep 60;; esac',
        f'exec "{find_ffmpeg()}" "$@"',
    )
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 130)):
        arguments = "export", exact(times[0]), exact(times[9]), "--storage", recording, "-o", "clip.mp4"
        with program.start(*arguments, VIDEOSTORE_FFMPEG=str(stuck)) as process:
            wait_for(program.home / "cutting")
            children = psutil.Process(process.pid).children(recursive=True)
            began = time.monotonic()
            process.send_signal(number)
            process.send_signal(number)
            out, err = process.communicate(timeout=WITHIN_S)
        assert (process.returncode, out, err) == (code, b"", b"")
        assert time.monotonic() - began < 10
        assert children and not psutil.wait_procs(children, 5)[1]
        assert not os.listdir(program.here) and not program.left()
        (program.home / "cutting").unlink()


def test_interrupted_it_waits_neither_for_a_reader_nor_for_a_player(
    program: Program, recording: Path, times: list[int]
) -> None:
    """Of all that the clip has, the pipe takes but a part."""
    idler = program.stand_in("ffplay", f': > "{program.home}/playing"', "exec sleep 60")
    asked = exact(times[0]), exact(times[-1]), "--storage", recording
    with (
        program.start("export", *asked, "-o", "-") as exporting,
        program.start("play", *asked, VIDEOSTORE_FFPLAY=str(idler)) as playing,
    ):
        wait_for(program.home / "playing")
        assert exporting.stdout is not None
        assert len(exporting.stdout.read(10)) == 10
        children = [*psutil.Process(playing.pid).children(), *psutil.Process(exporting.pid).children()]
        for process in (exporting, playing):
            process.send_signal(signal.SIGINT)
        assert exporting.wait(10) == playing.wait(10) == 130
        assert exporting.communicate()[1] == playing.communicate()[1] == b""
    assert children and not psutil.wait_procs(children, 5)[1]  # an ffmpeg that has written all has ended by itself
    assert not program.left()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# play


@pytest.fixture
def player(program: Program) -> Path:
    """In the place of ffplay: keeps what it is given, and decodes it."""
    return program.stand_in(
        "ffplay",
        f'echo "$@" > "{program.home}/arguments"',
        f'tee "{program.home}/played.mp4" | "{find_ffmpeg()}" -v error -xerror -i - -f null -',
    )


def test_play_gives_the_clip_to_a_player(
    program: Program, recording: Path, times: list[int], player: Path, unchanged: None
) -> None:
    done = program("play", exact(times[3]), exact(times[30]), "--storage", recording, VIDEOSTORE_FFPLAY=str(player))
    assert (done.code, done.out, done.err) == (0, "", "")
    shown = read_clip(program.home / "played.mp4")
    assert [frame.captured_us for _, frame in shown if frame] == times[3:30]
    title = f"{recording.name}  {written_in_zone(times[3])} to {written_in_zone(times[30])}"
    assert f"-window_title {title} -i -" in (program.home / "arguments").read_text()
    assert not program.left()


def written_in_zone(time_us: int) -> str:
    assert START_US <= time_us < START_US + 60 * US
    return written(time_us + 7200 * US, utc=True).replace("Z", "+02:00")


def test_a_window_that_is_closed_early_is_no_error(program: Program, years: Path, recording: Path) -> None:
    quitter = program.stand_in("ffplay", "head -c 1000 > /dev/null")
    start = written(START_US, utc=True, precision="microseconds")
    done = program("play", start, "+6s", "--storage", recording, VIDEOSTORE_FFPLAY=str(quitter))
    assert (done.code, done.out, done.err) == (0, "", "")


def test_without_a_player_or_a_screen_it_says_what_to_do(program: Program, recording: Path) -> None:
    arguments = "play", exact(START_US), "+3s", "--storage", recording
    sentence = program(*arguments, PATH=str(program.here)).sentence
    assert "No ffplay was found: install it" in sentence and "videostore export" in sentence
    assert "VIDEOSTORE_FFPLAY names 'nowhere'" in program(*arguments, VIDEOSTORE_FFPLAY="nowhere").sentence
    blind = program.stand_in(
        "ffplay", "head -c 1000 > /dev/null", "echo '[fatal] Could not initialize SDL' >&2", "exit 1"
    )
    done = program(*arguments, VIDEOSTORE_FFPLAY=str(blind))
    assert done.code == 1 and "ffplay failed (exit code 1): Could not initialize SDL; to watch it" in done.sentence


# Moments, and mistakes


def test_moments_before_now_are_no_options(program: Program, recording: Path) -> None:
    present_us = time.time_ns() // 1000
    done = program("export", "-2d", "-1h30m", "--storage", recording, "--utc")
    assert done.code == 2
    found = re.match(
        r"Nothing is stored in the range from (\S+) to (\S+): the nearest stored range is 2024", done.sentence
    )
    assert found is not None
    ago_s = [(present_us - moment_us(text)) / US for text in found.groups()]
    assert ago_s == pytest.approx([172800, 5400], abs=WITHIN_S)
    done = program("play", "-90s", "-5m", "--storage", recording)
    assert done.code == 2 and re.match(r"FROM \(\S+\) must lie before TO \(\S+\), else", done.sentence)


@pytest.mark.parametrize(
    "text", ["-5m", "-1h30m", "-90s", "-2d", "- 5 m", "-.5h", "-1hour", "-o", "--all", "now", " x"]
)
def test_what_is_shielded_from_the_parser_comes_out_as_it_went_in(text: str) -> None:
    (shielded,) = shield([text])
    assert bare(shielded) == text
    assert shielded.startswith("-") == (text in ("-o", "--all"))


MISTAKES: list[tuple[list[str], list[str]]] = [
    (["exprot"], ["No such command 'exprot'", "export", "See `videostore --help`."]),
    ([str(ROOT)], ["is no command: to see what is recorded in a directory, use `videostore state"]),
    (["export", "-5m"], ["Missing argument 'TO'. See `videostore export --help`."]),
    (["export", "-5m", "now", "--overwite"], ["--overwite", "--overwrite"]),
    (["export", "-5m", "now", "-x"], ["No such option: -x"]),
    (["export", "-5m", "now", "then"], ["then"]),
    (["export", "yesterday", "now"], ["'from' is 'yesterday', which is no moment", "-5m", "RFC 3339"]),
    (["export", "-5m", "-x"], ["No such option: -x"]),
    (["export", "2024-08-30T08:40:00+02:00", "+1s", "-o", "no/clip.mp4"], ["There is no directory", "make it"]),
    (["export", "-5m", "now", "--component", "door"], ["--component", "--machine ADDRESS"]),
    (["export", "-5m", "now", "--machine", "robot", "--storage", "."], ["--machine and --storage"]),
    (["export", "-5m", "now", "--machine", "robot", "-o", "-"], ["From a machine", "-o"]),
    (["state", "--storage", "nowhere"], ["There is no storage directory", "nowhere"]),
    (["state", "--since", "soon"], ["'since' is 'soon', which is no moment"]),
    (["state"], ["No storage directory was found", "--storage DIR", VARIABLE]),
]  # fmt: skip
"""What is wrong, and words of the answer."""


def test_a_mistake_is_answered_with_a_sentence(program: Program, recording: Path) -> None:
    def call(arguments: list[str]) -> Ended:
        named = arguments[0] != "export" or {"--storage", "--machine", "--component"} & {*arguments}
        return program(*arguments, *([] if named else ["--storage", recording]))

    with ThreadPoolExecutor(2) as pool:
        for done, (_, words) in zip(pool.map(call, [arguments for arguments, _ in MISTAKES]), MISTAKES, strict=True):
            assert done.code == 2 and not done.out
            assert all(word in done.sentence for word in words), done.sentence
    assert not os.listdir(program.here)


def test_a_clip_is_not_put_where_it_would_be_taken_for_the_recording(program: Program, years: Path) -> None:
    done = program("export", written(GO_S * US), "+1s", "--storage", years, "-o", years / f"{GO_S + 50}.mp4")
    assert done.code == 2 and "storage directory" in done.sentence


def test_what_the_disk_or_ffmpeg_does_is_a_fault(program: Program, recording: Path, times: list[int]) -> None:
    broken = program.stand_in(
        "ffmpeg", 'case "$*" in *concat*) echo "[error] no luck" >&2; exit 1;; esac', f'exec "{find_ffmpeg()}" "$@"'
    )
    arguments = "export", exact(times[0]), exact(times[9]), "--storage", recording
    done = program(*arguments, VIDEOSTORE_FFMPEG=str(broken))
    assert done.code == 1
    assert done.sentence == "The clip could not be cut: ffmpeg failed (exit code 1): no luck."
    assert program(*arguments, VIDEOSTORE_FFMPEG="nowhere").code == 1
    verbose = program(*arguments, "--verbose", VIDEOSTORE_FFMPEG=str(broken))
    assert "ffmpeg: no luck" in verbose.err and "Traceback" in verbose.err and verbose.code == 1
    assert not os.listdir(program.here) and not program.left()


def test_what_nobody_foresaw_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(arguments: Any) -> int:
        raise KeyError("rtsp://user:secret@camera is odd\nand more")

    monkeypatch.setattr("videostore.cli.app.call", fail)
    assert command_line.run_command_line(["state"]) == 1
    assert capsys.readouterr().err == (
        "videostore: This was not foreseen: 'rtsp://…@camera is odd\\nand more'; run it again with --verbose for the "
        "traceback.\n"
    )
    monkeypatch.setattr("videostore.cli.app.call", lambda arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    assert command_line.run_command_line(["state"]) == 130


@pytest.mark.parametrize("arguments", [["state"], ["state", "--json"], ["export", "-o", "-"], ["--help"]])
def test_an_output_that_takes_nothing_is_told_in_a_sentence(
    program: Program, recording: Path, times: list[int], arguments: list[str]
) -> None:
    named = [*arguments, *([exact(times[0]), exact(times[9])] if "export" in arguments else [])]
    asked = named if arguments == ["--help"] else [*named, "--storage", str(recording)]
    for redirection, reason in ((">/dev/full", "No space left on device"), (">&-", "Bad file descriptor")):
        done = subprocess.run(
            ["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *program.command(*asked)],
            cwd=program.here, env=program.environment(), capture_output=True, timeout=WITHIN_S,
        )  # fmt: skip
        assert done.returncode == 1
        assert done.stderr.decode() == f"videostore: The standard output cannot be written to: {reason}.\n"
    silent = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" >/dev/full 2>&-', "sh", *program.command(*asked)],
        cwd=program.here, env=program.environment(), timeout=WITHIN_S,
    )  # fmt: skip
    assert silent.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_while_the_program_is_being_loaded_ends_it_as_any_other(
    program: Program, number: signal.Signals
) -> None:
    script = """
import os, signal, sys
import videostore.cli
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "videostore.cli.runtime":
            os.kill(os.getpid(), int(sys.argv[1]))
sys.meta_path.insert(0, Finder())
videostore.cli.command_line(["state"])
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(int(number))], env=program.environment(), capture_output=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


# Which directory


def test_the_directory_is_found_where_there_is_but_one(program: Program, recording: Path) -> None:
    mine = program.home / ".viam" / "video-storage"
    shutil.copytree(recording, mine / "door")
    (mine / "empty").mkdir()
    assert json.loads(program("state", "--json").out)["storage"] == str(mine / "door")
    shutil.copytree(recording, mine / "yard")
    done = program("state")
    assert done.code == 2
    assert f"There are several storage directories: {mine / 'door'}, {mine / 'yard'}; name one with" in done.sentence
    named = program("state", "--json", VIDEOSTORE_STORAGE=str(mine / "yard"))
    assert json.loads(named.out)["storage"] == str(mine / "yard")
    above = program("state", "--storage", mine)
    assert above.code == 2 and f"{mine} holds no recording, but this does: {mine / 'door'}" in above.sentence


# On a terminal


def test_what_others_have_named_or_said_commands_no_terminal(
    program: Program, recording: Path, times: list[int], tmp_path: Path, player: Path
) -> None:
    wicked = tmp_path / "door\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    shutil.copytree(recording, wicked)
    shown = "door?]0;owned??[2J?31m?"
    arguments = exact(times[0]), exact(times[9]), "--storage", wicked
    made = program("export", *arguments)
    assert made.code == 0 and made.out.startswith(shown)
    told = program("state", "--storage", tmp_path)
    assert told.code == 2 and shown in told.sentence
    assert program("state", "--storage", wicked).out.startswith(f"Storage    {wicked.parent / shown}\n")
    assert program("play", *arguments, VIDEOSTORE_FFPLAY=str(player)).code == 0
    assert f"-window_title {shown}  " in (program.home / "arguments").read_text()
    for command in (["state", "--storage", str(wicked)], ["export", *arguments, "--overwrite"]):
        _, drawn = program.on_terminal(*command, columns=300)
        assert shown in drawn and not {"\x1b]", "\x1b[2J", "\x07", "\x9b"} & {
            drawn[i : i + n] for i in range(len(drawn)) for n in (1, 2, 4)
        }


@pytest.mark.parametrize("text", ["\x1b]0;owned\x07done", "a\x9b2Jb", "a\x00b"])
def test_what_a_machine_says_is_told_without_what_commands_a_terminal(
    capsys: pytest.CaptureFixture[str], text: str
) -> None:
    outcome.tell(text)
    said = capsys.readouterr().err
    assert "?" in said and said.rstrip("\n").isprintable()


def test_colours_and_bars_are_for_terminals_alone(program: Program, recording: Path, times: list[int]) -> None:
    code, drawn = program.on_terminal("state", "--storage", recording)
    assert code == 0 and "\x1b[1m" in drawn and "FROM" in drawn
    arguments = "export", exact(times[0]), exact(times[60]), "--storage", recording
    code, drawn = program.on_terminal(*arguments)
    assert code == 0 and "Writing" in drawn and " %" in drawn and "\x1b[" in drawn
    done = program(*arguments, "--overwrite")
    assert "\x1b" not in done.out + done.err and "Writing" not in done.out + done.err
    code, drawn = program.on_terminal(*arguments, "-o", "-")
    assert code == 2 and "A clip cannot be shown in a terminal" in drawn


def test_while_an_index_that_was_lost_is_made_up_for_a_bar_is_shown(
    program: Program, years: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(3000):
        os.link(years / f"{GO_S}.mp4", many / f"{GO_S + 3 * number}.mp4")
    code, drawn = program.on_terminal("state", "--storage", many)
    assert code == 0 and re.search(r"Reading \d+ segments that no index knows", drawn)
    assert not (many / "index.sqlite.db").exists()


def test_help_is_readable_in_80_columns_without_colours_and_has_examples(program: Program) -> None:
    commands = ["", "state", "export", "play", "verify", "record", "serve"]
    with ThreadPoolExecutor(2) as pool:
        for command, done in zip(commands, pool.map(lambda c: program(*c.split(), "--help"), commands), strict=True):
            assert done.code == 0 and not done.err and "\x1b" not in done.out
            assert max(map(len, done.out.splitlines())) <= 80
            assert f"  videostore {command or 'state'} " in done.out
            short = re.findall(r"^  (-[a-z0-9]), --", done.out, re.MULTILINE)
            assert short == (["-o"] if command == "export" else [])  # none that a time could be taken for


def test_it_tells_its_version_and_without_a_command_what_it_can_do(program: Program) -> None:
    from videostore import __version__

    assert program("--version").out == f"videostore {__version__}\n"
    done = program()
    assert done.code == 0 and "Commands:" in done.out


# The module


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        ("/tmp/parent.sock", True),
        ("/tmp/parent.sock --log-level debug", True),
        ("--log-level=debug /tmp/parent.sock", True),
        ("127.0.0.1:9000 --tcp-mode", True),
        ("parent.sock", True),
        ("", False),
        (".", False),
        (str(ROOT), False),
        ("state", False),
        ("--help", False),
        ("--version", False),
        ("export -5m now -o /tmp/x.mp4", False),
    ],
)
def test_a_socket_as_the_first_argument_makes_it_the_module(arguments: str, module: bool) -> None:
    assert is_module_invocation(arguments.split()) == module


def test_the_module_and_the_command_line_do_not_pay_for_each_other(program: Program, recording: Path) -> None:
    script = """
import sys
import videostore.cli, videostore.viam.module
assert not {"typer", "rich", "click"} & {*sys.modules}, "the module draws"
for name in [name for name in sys.modules if name.split(".")[0] in ("viam", "grpclib", "google")]:
    del sys.modules[name]
from videostore.cli.command_line import run_command_line
assert run_command_line(["state", "--storage", sys.argv[1]]) == 0
assert not any(name.split(".")[0] in ("viam", "grpclib") for name in sys.modules), "the command line calls"
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(recording)], cwd=program.here, env=program.environment(), capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


# What is written


def test_lengths_have_two_units() -> None:
    lengths = [0, 1_400_000, 59_400_000, 59_600_000, 90_000_000, 3_600_000_000, 3_725_000_000, 86_400_000_000 * 9]
    assert [length(one) for one in lengths] == [
        "0.0 s", "1.4 s", "59 s", "1 min", "1 min 30 s", "1 h", "1 h 02 min", "9 d",
    ]  # fmt: skip


def test_a_range_is_written_so_that_all_of_it_is_stored() -> None:
    assert written_within(Range(GO_S * US + 1, (GO_S + 3) * US - 1), utc=True) == (
        "2023-11-14T22:13:21Z",
        "2023-11-14T22:13:22Z",
    )
    short = Range(GO_S * US + 1, GO_S * US + 900_000)
    assert written_within(short, utc=True) == ("2023-11-14T22:13:20.000001Z", "2023-11-14T22:13:20.900000Z")
