"""Writes docs/reference/command-line.md from the help of the program: `python -m scripts.cli_reference`.

`--print` prints the page instead, and `--check` fails if the file differs. Everything is taken from the commands
themselves, not from the text that `--help` draws, so that neither the width of the terminal nor its colours matter.
"""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import typer.main

from videostore.cli.app import PROGRAM, app

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "command-line.md"
INTRODUCTION = f"""\
# Command line

This page is generated from the help of the program by `python -m scripts.cli_reference`. `{PROGRAM} COMMAND --help`
shows the same. Results are written to standard output; messages and progress bars are written to standard error.
"""
_KEPT = "\b"
"""In a help text, begins a paragraph whose lines stay as they are."""
_TABLES = {"Exit codes": ("exit code", "meaning"), "Environment variables": ("variable", "value")}
_CODE = re.compile(r"(?<![\w-])(--[a-z][\w-]*|(?:VIDEOSTORE|VIAM)_[A-Z_]+)")
_WIDTH = 120


def page() -> str:
    """The whole page."""
    program: Any = typer.main.get_command(app)
    context = program.context_class(program, info_name=PROGRAM)
    parts = [INTRODUCTION, *_command(program, context)]
    for name, one in program.commands.items():
        parts.extend(_command(one, one.context_class(one, info_name=name, parent=context)))
    return "\n".join(parts)


def _command(command: Any, context: Any) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    commands = getattr(command, "commands", {})
    parameters = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
    arguments = [one for one in parameters if one.param_type_name == "argument"]
    options = [one for one in parameters if one.param_type_name == "option"]
    shown = (one.metavar if one.required else f"[{one.metavar}]" for one in arguments)
    usage = [context.command_path, "[OPTIONS]", *shown]
    yield _fenced([" ".join([*usage, "COMMAND [ARGS]..."] if commands else usage)])
    yield from _paragraphs(command.help)
    if commands:
        rows = [(f"[`{name}`](#{PROGRAM}-{name})", _summary(one)) for name, one in commands.items()]
        yield _table(("command", "what it does"), rows)
    if arguments:
        yield _table(("argument", "meaning"), [(f"`{one.metavar}`", _text(one.help)) for one in arguments])
    yield _table(("option", "meaning"), [(f"`{_usage(one)}`", _meaning(one)) for one in options])
    yield from _paragraphs(command.epilog)


def _summary(command: Any) -> str:
    return _text(str(command.help).partition("\n\n")[0])


def _usage(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    return names if option.is_flag else f"{names} {option.metavar}"


def _meaning(option: Any) -> str:
    parts = [_text(option.help)]
    if option.required:
        parts.append("Required.")
    elif isinstance(option.default, (str, int, float)) and not option.is_flag:
        parts.append(f"Default: {option.default}.")
    if option.envvar:
        parts.append(f"Environment variable: `{option.envvar}`.")
    return " ".join(parts)


def _paragraphs(text: str | None) -> Iterator[str]:
    for paragraph in re.split(r"\n{2,}", (text or "").strip()):
        lines = paragraph.splitlines()
        if not lines:
            continue
        if lines[0] != _KEPT:
            yield textwrap.fill(_text(paragraph), _WIDTH) + "\n"
            continue
        title = lines[1].rstrip(":")
        if title in _TABLES:
            yield _table(_TABLES[title], [_row(line) for line in lines[2:]])
        elif lines[1].endswith(":") and all(line.startswith("  ") for line in lines[2:]):
            yield f"{lines[1]}\n"
            yield _fenced(lines[2:])
        else:
            yield _fenced(lines[1:])


def _row(line: str) -> tuple[str, str]:
    name, meaning = re.split(r" {2,}", line.strip(), maxsplit=1)
    return f"`{name}`", _text(meaning)


def _text(text: str | None) -> str:
    """Running text, whose options and environment variables are shown as code."""
    pieces = " ".join((text or "").split()).split("`")
    pieces[::2] = [_CODE.sub(r"`\1`", piece) for piece in pieces[::2]]
    return "`".join(pieces)


def _fenced(lines: Sequence[str]) -> str:
    return "\n".join(["```text", textwrap.dedent("\n".join(lines)), "```", ""])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines]) + "\n"


def main() -> int:
    """Write, print or check the page. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.cli_reference", description=__doc__.partition("\n")[0])
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--print", action="store_true", help="print the page and write nothing")
    group.add_argument("--check", action="store_true", help="fail if the file is not what the program says")
    options = parser.parse_args()
    text = page()
    if options.print:
        print(text, end="")
    elif options.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print(f"{PAGE} is out of date. Run `python -m scripts.cli_reference`.", file=sys.stderr)
            return 1
    else:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
