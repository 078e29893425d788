"""`videostore play`: a range of the recording in a window of ffplay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from videostore.base.errors import RequestError, VideoStoreError
from videostore.base.ranges import Range
from videostore.base.system import subordinate
from videostore.base.tasks import end_task
from videostore.cli.gaps import Held
from videostore.cli.local_store import reading, wait_until_covered
from videostore.cli.runtime import DONE
from videostore.cli.terminal import visible
from videostore.cli.time_options import written
from videostore.ffmpeg.process import end_process, log_messages, start_ffmpeg
from videostore.store.store import VideoStore

VARIABLE = "VIDEOSTORE_FFPLAY"
_LOGGER = logging.getLogger("videostore.ffplay")


async def play(directory: Path, asked: Range, *, utc: bool) -> int:
    """Play a range to its end, or until the window is closed."""
    player = find_player()
    title = f"{directory.name}  {written(asked.from_us, utc=utc)} to {written(asked.to_us, utc=utc)}"
    async with reading(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        held = await _play(store, asked, [player, *_arguments(title)])
    return held.tell_missing(utc=utc)


def find_player() -> str:
    """The ffplay to use: `$VIDEOSTORE_FFPLAY`, else the one on the PATH.

    Raises:
        RequestError: there is none.
    """
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or "ffplay")
    if found:
        return found
    if named:
        raise RequestError(f"{VARIABLE} names {named!r}, which is not a program that can be run.")
    raise RequestError(
        "No ffplay was found: install it (on Debian and Ubuntu it is in the package ffmpeg), name one in "
        f"{VARIABLE}, or write the clip to a file with `videostore export`."
    )


def _arguments(title: str) -> list[str]:
    quiet = ["-hide_banner", "-nostats", "-loglevel", "level+warning"]
    return [*quiet, "-autoexit", "-window_title", visible(title), "-i", "-"]


async def _play(store: VideoStore, asked: Range, command: Sequence[str]) -> Held:
    """What was played."""
    held = Held(asked)
    async with contextlib.aclosing(store.stream(asked.from_us, asked.to_us, on_ranges=held.note)) as blocks:
        first = await anext(blocks, b"")  # nothing is played, and no window opens, where nothing is stored
        process = await start_ffmpeg(subordinate(command), stdin=True)
        assert process.stdin is not None and process.stderr is not None
        messages = asyncio.ensure_future(log_messages(process.stderr, _LOGGER))
        try:
            with contextlib.suppress(ConnectionError):  # the window was closed
                process.stdin.write(first)
                async for block in blocks:
                    process.stdin.write(block)
                    await process.stdin.drain()
                process.stdin.close()
                await process.stdin.wait_closed()
            code = await process.wait()
            said = await messages
        finally:
            await end_process(process)
            await end_task(messages)
    if code not in (DONE, None):
        reason = "; ".join(said) or "it gave no reason"
        raise VideoStoreError(
            f"ffplay failed (exit code {code}): {reason}; to watch it elsewhere, write it to a file with "
            "`videostore export`."
        )
    return held
