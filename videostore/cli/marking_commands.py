"""The commands of events: their arguments and their help. What a command needs is imported when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from videostore.cli import help_text
from videostore.cli.arguments import unescape
from videostore.cli.machine_options import parse_remote
from videostore.cli.options import ApiKey, ApiKeyId, Component, Machine, Storage, Utc, Verbose
from videostore.cli.program import register
from videostore.cli.runtime import DONE, FAILED, REFUSED, run

_AROUND = "15s"
_EXIT_CODES = {DONE: "done", FAILED: "failed", REFUSED: "wrong arguments, or the recorder refuses it"}
_WHERE = (
    "The recorder does it: that of --machine, or the one that records to the directory at the time. To a directory at "
    "rest, such as a copy, it is done by this command."
)


@register(
    "events",
    help_text.examples(
        "videostore events --storage /data/front-door",
        "videostore events --since -2d --until -1d",
        "videostore events --since -1d --json | jq -r '.[].label'",
    ),
    exit_codes={**_EXIT_CODES, REFUSED: "wrong arguments, or no such directory or machine"},
)
def events(
    storage: Storage = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Show those that end after this time: -2d, 02:50 …")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Show those that begin before this time: -1d, 03:00 …")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON: times in UTC, and seconds.")] = False,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """List the events of a recording: the moments that were marked."""
    from videostore.cli import events as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import check_order, parse_time

    since_us = None if since is None else parse_time(since, "since")
    until_us = None if until is None else parse_time(until, "until")
    if since_us is not None and until_us is not None:
        check_order("since", since_us, "until", until_us)
    asked = command.Asked(since_us, until_us)
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return run(command.events_of_machine(remote, asked, utc=utc, as_json=as_json))
    return run(command.events(find_directory(storage), asked, utc=utc, as_json=as_json))


@register(
    "mark",
    help_text.examples(
        "videostore mark now 'front door opened' --machine 192.168.1.20:8080",
        "videostore mark -10s intruder --keep --save --tag alarm --storage /data",
        "videostore mark 02:51:07 'broken window' --storage /media/usb/door",
    ),
    help_text.MOMENT,
    f"An event is a moment with a label, and a range around it. {_WHERE}",
    exit_codes=_EXIT_CODES,
)
def mark(
    at: Annotated[
        str, typer.Argument(metavar="AT", help="The moment: 2026-11-22T02:50:12+01:00, 02:50:12, -5m, now …")
    ],
    label: Annotated[str, typer.Argument(metavar="LABEL", help="What happened, in at most 200 characters.")],
    before: Annotated[
        str, typer.Option("--before", metavar="LENGTH", help="How long before it its range begins.")
    ] = _AROUND,
    after: Annotated[str, typer.Option("--after", metavar="LENGTH", help="How long after it that ends.")] = _AROUND,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the range from being deleted for the quota. Needs a recorder.")
    ] = False,
    save: Annotated[
        bool,
        typer.Option(
            "--save",
            help="Save the clip of the range for upload, of `videostore record` into DIR-clips. Needs a recorder.",
        ),
    ] = False,
    metadata: Annotated[
        str | None,
        typer.Option(
            "--metadata", metavar="TEXT", help="Text for the name and the tags of the saved clip. Default: LABEL."
        ),
    ] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Upload the saved clip with this tag. Can be given several times."),
    ] = None,
    storage: Storage = None,
    utc: Utc = False,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Mark a moment, so that it is found again."""
    from videostore.cli import events as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_length, parse_time
    from videostore.storage.notes_text import MOST_AROUND_S

    asked = command.Mark(
        None if unescape(at) == "now" else parse_time(at, "at"),
        unescape(label),
        parse_length(before, "--before", may_be_zero=True, most_s=MOST_AROUND_S),
        parse_length(after, "--after", may_be_zero=True, most_s=MOST_AROUND_S),
        keep,
        save,
        metadata,
        tuple(tags or ()),
    )
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return run(command.mark_on_machine(remote, asked, utc=utc))
    return run(command.mark(find_directory(storage), asked, utc=utc))


@register(
    "unmark",
    help_text.examples(
        "videostore unmark 12 --machine 192.168.1.20:8080",
        "videostore unmark 12 --release --machine 192.168.1.20:8080",
    ),
    f"`videostore events` lists the IDs. {_WHERE}",
    exit_codes=_EXIT_CODES,
)
def unmark(
    id: Annotated[str, typer.Argument(metavar="ID", help="The number of the event.")],
    release: Annotated[
        bool, typer.Option("--release", help="Leave the event, and only let the quota delete its footage again.")
    ] = False,
    cancel_save: Annotated[
        bool,
        typer.Option(
            "--cancel-save",
            help="Do not save its clip, unless that has begun. Otherwise the clip is saved all the same.",
        ),
    ] = False,
    storage: Storage = None,
    machine: Machine = None,
    component: Component = None,
    api_key: ApiKey = None,
    api_key_id: ApiKeyId = None,
    verbose: Verbose = False,
) -> int:
    """Forget an event, and let the quota delete its footage again."""
    from videostore.cli import events as command
    from videostore.cli.storage_directory import find_directory
    from videostore.cli.time_options import parse_integer

    number = parse_integer(id, "ID")
    remote = parse_remote(machine, component, api_key, api_key_id, directory_given=storage is not None)
    if remote is not None:
        return run(command.unmark_on_machine(remote, number, release=release, cancel_save=cancel_save))
    return run(command.unmark(find_directory(storage), number, release=release, cancel_save=cancel_save))
