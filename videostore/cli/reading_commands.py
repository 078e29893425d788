"""The commands that read a recording: their arguments and their help. What a command needs is imported when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videostore.cli import environment, help_text
from videostore.cli.arguments import unescape
from videostore.cli.machine_options import parse_remote
from videostore.cli.options import ApiKey, ApiKeyId, Component, From, Machine, Storage, To, Utc, Verbose
from videostore.cli.program import register
from videostore.cli.runtime import DONE, EXIT_CODES, INCOMPLETE, REFUSED, run

ALWAYS_COMPLETE = {code: meaning for code, meaning in EXIT_CODES.items() if code != INCOMPLETE}
"""The exit codes of commands that make no clip."""


@register(
    "state",
    help_text.examples(
        "videostore state",
        "videostore state --storage /media/usb/front-door --since -2d",
        "videostore state --json | jq '.ranges[-1]'",
    ),
    "FROM and TO of a line can be given to export and play as they are. A gap of at most 5 s does not end a range "
    "here; export reports it.",
    exit_codes={**ALWAYS_COMPLETE, REFUSED: "wrong arguments, or no such directory or machine"},
)
def state(
    storage: Storage = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="TIME", help="Show what was recorded since this time: -2d, 02:50 …"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all ranges, not only the last 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON: times in UTC, bytes and seconds.")] = False,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Show what is stored, what is missing, and how much is free."""
    from videostore.cli import state as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_time

    since_us = None if since is None else parse_time(since, "since")
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        work = command.state_of_machine(remote, since_us=since_us, everything=everything, utc=utc, as_json=as_json)
    else:
        work = command.state(
            find_directory(storage), since_us=since_us, everything=everything, utc=utc, as_json=as_json
        )
    return run(work)


@register(
    "export",
    help_text.examples(
        "videostore export 02:50 03:00",
        "videostore export 2026-11-22T02:50:00Z +90s -o burglary.mp4",
        "videostore export -5m now -o - | ffmpeg -i - -vf scale=640:-2 small.mp4",
    ),
    help_text.TIMES,
    "The clip has the frames captured from FROM on and before TO, and no others. They are not re-encoded, with a few "
    "exceptions. If part of the range is not stored, the rest is written and the gaps are reported.",
    exit_codes=EXIT_CODES,
)
def export(
    start: From,
    end: To,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file to write; - is standard output, but not with --machine. Default: a name made of the "
            "recorder and FROM, in the current directory.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    fmp4: Annotated[bool, typer.Option("--fmp4", help="Write a fragmented MP4, for players in browsers.")] = False,
    storage: Storage = None,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Cut a clip of any size out of the recording, exact to the frame."""
    from videostore.cli import export as command
    from videostore.cli.pipe import PIPE
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_range

    asked = parse_range(start, end)
    container = "fmp4" if fmp4 else "mp4"
    output = None if output is None else unescape(output)
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return run(
            command.export_from_machine(remote, asked, output, overwrite=overwrite, container=container, utc=utc)
        )
    directory = find_directory(storage)
    if output == PIPE:
        return run(command.export_to_pipe(directory, asked, utc=utc))
    return run(command.export(directory, asked, output, overwrite=overwrite, container=container, utc=utc))


@register(
    "snapshot",
    help_text.examples(
        "videostore snapshot 02:50:12",
        "videostore snapshot 2026-11-22T02:50:12.4Z -o face.jpg",
        "videostore snapshot -5m --width 320 -o - | feh -",
    ),
    help_text.MOMENT,
    "The picture is the last frame captured by AT. Its EXIF data have the exact capture time, in UTC.",
    exit_codes={**EXIT_CODES, INCOMPLETE: "the picture is made of damaged data, and may show something wrong"},
)
def snapshot(
    at: Annotated[str, typer.Argument(metavar="AT", help="The moment: 2026-11-22T02:50:12.4+01:00, 02:50:12, -5m …")],
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file to write; - is standard output. Default: a name made of the recorder and the capture time, "
            "in the current directory.",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it exists.")] = False,
    width: Annotated[
        str | None, typer.Option("--width", metavar="PIXELS", help="Make it narrower. It is never enlarged.")
    ] = None,
    keyframe: Annotated[
        bool, typer.Option("--keyframe", help="Take the last keyframe up to AT, which is faster to decode.")
    ] = False,
    storage: Storage = None,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Write the picture of a moment as a JPEG."""
    from videostore.cli import snapshot as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_integer, parse_time

    at_us = parse_time(at, "at")
    pixels = None if width is None else parse_integer(width, "--width")
    output = None if output is None else unescape(output)
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return run(
            command.snapshot_from_machine(
                remote, at_us, output, width=pixels, exact=not keyframe, overwrite=overwrite, utc=utc
            )
        )
    return run(
        command.snapshot(
            find_directory(storage), at_us, output, width=pixels, exact=not keyframe, overwrite=overwrite, utc=utc
        )
    )


@register(
    "play",
    help_text.examples(
        "videostore play -5m now",
        "videostore play 02:50 +90s --storage /media/usb/front-door",
    ),
    help_text.TIMES,
    f"This needs a screen, and ffplay, which is part of ffmpeg. {environment.FFPLAY} can name another ffplay.",
    exit_codes=EXIT_CODES,
)
def play(start: From, end: To, storage: Storage = None, utc: Utc = False, verbose: Verbose = False) -> int:
    """Play a range of the recording in a window."""
    from videostore.cli import play as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_range

    asked = parse_range(start, end)
    return run(command.play(find_directory(storage), asked, utc=utc))


@register(
    "when",
    help_text.examples(
        "videostore when burglary.mp4",
        "videostore when burglary.mp4 1:02.5",
        "videostore when burglary.mp4 12.5 --json | jq -r .captured",
    ),
    help_text.WHEN,
    exit_codes={**ALWAYS_COMPLETE, REFUSED: "wrong arguments, or a clip that does not tell its times"},
)
def when(
    clip: Annotated[Path, typer.Argument(metavar="CLIP", readable=False, help="A clip: a file that videostore made.")],
    position: Annotated[
        str | None, typer.Argument(metavar="POSITION", help="A position in the clip: 12.5, 1:02.5 …")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all stretches, not only the first 100.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON: times in UTC, and seconds.")] = False,
    utc: Utc = False,
    verbose: Verbose = False,
) -> int:
    """Show when a clip, or a position in it, was captured."""
    from videostore.cli import when as command
    from videostore.cli.time_options import parse_position

    path = Path(unescape(str(clip)))
    if position is None:
        return run(command.when(path, everything=everything, utc=utc, as_json=as_json))
    return run(command.when_at(path, *parse_position(position), as_json=as_json))


@register(
    "verify",
    help_text.examples(
        "videostore verify --storage /media/usb/front-door",
        "videostore verify --quick --json",
        "videostore verify --repair --storage /data/front-door",
    ),
    help_text.VERIFY,
    exit_codes={
        **EXIT_CODES,
        DONE: "nothing is wrong, or everything is repaired",
        REFUSED: "wrong arguments, or no such directory",
        INCOMPLETE: "problems were found, or are left after the repair",
    },
)
def verify(
    storage: Storage = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what can be repaired.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode the frames.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all problems, not only the first 100.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
    verbose: Verbose = False,
) -> int:
    """Check that every segment decodes and that the index is right."""
    from videostore.cli import verify as command
    from videostore.cli.storage_directory import find_directory

    work = command.verify(
        find_directory(storage), decode=not quick, repair=repair, everything=everything, as_json=as_json
    )
    return run(work)
