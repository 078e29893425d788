"""Arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from videostore.cli.runtime import VERBOSE
from videostore.cli.storage_directory import VARIABLE

From = Annotated[
    str,
    typer.Argument(metavar="FROM", help="Where it begins: 2026-11-22T02:50:00+01:00, 02:50, -5m …", show_default=False),
]
To = Annotated[
    str, typer.Argument(metavar="TO", help="Where it ends: the same, or +30s (after FROM), or now.", show_default=False)
]
Storage = Annotated[
    Path | None,
    typer.Option(
        "--storage",
        metavar="DIR",
        help=f"The storage directory. By default the one that {VARIABLE} names, else the current one if it holds a "
        "recording, else the only one below ~/.viam/video-storage.",
        show_default=False,
    ),
]
Utc = Annotated[bool, typer.Option("--utc", help="Show times in UTC instead of local time.")]
Verbose = Annotated[
    bool, typer.Option(VERBOSE, help="Show what the store and ffmpeg log, and the traceback of an error.")
]
Machine = Annotated[
    str | None,
    typer.Option(
        "--machine",
        metavar="ADDRESS",
        help="Ask this machine over the network instead of reading a directory.",
        show_default=False,
    ),
]
ApiKey = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar="VIAM_API_KEY",
        help="Its API key. Others may read it in the list of processes, but not in the variable.",
        show_default=False,
    ),
]
ApiKeyId = Annotated[
    str | None,
    typer.Option(
        "--api-key-id",
        metavar="ID",
        envvar="VIAM_API_KEY_ID",
        help="The id of that key.",
        show_default=False,
    ),
]
Component = Annotated[
    str | None,
    typer.Option(
        "--component",
        metavar="NAME",
        help="Which recorder of the machine, where it has several.",
        show_default=False,
    ),
]
