"""What is drawn: results on the standard output, messages and bars on the standard error.

Colours, bars and line breaks at the edge are for terminals alone; a pipe or a file gets plain lines. What others have
named or said may hold characters that command a terminal: whatever shows nothing is drawn as a question mark.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

_PIPE_WIDTH = 1000
"""A table in a pipe is as wide as it needs to be."""


def visible(text: str, keep: str = "") -> str:
    """A text in which nothing commands a terminal; `keep` are characters that may stay nevertheless."""
    return "".join(one if one.isprintable() or one in keep else "?" for one in text)


class _Console(Console):
    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*(visible(one, "\n") if isinstance(one, str) else one for one in objects), **options)


class _Table(Table):
    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*(visible(one) if isinstance(one, str) else one for one in cells), **options)


def results() -> Console:
    """For what was asked for."""
    return _console(stderr=False)


def messages() -> Console:
    """For what goes on meanwhile."""
    return _console(stderr=True)


def draw(what: RenderableType = "") -> None:
    """Put a part of the result onto the standard output; in a pipe without blanks at the ends of lines."""
    console = results()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what)
    for line in captured.get().splitlines() or [""]:
        print(line.rstrip())  # noqa: T201 (the result)


def _console(*, stderr: bool) -> Console:
    console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console = _Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=_PIPE_WIDTH)
    return console


def facts() -> Table:
    """A table of names and values."""
    table = _Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    return table


def listing(*columns: str) -> Table:
    """A table of what there is several of; the last columns are lengths."""
    table = _Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


@contextlib.contextmanager
def bar(title: str) -> Iterator[Callable[[float], None]]:
    """Show how far something has come; what is yielded takes its share, from 0 to 1."""
    console = messages()
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(visible(title), total=1.0)
        yield lambda share: progress.update(task, completed=share)


def size(size_bytes: float) -> str:
    """A size for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"
