"""`videostore import`: stores video files under the time at which they were captured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from videostore.base.constants import CAMERA_SILENCE_S, US_PER_SECOND
from videostore.base.errors import RequestError
from videostore.cli import terminal
from videostore.cli.runtime import DONE, INCOMPLETE, print_message
from videostore.cli.style import CommandLineStyle, sentence_of
from videostore.cli.time_options import format_length, format_range
from videostore.store.footage_import import import_file
from videostore.store.results import ImportedFile

_OF_DIRECTORY = frozenset({"import-into-recording"})
"""What no other file would change."""


async def import_files(
    files: Sequence[str], directory: Path, *, start_us: int | None, size_gb: float | None, sound: bool = True
) -> int:
    """Import one file after the other, and return the exit code. A file that is refused does not keep the others out.

    Raises:
        VideoStoreError: the directory cannot be used, is full, or none of the files could be imported: the last reason.
    """
    if start_us is not None and len(files) > 1:
        raise RequestError("import-several", count=len(files))
    code, refusals = DONE, list[RequestError]()
    for name in files:
        path = Path(name).expanduser()
        try:
            with terminal.progress_bar(f"Importing {path.name}") as show:
                done = await import_file(
                    path, directory, start=start_us, size_gb=size_gb, sound=sound, on_progress=show
                )
        except RequestError as error:
            refusals.append(error)
            if error.code in _OF_DIRECTORY or len(refusals) == len(files):
                raise
            print_message(sentence_of(error, CommandLineStyle()))
            code = INCOMPLETE
            continue
        code = max(code, _report(done))
    return code


def _report(done: ImportedFile) -> int:
    from_, to = format_range(done.captured)
    length = format_length(done.captured.to_us - done.captured.from_us)
    terminal.print_result(f"{done.path.name}  {from_} to {to}  ({length})")
    if done.known:
        print_message(f"{done.path} was imported before. Nothing was added.")
    elif done.reencoded:
        print_message(f"{done.path} was re-encoded: {done.reencoded}.")
    if done.silent:
        print_message(f"The sound of {done.path} is not stored: {done.silent}.")
    if done.gaps:
        missing = format_length(sum(one.to_us - one.from_us for one in done.gaps))
        print_message(f"{done.path} has {len(done.gaps)} gaps, {missing} together, in which nothing was captured.")
    if done.longest_interval_us > CAMERA_SILENCE_S * US_PER_SECOND:
        longest = format_length(done.longest_interval_us)
        print_message(f"{done.path} has no frame for up to {longest}. The frame before that is shown meanwhile.")
    if done.skipped_frames:
        print_message(
            f"{done.path} begins with {done.skipped_frames} frames that cannot be decoded. They are left out."
        )
    if done.shortfall:
        print_message(f"{done.path} {done.shortfall}.")
    return INCOMPLETE if done.skipped_frames or done.shortfall or done.silent else DONE
