"""`videostore export`: a clip of any size, into a file or a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import format_local
from videostore.cli import terminal as screen
from videostore.cli.gaps import Held
from videostore.cli.local_store import reading, wait_until_covered
from videostore.cli.machine_options import Remote
from videostore.cli.runtime import OutputError
from videostore.cli.time_options import length, written
from videostore.store.results import ExportedClip

PIPE = "-"


async def export(
    directory: Path, asked: Range, output: str | None, *, overwrite: bool, container: str, utc: bool
) -> int:
    """Write the clip of a range out of a directory to a file."""
    path = _target(output, directory.name, asked)
    async with reading(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        with screen.bar(f"Writing {path.name}") as show:
            clip = await store.export(
                asked.from_us, asked.to_us, path, container=container, overwrite=overwrite, on_progress=show
            )
    return _report(clip, asked, utc=utc)


async def export_from_machine(
    remote: Remote, asked: Range, output: str | None, *, overwrite: bool, container: str, utc: bool
) -> int:
    """Write the clip of a range from a machine to a file."""
    if output == PIPE or container != "mp4":
        raise RequestError("From a machine a clip comes as an MP4 file: leave --fmp4 out, and name a file with -o.")
    async with remote.connect() as machine:
        path = _target(output, machine.component, asked)
        with screen.bar(f"Writing {path.name}") as show:
            clip = await machine.export(asked.from_us, asked.to_us, path, overwrite=overwrite, on_progress=show)
    return _report(clip, asked, utc=utc)


async def export_to_pipe(directory: Path, asked: Range, *, utc: bool) -> int:
    """Write the clip of a range to the standard output, as a fragmented MP4 that is kept nowhere."""
    if sys.stdout.isatty():
        raise RequestError("A clip cannot be shown in a terminal: write it to a file, or pipe it into a program.")
    held = Held(asked)
    async with reading(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        async with contextlib.aclosing(store.stream(asked.from_us, asked.to_us, on_ranges=held.note)) as blocks:
            with _nonblocking(sys.stdout.fileno()) as descriptor:
                async for block in blocks:
                    await _write(descriptor, block)
    return held.tell_missing(utc=utc)


def _target(output: str | None, name: str, asked: Range) -> Path:
    default = f"{name}_{format_local(asked.from_us)}.mp4"
    if output is None:
        return Path.cwd() / default
    path = Path(output).expanduser().absolute()
    return path / default if path.is_dir() else path


def _report(clip: ExportedClip, asked: Range, *, utc: bool) -> int:
    held = Held(asked)
    held.note(clip.ranges)
    table = screen.facts()
    for one in held.ranges:
        table.add_row("holds", *_described(one, utc=utc))
    screen.draw(f"{_shown_path(clip.path)}  {screen.size(clip.path.stat().st_size)}")
    screen.draw(table)
    return held.tell_missing(utc=utc)


def _described(one: Range, *, utc: bool) -> tuple[str, str]:
    return f"{written(one.from_us, utc=utc)} to {written(one.to_us, utc=utc)}", f"({length(one.to_us - one.from_us)})"


def _shown_path(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


@contextlib.contextmanager
def _nonblocking(descriptor: int) -> Iterator[int]:
    """A descriptor that keeps nobody waiting: a signal must get through although nobody reads."""
    blocking = os.get_blocking(descriptor)
    os.set_blocking(descriptor, False)
    try:
        yield descriptor
    finally:
        os.set_blocking(descriptor, blocking)


async def _write(descriptor: int, block: bytes) -> None:
    left = memoryview(block)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:
            await _writable(descriptor)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(error) from error


async def _writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
