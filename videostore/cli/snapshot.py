"""`videostore snapshot`: writes the picture of a moment to a file or a pipe."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from videostore.base.constants import US_PER_SECOND
from videostore.base.errors import RequestError, VideoStoreError, reason_of
from videostore.base.ranges import DAMAGE_REASONS
from videostore.base.tasks import run_in_thread
from videostore.base.time_format import format_local
from videostore.cli import terminal
from videostore.cli.local_store import open_reader, wait_until_covered
from videostore.cli.machine_options import Remote
from videostore.cli.pipe import PIPE, nonblocking, write
from videostore.cli.runtime import DONE, INCOMPLETE, print_message
from videostore.cli.text import format_size
from videostore.cli.time_options import format_time
from videostore.clips.output_path import PICTURE, check_output_path
from videostore.clips.picture import Snapshot
from videostore.clips.uploads import publish


async def snapshot(
    directory: Path, at_us: int, output: str | None, *, width: int | None, exact: bool, overwrite: bool, utc: bool
) -> int:
    """Write the picture that a storage directory shows at a moment."""
    _check(output)
    async with open_reader(directory) as store:
        if exact:
            await wait_until_covered(store, directory, at_us + 1)
        found = await store.snapshot(at_us, width=width, exact=exact)
    return await _write(found, output, directory.name, directory, overwrite=overwrite, utc=utc)


async def snapshot_from_machine(
    remote: Remote, at_us: int, output: str | None, *, width: int | None, exact: bool, overwrite: bool, utc: bool
) -> int:
    """Write the picture that a recorder on another machine shows at a moment."""
    _check(output)
    async with remote.connect() as machine:
        found = await machine.snapshot(at_us, width=width, exact=exact)
        name = machine.component
    return await _write(found, output, name, None, overwrite=overwrite, utc=utc)


def _check(output: str | None) -> None:
    if output == PIPE and sys.stdout.isatty():
        raise RequestError("picture-to-terminal", field="output", value=PIPE)


async def _write(
    found: Snapshot, output: str | None, name: str, storage: Path | None, *, overwrite: bool, utc: bool
) -> int:
    if output == PIPE:
        with nonblocking(sys.stdout.fileno()) as descriptor:
            await write(descriptor, found.jpeg)
        return _code(found)
    path = _output_path(output, name, found.captured_us)
    await run_in_thread(_write_file, path, found.jpeg, storage, overwrite)
    terminal.print_result(f"{_shortest(path)}  {found.width} x {found.height}  {format_size(len(found.jpeg))}")
    captured = format_time(found.captured_us, utc=utc, precision="microseconds")
    terminal.print_result(terminal.facts_table([("captured", captured)]))
    return _code(found)


def _code(found: Snapshot) -> int:
    if found.damaged is None:
        return DONE
    print_message(f"The picture may show something wrong: {DAMAGE_REASONS.get(found.damaged, found.damaged)}.")
    return INCOMPLETE


def _output_path(output: str | None, name: str, captured_us: int) -> Path:
    default = f"{name}_{format_local(captured_us)}.{captured_us % US_PER_SECOND // 1000:03d}.jpg"
    if output is None:
        return Path.cwd() / default
    path = Path(output).expanduser().absolute()
    return path / default if path.is_dir() else path


def _shortest(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _write_file(path: Path, jpeg: bytes, storage: Path | None, overwrite: bool) -> None:
    """Write a file that appears complete. Blocking.

    Raises:
        RequestError: it must not be written.
        VideoStoreError: it cannot be.
    """
    try:
        path = check_output_path(path, storage, overwrite, PICTURE)
        with _temporary(path) as written:
            written.write_bytes(jpeg)
            publish(written, path, overwrite)
    except OSError as error:
        raise VideoStoreError("picture-not-written", path=path.parent, reason=reason_of(error)) from error


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=".videostore-", dir=path.parent) as work:
        yield Path(work) / path.name
