"""The commands: their arguments and their help. What a command does is imported when it is called."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import typer.core
import typer.main

from videostore.base.errors import RequestError
from videostore.cli import runtime as outcome
from videostore.cli import time_options as moments
from videostore.cli.invocation import is_something_else
from videostore.cli.machine_options import parse_remote
from videostore.cli.options import ApiKey, ApiKeyId, Component, From, Machine, Storage, To, Utc, Verbose
from videostore.cli.runtime import DONE, REFUSED, tell
from videostore.cli.storage_directory import VARIABLE, find_directory

_Function = TypeVar("_Function", bound=Callable[..., int])
_PROGRAM = "videostore"
_UsageError: Any = typer.BadParameter.__mro__[1]
"""What a wrong command line raises; typer has it from click, which newer ones carry inside of them."""
_TIMES = """\b
FROM and TO are moments in any of these forms:
  2026-11-22T02:50:00+01:00  RFC 3339, also with Z for UTC
  "2026-11-22 02:50:00"      local time of this computer
  02:50  or  02:50:30        the last time that it was that
  -5m  or  -1h30m            before now
  now
  +30s                       for TO alone: after FROM"""
_CODES = """\b
Exit codes:
  0    done
  1    failed: the disk, ffmpeg …
  2    a mistake in what was asked for, or nothing is stored there
  3    done, but not all of it was there
  130  interrupted"""


class _Command(typer.core.TyperCommand):
    """A command whose arguments may be moments such as `-5m`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, moments.shield(args))


app = typer.Typer(
    name=_PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 80},
)


def call(arguments: Sequence[str]) -> int:
    """Carry out a command line and return its exit code.

    Raises:
        VideoStoreError: it cannot be carried out.
    """
    if arguments and is_something_else(arguments[0]):
        raise RequestError(
            f"{arguments[0]!r} is no command: to see what is recorded in a directory, use "
            "`videostore state --storage DIR`; to record a file, `videostore record FILE`."
        )
    command = typer.main.get_command(app)
    try:
        code = command.main(args=list(arguments), prog_name=_PROGRAM, standalone_mode=False)
    except _UsageError as error:
        context = getattr(error, "ctx", None)
        help_of = context.command_path if context else _PROGRAM
        mistake = error.format_message().rstrip(".")
        tell(f"{mistake}{'' if mistake.endswith('?') else '.'} See `{help_of} --help`.")
        return REFUSED
    except typer.Abort:
        return outcome.INTERRUPTED
    return code if isinstance(code, int) else DONE


def _command(name: str, *parts: str) -> Callable[[_Function], _Function]:
    """Register a command, whose help is its docstring and these parts."""

    def register(function: _Function) -> _Function:
        text = "\n\n".join([function.__doc__ or "", *parts])
        return app.command(name, cls=_Command, help=text)(function)

    return register


@app.callback(
    invoke_without_command=True,
    help="""Read, cut and make recordings of videostore.

\b
What is recorded in /data/front-door?
  videostore state --storage /data/front-door
Cut ten minutes out of it, exact to the frame:
  videostore export 02:50 03:00 --storage /data/front-door
Look at the last five minutes:
  videostore play -5m now --storage /data/front-door

Reading changes nothing, and works beside the recorder. `videostore COMMAND --help` tells more, with examples.
""",
    epilog=_CODES,
)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version, and end.")] = False,
) -> int:
    if version:
        from videostore import __version__

        typer.echo(f"{_PROGRAM} {__version__}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(DONE)
    return DONE


@_command(
    "state",
    """\b
Examples:
  videostore state
  videostore state --storage /media/usb/front-door --since -2d
  videostore state --json | jq '.ranges[-1]'""",
    "FROM and TO of a line can be given to export and play as they stand. Gaps of at most 5 s do not end a range here; "
    "export and verify tell them.",
)
def state(
    storage: Storage = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="MOMENT", help="Show what was recorded since then: -2d, 02:50 …", show_default=False
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Show all ranges, not only the last 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write it for programs: UTC, bytes and seconds.")] = False,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Show what is stored, what is missing, and what room is left."""
    from videostore.cli import state as command

    since_us = None if since is None else moments.parse_moment(since, "since")
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        work = command.state_of_machine(remote, since_us=since_us, everything=everything, utc=utc, as_json=as_json)
    else:
        work = command.state(
            find_directory(storage), since_us=since_us, everything=everything, utc=utc, as_json=as_json
        )
    return outcome.run(work)


@_command(
    "export",
    """\b
Examples:
  videostore export 02:50 03:00
  videostore export 2026-11-22T02:50:00Z +90s -o burglary.mp4
  videostore export -5m now -o - | ffmpeg -i - -vf scale=640:-2 small.mp4""",
    _TIMES,
    "The clip shows the frames captured from FROM on and before TO, and no others; it is not encoded anew. If a part "
    "is not stored, the rest is written, it is said what is missing, and the exit code is 3.",
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
            help="Where to write it; - is the standard output. By default it is named after the recorder and FROM, in "
            "the current directory.",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file of that name.")] = False,
    fmp4: Annotated[bool, typer.Option("--fmp4", help="Write a fragmented MP4, for players in browsers.")] = False,
    storage: Storage = None,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Cut a clip out of the recording, exact to the frame, of any size."""
    from videostore.cli import export as command

    asked = moments.parse_range(start, end)
    container = "fmp4" if fmp4 else "mp4"
    output = None if output is None else moments.bare(output)
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return outcome.run(
            command.export_from_machine(remote, asked, output, overwrite=overwrite, container=container, utc=utc)
        )
    directory = find_directory(storage)
    if output == command.PIPE:
        return outcome.run(command.export_to_pipe(directory, asked, utc=utc))
    return outcome.run(command.export(directory, asked, output, overwrite=overwrite, container=container, utc=utc))


@_command(
    "play",
    """\b
Examples:
  videostore play -5m now
  videostore play 02:50 +90s --storage /media/usb/front-door""",
    _TIMES,
    "It needs ffplay, which comes with ffmpeg, and a screen. VIDEOSTORE_FFPLAY may name another one.",
)
def play(start: From, end: To, storage: Storage = None, utc: Utc = False, verbose: Verbose = False) -> int:
    """Play a range of the recording in a window."""
    from videostore.cli import play as command

    asked = moments.parse_range(start, end)
    return outcome.run(command.play(find_directory(storage), asked, utc=utc))


@_command(
    "verify",
    """\b
Examples:
  videostore verify --storage /media/usb/front-door
  videostore verify --quick --json
  videostore verify --repair --storage /data/front-door""",
    "Every segment is read and decoded to its last frame, and the index is compared with the files. Looking changes "
    "nothing. --repair works where nobody records: it makes the index agree, closes what a crash left open, and puts "
    "what cannot be read into damaged/, below the directory. It deletes nothing. The exit code is 3 if something is "
    "left.",
)
def verify(
    storage: Storage = None,
    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Do not decode the pictures.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show all findings, not only the first 100.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write it for programs.")] = False,
    verbose: Verbose = False,
) -> int:
    """Check that every segment decodes and that the index agrees."""
    from videostore.cli import verify as command

    work = command.verify(
        find_directory(storage), decode=not quick, repair=repair, everything=everything, as_json=as_json
    )
    return outcome.run(work)


@_command(
    "record",
    """\b
Examples:
  videostore record rtsp://camera/stream --storage /data/door --size-gb 50
  videostore record /dev/video0 --format v4l2 --storage ./desk --size-gb 5
  videostore record visit.mkv --storage ./visit --size-gb 5""",
    "INPUT is whatever ffmpeg can open. H.264 and H.265 are recorded as they come, anything else is encoded. A file is "
    "played in real time, as if it were a camera that is watched now. It records until the input ends, for --duration, "
    "or until Ctrl-C; the last segment is finished in any case.",
)
def record(
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A file, a device or a URL.", show_default=False)],
    storage: Annotated[
        Path,
        typer.Option(
            "--storage", metavar="DIR", envvar=VARIABLE, help="The storage directory; it is made.", show_default=False
        ),
    ],
    size_gb: Annotated[
        str,
        typer.Option("--size-gb", metavar="N", help="Quota in GiB: beyond it the oldest goes.", show_default=False),
    ],
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="LENGTH", help="Stop after 30s, 5m, 1h30m …", show_default=False),
    ] = None,
    segment_seconds: Annotated[
        str | None,
        typer.Option("--segment-seconds", metavar="N", help="Length of a segment (30).", show_default=False),
    ] = None,
    reencode: Annotated[bool, typer.Option("--reencode", help="Encode it even where that is not needed.")] = False,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            metavar="NAME",
            help="Of what is encoded: h264, h265 or an encoder of ffmpeg (h264).",
            show_default=False,
        ),
    ] = None,
    bitrate: Annotated[
        str | None,
        typer.Option("--bitrate", metavar="N", help="Of what is encoded, in bits/s (1000000).", show_default=False),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset", metavar="NAME", help="Of what is encoded: ultrafast … veryslow (medium).", show_default=False
        ),
    ] = None,
    framerate: Annotated[
        str | None,
        typer.Option(
            "--framerate", metavar="N", help="Frames/s that are expected of what is encoded (20).", show_default=False
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="NAME", help="ffmpeg's format of the input, such as v4l2.", show_default=False
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--option",
            metavar="KEY=VALUE",
            help="An option of ffmpeg for the input; may be given several times.",
            show_default=False,
        ),
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Record a file, a device or a stream into a storage directory."""
    from videostore.cli import record as command

    settings = command.Settings(
        input=moments.bare(source),
        directory=Path(moments.bare(str(storage))),
        size_gb=moments.parse_number(size_gb, "--size-gb"),
        segment_seconds=None if segment_seconds is None else moments.parse_number(segment_seconds, "--segment-seconds"),
        codec=codec,
        bitrate=None if bitrate is None else moments.parse_whole(bitrate, "--bitrate"),
        preset=preset,
        framerate=None if framerate is None else moments.parse_whole(framerate, "--framerate"),
        reencode=reencode,
        format=format,
        options=command.parse_options(option or []),
        duration_s=None if duration is None else moments.parse_length(duration, "--duration"),
    )
    return outcome.run(command.record(settings))


@_command(
    "serve",
    """\b
Examples:
  videostore serve /tmp/videostore.sock
  videostore serve 127.0.0.1:9000 --tcp-mode --log-level debug""",
    "viam-server does this by itself: it calls the program with the socket alone.",
)
def serve(
    socket: Annotated[str, typer.Argument(metavar="SOCKET", help="A Unix socket, or HOST:PORT with --tcp-mode.")],
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = "info",
    tcp_mode: Annotated[bool, typer.Option("--tcp-mode", help="Serve on TCP instead of a Unix socket.")] = False,
) -> int:
    """Be the Viam module, as viam-server starts it."""
    from videostore.cli import serve as command

    return command.serve(socket, log_level, tcp_mode=tcp_mode)
