"""Finds ffmpeg, asks it what it can do, starts it, and passes on what it says."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO

import imageio_ffmpeg

from videostore.base.errors import FFmpegError, reason_of
from videostore.base.system import subordinate, widen_pipe
from videostore.base.tasks import end_task, finish_despite_cancellation

PIPE_BYTES = 1024 * 1024
"""Size asked for the pipe to ffmpeg (Linux): a whole picture per write instead of 64 KiB at a time."""

BINARY_VARIABLE = "VIDEOSTORE_FFMPEG"
"""Environment variable that names another ffmpeg."""

OLDEST_VERSION = (5, 1)
"""The first with `-fps_mode` and a time base of the encoder of one's own choice."""

_ANSWER_S = 20.0
"""A slow machine's storage may take long to load the program."""

_LEVELS = {
    "panic": logging.CRITICAL,
    "fatal": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "verbose": logging.DEBUG,
    "debug": logging.DEBUG,
    "trace": logging.DEBUG,
}
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_BLOCK_BYTES = 1 << 16
_REASONS = 3
"""What ffmpeg says first tells why it fails; the rest follows from it."""
_COMPLAINTS = 100
_EXPECTED = (
    "while the moov already has been written",
    "deprecated pixel format used",
    "NTP time format roll over",
    "> level limit",
    "not enough frames to estimate rate",
)
"""Warnings about what is meant: a segment's first time is absolute (`prft`), and passes the end of NTP's first era in
2036; JPEG's colours are converted; a time base of microseconds is no frame rate, and none is wanted."""


def find_ffmpeg() -> str:
    """Return the path of the ffmpeg to use: `$VIDEOSTORE_FFMPEG`, else the bundled one, else the one on the PATH.

    Raises:
        FFmpegError: there is none, or the one that was named is not there.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise FFmpegError("ffmpeg-not-runnable", variable=BINARY_VARIABLE, value=named)
        return found
    for folder in (Path(imageio_ffmpeg.__file__).parent / "binaries",):
        for candidate in sorted(folder.glob("ffmpeg*")):
            if os.access(candidate, os.X_OK):
                return str(candidate)
    found = shutil.which("ffmpeg")
    if found is None:
        raise FFmpegError("ffmpeg-missing", variable=BINARY_VARIABLE)
    return found


async def check_version(binary: str) -> None:
    """Refuse an ffmpeg that is too old to keep true time. One built from a checkout tells no version, and is believed.

    Raises:
        FFmpegError: it is too old, or cannot be run.
    """
    first_line = (
        (await run_ffmpeg([binary, "-version"], timeout_s=_ANSWER_S)).decode(errors="replace").partition("\n")[0]
    )
    version = re.match(r"ffmpeg version n?(\d+)\.(\d+)", first_line)
    if version and (int(version[1]), int(version[2])) < OLDEST_VERSION:
        raise FFmpegError(
            "ffmpeg-too-old",
            path=binary,
            version=f"{version[1]}.{version[2]}",
            oldest=".".join(map(str, OLDEST_VERSION)),
            variable=BINARY_VARIABLE,
        )


async def list_encoders(binary: str) -> list[str]:
    """Return the names of the video encoders that this ffmpeg was built with.

    Raises:
        FFmpegError: it cannot be run.
    """
    output = await run_ffmpeg([binary, "-hide_banner", "-loglevel", "error", "-encoders"], timeout_s=_ANSWER_S)
    encoders = []
    for line in output.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) >= 2 and len(words[0]) == 6 and words[0].startswith("V") and words[1] != "=":
            encoders.append(words[1])
    return encoders


async def start_ffmpeg(
    args: Sequence[str], *, stdin: bool, stdout: bool | BinaryIO = False
) -> asyncio.subprocess.Process:
    """Start ffmpeg in a session of its own, so that signals for the module's group leave it to the module.

    The caller owns the process: it must wait for it or kill it. A file as `stdout` takes its output.

    Raises:
        FFmpegError: it cannot be started.
    """
    pipe, null = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *args,
            stdin=pipe if stdin else null,
            stdout=(pipe if stdout else null) if isinstance(stdout, bool) else stdout,
            stderr=pipe,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise FFmpegError("ffmpeg-not-started", path=args[0], reason=reason_of(error)) from error
    if stdin:
        assert process.stdin is not None
        with contextlib.suppress(ValueError):  # it has ended already
            widen_pipe(process.stdin.transport.get_extra_info("pipe").fileno(), PIPE_BYTES)
    return process


async def log_messages(
    stream: asyncio.StreamReader, logger: logging.Logger, complaints: list[str] | None = None
) -> list[str]:
    """Pass on each line that ffmpeg writes, at its own level, until it ends; return the first few that matter.

    `complaints` gets the first hundred that are errors.
    """
    first: list[str] = []
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader's limit
            continue
        if not line:
            return first
        level, text = _split_level(line.decode(errors="replace").rstrip())
        if not text or any(expected in text for expected in _EXPECTED):
            continue
        if level >= logging.WARNING and len(first) < _REASONS:
            first.append(text)
        if complaints is not None and level >= logging.ERROR and len(complaints) < _COMPLAINTS:
            complaints.append(text)
        logger.log(level, "ffmpeg: %s", text)


def _split_level(line: str) -> tuple[int, str]:
    """Take `[level]` out of a line of `-loglevel level+…`, wherever the component's name stands before it."""
    for name, level in _LEVELS.items():
        mark = f"[{name}]"
        if mark in line:
            component, _, text = line.partition(mark)
            return level, (_ADDRESS.sub("", component).strip() + " " + text.strip()).strip()
    return logging.INFO, line


def loglevel(logger: logging.Logger) -> str:
    """Value of `-loglevel`: warnings and worse, more when the logger is at debug; never the banner or statistics."""
    return "level+verbose" if logger.isEnabledFor(logging.DEBUG) else "level+warning"


async def run_ffmpeg(
    args: Sequence[str],
    *,
    logger: logging.Logger | None = None,
    niceness: int = 0,
    timeout_s: float | None = None,
    complaints: list[str] | None = None,
) -> bytes:
    """Run ffmpeg to its end and return what it wrote to its output; cancelling, or the time-out, kills it.

    Raises:
        FFmpegError: it cannot be started, fails, or takes longer than `timeout_s` seconds.
    """
    async with ffmpeg_output(args, logger=logger, niceness=niceness, complaints=complaints) as output:
        try:
            return await asyncio.wait_for(output.read(), timeout_s)
        except asyncio.TimeoutError as error:
            raise FFmpegError("ffmpeg-timeout", timeout_s=timeout_s) from error


@contextlib.asynccontextmanager
async def ffmpeg_output(
    args: Sequence[str],
    *,
    logger: logging.Logger | None = None,
    niceness: int = 0,
    complaints: list[str] | None = None,
) -> AsyncIterator[asyncio.StreamReader]:
    """Run ffmpeg, and read what it writes to its output; it is killed where the context is left by an exception.

    With a niceness it yields to others, and ends with this process. `complaints` gets the first hundred errors that
    it names, which need not have made it fail.

    Raises:
        FFmpegError: it cannot be started, or fails: that is known at the end of the context.
    """
    if niceness:
        args = subordinate(args, niceness)
    process = await start_ffmpeg(args, stdin=False, stdout=True)
    assert process.stdout is not None and process.stderr is not None
    logger = logger or logging.getLogger("videostore.quiet")
    messages = asyncio.ensure_future(log_messages(process.stderr, logger, complaints))
    try:
        yield process.stdout
        code = await process.wait()
        said = await messages
    finally:
        try:
            await end_process(process)
        finally:
            await end_task(messages)
    if code != 0:
        raise FFmpegError("ffmpeg-failed", exit_code=code, reason="; ".join(said) or "it gave no reason")


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it still runs, and reap it, even while being cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await finish_despite_cancellation(_reap(process))


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that has been killed.

    What it wrote and nobody took is read away: Pythons 3.11 to 3.13.0 wait as long for its pipes as for itself, and
    from one that is full nobody learns that it has ended.
    """
    if process.stdout is not None:
        while await process.stdout.read(_BLOCK_BYTES):
            pass
    await process.wait()
