"""`videostore export`: writes a clip of any size to a file or a pipe."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from videostore.base.errors import RequestError
from videostore.base.ranges import Range
from videostore.base.time_format import format_local
from videostore.cli import terminal
from videostore.cli.gaps import ClipContents
from videostore.cli.local_store import open_reader, wait_until_covered
from videostore.cli.machine_options import Remote
from videostore.cli.pipe import PIPE, nonblocking, write
from videostore.cli.text import format_size
from videostore.cli.time_options import format_length, format_range
from videostore.store.results import ExportedClip


async def export(
    directory: Path, asked: Range, output: str | None, *, overwrite: bool, container: str, utc: bool
) -> int:
    """Write the clip of a range from a storage directory to a file."""
    path = _output_path(output, directory.name, asked)
    async with open_reader(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        with terminal.progress_bar(f"Writing {path.name}") as show:
            clip = await store.export(
                asked.from_us, asked.to_us, path, container=container, overwrite=overwrite, on_progress=show
            )
        contents = _contents(clip, asked)
        await contents.explain(store.state)
    return _report(clip.path, contents, utc=utc)


async def export_from_machine(
    remote: Remote, asked: Range, output: str | None, *, overwrite: bool, container: str, utc: bool
) -> int:
    """Write the clip of a range from another machine to a file."""
    if container != "mp4":
        raise RequestError("fmp4-from-machine", field="fmp4", value=True)
    if output == PIPE:
        raise RequestError("pipe-from-machine", field="output", value=output)
    async with remote.connect() as machine:
        path = _output_path(output, machine.component, asked)
        with terminal.progress_bar(f"Writing {path.name}") as show:
            clip = await machine.export(asked.from_us, asked.to_us, path, overwrite=overwrite, on_progress=show)
        contents = _contents(clip, asked)
        await contents.explain(machine.state)
    return _report(clip.path, contents, utc=utc)


async def export_to_pipe(directory: Path, asked: Range, *, utc: bool) -> int:
    """Write the clip of a range to standard output, as a fragmented MP4. It is not stored anywhere."""
    if sys.stdout.isatty():
        raise RequestError("clip-to-terminal", field="output", value=PIPE)
    contents = ClipContents(asked)
    async with open_reader(directory) as store:
        await wait_until_covered(store, directory, asked.to_us)
        stream = store.stream(asked.from_us, asked.to_us, on_ranges=contents.update, on_damaged=contents.update_damaged)
        async with contextlib.aclosing(stream) as blocks:
            with nonblocking(sys.stdout.fileno()) as descriptor:
                async for block in blocks:
                    await write(descriptor, block)
        await contents.explain(store.state)
    return contents.report_missing(utc=utc)


def _output_path(output: str | None, name: str, asked: Range) -> Path:
    default = f"{name}_{format_local(asked.from_us)}.mp4"
    if output is None:
        return Path.cwd() / default
    path = Path(output).expanduser().absolute()
    return path / default if path.is_dir() else path


def _contents(clip: ExportedClip, asked: Range) -> ClipContents:
    contents = ClipContents(asked)
    contents.update(clip.ranges)
    contents.update_damaged(clip.damaged)
    return contents


def _report(path: Path, contents: ClipContents, *, utc: bool) -> int:
    holds = [
        ("holds", " to ".join(format_range(one, utc=utc)), f"({format_length(one.to_us - one.from_us)})")
        for one in contents.ranges
    ]
    terminal.print_result(f"{_shortest_path(path)}  {format_size(path.stat().st_size)}")
    terminal.print_result(terminal.facts_table(holds))
    return contents.report_missing(utc=utc)


def _shortest_path(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
