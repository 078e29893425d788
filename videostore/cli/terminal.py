"""What is drawn: results on standard output, messages and progress bars on standard error.

Colours, bars and line breaks at the edge are for terminals alone; a pipe or a file gets plain lines. Characters that
would control a terminal are escaped.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from videostore.base.errors import printable
from videostore.cli.text import printable_lines

_PIPE_WIDTH = 1000
"""A table in a pipe is as wide as it needs to be."""
_TELL_AFTER_S = 1.0
_TELL_EVERY_S = 3.0
"""Of what lasts, where no bar can be drawn."""
_GAP = 2
"""Spaces between the columns of facts."""


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(printable_lines(one) if isinstance(one, str) else one for one in objects), **options)


class _Table(Table):
    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(printable(one) if isinstance(one, str) else one for one in cells), **options)


def results_console() -> Console:
    """The console of standard output, for results."""
    return _console(stderr=False)


def messages_console() -> Console:
    """The console of standard error, for messages and progress."""
    return _console(stderr=True)


def print_result(what: RenderableType = "") -> None:
    """Print a part of the result on standard output; in a pipe without spaces at the ends of lines."""
    console = results_console()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines() or [""]:
        print(line.rstrip())  # noqa: T201 (the result)


def print_widest(*choices: RenderableType) -> None:
    """Print the first of the choices, given from wide to narrow, that the terminal is wide enough for."""
    console = results_console()
    unbounded = console.options.update(width=_PIPE_WIDTH)
    fitting = (one for one in choices if console.measure(one, options=unbounded).maximum <= console.width)
    print_result(next(fitting, choices[-1]))


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH)
    return console


def facts_table(rows: Iterable[tuple[str, ...]]) -> Table:
    """Names and values, and for each perhaps a remark, without a header.

    Where the terminal is too narrow for one line, a value is broken between words; a time is never cut.
    """
    facts = [tuple(map(printable, row)) for row in rows]
    width = results_console().width
    remark_width = max((_GAP + len(rest[0]) for _, _, *rest in facts if rest), default=0)
    names_width = max((len(name) for name, *_ in facts), default=0) + _GAP
    word_width = max((len(word) for _, value, *_ in facts for word in value.split() if len(word) <= width), default=0)
    if remark_width and names_width + word_width + remark_width > width:
        facts = [(name, " ".join(rest)) for name, *rest in facts]
    below = names_width + word_width > width
    table = _Table.grid(padding=(0, _GAP))
    for fact in facts:
        if below:
            name, value = fact
            table.add_row(Text(name, style="bold"))
            table.add_row(Padding(Text(value, overflow="fold"), (0, 0, 0, _GAP if word_width + _GAP <= width else 0)))
        else:
            name, value, *remark = fact
            table.add_row(Text(name, style="bold", no_wrap=True), Text(value, overflow="fold"), *map(_unbroken, remark))
    if not below:
        for column in table.columns[::2]:
            column.no_wrap = True
    return table


def _unbroken(text: str) -> Text:
    return Text(text, no_wrap=True)


def list_table(*columns: str) -> Table:
    """An empty table with a header."""
    table = _Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


@contextlib.contextmanager
def progress_shown(title: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal; elsewhere a line every few seconds, if it takes so long."""
    console = messages_console()
    if console.is_terminal:
        with progress_bar(title) as show:
            yield show
        return
    told_s = time.monotonic() - _TELL_EVERY_S + _TELL_AFTER_S

    def tell(share: float) -> None:
        nonlocal told_s
        if time.monotonic() - told_s >= _TELL_EVERY_S:
            told_s = time.monotonic()
            console.print(f"{title}: {share:.0%}")

    yield tell


@contextlib.contextmanager
def progress_bar(title: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on a terminal. Yields a function that takes the finished share, from 0 to 1."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # slow to import

    console = messages_console()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(printable(title), total=1.0)
        yield lambda share: progress.update(task, completed=share)
