"""`videostore play`: plays a range of the recording in a window of ffplay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from videostore.base.errors import RequestError, VideoStoreError, printable
from videostore.base.ranges import Range
from videostore.base.system import subordinate
from videostore.base.tasks import end_task, off_loop
from videostore.cli import environment
from videostore.cli.gaps import ClipContents
from videostore.cli.local_store import open_reader, wait_until_covered
from videostore.cli.runtime import DONE
from videostore.cli.time_options import format_time
from videostore.ffmpeg.process import end_process, log_messages, start_ffmpeg
from videostore.store.store import VideoStore

_LOGGER = logging.getLogger("videostore.ffplay")
_DRIVERS = ("SDL_VIDEODRIVER", "SDL_VIDEO_DRIVER")
"""How SDL 2 and SDL 3 are told what to draw on."""
_SCREENS = Path("/dev/dri")


async def play(directory: Path, asked: Range, *, utc: bool) -> int:
    """Play a range until its end, or until the window is closed."""
    player = find_player()
    screen = find_screen()
    title = f"{directory.name}  {format_time(asked.from_us, utc=utc)} to {format_time(asked.to_us, utc=utc)}"
    async with open_reader(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        contents = await _play(store, asked, [*screen, player, *_arguments(title)])
        await contents.explain(store.state)
    return contents.report_missing(utc=utc)


def find_player() -> str:
    """The path of the ffplay to use: `$VIDEOSTORE_FFPLAY`, otherwise the one on the PATH.

    Raises:
        RequestError: there is none.
    """
    named = os.environ.get(environment.FFPLAY)
    found = shutil.which(named or "ffplay")
    if found:
        return found
    if named:
        raise RequestError("player-not-runnable", variable=environment.FFPLAY, value=named)
    raise RequestError("player-missing", variable=environment.FFPLAY)


def find_screen() -> list[str]:
    """What a command begins with so that it draws on this user's screen, and fails if that cannot be opened.

    The library that ffplay draws with would otherwise take any other output, also one that shows nothing.

    Raises:
        RequestError: there is no screen.
    """
    if sys.platform != "linux" or any(os.environ.get(name) for name in _DRIVERS):
        return []
    for variable, driver in (("DISPLAY", "x11"), ("WAYLAND_DISPLAY", "wayland")):
        if os.environ.get(variable):
            return ["env", *(f"{name}={driver}" for name in _DRIVERS)]
    if any(os.access(path, os.R_OK | os.W_OK) for path in _SCREENS.glob("card*")):
        return ["env", *(f"{name}=kmsdrm" for name in _DRIVERS)]
    raise RequestError("no-screen")


def _arguments(title: str) -> list[str]:
    quiet = ["-hide_banner", "-nostats", "-loglevel", "level+warning"]
    return [*quiet, "-autoexit", "-window_title", printable(title), "-i", "-"]


async def _play(store: VideoStore, asked: Range, command: Sequence[str]) -> ClipContents:
    contents = ClipContents(asked)
    stream = store.stream(asked.from_us, asked.to_us, on_ranges=contents.update, on_damaged=contents.update_damaged)
    async with contextlib.aclosing(stream) as blocks:
        first = await anext(blocks, b"")  # raises if nothing is stored, before a window opens
        process = await start_ffmpeg(await off_loop(subordinate, command), stdin=True)
        assert process.stdin is not None and process.stderr is not None
        logging_messages = asyncio.ensure_future(log_messages(process.stderr, _LOGGER))
        try:
            with contextlib.suppress(ConnectionError):  # the window was closed
                process.stdin.write(first)
                async for block in blocks:
                    process.stdin.write(block)
                    await process.stdin.drain()
                process.stdin.close()
                await process.stdin.wait_closed()
            code = await process.wait()
            messages = await logging_messages
        finally:
            await end_process(process)
            await end_task(logging_messages)
    if code not in (DONE, None):
        raise VideoStoreError("player-failed", exit_code=code, reason="; ".join(messages) or "it gave no reason")
    return contents
