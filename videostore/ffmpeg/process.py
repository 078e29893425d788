"""Finds ffmpeg, asks for its version and its encoders, runs it, and logs its messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import imageio_ffmpeg

from videostore.base.constants import MIB
from videostore.base.errors import FFmpegError, reason_of
from videostore.base.processes import DEVNULL, PIPE, start_process
from videostore.base.system import lower_priority, subordinate, widen_pipe
from videostore.base.tasks import end_task, finish_despite_cancellation, off_loop
from videostore.ffmpeg.ending import failure
from videostore.ffmpeg.late_input import LateInput
from videostore.ffmpeg.message_limit import MessageLimit

PIPE_BYTES = MIB
"""Requested size of the pipe to ffmpeg (Linux): one write takes a whole image instead of 64 KiB."""

BINARY_VARIABLE = "VIDEOSTORE_FFMPEG"
"""Environment variable that names another ffmpeg."""

OLDEST_VERSION = (5, 1)
"""The first with `-fps_mode` and a configurable time base of the encoder."""

_ANSWER_S = 20.0
"""A machine with slow storage may take this long to load the program."""
_MOST_TOLD = 16
"""Answers that are kept. Most processes ask one ffmpeg for two or three."""
_TOLD: dict[tuple[tuple[int, ...] | None, str, tuple[str, ...]], bytes] = {}

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
_REPEATED = "Last message repeated"
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_BLOCK_BYTES = 1 << 16
_REASONS = 3
"""The first messages tell why ffmpeg failed; later ones are consequences."""
_MAX_COMPLAINTS = 100
_DAMAGE = ("corrupt decoded frame", "Error parsing NAL unit", "Invalid NAL unit", "Failed to parse header of NALU")
"""Warnings that tell of frames that are missing or filled in."""
_EXPECTED = (
    "while the moov already has been written",
    "deprecated pixel format used",
    "NTP time format roll over",
    "> level limit",
    "not enough frames to estimate rate",
    "codec frame size is not set",
    "Unable to write PRFT, no entries in the track",
    "Estimating the duration of the last packet in a fragment",
    "Packet duration: -",
    "pts has no value",
    "Thread message queue blocking",
)
"""Warnings about what is intended: a segment's first time is absolute (`prft`), and passes the end of NTP's first era
in 2036; the colours of JPEG are converted; a time base of microseconds is not a frame rate; sound has its own length of
frames, and fragments of its own where video is slow, and its times vary; nothing tells how long the last frame of a run
lasts; what ffmpeg reads waits for what it writes."""


def find_ffmpeg() -> str:
    """Return the path of the ffmpeg to use: `$VIDEOSTORE_FFMPEG`, else the bundled one, else the one on the PATH.

    Raises:
        FFmpegError: there is none, or `$VIDEOSTORE_FFMPEG` cannot be run.
    """
    named = os.environ.get(BINARY_VARIABLE)
    if named:
        found = shutil.which(named)
        if found is None:
            raise FFmpegError("ffmpeg-not-runnable", variable=BINARY_VARIABLE, value=named)
        return found
    for candidate in sorted((Path(imageio_ffmpeg.__file__).parent / "binaries").glob("ffmpeg*")):
        if os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which("ffmpeg")
    if found is None:
        raise FFmpegError("ffmpeg-missing", variable=BINARY_VARIABLE)
    return found


async def ask(binary: str, *options: str) -> bytes:
    """What an ffmpeg tells of itself. It is asked once, and again when its file has changed.

    Raises:
        FFmpegError: it cannot be run, or fails.
    """
    key = await off_loop(_identity, binary), binary, options
    if key not in _TOLD or key[0] is None:
        answer = await run_ffmpeg([binary, *options], timeout_s=_ANSWER_S)
        if len(_TOLD) >= _MOST_TOLD:
            _TOLD.clear()
        _TOLD[key] = answer
    return _TOLD[key]


async def told_version(binary: str) -> tuple[int, int] | None:
    """The version of an ffmpeg that `check_version` has accepted; None if it has none, or was not checked."""
    identity = await off_loop(_identity, binary)
    answer = b"" if identity is None else _TOLD.get((identity, binary, ("-version",)), b"")
    return _version(answer.decode(errors="replace"))


def _version(answer: str) -> tuple[int, int] | None:
    found = re.match(r"ffmpeg version n?(\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else None


def _identity(binary: str) -> tuple[int, ...] | None:
    """By which a file is the same program; None if it cannot be told. Blocking."""
    try:
        status = os.stat(binary)
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


async def check_version(binary: str) -> None:
    """Refuse an ffmpeg that is too old to keep exact times. One built from a checkout has no version and is accepted.

    Raises:
        FFmpegError: it is another program, is too old, or cannot be run.
    """
    try:
        answer = await ask(binary, "-version")
    except FFmpegError as error:
        if error.code != "ffmpeg-failed":
            raise
        answer = b""
    first_line = answer.decode(errors="replace").partition("\n")[0]
    if not first_line.startswith("ffmpeg version "):
        raise FFmpegError("ffmpeg-is-not", path=binary, variable=BINARY_VARIABLE)
    version = _version(first_line)
    if version is not None and version < OLDEST_VERSION:
        raise FFmpegError(
            "ffmpeg-too-old",
            path=binary,
            version=f"{version[0]}.{version[1]}",
            oldest=".".join(map(str, OLDEST_VERSION)),
            variable=BINARY_VARIABLE,
        )


async def list_encoders(binary: str) -> list[str]:
    """Return the names of the video encoders that this ffmpeg was built with.

    Raises:
        FFmpegError: it cannot be run.
    """
    output = await ask(binary, "-hide_banner", "-loglevel", "error", "-encoders")
    encoders = []
    for line in output.decode(errors="replace").splitlines():
        words = line.split()
        if len(words) >= 2 and len(words[0]) == 6 and words[0].startswith("V") and words[1] != "=":
            encoders.append(words[1])
    return encoders


async def start_ffmpeg(
    args: Sequence[str], *, stdin: bool | BinaryIO, stdout: bool | BinaryIO = False, passed: BinaryIO | None = None
) -> asyncio.subprocess.Process:
    """Start ffmpeg in a separate session: a signal to the module's process group does not reach it.

    The caller owns the process, and must wait for it or kill it. `stdin`, `stdout` and `passed` can be ends of pipes:
    for its input, its output, and what its arguments name `PASSED`.

    Raises:
        FFmpegError: it cannot be started.
    """
    try:
        process = await start_process(
            args,
            stdin=(PIPE if stdin else DEVNULL) if isinstance(stdin, bool) else stdin,
            stdout=(PIPE if stdout else DEVNULL) if isinstance(stdout, bool) else stdout,
            stderr=PIPE,
            passed=passed,
        )
    except (OSError, ValueError) as error:
        raise FFmpegError("ffmpeg-not-started", path=args[0], reason=reason_of(error)) from error
    if stdin is True:
        assert process.stdin is not None
        with contextlib.suppress(ValueError):  # it has already exited
            widen_pipe(process.stdin.transport.get_extra_info("pipe").fileno(), PIPE_BYTES)
    return process


async def log_messages(
    stream: asyncio.StreamReader,
    logger: logging.Logger,
    complaints: list[str] | None = None,
    *,
    limit: MessageLimit | None = None,
    on_error: Callable[[str], None] | None = None,
) -> list[str]:
    """Log every line that ffmpeg writes, at the level it has there, until ffmpeg exits.

    Of warnings and errors that repeat, one a minute has its level, and the rest is logged as debug. Programs that share
    a `limit` are counted together.

    Returns the first three warnings or errors, without their full stops. The first hundred errors, and warnings of
    damaged frames, are appended to `complaints`; `on_error` is called with each error.
    """
    shared = limit is not None
    limit = limit or MessageLimit()
    first: list[str] = []
    while True:
        try:
            line = await stream.readline()
        except ValueError:  # longer than the reader's limit
            continue
        if not line:
            for told in limit.held(due=shared):
                logger.warning("ffmpeg: %s", told)
            return first
        level, text = _split_level(line.decode(errors="replace").rstrip())
        if not text or any(expected in text for expected in _EXPECTED):
            continue
        if level >= logging.WARNING and len(first) < _REASONS:
            first.append(text.rstrip("."))
        if (level >= logging.ERROR or any(sign in text for sign in _DAMAGE)) and (
            complaints is not None and len(complaints) < _MAX_COMPLAINTS
        ):
            complaints.append(text)
        if level >= logging.ERROR and on_error is not None:
            on_error(text)
        passed = limit.pass_on(text) if level >= logging.WARNING else text
        if passed is None:
            level, passed = logging.DEBUG, text
        logger.log(level, "ffmpeg: %s", passed)


def _split_level(line: str) -> tuple[int, str]:
    """Remove `[level]` from a line of `-loglevel level+…`. The component's name may be before it."""
    for name, level in _LEVELS.items():
        mark = f"[{name}]"
        if mark in line:
            component, _, text = line.partition(mark)
            return level, (_ADDRESS.sub("", component).strip() + " " + text.strip()).strip()
    return logging.DEBUG if _REPEATED in line else logging.INFO, line


def loglevel(logger: logging.Logger) -> str:
    """The value for `-loglevel`: warnings and errors; more if the logger's level is debug."""
    return "level+verbose" if logger.isEnabledFor(logging.DEBUG) else "level+warning"


async def run_ffmpeg(
    args: Sequence[str],
    *,
    logger: logging.Logger | None = None,
    niceness: int = 0,
    timeout_s: float | None = None,
    complaints: list[str] | None = None,
) -> bytes:
    """Run ffmpeg until it exits, and return its output. A cancellation or the timeout kills it.

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
    limit: MessageLimit | None = None,
    late: LateInput | None = None,
) -> AsyncIterator[asyncio.StreamReader]:
    """Run ffmpeg and read its output. It is killed if the context is left by an exception. `late` is its input.

    With a niceness it has a lower priority, and is killed when this process exits. The first hundred errors that it
    reports are appended to `complaints`: it may succeed in spite of them. A `limit` is for the log, see `log_messages`.

    Raises:
        FFmpegError: it cannot be started, or it failed, which is known at the end of the context.
    """
    if niceness:
        args = await off_loop(subordinate, args)
    process = await start_ffmpeg(args, stdin=late is not None, stdout=True)
    assert process.stdout is not None and process.stderr is not None
    logger = logger or logging.getLogger("videostore.quiet")
    messages = asyncio.ensure_future(log_messages(process.stderr, logger, complaints, limit=limit))
    feeding = asyncio.ensure_future(late.feed(process.stdin)) if late is not None and process.stdin else None
    try:
        if niceness:
            # `nice` in front of the command would be one more program to load.
            await off_loop(lower_priority, process.pid, niceness)
        yield process.stdout
        code = await process.wait()
        reported = await messages
    finally:
        try:
            await end_process(process)
        finally:
            if feeding is not None:
                await end_task(feeding)
            await end_task(messages)
    if code != 0:
        raise failure(code, reported)


async def end_process(process: asyncio.subprocess.Process) -> None:
    """Kill the process if it is still running, and wait until it has exited, even while being cancelled."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await finish_despite_cancellation(_reap(process))


async def _reap(process: asyncio.subprocess.Process) -> None:
    """Wait until a killed process has exited.

    Its remaining output is discarded: Python 3.11 to 3.13.0 waits for its pipes as well as for the process, and never
    reports the exit of a process whose pipe is full.
    """
    if process.stdout is not None:
        while await process.stdout.read(_BLOCK_BYTES):
            pass
    await process.wait()
