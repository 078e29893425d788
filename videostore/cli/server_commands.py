"""The commands that run until they are ended: the web server and the Viam module."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videostore.cli import help_text
from videostore.cli.options import Verbose
from videostore.cli.program import register
from videostore.cli.runtime import DONE, FAILED, REFUSED, run


@register(
    "web",
    help_text.examples(
        "videostore web",
        "videostore web --storage /data/front-door --storage /data/yard",
        "videostore web --host 0.0.0.0 --password-file ~/.config/videostore-password",
    ),
    "Shows recordings in a browser, live or at rest, until Ctrl-C. Of the directories only the events change that a "
    "viewer marks. Players such as VLC and ffplay can open http://HOST:PORT/hls/ID/index.m3u8?from=-1h&to=now, where "
    "/api/recorders tells the ID.",
    "Without a password only this machine gets in, and --host must be 127.0.0.1, ::1 or localhost.",
    exit_codes={
        DONE: "ended with Ctrl-C",
        FAILED: "failed, for example because the port is in use",
        REFUSED: "wrong arguments, or no such directory",
    },
)
def web(
    storage: Annotated[
        list[Path] | None,
        typer.Option(
            "--storage",
            metavar="DIR",
            readable=False,  # checked by find_directory, which says who may read it
            help="A storage directory; can be given several times. Default: as for `state`.",
        ),
    ] = None,
    host: Annotated[str, typer.Option("--host", metavar="HOST", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[str, typer.Option("--port", metavar="PORT", help="The port to listen on.")] = "8600",
    password_file: Annotated[
        Path | None,
        typer.Option(
            "--password-file",
            metavar="FILE",
            readable=False,  # the error of reading it says why that fails
            help="The file that holds the password. Only its owner may read it.",
        ),
    ] = None,
    password_env: Annotated[
        str | None,
        typer.Option("--password-env", metavar="NAME", help="The environment variable that holds it instead."),
    ] = None,
    hosts: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Another name for it, as of a proxy; can be repeated."),
    ] = None,
    verbose: Verbose = False,
) -> int:
    """Show recordings in a browser."""
    from videostore.cli import web as command
    from videostore.cli.storage_directory import find_directory

    directories = [find_directory(one) for one in storage] if storage else [find_directory(None)]
    access = command.parse_access(host, port, password_file, password_env, hosts or [])
    return run(command.web(directories, access, verbose=verbose))


@register(
    "serve",
    help_text.examples(
        "videostore serve /tmp/videostore.sock",
        "videostore serve 127.0.0.1:9000 --tcp-mode --log-level debug",
    ),
    "viam-server does not need this command: it starts the program with the socket as its first argument. Without a "
    "viam-server there is no recorder: see `make demo`, and the commands `record` and `web`.",
    exit_codes={
        DONE: "the module was stopped, or the program that started it has ended",
        FAILED: "failed, for example because the socket cannot be used",
        REFUSED: "wrong arguments",
    },
)
def serve(
    socket: Annotated[str, typer.Argument(metavar="SOCKET", help="A Unix socket, or HOST:PORT with --tcp-mode.")],
    log_level: Annotated[
        str, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning, error or critical.")
    ] = "info",
    tcp_mode: Annotated[bool, typer.Option("--tcp-mode", help="Serve on TCP instead of a Unix socket.")] = False,
) -> int:
    """Run the Viam module, as viam-server does."""
    from videostore.cli import serve as command

    return command.serve(socket, log_level, tcp_mode=tcp_mode)
