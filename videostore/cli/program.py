"""The program itself: its help and its version, and how its commands are registered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

import typer
import typer.core

from videostore.cli import environment, help_text
from videostore.cli.arguments import escape_relative_times
from videostore.cli.runtime import DONE, EXIT_CODES

_Function = TypeVar("_Function", bound=Callable[..., int])
PROGRAM = "videostore"
_BRACES = re.compile(r"^\{(.*)\}(?=(?:\.\.\.)?$)")


class _Command(typer.core.TyperCommand):
    """A command whose arguments may be times such as `-5m`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, escape_relative_times(args))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Without the braces in which some versions of typer put a required argument."""
        return [_BRACES.sub(r"\1", one) for one in super().collect_usage_pieces(ctx)]


app = typer.Typer(
    name=PROGRAM,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 80},
)


def register(name: str, *parts: str, exit_codes: Mapping[int, str]) -> Callable[[_Function], _Function]:
    """Register a command. Its help is its docstring, these parts and its exit codes."""

    def add(function: _Function) -> _Function:
        text = "\n\n".join([function.__doc__ or "", *parts])
        epilog = help_text.table("Exit codes", exit_codes)
        return app.command(name, cls=_Command, help=text, epilog=epilog)(function)

    return add


@app.callback(
    invoke_without_command=True,
    help="""Read, cut and make recordings of videostore.

\b
What is recorded in /data/front-door?
  videostore state --storage /data/front-door
Cut out ten minutes, exact to the frame:
  videostore export 02:50 03:00 --storage /data/front-door
See what was in front of the camera at a moment:
  videostore snapshot 02:50:12 --storage /data/front-door
Watch the last five minutes:
  videostore play -5m now --storage /data/front-door
When was this captured, 12 and a half seconds into a clip?
  videostore when burglary.mp4 12.5

Reading changes nothing, and works while a recording is in progress. `videostore COMMAND --help` has more examples.
""",
    epilog="\n\n".join(
        [
            help_text.table("Exit codes", EXIT_CODES),
            help_text.table("Environment variables", environment.VARIABLES),
        ]
    ),
)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> int:
    if version:
        from videostore import __version__

        typer.echo(f"{PROGRAM} {__version__}")
        raise typer.Exit(DONE)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(DONE)
    return DONE
