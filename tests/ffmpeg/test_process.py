from __future__ import annotations

import asyncio
import logging
import os
import shutil
import stat
from pathlib import Path

import psutil
import pytest

from tests.support.recording import LOGGER, until
from videostore.base.errors import FFmpegError
from videostore.ffmpeg.process import (
    BINARY_VARIABLE,
    check_version,
    end_process,
    find_ffmpeg,
    list_encoders,
    log_messages,
    loglevel,
    run_ffmpeg,
    start_ffmpeg,
    told_version,
)

ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc=size=64x64", "-f", "null", "-"]


def children() -> list[int]:
    return [child.pid for child in psutil.Process().children()]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that can be run."""
    path = tmp_path / "my-ffmpeg"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_the_bundled_ffmpeg_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    assert "imageio_ffmpeg" in find_ffmpeg()


def test_the_environment_variable_selects_another_ffmpeg(monkeypatch: pytest.MonkeyPatch, program: Path) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, str(program))
    assert find_ffmpeg() == str(program)
    monkeypatch.setenv(BINARY_VARIABLE, "my-ffmpeg")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_ffmpeg() == str(program)


def test_a_configured_ffmpeg_that_does_not_exist_is_an_error_with_its_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BINARY_VARIABLE, "/nowhere/ffmpeg")
    with pytest.raises(FFmpegError, match=r"VIDEOSTORE_FFMPEG is '/nowhere/ffmpeg'"):
        find_ffmpeg()


def test_without_the_bundled_ffmpeg_the_path_is_searched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(BINARY_VARIABLE, raising=False)
    monkeypatch.setattr("imageio_ffmpeg.__file__", str(tmp_path / "empty" / "__init__.py"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FFmpegError, match="No ffmpeg was found") as error:
        find_ffmpeg()
    assert error.value.code == "ffmpeg-missing"
    (tmp_path / "ffmpeg").write_text("#!/bin/sh\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    assert find_ffmpeg() == str(tmp_path / "ffmpeg")


@pytest.mark.parametrize(
    ("first_line", "refused"),
    [
        ("ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright (c) 2000-2021 the FFmpeg developers", True),
        ("ffmpeg version n5.0.3 Copyright (c) 2000-2023 the FFmpeg developers", True),
        ("ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000-2024 the FFmpeg developers", False),
        ("ffmpeg version n9.0.2-17-g2a571b6068-20260930 Copyright (c) 2000-2026 the FFmpeg developers", False),
        ("ffmpeg version N-109542-g5a91ccb Copyright (c) 2000-2023 the FFmpeg developers", False),
    ],
)
async def test_an_ffmpeg_that_is_too_old_is_refused_and_one_without_a_version_is_accepted(
    tmp_path: Path, first_line: str, refused: bool
) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho '{first_line}'\n")
    program.chmod(0o755)
    if refused:
        with pytest.raises(FFmpegError, match=r"version [45]\.[04]\. It must be 5\.1 or later") as error:
            await check_version(str(program))
        assert error.value.code == "ffmpeg-too-old" and error.value.path == str(program)
        assert error.value.version and error.value.version in first_line
    else:
        await check_version(str(program))


@pytest.mark.parametrize("name", ["true", "false", "echo"])
async def test_a_program_that_is_no_ffmpeg_is_refused_by_its_path(name: str) -> None:
    """Used as ffmpeg, it would make intact segments look damaged."""
    path = shutil.which(name)
    assert path is not None
    with pytest.raises(FFmpegError, match=r"is not an ffmpeg: .* Set VIDEOSTORE_FFMPEG to another") as error:
        await check_version(path)
    assert (error.value.code, error.value.path) == ("ffmpeg-is-not", path)


async def test_the_installed_ffmpeg_is_new_enough(binary: str) -> None:
    await check_version(binary)


async def test_an_ffmpeg_is_asked_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    program, asked = tmp_path / "ffmpeg", tmp_path / "asked"

    def install(version: str) -> None:
        program.write_text(f"#!/bin/sh\necho >> '{asked}'\necho 'ffmpeg version {version} Copyright'\n")
        program.chmod(0o755)

    install("9.0.2")
    await check_version(str(program))
    await check_version(str(program))
    assert asked.read_text() == "\n"
    install("4.4")
    for _ in range(2):
        with pytest.raises(FFmpegError, match=r"version 4\.4"):
            await check_version(str(program))
    assert asked.read_text() == "\n\n"
    program.unlink()
    with pytest.raises(FFmpegError):
        await check_version(str(program))


@pytest.mark.parametrize(("told", "version"), [("n7.1.1-2", (7, 1)), ("5.1.6-0+deb12u1", (5, 1)), ("N-118-gabc", None)])
async def test_a_version_is_known_once_it_was_checked(
    program: Path, told: str, version: tuple[int, int] | None
) -> None:
    program.write_text(f"#!/bin/sh\necho ffmpeg version {told} Copyright\n")
    assert await told_version(str(program)) is None
    await check_version(str(program))
    assert await told_version(str(program)) == version
    program.unlink()
    assert await told_version(str(program)) is None


async def test_an_answer_that_failed_is_asked_for_again(tmp_path: Path) -> None:
    program, ready = tmp_path / "ffmpeg", tmp_path / "ready"
    program.write_text(f"#!/bin/sh\n[ -e '{ready}' ] || exit 1\necho 'ffmpeg version 9.0.2 Copyright'\n")
    program.chmod(0o755)
    with pytest.raises(FFmpegError):
        await check_version(str(program))
    ready.touch()
    await check_version(str(program))


async def test_encoders_are_listed_by_name(binary: str) -> None:
    encoders = await list_encoders(binary)
    assert {"libx264", "libx265", "mjpeg"} <= set(encoders)
    assert "aac" not in encoders  # sound
    assert "=" not in encoders


async def test_output_is_returned(binary: str) -> None:
    raw = ["-f", "lavfi", "-i", "color=size=4x4", "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    assert len(await run_ffmpeg([binary, "-v", "error", *raw])) == 16


async def test_a_failure_has_the_messages_of_ffmpeg_as_its_reason(binary: str, tmp_path: Path) -> None:
    arguments = ["-hide_banner", "-loglevel", "level+warning", "-i", str(tmp_path / "none.mp4"), "-f", "null", "-"]
    with pytest.raises(FFmpegError, match=r"exit code \d+\): .*No such file") as error:
        await run_ffmpeg([binary, *arguments], logger=LOGGER)
    assert error.value.code == "ffmpeg-failed" and error.value.exit_code
    assert error.value.reason and "No such file" in error.value.reason
    assert children() == []


async def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FFmpegError, match="cannot be started"):
        await run_ffmpeg([str(tmp_path / "none")])
    with pytest.raises(FFmpegError, match="cannot be started"):
        await run_ffmpeg([str(tmp_path)])


async def test_an_ffmpeg_that_takes_too_long_is_killed(binary: str) -> None:
    with pytest.raises(FFmpegError, match=r"did not finish within 0\.3 s") as error:
        await run_ffmpeg([binary, "-v", "error", *ENDLESS], timeout_s=0.3)
    assert (error.value.code, error.value.timeout_s) == ("ffmpeg-timeout", 0.3)
    assert children() == []


async def test_cancelling_kills_it(binary: str) -> None:
    work = asyncio.create_task(run_ffmpeg([binary, "-v", "error", *ENDLESS], niceness=5))
    await until(children)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert children() == []


async def test_an_ffmpeg_with_a_niceness_has_a_lower_priority(binary: str) -> None:
    work = asyncio.create_task(run_ffmpeg([binary, "-v", "error", *ENDLESS], niceness=7))
    own = psutil.Process().nice()
    await until(lambda: [child.nice() for child in psutil.Process().children()] == [min(own + 7, 19)])
    work.cancel()
    await asyncio.wait([work])


async def test_ffmpeg_runs_in_a_separate_session(binary: str) -> None:
    """A signal to the module's process group must not stop the recording before the module does."""
    process = await start_ffmpeg([binary, "-v", "error", *ENDLESS], stdin=True)
    try:
        assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
    finally:
        await end_process(process)
    assert process.returncode is not None
    await end_process(process)  # a second time does nothing


async def test_messages_are_logged_at_their_own_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stream = asyncio.StreamReader(limit=1000)
    stream.feed_data(b"[mp4 @ 0x1] [error] it is full\n[warning] careful\n[info] by the way\nplain\n\n")
    stream.feed_data(b"[h264 @ 0x2] [debug] details\n[fatal] the end \xff\n" + b"x" * 3000 + b"\n")
    stream.feed_data(b"[warning] deprecated pixel format used, make sure you did set range correctly\n")
    stream.feed_eof()
    reported = await log_messages(stream, LOGGER)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "ffmpeg: [mp4] it is full"),
        ("WARNING", "ffmpeg: careful"),
        ("INFO", "ffmpeg: by the way"),
        ("INFO", "ffmpeg: plain"),
        ("DEBUG", "ffmpeg: [h264] details"),
        ("CRITICAL", "ffmpeg: the end \N{REPLACEMENT CHARACTER}"),
    ]
    assert reported == ["[mp4] it is full", "careful", "the end \N{REPLACEMENT CHARACTER}"]


async def test_the_first_of_many_messages_are_kept_because_they_tell_the_reason() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(b"".join(b"[error] %d\n" % n for n in range(1000)))
    stream.feed_eof()
    assert await log_messages(stream, LOGGER) == ["0", "1", "2"]


async def test_errors_and_warnings_of_damaged_frames_are_complaints() -> None:
    stream = asyncio.StreamReader()
    stream.feed_data(
        b"[h264 @ 0x1] [error] error while decoding MB 1 2\n"
        b"[vist#0:0/h264 @ 0x1] [dec:h264 @ 0x2] [warning] corrupt decoded frame\n"
        b"[hevc @ 0x1] [warning] Error parsing NAL unit #3.\n"
        b"[mp4 @ 0x1] [warning] Timestamps are unset\n"
        b"[info] nothing\n"
    )
    stream.feed_eof()
    complaints: list[str] = []
    errors: list[str] = []
    await log_messages(stream, LOGGER, complaints, on_error=errors.append)
    assert [one.rpartition("] ")[2] for one in complaints] == [
        "error while decoding MB 1 2",
        "corrupt decoded frame",
        "Error parsing NAL unit #3.",
    ]
    assert len(errors) == 1


def test_ffmpeg_logs_more_if_the_level_of_the_logger_is_debug() -> None:
    logger = logging.getLogger("videostore.tests.level")
    logger.setLevel(logging.INFO)
    assert loglevel(logger) == "level+warning"
    logger.setLevel(logging.DEBUG)
    assert loglevel(logger) == "level+verbose"
