"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videostore.cli import environment
from videostore.cli.runtime import VERBOSE

From = Annotated[
    str, typer.Argument(metavar="FROM", help="Start of the range: 2026-11-22T02:50:00+01:00, 02:50, -5m …")
]
To = Annotated[str, typer.Argument(metavar="TO", help="End of the range: as FROM, or +30s (30 s after FROM), or now.")]
Storage = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        readable=False,  # checked by find_directory, which says who may read it
        help=f"The storage directory. Default: the one that {environment.STORAGE} names; otherwise the current "
        "directory if it holds a recording; otherwise the only recording in ~/.viam/video-storage.",
    ),
]
Utc = Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of local time.")]
Verbose = Annotated[
    bool, typer.Option(VERBOSE, help="Show log messages of the store and of ffmpeg, and the traceback of an error.")
]
Machine = Annotated[
    str | None,
    typer.Option(
        "--machine", metavar="ADDRESS", help="Ask a recorder on this machine, instead of reading a directory."
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar=environment.API_KEY,
        help="API key of the machine. Other users can see an argument in the list of processes, but not the variable.",
    ),
]
ApiKeyId = Annotated[
    str | None,
    typer.Option("--api-key-id", metavar="ID", envvar=environment.API_KEY_ID, help="Id of the API key."),
]
Component = Annotated[
    str | None,
    typer.Option("--component", metavar="NAME", help="Name of the recorder, if the machine has several."),
]
